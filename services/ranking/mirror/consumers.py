"""Mirrors registry and assistance: newest versions whole, denominators as sums of dated changes."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from services.ranking.mirror import denominators
from services.ranking.mirror.rules import ServedChanges
from services.ranking.versions import service as versions
from services.ranking.versions.service import Mirrored
from shared import telemetry
from shared.auth import upsert_key
from shared.contracts.base import Contract, Topic
from shared.contracts.division import DIVISION, DivisionEvent
from shared.contracts.household import HOUSEHOLD, HouseholdEvent
from shared.contracts.key import KEY, KeyEvent
from shared.contracts.programme import PROGRAMME, TARGET, ProgrammeEvent, TargetEvent
from shared.db import Pg
from shared.record import Poison, Record, Verdict, read_event
from shared.settings import Settings

Mirrorable = DivisionEvent | HouseholdEvent | ProgrammeEvent | TargetEvent
TABLES: Mapping[Topic, Mirrored] = {
    DIVISION: "division", HOUSEHOLD: "household", PROGRAMME: "programme", TARGET: "target"
}  # fmt: skip
TOPICS = (*TABLES, KEY)
_LARGEST_VERSION = 2**62


@dataclass(slots=True)
class _Newest:
    """The newest version of each aggregate of one topic in a batch, by key."""

    bodies: dict[str, Mirrorable] = field(default_factory=dict)
    places: dict[str, list[int]] = field(default_factory=dict)


class MirrorHandler:
    """Handler of the group ``ranking-mirror``."""

    def __init__(self, settings: Settings) -> None:
        self._topics = {settings.topic(topic.name): topic for topic in TOPICS}

    async def __call__(self, pg: Pg, records: Sequence[Record]) -> Mapping[int, Verdict]:
        """Store what is new; a new telling of a household's past moves the denominators."""
        verdicts: dict[int, Verdict] = {}
        newest = {topic: _Newest() for topic in TABLES}
        await versions.keep_rebuild_out(pg)
        for index, record in enumerate(records):
            topic = self._topics[record.topic]
            try:
                key, body = _read(record, topic)
                if isinstance(body, KeyEvent):
                    await upsert_key(pg, body)
                else:
                    _keep_newest(topic, newest[topic], index, key, body)
            except Poison as poison:
                verdicts[index] = poison
        changed = [TABLES[topic] for topic, batch in newest.items() if await _mirror(pg, topic, batch, verdicts)]
        await versions.raise_all(pg, map(versions.mirrored, changed))
        return verdicts


def _read(record: Record, topic: Topic) -> tuple[str, Mirrorable | KeyEvent]:
    event, body = read_event(record, topic.model)
    if event.data is not None and b"\\u0000" in event.data:
        raise Poison("nul")
    assert isinstance(body, Mirrorable | KeyEvent)  # what TOPICS carry
    key = body.code if isinstance(body, DivisionEvent | ProgrammeEvent) else str(body.id)
    if event.subject != key:
        raise Poison("key_mismatch")
    if body.version > _LARGEST_VERSION:
        raise Poison("out_of_range")
    return key, body


def _keep_newest(topic: Topic, batch: _Newest, index: int, key: str, body: Mirrorable) -> None:
    known = batch.bodies.get(key)
    if known is None or known.version < body.version:
        batch.bodies[key], batch.places[key] = body, [index]
    elif known.version == body.version:
        if known != body:
            raise _version_clash(topic)
        batch.places[key].append(index)


def _version_clash(topic: Topic) -> Poison:
    telemetry.BODY_CLASHES.labels(topic.name).inc()
    return Poison("version_clash")


async def _mirror(pg: Pg, topic: Topic, batch: _Newest, verdicts: dict[int, Verdict]) -> bool:
    """Store one topic's newest versions; whether any was news."""
    if not batch.bodies:
        return False
    table = TABLES[topic]
    stored = await _store(pg, table, batch.bodies)
    rest = {key: body for key, body in batch.bodies.items() if key not in stored}
    for key in await _clashing(pg, table, rest):
        verdicts.update({index: _version_clash(topic) for index in batch.places[key]})
    if topic is HOUSEHOLD:
        await _count_households(pg, batch.bodies, stored)
    return bool(stored)


async def _store(pg: Pg, table: Mirrored, bodies: Mapping[str, Contract]) -> dict[str, str | None]:
    """Store newer versions, in key order; the body each one replaced, None for a first one."""
    ordered = sorted(bodies)
    rows = await pg.fetch(
        f"INSERT INTO {table} AS held (id, version, body) SELECT * FROM unnest($1::text[], $2::bigint[], $3::text[]) "
        "ON CONFLICT (id) DO UPDATE SET version = excluded.version, body = excluded.body "
        "WHERE held.version < excluded.version RETURNING new.id, old.body",
        ordered,
        [getattr(bodies[key], "version") for key in ordered],  # noqa: B009 - every mirrored contract has one
        [bodies[key].to_json().decode() for key in ordered],
    )
    return {row["id"]: row["body"] for row in rows}


async def _clashing(pg: Pg, table: Mirrored, bodies: Mapping[str, Mirrorable]) -> Iterable[str]:
    """The keys held under the very version sent, but with another body."""
    if not bodies:
        return []
    rows = await pg.fetch(f"SELECT id, version, body FROM {table} WHERE id = ANY($1)", list(bodies))
    return [
        row["id"]
        for row in rows
        if row["version"] == bodies[row["id"]].version
        and type(bodies[row["id"]]).model_validate_json(row["body"]) != bodies[row["id"]]
    ]


async def _count_households(pg: Pg, bodies: Mapping[str, Mirrorable], stored: Mapping[str, str | None]) -> None:
    changes = ServedChanges()
    for key, old in stored.items():
        new = bodies[key]
        assert isinstance(new, HouseholdEvent)  # the only bodies of this topic
        changes.replace(None if old is None else HouseholdEvent.model_validate_json(old), new)
    await denominators.add(pg, changes)

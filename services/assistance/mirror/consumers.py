"""Takes registry's events into the mirror: the highest version wins, whatever the order of arrival."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from services.assistance.mirror.service import DIVISIONS_REVISION
from shared.auth import upsert_key
from shared.contracts.base import Contract, Topic
from shared.contracts.division import DIVISION, DivisionEvent
from shared.contracts.household import HOUSEHOLD, PERSON, HouseholdEvent, PersonEvent
from shared.contracts.key import KEY, KeyEvent
from shared.db import Pg
from shared.record import Poison, Record, Verdict, read_event
from shared.settings import Settings
from shared.telemetry import BODY_CLASHES
from shared.watched import RAISE_REVISION

GROUP = "assistance-mirror"
TOPICS = (DIVISION, HOUSEHOLD, PERSON, KEY)

_STORED = {
    DIVISION.name: "SELECT code AS id, version, body FROM mirror_division WHERE code = ANY($1::text[])",
    HOUSEHOLD.name: "SELECT id, version, body FROM mirror_household WHERE id = ANY($1::uuid[])",
    PERSON.name: "SELECT id, version, body FROM mirror_person WHERE id = ANY($1::uuid[])",
    KEY.name: "SELECT id, version, body::text AS body FROM api_key WHERE id = ANY($1::uuid[])",
}
_UPSERT_DIVISIONS = (
    "INSERT INTO mirror_division (code, version, body) SELECT * FROM unnest($1::text[], $2::int[], $3::text[]) "
    "ON CONFLICT (code) DO UPDATE SET version = excluded.version, body = excluded.body "
    "WHERE mirror_division.version < excluded.version RETURNING code"
)
_UPSERT_HOUSEHOLDS = (
    "INSERT INTO mirror_household (id, version, body, number) "
    "SELECT * FROM unnest($1::uuid[], $2::int[], $3::text[], $4::text[]) "
    "ON CONFLICT (id) DO UPDATE SET version = excluded.version, body = excluded.body, number = excluded.number "
    "WHERE mirror_household.version < excluded.version"
)
_UPSERT_PERSONS = (
    "INSERT INTO mirror_person (id, version, body, number, household_id) "
    "SELECT * FROM unnest($1::uuid[], $2::int[], $3::text[], $4::text[], $5::uuid[]) "
    "ON CONFLICT (id) DO UPDATE SET version = excluded.version, body = excluded.body, number = excluded.number, "
    "household_id = excluded.household_id WHERE mirror_person.version < excluded.version"
)


@dataclass(frozen=True, slots=True)
class _Received:
    index: int
    id: Any
    body: Any


class Mirror:
    """The handler of the mirror's consumer."""

    def __init__(self, settings: Settings) -> None:
        self._topics: dict[str, Topic] = {settings.topic(topic.name): topic for topic in TOPICS}

    async def __call__(self, pg: Pg, records: Sequence[Record]) -> Mapping[int, Verdict]:
        """Store what is newer than the mirror; events of one version with two bodies are poison."""
        verdicts: dict[int, Verdict] = {}
        received: dict[str, list[_Received]] = {}
        for index, record in enumerate(records):
            topic = self._topics[record.topic]
            try:
                read = _read(index, record, topic)
            except Poison as poison:
                verdicts[index] = poison
            else:
                received.setdefault(topic.name, []).append(read)
        for name in sorted(received):
            await _take_in(pg, name, received[name], verdicts)
        return verdicts


def _read(index: int, record: Record, topic: Topic) -> _Received:
    _, body = read_event(record, topic.model)
    identifier = body.code if isinstance(body, DivisionEvent) else getattr(body, "id")  # noqa: B009
    if record.key != str(identifier).encode():
        raise Poison("key_mismatch")
    return _Received(index, identifier, body)


async def _take_in(pg: Pg, name: str, received: list[_Received], verdicts: dict[int, Verdict]) -> None:
    stored = await pg.fetch(_STORED[name], list({entry.id for entry in received}))
    model = type(received[0].body)
    newest: dict[Any, Any] = {row["id"]: model.model_validate_json(row["body"]) for row in stored}
    fresh: dict[Any, Contract] = {}
    for entry in received:
        known = newest.get(entry.id)
        if known is not None and known.version == entry.body.version and known != entry.body:
            BODY_CLASHES.labels(name).inc()
            verdicts[entry.index] = Poison("version_clash")
        elif known is None or known.version < entry.body.version:
            newest[entry.id] = fresh[entry.id] = entry.body
    # In order of id: two members of the group may meet in one table while partitions change hands.
    await _store(pg, name, [fresh[key] for key in sorted(fresh)])


async def _store(pg: Pg, name: str, bodies: list[Any]) -> None:
    if not bodies:
        return
    versions = [body.version for body in bodies]
    texts = [body.model_dump_json(by_alias=True) for body in bodies]
    match bodies[0]:
        case DivisionEvent():
            if await pg.fetch(_UPSERT_DIVISIONS, [body.code for body in bodies], versions, texts):
                await pg.execute(RAISE_REVISION, DIVISIONS_REVISION)
        case HouseholdEvent():
            ids, numbers = [body.id for body in bodies], [body.number for body in bodies]
            await pg.execute(_UPSERT_HOUSEHOLDS, ids, versions, texts, numbers)
        case PersonEvent():
            ids, numbers = [body.id for body in bodies], [body.number for body in bodies]
            households = [body.household_id for body in bodies]
            await pg.execute(_UPSERT_PERSONS, ids, versions, texts, numbers, households)
        case KeyEvent():
            for body in bodies:
                await upsert_key(pg, body)
        case _:
            raise TypeError(f"nothing of {name} is mirrored")

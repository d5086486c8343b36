"""The ledger's statements: one writes any number of actions with their versions, events and idempotency row.

``action`` and ``action_version`` are written together or not at all; what a version said is its ``body``.
"""

from collections.abc import Iterable, Sequence
from typing import Any
from uuid import UUID

from services.assistance.actions.entries import Entry, Provenance, Stored
from services.assistance.actions.schemas import ActionOut
from shared import outbox
from shared.clock import local_day
from shared.contracts.action import ACTION, ActionEvent
from shared.db import Pg
from shared.http.idempotency import IdempotencyKey
from shared.outbox import COLUMNS as OUTBOX_COLUMNS
from shared.outbox import Event, row
from shared.settings import Settings

_ACTION_COLUMNS = {
    "id": "uuid", "version": "int", "status": "text", "source_system": "text", "external_id": "text",
    "source_version": "bigint", "submitted_by": "text", "programme": "text", "class": "text", "sector": "text",
    "kind": "text", "household_id": "uuid", "actor_id": "uuid", "division": "text", "city": "text",
    "managing_unit": "text", "township": "text", "village": "text", "occurred_at": "timestamptz",
    "occurred_on": "date", "recorded_at": "timestamptz", "verified_at": "timestamptz", "recorded_by": "uuid",
    "changed_by": "uuid",
}  # fmt: skip
_VERSION_COLUMNS = {"verb": "text", "body": "text", "by": "uuid", "reason": "text"}
_KEY_COLUMNS = {"key_scope": "text", "key": "text", "fingerprint": "bytea"}
_GIVEN = {**_ACTION_COLUMNS, **_VERSION_COLUMNS, **_KEY_COLUMNS}
_NAMES = ", ".join(_ACTION_COLUMNS)
_OUTBOX_TYPES = ("text",) * 11 + ("bytea",)
_FIRST_OUTBOX = len(_GIVEN) + 1
NO_KEY = IdempotencyKey(None, "", b"")


def _rows(first: int, types: Iterable[str], *, many: bool) -> str:
    """Parameters as rows: parallel arrays of many, or the values of one, which costs half as much."""
    if many:
        return "unnest(" + ", ".join(f"${n}::{kind}[]" for n, kind in enumerate(types, start=first)) + ")"
    return "(VALUES (" + ", ".join(f"${n}::{kind}" for n, kind in enumerate(types, start=first)) + "))"


def _statement(written: str, *, many: bool) -> str:
    return f"""
WITH given AS (SELECT * FROM {_rows(1, _GIVEN.values(), many=many)} AS given ({", ".join(_GIVEN)})),
written AS ({written}),
versions AS (
    INSERT INTO action_version (action_id, version, verb, body, recorded_at, changed_by, reason)
    SELECT id, version, verb, body, recorded_at, by, reason FROM given JOIN written USING (id)
),
events AS (
    INSERT INTO outbox ({OUTBOX_COLUMNS})
    SELECT event.* FROM {_rows(_FIRST_OUTBOX, _OUTBOX_TYPES, many=many)} AS event ({OUTBOX_COLUMNS})
    JOIN written ON written.id::text = event.aggregateid
),
claimed AS (
    INSERT INTO idempotency (scope, key, fingerprint, resource_id, version)
    SELECT key_scope, key, fingerprint, id, version FROM given JOIN written USING (id) WHERE key IS NOT NULL
)
SELECT id FROM written"""


_CHANGED = [name for name in _ACTION_COLUMNS if name not in ("id", "source_system", "external_id", "recorded_by")]
_NEW = (
    f"INSERT INTO action ({_NAMES}) SELECT {_NAMES} FROM given "
    "ON CONFLICT (source_system, external_id) DO NOTHING RETURNING id"
)
_NEXT = (
    f"UPDATE action SET ({', '.join(_CHANGED)}) = ({', '.join(f'given.{name}' for name in _CHANGED)}) "
    "FROM given WHERE action.id = given.id AND action.version = given.version - 1 RETURNING action.id"
)
_INSERT = _statement(_NEW, many=False), _statement(_NEW, many=True)
_UPDATE = _statement(_NEXT, many=False), _statement(_NEXT, many=True)
_LOAD = (
    "SELECT v.body, a.recorded_by, a.changed_by, a.submitted_by, a.source_version FROM action a "
    "JOIN action_version v ON v.action_id = a.id AND v.version = a.version "
)


async def insert(
    pg: Pg, settings: Settings, entries: Sequence[Entry], keys: Sequence[IdempotencyKey] | None = None
) -> set[UUID]:
    """Record new actions; returns the ids written. Those whose external name is taken are left out.

    ``keys`` names the requests, one an entry. Raises ``asyncpg.UniqueViolationError``, and writes nothing, when one
    of them was used before.
    """
    return await _write(pg, _INSERT, settings, entries, keys)


async def update(
    pg: Pg, settings: Settings, entries: Sequence[Entry], keys: Sequence[IdempotencyKey] | None = None
) -> set[UUID]:
    """Write the next version of actions; returns the ids written. Those that have moved on are left out.

    Raises as ``insert`` does.
    """
    return await _write(pg, _UPDATE, settings, entries, keys)


async def load(pg: Pg, action_id: UUID) -> Stored | None:
    """One action's current version."""
    found = await pg.fetchrow(_LOAD + "WHERE a.id = $1", action_id)
    return None if found is None else _stored(found)


async def load_version(pg: Pg, action_id: UUID, version: int) -> str | None:
    """What one version said, as JSON."""
    body: str | None = await pg.fetchval(
        "SELECT body FROM action_version WHERE action_id = $1 AND version = $2", action_id, version
    )
    return body


async def load_by_names(pg: Pg, names: Sequence[tuple[str, str]]) -> dict[tuple[str, str], Stored]:
    """Current versions by (source_system, external_id)."""
    if not names:
        return {}
    systems, identifiers = zip(*names, strict=True)
    rows = await pg.fetch(
        _LOAD + "JOIN unnest($1::text[], $2::text[]) AS wanted (source_system, external_id) "
        "ON a.source_system = wanted.source_system AND a.external_id = wanted.external_id",
        systems,
        identifiers,
    )
    found = (_stored(each) for each in rows)
    return {(each.state.source_system or "", each.state.external_id or ""): each for each in found}


async def republish(pg: Pg, settings: Settings) -> int:
    """Write every action's present state to the outbox again, in the open transaction of ``pg``."""
    written = 0
    last = UUID(int=0)
    while True:
        rows = await pg.fetch(
            "SELECT a.id, v.verb, v.body FROM action a "
            "JOIN action_version v ON v.action_id = a.id AND v.version = a.version "
            "WHERE a.id > $1 ORDER BY a.id LIMIT 1000",
            last,
        )
        if not rows:
            return written
        events = [_event(each["verb"], ActionOut.model_validate_json(each["body"])) for each in rows]
        await outbox.write(pg, outbox.rows(settings, events))
        written, last = written + len(rows), rows[-1]["id"]


async def _write(
    pg: Pg,
    statements: tuple[str, str],
    settings: Settings,
    entries: Sequence[Entry],
    keys: Sequence[IdempotencyKey] | None,
) -> set[UUID]:
    if not entries:
        return set()
    pairs = zip(entries, keys or [NO_KEY] * len(entries), strict=True)
    # In one order everywhere, so that two batches that share names wait for each other instead of deadlocking.
    ordered = sorted(pairs, key=lambda pair: pair[0].name)
    rows = [
        _row(entry, key) + row(settings.base_url, _event(entry.verb, entry.state, entry.traceparent))
        for entry, key in ordered
    ]
    one, many = statements
    if len(rows) == 1:
        written = await pg.fetch(one, *rows[0])
    else:
        written = await pg.fetch(many, *map(list, zip(*rows, strict=True)))
    return {each["id"] for each in written}


def _row(entry: Entry, key: IdempotencyKey) -> tuple[Any, ...]:
    state, provenance, path = entry.state, entry.provenance, entry.state.path
    return (
        state.id, state.version, state.status, state.source_system, state.external_id, provenance.source_version,
        provenance.submitted_by, state.programme, state.programme_class, state.sector, state.kind,
        None if state.household is None else state.household.id, None if state.actor is None else state.actor.id,
        state.division, path.city, path.managing_unit, path.township, path.village, state.occurred_at,
        local_day(state.occurred_at), state.recorded_at, state.verified_at, provenance.recorded_by,
        provenance.changed_by, entry.verb, entry.body, entry.by, entry.reason, key.scope, key.value, key.fingerprint,
    )  # fmt: skip


def _event_of(entry: Entry) -> Event:
    return _event(entry.verb, entry.state, entry.traceparent)


def _event(verb: str, state: ActionOut, traceparent: str | None = None) -> Event:
    body = ActionEvent(
        id=state.id,
        version=state.version,
        status=state.status,
        first_recorded_at=state.first_recorded_at,
        recorded_at=state.recorded_at,
        occurred_at=state.occurred_at,
        programme=state.programme,
        programme_class=state.programme_class,
        sector=state.sector,
        kind=state.kind,
        household_id=None if state.household is None else state.household.id,
        household_seq=None if state.household is None else state.household.seq,
        persons=[person.id for person in state.persons],
        actor_id=None if state.actor is None else state.actor.id,
        division=state.division,
        path=state.path,
        place=state.place,
        quantity=state.quantity,
        amount_fen=state.amount_fen,
        verified_at=state.verified_at,
    )
    return Event(ACTION, verb, str(state.id), body, state.recorded_at, state.version, traceparent=traceparent)


def _stored(found: Any) -> Stored:
    return Stored(
        ActionOut.model_validate_json(found["body"]),
        Provenance(found["recorded_by"], found["changed_by"], found["submitted_by"], found["source_version"]),
    )

"""Writing, sealing, reading and verifying the audit log."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from services.registry.audit.rules import GENESIS, LOOKS, OPEN, BrokenError, Entry, Head, Sealed, chained, checked
from services.registry.audit.schemas import AuditFilters
from shared.db import Pg
from shared.ids import uuid7

BATCH = 1000
_LOCK = 0x61756469
"""The one sealer of a database."""

_SEAL = (
    "UPDATE audit_entry SET position = given.position, hash = given.hash "
    "FROM unnest($1::uuid[], $2::bigint[], $3::bytea[]) AS given (id, position, hash) "
    "WHERE audit_entry.id = given.id AND audit_entry.position IS NULL"
)
_HALVES = ("position IS NOT NULL", "position IS NULL")
"""Sealed and waiting to be: each half of the log has indexes of its own."""
_REASONS = " UNION ALL ".join(
    f"SELECT id, object_id, reason, key_id, recorded_at FROM audit_entry "
    f"WHERE object_id = ANY($1::text[]) AND reason IS NOT NULL AND {half}"
    for half in _HALVES
)
_REASONS_OF_LOOKS = "SELECT DISTINCT reason FROM audit_entry WHERE operation = ANY($1::text[]) AND reason IS NOT NULL"
_LOOKS_FOR = (
    "SELECT id, object_id, reason, key_id, recorded_at FROM audit_entry "
    "WHERE operation = ANY($1::text[]) AND reason = ANY($2::text[])"
)
_OF_ONE_ACT = " UNION ALL ".join(
    "SELECT id FROM audit_entry WHERE (key_id, recorded_at, reason) "
    f"IN (SELECT * FROM unnest($1::uuid[], $2::timestamptz[], $3::text[])) AND {half}"
    for half in _HALVES
)
_HEAD = "SELECT position, hash FROM audit_anchor ORDER BY position DESC LIMIT 1"


async def record(pg: Pg, entries: Sequence[Entry]) -> None:
    """Write entries in the transaction of what they tell of: neither is there without the other."""
    if entries:
        rows = [(*entry, uuid7()) for entry in entries]
        await pg.copy_records_to_table("audit_entry", records=rows, columns=(*Entry._fields, "id"))


class Stated(NamedTuple):
    """An entry that states a reason."""

    id: UUID
    object_id: str
    reason: str
    key_id: UUID | None
    recorded_at: datetime


async def reasons(pg: Pg, objects: Sequence[str]) -> list[Stated]:
    """Entries of these objects that state a reason, sealed or waiting to be."""
    return [Stated(*row) for row in await pg.fetch(_REASONS, objects)]


async def looks(pg: Pg, names: Callable[[str], bool]) -> list[Stated]:
    """Reveals and look-ups, granted or denied, whose reason is one that is sought, whomever they showed.

    Many have the same reason, and each reason is read once.
    """
    told = [row["reason"] for row in await pg.fetch(_REASONS_OF_LOOKS, LOOKS)]
    named = [reason for reason in told if names(reason)]
    return [Stated(*row) for row in await pg.fetch(_LOOKS_FOR, LOOKS, named)] if named else []


async def of_one_act(pg: Pg, stated: Sequence[Stated]) -> list[UUID]:
    """These entries, and those that the same requests left beside them: a look-up says why for all whom it found."""
    acts = [[each.key_id for each in stated], [each.recorded_at for each in stated], [each.reason for each in stated]]
    beside = [row["id"] for row in await pg.fetch(_OF_ONE_ACT, *acts)]
    return list(dict.fromkeys([*(each.id for each in stated), *beside]))


async def seal(pg: Pg, now: datetime) -> int:
    """Chain a batch of what is not sealed yet and anchor the new head; returns how many, 0 while another seals.

    In a transaction of its own. Sealing is what orders entries: a position, once given, has nothing new before it.
    """
    if not await pg.fetchval("SELECT pg_try_advisory_xact_lock($1)", _LOCK):
        return 0
    rows = await pg.fetch(f"SELECT * FROM audit_entry WHERE position IS NULL ORDER BY id LIMIT {BATCH}")
    if not rows:
        return 0
    reached = await head(pg)
    # Beside the event loop: a thousand take some tens of milliseconds.
    places = await asyncio.to_thread(lambda: chained(reached, [(row["id"], _entry(row)) for row in rows]))
    await pg.execute(
        _SEAL,
        [each.id for each in places],
        [each.position for each in places],
        [each.hash for each in places],
    )
    await pg.execute(
        "INSERT INTO audit_anchor (position, hash, sealed_at) VALUES ($1, $2, $3)",
        places[-1].position,
        places[-1].hash,
        now,
    )
    return len(places)


async def head(pg: Pg) -> Head:
    """How far the chain reaches."""
    row = await pg.fetchrow(_HEAD)
    return Head(0, GENESIS) if row is None else Head(row["position"], row["hash"])


async def unsealed(pg: Pg) -> int:
    """How many entries wait to be sealed."""
    found: int = await pg.fetchval("SELECT count(*) FROM audit_entry WHERE position IS NULL")
    return found


async def verify(pg: Pg, noted: Head | None = None) -> Head:
    """The head of a chain that holds from its first entry to its last anchor, and to a head noted elsewhere.

    In one repeatable-read transaction. Raises ``BrokenError`` with the first place that does not hold.
    """
    reached = Head(0, GENESIS)
    anchors = _anchors(pg)
    anchor = await anext(anchors, None)
    async for part in _chain(pg):
        for sealed in part:
            reached = checked(reached, [sealed])
            _compare(noted, reached)
            if anchor is not None and anchor.position == reached.position:
                _compare(anchor, reached)
                anchor = await anext(anchors, None)
    if anchor is not None:
        raise BrokenError(reached.position + 1, "is missing")
    if noted is not None and noted.position > reached.position:
        raise BrokenError(reached.position + 1, "is missing: the head noted lies further on")
    if reached != await head(pg):
        raise BrokenError(reached.position, "comes after the last anchor")
    return reached


def _compare(expected: Head | None, reached: Head) -> None:
    if expected is not None and expected.position == reached.position and expected.hash != reached.hash:
        raise BrokenError(reached.position, "is not the head that was noted")


async def _chain(pg: Pg) -> AsyncIterator[list[Sealed]]:
    last = 0
    while rows := await pg.fetch(
        f"SELECT * FROM audit_entry WHERE position > $1 ORDER BY position LIMIT {BATCH}", last
    ):
        last = rows[-1]["position"]
        yield [_sealed_of(row) for row in rows]


async def _anchors(pg: Pg) -> AsyncIterator[Head]:
    last = 0
    while rows := await pg.fetch(
        f"SELECT position, hash FROM audit_anchor WHERE position > $1 ORDER BY position LIMIT {BATCH}", last
    ):
        for row in rows:
            yield Head(row["position"], row["hash"])
        last = rows[-1]["position"]


_FILTERED = (
    "FROM audit_entry WHERE position > $1 "
    "AND ($2 OR divisions && $3::text[] OR (divisions = '{}' AND operation = ANY($4::text[]))) "
    "AND ($5::text IS NULL OR object_id = $5) AND ($6::uuid IS NULL OR key_id = $6) "
    "AND ($7::text IS NULL OR operation = $7) AND ($8::timestamptz IS NULL OR recorded_at >= $8) "
    "AND ($9::timestamptz IS NULL OR recorded_at < $9)"
)


class Sight(NamedTuple):
    """Whose entries are read: those of some divisions and the open ones, or all."""

    everything: bool
    divisions: tuple[str, ...]


async def listed(pg: Pg, sight: Sight, filters: AuditFilters, after: int, limit: int) -> list[Sealed]:
    """Sealed entries after a position, in their order."""
    rows = await pg.fetch(f"SELECT * {_FILTERED} ORDER BY position LIMIT {limit:d}", *_arguments(sight, filters, after))
    return [_sealed_of(row) for row in rows]


async def counted(pg: Pg, sight: Sight, filters: AuditFilters) -> int:
    """How many entries there are for these filters."""
    found: int = await pg.fetchval(f"SELECT count(*) {_FILTERED}", *_arguments(sight, filters, 0))
    return found


def _arguments(sight: Sight, filters: AuditFilters, after: int) -> tuple[Any, ...]:
    return (
        after, *sight, OPEN, filters.object, filters.key, filters.operation, filters.from_, filters.until
    )  # fmt: skip


def _sealed_of(row: Any) -> Sealed:
    return Sealed(row["position"], row["id"], _entry(row), row["hash"])


def _entry(row: Any) -> Entry:
    return Entry(
        recorded_at=row["recorded_at"],
        key_id=row["key_id"],
        operation=row["operation"],
        object_id=row["object_id"],
        version=row["version"],
        reason=row["reason"],
        purpose=row["purpose"],
        outcome=row["outcome"],
        divisions=tuple(row["divisions"]),
        digest=row["digest"],
    )

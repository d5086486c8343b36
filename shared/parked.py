"""Records that wait for what they refer to, in the database of their reader (architecture rule 2)."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg

from shared import deadletter
from shared.db import Pg
from shared.ids import uuid7
from shared.record import Record

LONGEST_STEP = timedelta(seconds=30)
"""Between two attempts at a record that has waited for long."""
AT_ONCE = 500
"""Records that are tried in one transaction."""

_PARK = (
    'INSERT INTO parked_record (id, group_name, topic, partition, "offset", key, value, headers, timestamp_ms, '
    "reason, first_seen, next_try_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)"
)
_DUE = (
    "SELECT * FROM parked_record WHERE group_name = $1 AND (next_try_at <= $2 OR next_try_at > $3) "
    "ORDER BY next_try_at LIMIT $4 FOR UPDATE SKIP LOCKED"
)
_UNPARK = "DELETE FROM parked_record WHERE id = ANY($1)"
_POSTPONE = "UPDATE parked_record SET tries = tries + 1, next_try_at = $2 WHERE id = $1"


@dataclass(frozen=True, slots=True)
class Parked:
    """A record that waits, and how often it was tried in vain."""

    id: Any
    record: Record
    tries: int


async def park(pg: Pg, group: str, records: Iterable[tuple[Record, str]], now: datetime) -> None:
    """Keep records, each with the reason why it waits."""
    rows = [(uuid7(), group, *_stored(record), reason, record.first_seen, now) for record, reason in records]
    if rows:
        await pg.executemany(_PARK, rows)


async def due(pg: Pg, group: str, now: datetime, most: int) -> list[Parked]:
    """Records to try again, locked until the end of the transaction; those another process tries are left out.

    What was put off for longer than ever is, by a clock that was ahead, is due as well.
    """
    rows = await pg.fetch(_DUE, group, now, now + LONGEST_STEP, most)
    return [Parked(row["id"], _record(row), row["tries"]) for row in rows]


async def unpark(pg: Pg, settled: Sequence[Parked]) -> None:
    """These wait no longer."""
    await pg.execute(_UNPARK, [each.id for each in settled])


async def postpone(pg: Pg, waiting: Iterable[Parked], now: datetime) -> None:
    """These wait on, each time twice as long."""
    for each in waiting:
        step = min(timedelta(seconds=0.25 * 2 ** min(each.tries, 10)), LONGEST_STEP)
        await pg.execute(_POSTPONE, each.id, now + step)


def _stored(record: Record) -> tuple[Any, ...]:
    return (
        record.topic, record.partition, record.offset, record.key, record.value,
        deadletter.headers_to_json(record.headers), record.timestamp_ms,
    )  # fmt: skip


def _record(row: asyncpg.Record) -> Record:
    return Record(
        row["topic"], row["partition"], row["offset"], row["key"], row["value"],
        deadletter.headers_from_json(row["headers"]), row["timestamp_ms"], row["first_seen"].astimezone(UTC),
    )  # fmt: skip

"""Records that cannot be taken in: kept as rows, copied to ``<topic>.dlt``, shown, replayed or dropped by people.

The row is the truth and is written in the transaction of the batch it came with, before its offset is committed;
the topic holds a copy for whoever watches it.
"""

import base64
import hashlib
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol
from uuid import UUID

import asyncpg

from shared.contracts.base import rfc3339
from shared.db import Pg
from shared.events import MAX_BYTES
from shared.ids import uuid7
from shared.outbox import COLUMNS
from shared.record import Poison, Record
from shared.settings import Settings

DEAD_LETTER_TYPE = "cn.bangfu.dead-letter.v1"


Failed = tuple[Record, Poison]


class Allowance(Protocol):
    """How many dead letters a consumer may make (architecture rule 4)."""

    async def admit(self, pg: Pg, group: str, failed: Sequence[Failed]) -> Sequence[Failed]:
        """Those of a batch's failed records that are to be kept."""
        ...


class DeadLetterLimitError(RuntimeError):
    """Too many dead letters: the consumer stops rather than drain its topic into them."""


@dataclass(frozen=True, slots=True)
class DeadLetterLimit:
    """For our own topics: more than this within the window mean that we are at fault, not the records."""

    count: int = 100
    window: timedelta = timedelta(minutes=1)

    async def admit(self, pg: Pg, group: str, failed: Sequence[Failed]) -> Sequence[Failed]:
        """All of them. Raises ``DeadLetterLimitError`` past the limit; survives restarts, for rows are counted."""
        recent = await pg.fetchval(
            "SELECT count(*) FROM dead_letter WHERE group_name = $1 AND created_at > now() - $2::interval",
            group,
            self.window,
        )
        if recent + len(failed) > self.count:
            raise DeadLetterLimitError(f"{group}: {recent + len(failed)} dead letters within {self.window}")
        return failed


@dataclass(frozen=True, slots=True)
class OriginQuota:
    """For topics that outsiders write to: of each origin so many are kept within the window, and no more.

    Nobody can stop us or fill the database by sending rubbish; what is let go is counted in the metrics, and stays
    on its topic as long as that is retained. All who are not registered share one quota.
    """

    count: int = 20_000
    window: timedelta = timedelta(hours=1)

    async def admit(self, pg: Pg, group: str, failed: Sequence[Failed]) -> Sequence[Failed]:
        """The first ones of each origin, up to its quota."""
        rows = await pg.fetch(
            "SELECT origin, count(*) AS kept FROM dead_letter "
            "WHERE group_name = $1 AND created_at > now() - $2::interval GROUP BY origin",
            group,
            self.window,
        )
        kept = Counter({row["origin"]: row["kept"] for row in rows})
        admitted: list[Failed] = []
        for record, poison in failed:
            if kept[poison.origin] < self.count:
                kept[poison.origin] += 1
                admitted.append((record, poison))
        return admitted


def headers_to_json(headers: Sequence[tuple[str, bytes | None]]) -> str:
    return json.dumps([[name, base64.b64encode(value or b"").decode()] for name, value in headers[:200]])


def headers_from_json(stored: str) -> list[tuple[str, bytes]]:
    return [(name, base64.b64decode(value)) for name, value in json.loads(stored)]


async def store(pg: Pg, settings: Settings, group: str, failed: Sequence[Failed], *, with_content: bool = True) -> int:
    """Keep records with the cause of each; returns how many are new (a redelivered one is kept once) or open again.

    Open again is what was replayed and failed once more.

    Without content a letter holds place and cause alone: it cannot be replayed, only sent again by whoever sent it.
    """
    if not with_content:
        failed = [(record.without_content(), poison) for record, poison in failed]
    kept = await pg.fetch(
        'INSERT INTO dead_letter (id, group_name, topic, partition, "offset", digest, key, value, headers, '
        "timestamp_ms, cause, origin) SELECT * FROM unnest($1::uuid[], $2::text[], $3::text[], $4::int[], "
        "$5::bigint[], $6::bytea[], $7::bytea[], $8::bytea[], $9::text[], $10::bigint[], $11::text[], $12::text[]) "
        'ON CONFLICT (group_name, topic, partition, "offset", digest) DO UPDATE '
        "SET status = 'open', cause = excluded.cause, changed_at = now() WHERE dead_letter.status = 'replayed' "
        'RETURNING id, topic, partition, "offset", value, cause',
        *_columns(group, failed),
    )
    copies = [_copy(settings, row) for row in kept]
    if copies:
        names = ", ".join(f"${i + 1}" for i in range(len(copies[0])))
        await pg.executemany(f"INSERT INTO outbox ({COLUMNS}) VALUES ({names})", copies)
    return len(kept)


def _columns(group: str, failed: Sequence[Failed]) -> list[list[Any]]:
    rows = [
        (
            uuid7(),
            group,
            record.topic,
            record.partition,
            record.offset,
            hashlib.sha256(b"%b\0%b\0%d" % (record.key or b"", record.value or b"", record.timestamp_ms)).digest(),
            record.key,
            record.value,
            headers_to_json(record.headers),
            record.timestamp_ms,
            poison.code,
            poison.origin,
        )
        for record, poison in failed
    ]
    return [list(column) for column in zip(*rows, strict=True)]


def _copy(settings: Settings, row: asyncpg.Record) -> tuple[Any, ...]:
    """The outbox row of the copy: place in ``ce_subject``, cause in ``ce_causationid``; oversized values stay here."""
    place = f"{row['topic']}/{row['partition']}/{row['offset']}"
    value = row["value"] if row["value"] is None or len(row["value"]) <= MAX_BYTES else None
    time = rfc3339(datetime.now(UTC))
    return (
        str(row["id"]), f"{row['topic'].removeprefix(settings.kafka_prefix)}.dlt", place, DEAD_LETTER_TYPE,
        settings.base_url, time, None, None, None, row["cause"], None, value,
    )  # fmt: skip


async def listed(pg: Pg, status: str, limit: int) -> list[asyncpg.Record]:
    """Dead letters of one status, newest first."""
    return list(
        await pg.fetch(
            'SELECT id, group_name, topic, partition, "offset", cause, origin, status, created_at FROM dead_letter '
            "WHERE status = $1 ORDER BY created_at DESC, id LIMIT $2",
            status,
            limit,
        )
    )


async def shown(pg: Pg, letter: UUID) -> asyncpg.Record | None:
    return await pg.fetchrow("SELECT * FROM dead_letter WHERE id = $1", letter)


async def replay(pg: Pg, letters: Sequence[UUID]) -> int:
    """Hand letters back to their consumer, as records parked until now; returns how many.

    Letters kept without content stay as they are.
    """
    async with pg.transaction():
        status: str = await pg.execute(
            "WITH chosen AS (UPDATE dead_letter SET status = 'replayed', changed_at = now() "
            "WHERE id = ANY($1) AND status = 'open' AND NOT (value IS NULL AND headers = '[]') RETURNING *) "
            'INSERT INTO parked_record (id, group_name, topic, partition, "offset", key, value, headers, '
            "timestamp_ms, reason, first_seen, next_try_at) "
            "SELECT id, group_name, topic, partition, \"offset\", key, value, headers, timestamp_ms, 'replay', "
            "now(), now() FROM chosen",
            list(letters),
        )
    return int(status.split()[-1])


async def drop(pg: Pg, letters: Sequence[UUID]) -> int:
    """Say that letters need no further work; they stay readable. Returns how many."""
    status: str = await pg.execute(
        "UPDATE dead_letter SET status = 'dropped', changed_at = now() WHERE id = ANY($1) AND status = 'open'",
        list(letters),
    )
    return int(status.split()[-1])

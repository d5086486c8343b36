"""The tables of imports: every statement on them. Files and rejected rows are sealed, for they hold identity data."""

import base64
import json
from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from services.registry.context import Registry
from services.registry.identity import Vault
from services.registry.imports import auditing
from services.registry.imports.records import OPEN, FileStructure, Instruction, Job, Status, Tally
from shared.auth import Caller
from shared.db import Database, Pg

PART = 768 * 1024


@dataclass(frozen=True, slots=True)
class RejectedRow:
    """A row that was not taken in: its cells as they were read, and what is wrong with it."""

    row: int
    cells: Sequence[Any]
    errors: Sequence[str]


@dataclass(frozen=True, slots=True)
class Remark:
    """What the report says of a row."""

    row: int
    column: str
    code: str
    en: str
    zh: str
    severity: str


# Jobs


async def add(
    pg: Pg, vault: Vault, job: Job, caller: Caller, digest: bytes, owners: Sequence[str], content: memoryview
) -> None:
    """Write a new job and its file."""
    await pg.execute(
        "INSERT INTO import_job (id, status, instruction, caller, digest, size, owners, tally, recorded_at, "
        "recorded_by) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
        job.id,
        job.status,
        job.instruction.model_dump_json(),
        json.dumps({"key_id": str(caller.key_id), "name": caller.name, "divisions": list(caller.divisions)}),
        digest,
        job.size,
        list(owners),
        job.tally.model_dump_json(),
        job.recorded_at,
        job.recorded_by,
    )
    for part, start in enumerate(range(0, len(content), PART)):
        plain = base64.b64encode(content[start : start + PART]).decode()
        await pg.execute(
            "INSERT INTO import_file (job_id, part, sealed) VALUES ($1, $2, $3)",
            job.id,
            part,
            vault.seal(plain, f"import_file.{part}", job.id),
        )


async def file_of(database: Database, vault: Vault, job: UUID) -> AsyncIterator[bytes]:
    """The file, part by part."""
    part = 0
    while True:
        async with database.driver() as pg:
            sealed = await pg.fetchval("SELECT sealed FROM import_file WHERE job_id = $1 AND part = $2", job, part)
        if sealed is None:
            return
        yield base64.b64decode(vault.open(sealed, f"import_file.{part}", job))
        part += 1


class Sight(NamedTuple):
    """Who looks at jobs: a caller with these divisions and this key."""

    divisions: Sequence[str]
    reached: Sequence[str]
    """Those divisions of senders that lie in the caller's today."""
    key_id: UUID


_DIVISIONS = "jsonb_array_elements_text(caller::jsonb -> 'divisions')"
"""Of the sender, as they were then."""
_SENT = f"ARRAY(SELECT {_DIVISIONS})"
_SEEN = f"(owners && $1::text[] OR ({_SENT} <@ $2::text[] AND ({_SENT} <> '{{}}' OR recorded_by = $3::uuid)))"
"""Jobs that are seen: of senders that reached no further than the caller does.

When the job was sent, one of the caller's divisions alone reached all of the sender's (``owners``); or today the
caller's together do; that way, what a sender without divisions sent is seen by its own key alone.
"""


async def sent_from(pg: Pg, job: UUID | None, divisions: Sequence[str]) -> list[str]:
    """The divisions of the sender of a job, or of every sender, where none of these alone reached all of them."""
    rows = await pg.fetch(
        f"SELECT DISTINCT {_DIVISIONS} AS code FROM import_job "
        "WHERE ($1::uuid IS NULL OR id = $1) AND NOT owners && $2::text[]",
        job,
        divisions,
    )
    return [row["code"] for row in rows]


async def find(pg: Pg, job: UUID, sight: Sight) -> Job | None:
    """A job, if it is seen."""
    row = await pg.fetchrow(f"SELECT * FROM import_job WHERE {_SEEN} AND id = $4", *sight, job)
    return None if row is None else _job_of(row)


async def same(pg: Pg, digest: bytes, since: datetime) -> Job | None:
    """A job that took in, or is taking in, the same file with the same instruction."""
    row = await pg.fetchrow(
        "SELECT * FROM import_job WHERE digest = $1 AND recorded_at >= $2 "
        "AND status IN ('queued', 'running', 'completed') ORDER BY id DESC LIMIT 1",
        digest,
        since,
    )
    return None if row is None else _job_of(row)


async def page(pg: Pg, sight: Sight, status: Status | None, before: UUID | None, limit: int) -> list[Job]:
    """Jobs that are seen, newest first."""
    rows = await pg.fetch(
        f"SELECT * FROM import_job WHERE {_SEEN} AND ($4::text IS NULL OR status = $4) "
        "AND ($5::uuid IS NULL OR id < $5) ORDER BY id DESC LIMIT $6",
        *sight,
        status,
        before,
        limit,
    )
    return [_job_of(row) for row in rows]


async def count(pg: Pg, sight: Sight, status: Status | None) -> int:
    found: int = await pg.fetchval(
        f"SELECT count(*) FROM import_job WHERE {_SEEN} AND ($4::text IS NULL OR status = $4)",
        *sight,
        status,
    )
    return found


async def open_jobs(pg: Pg) -> list[UUID]:
    """Jobs with work left, oldest first."""
    rows = await pg.fetch("SELECT id FROM import_job WHERE status = ANY($1) ORDER BY id", list(OPEN))
    return [row["id"] for row in rows]


async def load(pg: Pg, job: UUID, *, lock: bool = False) -> Job:
    """A job, locked until the transaction ends if it is to be."""
    row = await pg.fetchrow(f"SELECT * FROM import_job WHERE id = $1 {'FOR UPDATE' if lock else ''}", job)
    assert row is not None  # jobs are never deleted
    return _job_of(row)


async def begin(pg: Pg, job: UUID, now: datetime) -> None:
    await pg.execute(
        "UPDATE import_job SET status = 'running', started_at = coalesce(started_at, $2) WHERE id = $1", job, now
    )


async def set_layout(pg: Pg, job: UUID, layout: FileStructure) -> None:
    await pg.execute("UPDATE import_job SET layout = $2 WHERE id = $1", job, layout.model_dump_json())


async def progress(pg: Pg, job: UUID, position: int, tally: Tally) -> None:
    await pg.execute(
        "UPDATE import_job SET position = $2, tally = $3 WHERE id = $1", job, position, tally.model_dump_json()
    )


async def end(pg: Pg, registry: Registry, job: UUID, status: Status, tally: Tally, refusal: str | None = None) -> None:
    """The job is over: its file is erased, and the audit log told, in the same transaction."""
    await pg.execute(
        "UPDATE import_job SET status = $2, tally = $3, ended_at = $4, refusal = $5 WHERE id = $1",
        job,
        status,
        tally.model_dump_json(),
        registry.runtime.clock.now(),
        refusal,
    )
    await pg.execute("DELETE FROM import_file WHERE job_id = $1", job)
    await auditing.note(pg, registry, job, status, outcome=tally.told())


async def set_status(pg: Pg, job: UUID, status: Status) -> None:
    await pg.execute("UPDATE import_job SET status = $2 WHERE id = $1", job, status)


async def ask_undo(pg: Pg, job: UUID, asked_by: UUID) -> None:
    await pg.execute("UPDATE import_job SET status = 'undoing', undo_asked_by = $2 WHERE id = $1", job, asked_by)


def _job_of(row: Any) -> Job:
    """The job in a row."""
    return Job(
        id=row["id"],
        status=row["status"],
        instruction=Instruction.model_validate_json(row["instruction"]),
        caller=row["caller"],
        size=row["size"],
        position=row["position"],
        tally=Tally.model_validate_json(row["tally"]),
        layout=None if row["layout"] is None else FileStructure.model_validate_json(row["layout"]),
        refusal=row["refusal"],
        recorded_at=row["recorded_at"],
        recorded_by=row["recorded_by"],
        undo_asked_by=row["undo_asked_by"],
        started_at=row["started_at"],
        ended_at=row["ended_at"],
    )


def caller_of(job: Job) -> Caller:
    """Who sent it, with the divisions of then."""
    told = json.loads(job.caller)
    return Caller(UUID(told["key_id"]), told["name"], frozenset({"importer"}), tuple(told["divisions"]))


# What came of the rows


async def reject(pg: Pg, vault: Vault, job: UUID, rows: Iterable[RejectedRow]) -> None:
    """Keep rows that were not taken in."""
    numbers, sealed = [], []
    for row in rows:
        plain = json.dumps([row.cells, row.errors], ensure_ascii=False, separators=(",", ":"))
        numbers.append(row.row)
        sealed.append(vault.seal(plain, f"import_rejected.{row.row}", job))
    if numbers:
        await pg.execute(
            "INSERT INTO import_rejected (job_id, row_number, sealed) SELECT $1, * FROM unnest($2::int[], $3::bytea[])",
            job,
            numbers,
            sealed,
        )


async def rejected(pg: Pg, vault: Vault, job: UUID) -> AsyncIterator[RejectedRow]:
    """The rows that were not taken in, in their order; read in a transaction."""
    query = "SELECT row_number, sealed FROM import_rejected WHERE job_id = $1 ORDER BY row_number"
    async for row in pg.cursor(query, job, prefetch=500):
        cells, wrong = json.loads(vault.open(row["sealed"], f"import_rejected.{row['row_number']}", job))
        yield RejectedRow(row["row_number"], cells, wrong)


async def remark(pg: Pg, job: UUID, first: int, remarks: Sequence[Remark]) -> None:
    """Keep what the report says; ``first`` is how many it says already."""
    if remarks:
        columns = zip(*((r.row, r.column, r.code, r.en, r.zh, r.severity) for r in remarks), strict=True)
        await pg.execute(
            "INSERT INTO import_finding (job_id, place, row_number, column_name, code, en, zh, severity) "
            "SELECT $1, $2::int + place, row_number, column_name, code, en, zh, severity "
            "FROM unnest($3::int[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[]) WITH ORDINALITY "
            "AS given (row_number, column_name, code, en, zh, severity, place)",
            job,
            first,
            *map(list, columns),
        )


async def remarks(pg: Pg, job: UUID) -> list[Remark]:
    """What the report says, errors first, each in the order of rows."""
    rows = await pg.fetch(
        "SELECT * FROM import_finding WHERE job_id = $1 ORDER BY severity <> 'error', row_number, place", job
    )
    return [Remark(r["row_number"], r["column_name"], r["code"], r["en"], r["zh"], r["severity"]) for r in rows]


async def clear(pg: Pg, job: UUID) -> None:
    """Forget what an attempt that wrote nothing said of its rows."""
    await pg.execute("DELETE FROM import_finding WHERE job_id = $1", job)
    await pg.execute("DELETE FROM import_rejected WHERE job_id = $1", job)


# What was made


async def note_effects(pg: Pg, job: UUID, effects: Sequence[tuple[UUID, int, int | None]]) -> None:
    """Households, the versions they came to, and those they had before."""
    if effects:
        await pg.execute(
            "INSERT INTO import_effect (job_id, household_id, version, previous) "
            "SELECT $1, * FROM unnest($2::uuid[], $3::int[], $4::int[])",
            job,
            *(list(column) for column in zip(*effects, strict=True)),
        )


async def made(pg: Pg, job: UUID, households: Sequence[UUID]) -> frozenset[UUID]:
    """Those of some households that the import registered or changed so far."""
    rows = await pg.fetch(
        "SELECT household_id FROM import_effect WHERE job_id = $1 AND household_id = ANY($2)", job, list(households)
    )
    return frozenset(row["household_id"] for row in rows)


async def effects_left(pg: Pg, job: UUID, limit: int) -> list[tuple[UUID, int, int | None]]:
    """What an undoing has not come to yet."""
    rows = await pg.fetch(
        "SELECT household_id, version, previous FROM import_effect WHERE job_id = $1 AND undone IS NULL "
        "ORDER BY household_id LIMIT $2",
        job,
        limit,
    )
    return [(row["household_id"], row["version"], row["previous"]) for row in rows]


async def note_undone(pg: Pg, job: UUID, households: Sequence[UUID], outcome: str) -> None:
    await pg.execute(
        "UPDATE import_effect SET undone = $3 WHERE job_id = $1 AND household_id = ANY($2)",
        job,
        list(households),
        outcome,
    )


async def undone_counts(pg: Pg, job: UUID) -> dict[str, int]:
    rows = await pg.fetch(
        "SELECT undone, count(*) AS count FROM import_effect WHERE job_id = $1 AND undone IS NOT NULL GROUP BY undone",
        job,
    )
    return {row["undone"]: row["count"] for row in rows}


async def left_standing(pg: Pg, job: UUID, limit: int) -> list[tuple[UUID, str]]:
    """Households that an undoing could not take back, and why."""
    rows = await pg.fetch(
        "SELECT household_id, undone FROM import_effect WHERE job_id = $1 AND undone <> 'undone' "
        "ORDER BY household_id LIMIT $2",
        job,
        limit,
    )
    return [(row["household_id"], row["undone"]) for row in rows]

"""Imports and their files: every statement on their tables. Files are sealed, for they hold identity data."""

import base64
import json
from collections.abc import AsyncIterator, Sequence
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
    """Those divisions of senders that lie in the caller's today; ``""`` where this very key sent without any."""
    key_id: UUID


_DIVISIONS = "jsonb_array_elements_text(caller::jsonb -> 'divisions')"
"""Of the sender, as they were then."""
_SENT = f"ARRAY(SELECT {_DIVISIONS})"
_OWNED = "owners && $1::text[]"
_REACHED = f"({_SENT} <@ $2::text[] AND ({_SENT} <> '{{}}' OR recorded_by = $3::uuid))"
_SEEN = f"({_OWNED} OR {_REACHED})"
"""Jobs that are seen: of senders that reached no further than the caller does.

When the job was sent, one of the caller's divisions alone reached all of the sender's (``owners``); or today the
caller's together do; that way, what a sender without divisions sent is seen by its own key alone.
"""


class Stretch(NamedTuple):
    """Jobs between two of them, newest first; None has no bound."""

    before: UUID | None = None
    down_to: UUID | None = None

    @classmethod
    def of(cls, job: UUID) -> "Stretch":
        """One job."""
        return cls(UUID(int=job.int + 1), job)


async def sent_from(pg: Pg, stretch: Stretch, divisions: Sequence[str], key_id: UUID) -> list[str]:
    """The divisions of the senders of jobs, where none of these alone reached all of a sender's.

    ``""`` stands for those of this key, where it had none.
    """
    rows = await pg.fetch(
        f"SELECT DISTINCT coalesce(code, '') AS code FROM import_job LEFT JOIN LATERAL {_DIVISIONS} AS code ON true "
        f"WHERE NOT {_OWNED} AND (code IS NOT NULL OR recorded_by = $2) "
        "AND ($3::uuid IS NULL OR id < $3) AND ($4::uuid IS NULL OR id >= $4)",
        divisions,
        key_id,
        *stretch,
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


async def owned(pg: Pg, divisions: Sequence[str], status: Status | None, before: UUID | None, limit: int) -> list[Job]:
    """Jobs that are seen by their owners, which an index finds; newest first."""
    rows = await pg.fetch(
        f"SELECT * FROM import_job WHERE {_OWNED} AND ($2::text IS NULL OR status = $2) "
        "AND ($3::uuid IS NULL OR id < $3) ORDER BY id DESC LIMIT $4",
        divisions,
        status,
        before,
        limit,
    )
    return [_job_of(row) for row in rows]


async def reached(pg: Pg, sight: Sight, status: Status | None, stretch: Stretch, limit: int) -> list[Job]:
    """The other jobs of a stretch that are seen, newest first; every job of it is read."""
    rows = await pg.fetch(
        f"SELECT * FROM import_job WHERE NOT {_OWNED} AND {_REACHED} AND ($4::text IS NULL OR status = $4) "
        "AND ($5::uuid IS NULL OR id < $5) AND ($6::uuid IS NULL OR id >= $6) ORDER BY id DESC LIMIT $7",
        *sight,
        status,
        *stretch,
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

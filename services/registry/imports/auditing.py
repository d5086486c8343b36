"""What the audit log learns of an import: who sent which file, what became of it, who took rows away or it back."""

from datetime import datetime
from uuid import UUID

from services.registry.audit import service as audit
from services.registry.audit.rules import Entry
from services.registry.imports.records import Instruction
from shared.db import Pg


async def note(
    pg: Pg, job: UUID, verb: str, now: datetime, *, key_id: UUID | None = None, outcome: str | None = None
) -> None:
    """Tell the audit log what becomes of a job: by its sender, unless by another key.

    The entry carries the blind index of the file: whoever has the file can have it recognised, nobody can guess it.
    """
    row = await pg.fetchrow("SELECT digest, owners, recorded_by, instruction FROM import_job WHERE id = $1", job)
    assert row is not None  # jobs are never deleted
    dry_run = Instruction.model_validate_json(row["instruction"]).dry_run
    entry = Entry(
        recorded_at=now,
        key_id=key_id or row["recorded_by"],
        operation=f"import.{verb}",
        object_id=str(job),
        outcome=f"{outcome} dry_run" if outcome and dry_run else outcome,
        divisions=tuple(row["owners"]),
        digest=row["digest"],
    )
    await audit.record(pg, [entry])

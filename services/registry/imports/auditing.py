"""What the audit log learns of an import: who sent which file, what became of it, who took rows away or it back."""

import json
from uuid import UUID

from services.registry.audit import service as audit
from services.registry.audit.rules import Entry
from services.registry.context import Registry, scopes, today
from services.registry.imports.records import Instruction
from shared.db import Pg


async def note(
    pg: Pg, registry: Registry, job: UUID, verb: str, *, key_id: UUID | None = None, outcome: str | None = None
) -> None:
    """Tell the audit log what becomes of a job: by its sender, or by another key; in the sender's divisions.

    The entry carries the blind index of the file: whoever has the file can have it recognised, nobody can guess it.
    """
    row = await pg.fetchrow("SELECT digest, caller, recorded_by, instruction FROM import_job WHERE id = $1", job)
    assert row is not None  # jobs are never deleted
    dry_run = Instruction.model_validate_json(row["instruction"]).dry_run
    divisions = json.loads(row["caller"])["divisions"]
    entry = Entry(
        recorded_at=registry.runtime.clock.now(),
        key_id=key_id or row["recorded_by"],
        operation=f"import.{verb}",
        object_id=str(job),
        outcome=f"{outcome} dry_run" if outcome and dry_run else outcome,
        divisions=scopes(await registry.divisions.get(pg), divisions, today(registry)),
        digest=row["digest"],
    )
    await audit.record(pg, [entry])

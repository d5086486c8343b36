"""What the audit log learns of sources: who let which system submit, and within which divisions."""

from datetime import datetime
from typing import Literal
from uuid import UUID

from services.registry.audit import service as audit
from services.registry.audit.rules import Entry, digest_of
from shared.db import Pg
from shared.intake.sources import SourceOut


async def note_source(
    pg: Pg, verb: Literal["registered", "changed"], source: SourceOut, changed_by: UUID, now: datetime
) -> None:
    """Tell the audit log of a source that was registered or changed."""
    entry = Entry(
        recorded_at=now,
        key_id=changed_by,
        operation=f"source.{verb}",
        object_id=str(source.id),
        version=source.version,
        divisions=tuple(source.divisions),
        digest=digest_of([source.model_dump_json()]),
    )
    await audit.record(pg, [entry])

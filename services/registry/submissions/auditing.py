"""What the audit log learns of sources: who let which system submit, and within which divisions."""

from datetime import datetime
from uuid import UUID

from services.registry.audit import service as audit
from services.registry.audit.rules import Entry, digest_of
from services.registry.context import Registry, scopes
from shared.clock import local_day
from shared.db import Pg
from shared.intake.sources import SourceOut, Verb


async def note_source(
    registry: Registry,
    pg: Pg,
    verb: Verb,
    source: SourceOut,
    changed_by: UUID,
    now: datetime,
) -> None:
    """Tell the audit log of a source that was registered or changed."""
    tree = await registry.divisions.get(pg)
    entry = Entry(
        recorded_at=now,
        key_id=changed_by,
        operation=f"source.{verb}",
        object_id=str(source.id),
        version=source.version,
        divisions=scopes(tree, source.divisions, local_day(now)),
        digest=digest_of([source.model_dump_json()]),
    )
    await audit.record(pg, [entry])

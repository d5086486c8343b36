"""Saved mappings: how the sheets of a source are read. Each division scope has its own."""

from typing import Any

from services.registry.audit import service as audit
from services.registry.audit.rules import Entry, digest_of
from services.registry.context import Registry, scopes, today
from services.registry.imports.schemas import MappingIn, MappingOut
from shared import errors
from shared.auth import Caller
from shared.db import Pg
from shared.errors import Problem


async def find(pg: Pg, source: str, caller: Caller, *, lock: bool = False) -> MappingOut | None:
    """The mapping of a source, as the caller's divisions have it."""
    row = await pg.fetchrow(
        f"SELECT * FROM import_mapping WHERE source = $1 AND divisions = $2 {'FOR UPDATE' if lock else ''}",
        source,
        _scope(caller),
    )
    return None if row is None else _mapping(row)


async def put(
    pg: Pg, registry: Registry, source: str, caller: Caller, body: MappingIn, expected: int | None
) -> MappingOut:
    """Save a mapping. One that is there changes only when its version is named. Raises 412, 428."""
    now = registry.runtime.clock.now()
    held = await find(pg, source, caller, lock=True)
    if held is not None and expected is None:
        raise Problem(errors.PRECONDITION_REQUIRED)
    if (held.version if held else None) != expected:
        raise Problem(errors.PRECONDITION_FAILED)
    version = (expected or 0) + 1
    written = await pg.fetchval(
        "INSERT INTO import_mapping AS held (source, divisions, version, body, recorded_at, recorded_by) "
        "VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (source, divisions) DO UPDATE SET version = excluded.version, "
        "body = excluded.body, recorded_at = excluded.recorded_at, recorded_by = excluded.recorded_by "
        "WHERE held.version = excluded.version - 1 RETURNING version",
        source,
        _scope(caller),
        version,
        body.model_dump_json(),
        now,
        caller.key_id,
    )
    if written is None:  # another one came first
        raise Problem(errors.PRECONDITION_FAILED)
    entry = Entry(
        recorded_at=now,
        key_id=caller.key_id,
        operation="import_mapping.saved",
        object_id=source,
        version=version,
        divisions=scopes(await registry.divisions.get(pg), caller.divisions, today(registry)),
        digest=digest_of([body.model_dump_json()]),
    )
    await audit.record(pg, [entry])
    return MappingOut(**body.model_dump(), source=source, version=version, recorded_at=now)


def _scope(caller: Caller) -> list[str]:
    return sorted(caller.divisions)


def _mapping(row: Any) -> MappingOut:
    body = MappingIn.model_validate_json(row["body"])
    return MappingOut(**body.model_dump(), source=row["source"], version=row["version"], recorded_at=row["recorded_at"])

"""Use cases of locked years: incomes of a locked year are neither entered nor changed."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from services.registry.audit import service as audit
from services.registry.audit.rules import Entry
from services.registry.years.schemas import LockedYear
from shared.db import Pg

_LOCK = 0x79656172
"""Held shared by whoever writes figures of a year, exclusively by whoever locks one."""


async def locked_years(pg: Pg) -> frozenset[int]:
    """The years that are locked; they stay as they are until this transaction ends."""
    await pg.execute("SELECT pg_advisory_xact_lock_shared($1)", _LOCK)
    return frozenset(row["year"] for row in await pg.fetch("SELECT year FROM locked_year"))


async def listed(pg: Pg) -> Sequence[LockedYear]:
    """Every locked year, oldest first."""
    return [LockedYear(**row) for row in await pg.fetch("SELECT * FROM locked_year ORDER BY year")]


async def lock(pg: Pg, year: int, reason: str, now: datetime, locked_by: UUID) -> LockedYear:
    """Lock a year; as it is if it was locked before."""
    await pg.execute("SELECT pg_advisory_xact_lock($1)", _LOCK)
    locked = await pg.fetchval(
        "INSERT INTO locked_year (year, reason, locked_at, locked_by) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING "
        "RETURNING true",
        year,
        reason,
        now,
        locked_by,
    )
    if locked:
        entry = Entry(recorded_at=now, key_id=locked_by, operation="year.locked", object_id=str(year), reason=reason)
        await audit.record(pg, [entry])
    [row] = await pg.fetch("SELECT * FROM locked_year WHERE year = $1", year)
    return LockedYear(**row)

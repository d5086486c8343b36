"""Reads the mirror: divisions, programmes, targets of a period, denominators as of a day."""

from collections.abc import Mapping
from datetime import date

from services.ranking.mirror.rules import Denominator, ServedLevel
from services.ranking.periods.rules import Period
from shared.contracts.division import DivisionEvent
from shared.contracts.programme import ProgrammeEvent, TargetEvent
from shared.db import Pg


async def divisions(pg: Pg) -> list[DivisionEvent]:
    """Every division known."""
    return [DivisionEvent.model_validate_json(row["body"]) for row in await pg.fetch("SELECT body FROM division")]


async def cities(pg: Pg) -> frozenset[str]:
    """The codes of what every other division lies below; none before it is mirrored."""
    rows = await pg.fetch("SELECT body::jsonb ->> 'code' AS code FROM division WHERE body::jsonb ->> 'level' = 'city'")
    return frozenset(row["code"] for row in rows)


async def programmes(pg: Pg) -> dict[str, ProgrammeEvent]:
    """Every programme known, by code."""
    rows = await pg.fetch("SELECT id, body FROM programme")
    return {row["id"]: ProgrammeEvent.model_validate_json(row["body"]) for row in rows}


async def targets(pg: Pg, period: Period) -> list[TargetEvent]:
    """The targets in force for one period."""
    rows = await pg.fetch(
        "SELECT body FROM target WHERE period = $1 AND cadence = $2 "
        "AND body::jsonb ->> 'status' = 'active' ORDER BY id",
        period.id,
        period.cadence,
    )
    return [TargetEvent.model_validate_json(row["body"]) for row in rows]


async def served(pg: Pg, level: ServedLevel, day: date) -> Mapping[str, Denominator]:
    """The denominators of every unit of a level as of a day."""
    rows = await pg.fetch(
        "SELECT unit, sum(served_delta)::bigint AS served, sum(stock_delta)::bigint AS stock "
        "FROM served_change WHERE level = $1 AND on_day <= $2 GROUP BY unit",
        level,
        day,
    )
    return {row["unit"]: Denominator(row["served"], row["stock"]) for row in rows}

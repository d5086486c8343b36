"""Counting the register as of a day."""

from collections import defaultdict
from datetime import date

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from services.registry.statistics.schemas import DivisionFigures, Figures, PovertyStatistics
from shared import errors
from shared.contracts.division import DivisionEvent, DivisionTree
from shared.contracts.household import SERVED, STOCK
from shared.errors import Problem

COLUMNS = {"city": "city", "county": "managing_unit", "township": "township", "village": "village"}
"""Households count for the managing unit, not for the county in the code (ranking.md, "Units")."""
NEXT = {"city": "county", "county": "township", "township": "village", "village": None}
EMPTY = Figures(
    stock_households=0, stock_people=0, served_households=0, served_people=0, registered_households=0,
    registered_people=0,
)  # fmt: skip


async def poverty(
    conn: AsyncConnection, tree: DivisionTree, code: str, day: date, watermark: str | None
) -> PovertyStatistics:
    """Figures of a division and of those below it. Raises 404 for an unknown division."""
    division = tree.get(code)
    if division is None:
        raise Problem(errors.NOT_FOUND)
    below = NEXT[division.level]
    by_unit = await _figures(conn, COLUMNS[division.level], COLUMNS[below] if below else None, code, day)
    units = _below(tree, division, below, day) if below else []
    own = _sum(list(by_unit.values()))
    return PovertyStatistics(
        as_of=day,
        division=_of(division, own),
        below=[_of(unit, by_unit.get(unit.code, EMPTY)) for unit in units],
        watermark=watermark,
    )


async def _figures(conn: AsyncConnection, scope: str, group: str | None, code: str, day: date) -> dict[str, Figures]:
    unit = group or scope
    statement = text(
        f"SELECT {unit} AS unit, standing, count(*) AS households, coalesce(sum(people), 0) AS people "
        f"FROM household_period WHERE {scope} = :code AND valid_from <= :day "
        f"AND (valid_to IS NULL OR valid_to > :day) GROUP BY {unit}, standing"
    )
    found: dict[str, dict[str, int]] = defaultdict(lambda: dict.fromkeys(Figures.model_fields, 0))
    for row in await conn.execute(statement, {"code": code, "day": day}):
        counted = found[row.unit]
        for prefix, holds in (
            ("stock", row.standing in STOCK),
            ("served", row.standing in SERVED),
            ("registered", True),
        ):
            if holds:
                counted[f"{prefix}_households"] += row.households
                counted[f"{prefix}_people"] += row.people
    return {code: Figures(**counted) for code, counted in found.items()}


def _below(tree: DivisionTree, division: DivisionEvent, level: str, day: date) -> list[DivisionEvent]:
    found = [
        unit for unit in tree if unit.level == level and unit.holds_on(day) and _belongs(tree, unit, division, day)
    ]
    return sorted(found, key=lambda unit: (unit.sort_order, unit.code))


def _belongs(tree: DivisionTree, unit: DivisionEvent, division: DivisionEvent, day: date) -> bool:
    path = tree.path(unit.code, day)
    if path is None:
        return False
    above = {"city": path.city, "county": path.managing_unit, "township": path.township}
    return above.get(division.level) == division.code


def _sum(parts: list[Figures]) -> Figures:
    return Figures(**{name: sum(getattr(part, name) for part in parts) for name in Figures.model_fields})


def _of(division: DivisionEvent, figures: Figures) -> DivisionFigures:
    return DivisionFigures(code=division.code, name=division.name, level=division.level, **figures.model_dump())

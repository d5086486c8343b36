"""Counting the register as of a day.

What a unit had on a day is the sum of the dated changes up to it. A village's changes carry the divisions above it
as they were frozen, so that one sum serves every level.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable
from datetime import date
from typing import NamedTuple

from services.registry.households.rules import Period
from services.registry.statistics.schemas import DivisionFigures, Figures, PovertyStatistics
from shared import errors
from shared.contracts.division import DivisionEvent, DivisionTree, Level, Path
from shared.contracts.household import SERVED, STOCK
from shared.db import Pg
from shared.errors import Problem

_COLUMNS: dict[Level, str] = {
    "city": "city", "county": "managing_unit", "township": "township", "village": "village"
}  # fmt: skip
"""Households count for the managing unit, not for the county in the code (ranking.md, "Units")."""
_BELOW: dict[Level, Level] = {"city": "county", "county": "township", "township": "village"}


class _Place(NamedTuple):
    """One standing in one village from one day on, with the divisions above it."""

    village: str
    on_day: date
    standing: str
    township: str
    managing_unit: str
    city: str


class PopulationChanges:
    """Dated changes of households and people, added up before they are written."""

    def __init__(self) -> None:
        self._households: Counter[_Place] = Counter()
        self._people: Counter[_Place] = Counter()

    def add(self, periods: Iterable[Period]) -> None:
        """Count these stretches from now on."""
        self._sum(periods, 1)

    def take_away(self, periods: Iterable[Period]) -> None:
        """Count these stretches no longer."""
        self._sum(periods, -1)

    def include(self, others: "PopulationChanges") -> None:
        """Add what was gathered elsewhere."""
        self._households.update(others._households)
        self._people.update(others._people)

    def _sum(self, periods: Iterable[Period], sign: int) -> None:
        for period in periods:
            self._change(period.path, period.valid_from, period, sign)
            if period.valid_to is not None:
                self._change(period.path, period.valid_to, period, -sign)

    def _change(self, path: Path, day: date, period: Period, sign: int) -> None:
        place = _Place(
            path.village or "", day, period.standing, path.township or "", path.managing_unit, path.city
        )  # a registered household always has a village
        self._households[place] += sign
        self._people[place] += sign * period.people

    def sums(self) -> list[tuple[_Place, int, int]]:
        """What changes where and when, in the order in which rows are locked."""
        found = ((place, self._households[place], self._people[place]) for place in sorted(self._households))
        return [(place, households, people) for place, households, people in found if households or people]


_COUNT = (
    "INSERT INTO population_change AS held "
    "(village, on_day, standing, township, managing_unit, city, households, people) "
    "SELECT * FROM unnest($1::text[], $2::date[], $3::text[], $4::text[], "
    "$5::text[], $6::text[], $7::int[], $8::int[]) "
    "ON CONFLICT (village, on_day, standing, township, managing_unit, city) DO UPDATE SET "
    "households = held.households + excluded.households, people = held.people + excluded.people"
)


async def count(pg: Pg, changes: PopulationChanges) -> None:
    """Write changes, in key order, so that two writers of one village wait for each other instead of deadlocking."""
    sums = changes.sums()
    if sums:
        places = [list(column) for column in zip(*(place for place, _, _ in sums), strict=True)]
        await pg.execute(_COUNT, *places, [households for _, households, _ in sums], [people for *_, people in sums])


async def poverty(pg: Pg, tree: DivisionTree, code: str, day: date, watermark: str | None) -> PovertyStatistics:
    """Figures of a division and of those below it. Raises 404 for an unknown division."""
    division = tree.get(code)
    if division is None:
        raise Problem(errors.NOT_FOUND)
    level = _BELOW.get(division.level)
    by_unit = await _figures(pg, _COLUMNS[division.level], _COLUMNS[level or division.level], code, day)
    units = _units(tree, division, level, day) if level else []
    return PovertyStatistics(
        as_of=day,
        division=_shown(division, _sum(by_unit.values())),
        below=[_shown(unit, by_unit.get(unit.code, _sum(()))) for unit in units],
        watermark=watermark,
    )


async def _figures(pg: Pg, scope: str, unit: str, code: str, day: date) -> dict[str, Figures]:
    rows = await pg.fetch(
        f"SELECT {unit} AS unit, standing, sum(households)::int AS households, sum(people)::int AS people "
        f"FROM population_change WHERE {scope} = $1 AND on_day <= $2 GROUP BY {unit}, standing",
        code,
        day,
    )
    found: dict[str, Counter[str]] = defaultdict(Counter)
    for row in rows:
        for prefix in _counted_as(row["standing"]):
            found[row["unit"]][f"{prefix}_households"] += row["households"]
            found[row["unit"]][f"{prefix}_people"] += row["people"]
    return {unit: _figures_of(counted) for unit, counted in found.items()}


def _counted_as(standing: str) -> Iterable[str]:
    yield "registered"
    if standing in SERVED:
        yield "served"
    if standing in STOCK:
        yield "stock"


def _figures_of(counted: Counter[str]) -> Figures:
    return Figures(**{name: counted[name] for name in Figures.model_fields})


def _sum(parts: Iterable[Figures]) -> Figures:
    total: Counter[str] = Counter()
    for part in parts:
        total.update(part.model_dump())
    return _figures_of(total)


def _units(tree: DivisionTree, division: DivisionEvent, level: Level, day: date) -> list[DivisionEvent]:
    found = [unit for unit in tree if unit.level == level and _lies_in(tree.path(unit.code, day), division)]
    return sorted(found, key=lambda unit: (unit.sort_order, unit.code))


def _lies_in(path: Path | None, division: DivisionEvent) -> bool:
    return path is not None and getattr(path, _COLUMNS[division.level]) == division.code


def _shown(division: DivisionEvent, figures: Figures) -> DivisionFigures:
    return DivisionFigures(code=division.code, name=division.name, level=division.level, **figures.model_dump())

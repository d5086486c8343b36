"""Answering from the sums: one query for a division and all units listed below it."""

import asyncio
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, TypeVar, get_args

from services.registry.households import known
from services.registry.households.known import Place
from services.registry.households.monitoring import LABELS
from services.registry.statistics import denominators, rules, units
from services.registry.statistics.rules import Among, Step
from services.registry.statistics.schemas import (
    ExitsRow,
    ExitStatistics,
    MonitoringStatistics,
    Part,
    PovertyRow,
    PovertyStatistics,
    ProfileRow,
    ProfileStatistics,
    UnitRow,
    VillagesRow,
    VillageStatistics,
)
from services.registry.statistics.units import Layout
from shared.auth import Caller
from shared.contracts.division import DesignationKind, DivisionEvent, DivisionTree, Level
from shared.contracts.household import STOCK
from shared.db import Pg

RowT = TypeVar("RowT", bound=UnitRow)
_COUNTED: Sequence[DesignationKind] = ("poor_village", "deep_poverty_village", "key_village", "weak_village")


@dataclass(frozen=True, slots=True)
class Asked:
    """What is asked: a division, the level of units to list below it, the day, and the instant whose knowledge counts.

    Counties and townships are open to everyone; villages only to those in whose divisions they lie.
    """

    caller: Caller
    tree: DivisionTree
    division: DivisionEvent
    level: Level | None
    day: date
    known_at: datetime | None
    watermark: str | None

    @property
    def within(self) -> Place:
        return units.COLUMNS[self.division.level]

    @property
    def by(self) -> Place:
        return units.COLUMNS[self.level or self.division.level]

    @property
    def layout(self) -> Layout:
        return units.layout(self.tree, self.day)

    def below(self) -> list[DivisionEvent]:
        if self.level is None:
            return []
        listed = self.layout.below(self.division, self.level)
        return listed if self.level != "village" else [unit for unit in listed if self._reaches(unit)]

    def visible(self) -> bool:
        """Whether the division may be seen at all."""
        return self.division.level != "village" or self._reaches(self.division)

    def _reaches(self, village: DivisionEvent) -> bool:
        places = self.layout.above.get(village.code, {}).values()
        return not {village.code, *places}.isdisjoint(self.caller.divisions)


async def _shown(asked: Asked, row: Callable[[dict[str, Any], str], RowT]) -> dict[str, Any]:
    """What every answer has, made beside the event loop: there may be five thousand rows.

    ``row`` makes the row of a unit, of which it gets what identifies it, and the code.
    """

    def of(unit: DivisionEvent) -> RowT:
        return row({"code": unit.code, "name": unit.name_on(asked.day), "level": unit.level}, unit.code)

    def rows() -> tuple[RowT, list[RowT]]:
        return of(asked.division), [of(unit) for unit in asked.below()]

    division, below = await asyncio.to_thread(rows)
    return {"division": division, "below": below, "known_at": asked.known_at, "watermark": asked.watermark}


class _ByUnit:
    """Households and people by unit and name, and their total under the code of the division asked about."""

    def __init__(self, division: str) -> None:
        self._division = division
        self._units: dict[str, dict[str, tuple[int, int]]] = defaultdict(dict)

    def add(self, unit: str, name: str, households: int, people: int) -> None:
        for code in (unit, self._division) if unit != self._division else (unit,):
            counts = self._units[code]
            before = counts.get(name, (0, 0))
            counts[name] = before[0] + households, before[1] + people

    def of(self, unit: str, name: str) -> tuple[int, int]:
        """Households and people."""
        return self._units.get(unit, {}).get(name, (0, 0))

    def named(self, unit: str, names: Iterable[str]) -> dict[str, int]:
        """The counts as fields: ``<name>_households`` and ``<name>_people``."""
        found = {name: self.of(unit, name) for name in names}
        return {
            f"{name}_{what}": count
            for name, counts in found.items()
            for what, count in zip(("households", "people"), counts, strict=True)
        }


async def poverty(pg: Pg, asked: Asked) -> PovertyStatistics:
    """Stock, served and registered households of a day, and incidence."""
    by_unit = _ByUnit(asked.division.code)
    for row in await _counted(pg, asked, "population_change"):
        for population in rules.populations(row["standing"]):
            by_unit.add(row["unit"], population, row["households"], row["people"])
    held = await denominators.years(pg, asked.day, asked.known_at)
    rural = denominators.of_day(held, asked.layout, asked.division.code)

    def row_of(unit: dict[str, Any], code: str) -> PovertyRow:
        counts = by_unit.named(code, get_args(Among))
        people = rural.people.get(code)
        share = rules.percent(counts["stock_people"], people)
        return PovertyRow(**unit, **counts, rural_people=people, incidence_percent=share)

    return PovertyStatistics(as_of=asked.day, rural_year=rural.year, **await _shown(asked, row_of))


async def stock_people(pg: Pg, tree: DivisionTree, code: str, day: date) -> int:
    """Poor people of a division on a day; for whoever has seen to it that they may be told."""
    division = tree.get(code)
    if division is None:
        return 0
    return int(
        await pg.fetchval(
            f"SELECT coalesce(sum(people), 0) FROM population_change WHERE {units.COLUMNS[division.level]} = $1 "
            "AND on_day <= $2 AND standing = ANY($3::text[])",
            code,
            day,
            sorted(STOCK),
        )
    )


async def causes(pg: Pg, asked: Asked, among: Among) -> ProfileStatistics:
    """Main causes of poverty of a population on a day."""
    return await _profile(pg, asked, among, "cause", rules.CAUSES)


async def welfare(pg: Pg, asked: Asked, among: Among) -> ProfileStatistics:
    """Welfare categories of a population on a day."""
    return await _profile(pg, asked, among, "welfare", rules.WELFARE)


async def _profile(pg: Pg, asked: Asked, among: Among, column: str, labels: Mapping[str, str]) -> ProfileStatistics:
    counted = await _counted(pg, asked, "profile_change", column)
    rows = [row for row in counted if among in rules.populations(row["standing"])]
    return ProfileStatistics(as_of=asked.day, among=among, **await _broken_down(asked, rows, column, labels))


async def monitoring(pg: Pg, asked: Asked) -> MonitoringStatistics:
    """Monitored households of a day by category."""
    rows = await known.monitored_on(
        pg, asked.known_at, asked.day, within=asked.within, code=asked.division.code, by=asked.by
    )
    return MonitoringStatistics(as_of=asked.day, **await _broken_down(asked, rows, "category", LABELS))


async def _broken_down(asked: Asked, rows: Sequence[Any], column: str, labels: Mapping[Any, str]) -> dict[str, Any]:
    """Counts by unit and code, in the order of the labels, with what every answer has."""
    by_unit = _ByUnit(asked.division.code)
    codes = dict(labels)
    for row in rows:
        codes.setdefault(row[column], row[column])  # a list may have grown since the labels were written
        by_unit.add(row["unit"], row[column], row["households"], row["people"])

    def row_of(unit: dict[str, Any], code: str) -> ProfileRow:
        counted = [by_unit.of(code, part) for part in codes]
        households, people = (sum(each) for each in zip(*counted, strict=True))
        parts: list[Part] = [
            {"code": part, "label": label, "households": n, "people": m, "percent": rules.percent(n, households)}
            for (part, label), (n, m) in zip(codes.items(), counted, strict=True)
        ]
        return ProfileRow(**unit, households=households, people=people, parts=parts)

    return await _shown(asked, row_of)


async def exits(pg: Pg, asked: Asked, since: date) -> ExitStatistics:
    """What changed the stock from a day on, up to the day asked about."""
    by_unit = _ByUnit(asked.division.code)
    for row in await _steps(pg, asked, since):
        step = rules.step(row["before"], row["after"])
        if step is not None:
            by_unit.add(row["unit"], step, row["households"], row["people"])

    def row_of(unit: dict[str, Any], code: str) -> ExitsRow:
        return ExitsRow(**unit, **by_unit.named(code, get_args(Step)))

    return ExitStatistics(since=since, until=asked.day, **await _shown(asked, row_of))


async def villages(asked: Asked) -> VillageStatistics:
    """Villages by the designations they hold on a day; the divisions alone tell."""
    level: Level = asked.level or asked.division.level
    counted: dict[str, Counter[str]] = defaultdict(Counter)
    layout = asked.layout
    for village in layout.below(asked.division, "village"):
        for code in {layout.above[village.code][level], asked.division.code}:
            counted[code]["villages"] += 1
            counted[code].update(f"{each.kind}s" for each in village.designations if each.holds_on(asked.day))

    def row_of(unit: dict[str, Any], code: str) -> VillagesRow:
        return VillagesRow(**unit, **{name: counted[code][name] for name in ("villages", *(f"{k}s" for k in _COUNTED))})

    return VillageStatistics(as_of=asked.day, **await _shown(asked, row_of))


async def _counted(pg: Pg, asked: Asked, table: str, *also: str) -> Sequence[Any]:
    """Households and people of a day by unit, standing and what else is asked for."""
    if asked.known_at is not None:
        return await known.counted_on(
            pg, asked.known_at, asked.day, within=asked.within, code=asked.division.code, by=asked.by
        )
    columns = ", ".join(("standing", *also))
    return await pg.fetch(
        f"SELECT {asked.by} AS unit, {columns}, sum(households)::int AS households, sum(people)::int AS people "
        f"FROM {table} WHERE {asked.within} = $1 AND on_day <= $2 GROUP BY {asked.by}, {columns}",
        asked.division.code,
        asked.day,
    )


async def _steps(pg: Pg, asked: Asked, since: date) -> Sequence[Any]:
    if asked.known_at is not None:
        return await known.steps(
            pg, asked.known_at, since, asked.day, within=asked.within, code=asked.division.code, by=asked.by
        )
    return await pg.fetch(
        f"SELECT {asked.by} AS unit, before, after, sum(households)::int AS households, sum(people)::int AS people "
        f"FROM standing_change WHERE {asked.within} = $1 AND on_day BETWEEN $2 AND $3 "
        f"GROUP BY {asked.by}, before, after",
        asked.division.code,
        since,
        asked.day,
    )

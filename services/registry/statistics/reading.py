"""Answering from the sums: one query for a division and all units listed below it."""

import asyncio
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, TypeVar, get_args

from services.registry.codes.service import labels
from services.registry.households import known
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
from services.registry.statistics.units import Layout, Place
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


Counts = tuple[int, int]
"""Households and people."""
_NONE: Counts = (0, 0)


class _ByUnit:
    """Households and people by unit and name; under the code of the division asked about, all of them."""

    def __init__(self, division: str) -> None:
        self._all: dict[str, Counts] = {}
        self._units: dict[str, dict[str, Counts]] = defaultdict(dict)
        self._units[division] = self._all

    def add(self, unit: str, name: str, households: int, people: int) -> None:
        counts = self._units[unit]
        for held in (counts,) if counts is self._all else (counts, self._all):
            before = held.get(name, _NONE)
            held[name] = before[0] + households, before[1] + people

    def of(self, unit: str) -> Mapping[str, Counts]:
        """Households and people by name; none where a name is missing."""
        return self._units.get(unit, {})

    def named(self, unit: str, names: Iterable[str]) -> dict[str, int]:
        """The counts as fields: ``<name>_households`` and ``<name>_people``."""
        found = self.of(unit)
        return {
            f"{name}_{what}": count
            for name in names
            for what, count in zip(("households", "people"), found.get(name, _NONE), strict=True)
        }


async def poverty(pg: Pg, asked: Asked) -> PovertyStatistics:
    """Stock, served and registered households of a day, and incidence."""
    by_unit = _ByUnit(asked.division.code)
    for unit, standing, households, people in await _counted(pg, asked, _POPULATION):
        for population, standings in rules.POPULATIONS.items():
            if standing in standings:
                by_unit.add(unit, population, households, people)
    held = await denominators.years(pg, asked.day, asked.known_at)
    rural = denominators.of_day(held, asked.layout, asked.division.code)

    def row_of(unit: dict[str, Any], code: str) -> PovertyRow:
        counts = by_unit.named(code, get_args(Among))
        whole = rural.people.get(code)
        share = rules.percent(counts["stock_people"], whole)
        return PovertyRow(**unit, **counts, rural_people=whole, incidence_percent=share)

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


async def rural_people(pg: Pg, tree: DivisionTree, code: str, day: date) -> int | None:
    """The rural population that incidence of a division is counted by on a day; None where it is not known.

    Nor is it where the only figures are of before the division was split: those are not of what it is now.
    """
    held = await denominators.years(pg, day, None)
    if not held:
        return None
    layout = await asyncio.to_thread(units.layout, tree, day)
    return denominators.of_day(held, layout, code).people.get(code)


async def causes(pg: Pg, asked: Asked, among: Among) -> ProfileStatistics:
    """Main causes of poverty of a population on a day."""
    return await _profile(pg, asked, among, _CAUSES, {**labels("cause"), "": "未填写"})


async def welfare(pg: Pg, asked: Asked, among: Among) -> ProfileStatistics:
    """Welfare categories of a population on a day."""
    return await _profile(pg, asked, among, _WELFARE, rules.WELFARE)


async def _profile(pg: Pg, asked: Asked, among: Among, sums: str, terms: Mapping[str, str]) -> ProfileStatistics:
    counted = await _counted(pg, asked, sums, sorted(rules.POPULATIONS[among]))
    return ProfileStatistics(as_of=asked.day, among=among, **await _broken_down(asked, counted, terms))


async def monitoring(pg: Pg, asked: Asked) -> MonitoringStatistics:
    """Monitored households of a day by category."""
    rows = await known.monitored_on(
        pg, asked.known_at, asked.day, within=asked.within, code=asked.division.code, by=asked.by
    )
    counted = [(row["unit"], row["category"], row["households"], row["people"]) for row in rows]
    return MonitoringStatistics(as_of=asked.day, **await _broken_down(asked, counted, LABELS))


async def _broken_down(asked: Asked, counted: Iterable[Any], terms: Mapping[Any, str]) -> dict[str, Any]:
    """Counts by unit and code, in the order of ``terms`` (labels by code), with what every answer has."""
    by_unit = _ByUnit(asked.division.code)
    for unit, code, households, people in counted:
        by_unit.add(unit, code, households, people)
    # A list may have grown since the terms were written.
    codes = {**terms, **{part: part for part in by_unit.of(asked.division.code) if part not in terms}}

    def row_of(unit: dict[str, Any], code: str) -> ProfileRow:
        counts = by_unit.of(code)
        households, people = (sum(each) for each in zip(*counts.values(), strict=True)) if counts else _NONE
        parts: list[Part] = []
        for part, label in codes.items():
            n, m = counts.get(part, _NONE)
            share = rules.percent(n, households)
            parts.append({"code": part, "label": label, "households": n, "people": m, "percent": share})
        return ProfileRow(**unit, households=households, people=people, parts=parts)

    return await _shown(asked, row_of)


async def exits(pg: Pg, asked: Asked, since: date) -> ExitStatistics:
    """What changed the stock from a day on, up to the day asked about."""
    by_unit = _ByUnit(asked.division.code)
    for unit, before, after, households, people in await _counted(pg, asked, _STEPS, since):
        step = rules.step(before, after)
        if step is not None:
            by_unit.add(unit, step, households, people)

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


def _summed(sums: str, entries: str, names: str, condition: str = "true") -> str:
    """The query for households and people by unit and other columns, as known at an instant or now.

    What was known then is what is counted now less what was entered since (none, where the instant is null).
    """
    where = f"{{within}} = $1 AND on_day <= $2 AND {condition}"
    return f"""
        SELECT unit, {names}, sum(households)::int, sum(people)::int FROM (
            SELECT {{by}} AS unit, {names}, households, people FROM {sums} WHERE {where}
            UNION ALL
            SELECT {{by}}, {names}, -households, -people FROM {entries} WHERE recorded_at > $3 AND {where}
        ) counted GROUP BY unit, {names} HAVING sum(households) <> 0 OR sum(people) <> 0"""


_POPULATION = _summed("population_change", "profile_entry", "standing")
_CAUSES = _summed("profile_change", "profile_entry", "cause", "standing = ANY($4::text[])")
_WELFARE = _summed("profile_change", "profile_entry", "welfare", "standing = ANY($4::text[])")
_STEPS = _summed("standing_change", "standing_entry", "before, after", "on_day >= $4")


async def _counted(pg: Pg, asked: Asked, query: str, *arguments: Any) -> Sequence[Any]:
    """Rows: a unit, what it is broken down by, households and people of the day or up to it."""
    statement = query.format(within=asked.within, by=asked.by)
    return await pg.fetch(statement, asked.division.code, asked.day, asked.known_at, *arguments)

"""Gathers what a table is made from and computes it, within one snapshot of the database."""

import asyncio
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

from services.ranking.facts import service as facts
from services.ranking.facts.rules import Counters
from services.ranking.facts.service import Done
from services.ranking.indicators import service as indicators
from services.ranking.indicators import tasks as due
from services.ranking.indicators.library import Figures, Task
from services.ranking.indicators.rule_sets import RuleSet
from services.ranking.periods.rules import Period
from services.ranking.tables.assembly import Moment, Table, TableKey, figures_of, table_of, total
from services.ranking.tables.sources import Sources, Versions
from services.ranking.tables.units import Unit, Units, sector
from services.ranking.versions.service import counters as counters_version
from services.ranking.versions.service import mirrored
from shared.contracts.programme import Metric, ProgrammeEvent, TargetEvent
from shared.db import Pg

MIRRORED = tuple(mirrored(name) for name in ("division", "household", "programme", "target", "rule_set"))
LARGE = 1000
"""Tables with more units are computed beside the event loop."""


class UnknownDivisionError(LookupError):
    """The division to narrow a table to does not exist on its day."""


class UnknownRuleSetError(LookupError):
    """There is no rule set of this name."""


def version_names(key: TableKey) -> list[str]:
    """The live versions a table depends on."""
    return [counters_version(key.period.cadence, key.period.first), *MIRRORED]


async def compute(pg: Pg, sources: Sources, versions: Versions, key: TableKey, moment: Moment) -> Table:
    """Compute a table. ``pg`` is in a transaction whose snapshot ``versions`` were read in.

    Raises ``UnknownDivisionError`` and ``UnknownRuleSetError``.
    """
    rules = _rules(await sources.rule_sets(pg, versions), key)
    units = await sources.units(pg, versions, moment.as_of)
    if key.division is not None and not units.knows(key.division):
        raise UnknownDivisionError
    gather = _Gathering(pg, sources, versions, key, moment, rules, units)
    return await (gather.sectors() if key.level == "sector" else gather.divisions())


def _rules(sets: Sequence[RuleSet], key: TableKey) -> RuleSet:
    if key.rule_set is None:
        return indicators.in_force(sets, key.period.first)
    rules = indicators.named(sets, key.rule_set)
    if rules is None:
        raise UnknownRuleSetError
    return rules


class _Gathering:
    """One table's inputs."""

    def __init__(
        self, pg: Pg, sources: Sources, versions: Versions, key: TableKey, moment: Moment, rules: RuleSet, units: Units
    ) -> None:  # fmt: skip
        self._pg, self._sources, self._versions = pg, sources, versions
        self._key, self._moment, self._rules, self._units = key, moment, rules, units

    @property
    def _period(self) -> Period:
        return self._key.period

    async def divisions(self) -> Table:
        """Counties, townships or villages: actions of class help."""
        key = self._key
        assert key.level != "sector"  # see sectors()
        units = self._units.at(key.level, key.division)
        counters = await self._counters(units)
        served = await self._sources.served(self._pg, self._versions, key.level, self._moment.as_of)
        if key.division is None:
            units |= {code: self._units.stranger(code) for code in counters if code not in units}
        figures = {code: figures_of(counters.get(code), served.get(code)) for code in units}
        targets = await self._targets_of(units)
        done = await self._done(targets.values(), figures)
        lines = [(unit, figures[code], self._tasks(code, figures[code], targets, done)) for code, unit in units.items()]
        if len(lines) > LARGE:
            return await asyncio.to_thread(table_of, key, self._moment, self._rules, lines)
        return table_of(key, self._moment, self._rules, lines)

    async def _counters(self, units: Mapping[str, Unit]) -> Mapping[str, Counters]:
        if self._key.level == "village":
            townships = None
            if self._key.division is not None:
                townships = sorted({u.path.township for u in units.values() if u.path and u.path.township})
            return await facts.counters_of_villages(self._pg, "help", self._period, townships)
        assert self._key.level != "sector"  # see sectors()
        return await facts.counters(self._pg, self._key.level, "help", self._period)

    async def _targets_of(self, units: Mapping[str, Unit]) -> Mapping[str, list[TargetEvent]]:
        classes = {code: p.programme_class for code, p in (await self._programmes()).items()}
        by_unit: defaultdict[str, list[TargetEvent]] = defaultdict(list)
        for target in due.of_class(await self._targets(), classes, "help"):
            if target.unit in units:
                by_unit[target.unit].append(target)
        return by_unit

    async def _done(self, targets: Iterable[Sequence[TargetEvent]], figures: Mapping[str, Figures]) -> due.Done:
        """What was done: from the figures where they say it, else counted from facts."""
        wanted = due.to_count(target for of_unit in targets for target in of_unit)
        counted: Done = {}
        if wanted:
            counted = await facts.done(self._pg, self._key.level, wanted, self._period.first, self._period.last)

        def done(unit: str, programme: str, metric: Metric) -> int:
            if due.is_in_figures(programme, metric):
                return int(getattr(figures[unit], metric))
            return counted.get((unit, programme), {}).get(metric, 0)

        return done

    def _tasks(
        self, code: str, figures: Figures, targets: Mapping[str, Sequence[TargetEvent]], done: due.Done
    ) -> Sequence[Task]:
        if code in targets:
            return due.by_targets(targets[code], done, self._moment.progress)
        return due.by_default(code, figures, self._rules, self._period, self._moment.progress)

    async def sectors(self) -> Table:
        """Departments: actions of class benefit, and the targets of their programmes."""
        counters = await facts.counters(self._pg, "sector", "benefit", self._period)
        in_county = await facts.counters(self._pg, "sector_county", "benefit", self._period)
        served = await self._sources.served(self._pg, self._versions, "county", self._moment.as_of)
        counties = self._units.at("county")
        targets = await self._targets_of_sectors(counties)
        done = await self._done_by_sectors([target for of_sector in targets.values() for target in of_sector])
        sectors = sorted(targets.keys() | counters.keys() | await self._benefit_sectors())
        progress = self._moment.progress
        lines: list[tuple[Unit, Figures, Sequence[Task]]] = []
        matrix: list[tuple[str, Unit, Figures, Sequence[Task]]] = []
        for code in sectors:
            whole = due.without_overlap(targets.get(code, ()), self._units.city_code)
            lines.append(
                (sector(code), figures_of(counters.get(code), total(served)), due.by_targets(whole, done, progress))
            )
            for county, unit in counties.items():
                part = due.by_targets([t for t in targets.get(code, ()) if t.unit == county], done, progress)
                counted = in_county.get(f"{code}/{county}")
                if part or counted:
                    matrix.append((code, unit, figures_of(counted, served.get(county)), part))
        matrix.sort(key=lambda cell: (cell[0], cell[1].order))
        return table_of(self._key, self._moment, self._rules, lines, matrix)

    async def _benefit_sectors(self) -> set[str]:
        programmes = (await self._programmes()).values()
        return {p.sector for p in programmes if p.programme_class == "benefit" and p.holds_on(self._moment.as_of)}

    async def _targets_of_sectors(self, counties: Mapping[str, Unit]) -> Mapping[str, list[TargetEvent]]:
        programmes = await self._programmes()
        classes = {code: p.programme_class for code, p in programmes.items()}
        by_sector: defaultdict[str, list[TargetEvent]] = defaultdict(list)
        for target in due.of_class(await self._targets(), classes, "benefit"):
            if target.unit in counties or target.unit == self._units.city_code:
                by_sector[programmes[target.programme].sector].append(target)
        return by_sector

    async def _done_by_sectors(self, targets: Sequence[TargetEvent]) -> due.Done:
        city = self._units.city_code
        codes = sorted({target.programme for target in targets})
        first, last = self._period.first, self._period.last
        of_counties = await facts.done(self._pg, "county", codes, first, last) if codes else {}
        of_city = await facts.done(self._pg, None, codes, first, last) if any(t.unit == city for t in targets) else {}

        def done(unit: str, programme: str, metric: Metric) -> int:
            if unit == city:
                return of_city.get((facts.ALL, programme), {}).get(metric, 0)
            return of_counties.get((unit, programme), {}).get(metric, 0)

        return done

    async def _programmes(self) -> Mapping[str, ProgrammeEvent]:
        return await self._sources.programmes(self._pg, self._versions)

    async def _targets(self) -> Sequence[TargetEvent]:
        return await self._sources.targets(self._pg, self._versions, self._period)

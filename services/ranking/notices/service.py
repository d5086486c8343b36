"""Gathers what a daily notice says, within one snapshot of the database."""

from collections import defaultdict
from collections.abc import Mapping
from datetime import date, datetime, time, timedelta

from services.ranking.facts import service as facts
from services.ranking.facts.rules import Counters
from services.ranking.indicators import tasks as due
from services.ranking.indicators.library import Figures, Task
from services.ranking.indicators.rule_sets import RuleSet
from services.ranking.notices.rules import CountyLine, Notice, RunningTask, running_task
from services.ranking.periods.calendar import official_calendar
from services.ranking.periods.rules import CADENCES, Period, period_of
from services.ranking.tables import service as tables
from services.ranking.tables.assembly import Moment, TableKey, figures_of
from services.ranking.tables.sources import Sources, Versions
from services.ranking.tables.units import Unit
from services.ranking.versions.service import counters as counters_version
from shared.clock import SHANGHAI
from shared.contracts.programme import Metric, TargetEvent
from shared.db import Pg


def version_names(day: date) -> list[str]:
    """The live versions a notice depends on: all periods its day lies in, and the day before."""
    periods = [period_of(day, cadence) for cadence in CADENCES] + [Period("day", day - timedelta(days=1))]
    return [counters_version(period.cadence, period.first) for period in periods] + list(tables.MIRRORED)


async def compose(pg: Pg, sources: Sources, versions: Versions, day: date, moment: Moment) -> Notice:
    """Everything the notice of a day says; ``moment`` is where today stands in that day."""
    table = await tables.compute(pg, sources, versions, TableKey("county", Period("day", day)), moment)
    units = await sources.units(pg, versions, moment.as_of)
    lines = table.lines()
    until_today = facts.cumulative(day)
    new = await facts.counters_over(pg, "county", "help", [Period("day", day)])
    cumulative = await facts.counters_over(pg, "county", "help", until_today)
    late = await facts.late_reports(pg, *_bounds(day))
    tasks = await _Running(pg, sources, versions, day, moment, table.rules).by_unit(
        {line.unit.code: line.unit for line in lines}
    )
    counties = [
        CountyLine(
            line.unit,
            new.get(line.unit.code, Counters()),
            cumulative.get(line.unit.code, Counters()),
            tasks.get(line.unit.code, []),
            late.get(line.unit.code, 0),
        )
        for line in sorted(lines, key=lambda line: line.unit.order)
    ]
    return Notice(
        day=day,
        city=units.city_name,
        table=table,
        counties=counties,
        new=await facts.counters_of_city(pg, "help", [Period("day", day)]),
        day_before=await facts.counters_of_city(pg, "help", [Period("day", day - timedelta(days=1))]),
        cumulative=await facts.counters_of_city(pg, "help", until_today),
        late_reports=sum(late.values()),
    )


def _bounds(day: date) -> tuple[datetime, datetime]:
    """The instants between which a day of Asia/Shanghai lies."""
    start = datetime.combine(day, time(), SHANGHAI)
    return start, start + timedelta(days=1)


class _Running:
    """The tasks of the periods that a day lies in, as done until that day."""

    def __init__(
        self, pg: Pg, sources: Sources, versions: Versions, day: date, moment: Moment, rules: RuleSet
    ) -> None:  # fmt: skip
        self._pg, self._sources, self._versions = pg, sources, versions
        self._day, self._moment, self._rules = day, moment, rules

    async def by_unit(self, units: Mapping[str, Unit]) -> Mapping[str, list[RunningTask]]:
        found: defaultdict[str, list[RunningTask]] = defaultdict(list)
        for cadence in CADENCES[1:]:
            period = period_of(self._day, cadence)
            targets = await self._targets(period, units)
            if not targets and cadence not in self._rules.default_completion:
                continue
            progress = official_calendar().progress(period, self._day)
            for code, tasks in (await self._tasks(period, targets, units)).items():
                task = running_task(period, tasks, progress)
                if task is not None:
                    found[code].append(task)
        return found

    async def _targets(self, period: Period, units: Mapping[str, Unit]) -> Mapping[str, list[TargetEvent]]:
        programmes = await self._sources.programmes(self._pg, self._versions)
        classes = {code: programme.programme_class for code, programme in programmes.items()}
        listed = await self._sources.targets(self._pg, self._versions, period)
        by_unit: defaultdict[str, list[TargetEvent]] = defaultdict(list)
        for target in due.of_class(listed, classes, "help"):
            if target.unit in units:
                by_unit[target.unit].append(target)
        return by_unit

    async def _tasks(
        self, period: Period, targets: Mapping[str, list[TargetEvent]], units: Mapping[str, Unit]
    ) -> Mapping[str, list[Task]]:
        counters = await facts.counters_over(self._pg, "county", "help", _until(period, self._day))
        served = await self._sources.served(self._pg, self._versions, "county", self._moment.as_of)
        figures = {code: figures_of(counters.get(code), served.get(code)) for code in units}
        done = await self._done(period, targets, figures)
        whole = due.WHOLE
        return {
            code: due.by_targets(targets[code], done, whole)
            if code in targets
            else due.by_default(code, figures[code], self._rules, period, whole)
            for code in units
        }

    async def _done(
        self, period: Period, targets: Mapping[str, list[TargetEvent]], figures: Mapping[str, Figures]
    ) -> due.Done:
        wanted = due.to_count(target for of_unit in targets.values() for target in of_unit)
        counted: facts.Done = {}
        if wanted:
            counted = await facts.done(self._pg, "county", wanted, period.first, self._day)

        def done(unit: str, programme: str, metric: Metric) -> int:
            if due.is_in_figures(programme, metric):
                return int(getattr(figures[unit], metric))
            return counted.get((unit, programme), {}).get(metric, 0)

        return done


def _until(period: Period, day: date) -> list[Period]:
    """The part of a period until a day, in periods that have counters."""
    if period.cadence == "year":
        return facts.cumulative(day)
    return facts.days(period.first, day)

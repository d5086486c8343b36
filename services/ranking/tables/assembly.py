"""Puts a table together from figures, tasks and a rule set. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from fractions import Fraction

from services.ranking.facts.rules import Counters
from services.ranking.indicators import rules as scoring
from services.ranking.indicators.library import Evidence, Figures, Task
from services.ranking.indicators.rule_sets import RuleSet, TableLevel
from services.ranking.mirror.rules import Denominator
from services.ranking.periods.calendar import WorkingCalendar
from services.ranking.periods.rules import Period
from services.ranking.tables.rules import Ranked, Standing, not_ranked, ranked, reason_not_ranked
from services.ranking.tables.units import Unit


@dataclass(frozen=True, slots=True)
class TableKey:
    """Which table."""

    level: TableLevel
    period: Period
    division: str | None = None
    rule_set: str | None = None


@dataclass(frozen=True, slots=True)
class Moment:
    """Where today stands in a period."""

    today: date
    as_of: date
    running: bool
    elapsed: int
    total: int
    progress: Fraction


@dataclass(frozen=True, slots=True)
class Table:
    """A computed table."""

    key: TableKey
    moment: Moment
    rules: RuleSet
    rows: Sequence[Ranked]
    not_ranked: Sequence[Standing]
    matrix: Sequence[tuple[str, Standing]] | None = None
    """Sector tables: (sector, its standing in one county)."""

    def lines(self) -> list[Standing]:
        """Every line, ranked ones first."""
        return [*(row.standing for row in self.rows), *self.not_ranked]

    def standing(self, code: str) -> Standing | None:
        """The line of a unit, ranked or not."""
        return next((line for line in self.lines() if line.unit.code == code), None)


def moment_of(period: Period, today: date, calendar: WorkingCalendar) -> Moment:
    """Where today stands in a period; denominators are read as of T = min(today, last day)."""
    return Moment(
        today=today,
        as_of=min(today, period.last),
        running=today <= period.last,
        elapsed=calendar.elapsed(period, today),
        total=calendar.count(period.first, period.last),
        progress=calendar.progress(period, today),
    )


def figures_of(counters: Counters | None, denominator: Denominator | None) -> Figures:
    """A unit's counters and denominators together; what is not there is 0."""
    counted, owed = counters or Counters(), denominator or Denominator()
    return Figures(
        counted.actions, counted.households, counted.persons, counted.amount_fen, counted.on_time, counted.verified,
        owed.served, owed.stock,
    )  # fmt: skip


def standing_of(key: TableKey, rules: RuleSet, unit: Unit, figures: Figures, tasks: Sequence[Task]) -> Standing:
    """A unit's line."""
    evidence = Evidence(figures, tasks, rules.min_sample(figures.served))
    score = scoring.score(rules.composition(key.level, key.period.cadence), evidence)
    reason = reason_not_ranked(unit, figures, score, rules.min_served[key.level])
    return Standing(unit, figures, tasks, score, reason)


def table_of(
    key: TableKey,
    moment: Moment,
    rules: RuleSet,
    lines: Iterable[tuple[Unit, Figures, Sequence[Task]]],
    matrix: Iterable[tuple[str, Unit, Figures, Sequence[Task]]] | None = None,
) -> Table:
    """Score every line and rank them."""
    standings = [standing_of(key, rules, unit, figures, tasks) for unit, figures, tasks in lines]
    cells = None
    if matrix is not None:
        cells = [(sector, standing_of(key, rules, unit, figures, tasks)) for sector, unit, figures, tasks in matrix]
    return Table(key, moment, rules, ranked(standings), not_ranked(standings), cells)


def total(counters: Mapping[str, Denominator]) -> Denominator:
    """The city's denominators: its managing units' together."""
    return Denominator(sum(d.served for d in counters.values()), sum(d.stock for d in counters.values()))

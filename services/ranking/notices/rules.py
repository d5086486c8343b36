"""What a daily notice says of a county, and of the city. Pure."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from fractions import Fraction

from services.ranking.facts.rules import Counters
from services.ranking.indicators.library import Task
from services.ranking.periods.rules import Period
from services.ranking.tables.assembly import Table
from services.ranking.tables.rules import Ranked, best, worst
from services.ranking.tables.units import Unit


@dataclass(frozen=True, slots=True)
class RunningTask:
    """What a running period asks of a unit, against the time that has passed."""

    period: Period
    done: Fraction
    """Done of the due: doing more of one thing makes up for nothing else."""
    due: Fraction
    time_progress: Fraction
    """Working days elapsed of all, the notice's day included."""

    @property
    def remaining(self) -> Fraction:
        return self.due - self.done

    @property
    def share_done(self) -> Fraction:
        return self.done / self.due

    @property
    def behind(self) -> bool:
        """Less is done than time has passed 滞后."""
        return self.share_done < self.time_progress


@dataclass(frozen=True, slots=True)
class CountyLine:
    """A county's part of the notice."""

    unit: Unit
    new: Counters
    cumulative: Counters
    tasks: Sequence[RunningTask]
    late_reports: int


@dataclass(frozen=True, slots=True)
class Notice:
    """A daily notice, live."""

    day: date
    city: str
    table: Table
    counties: Sequence[CountyLine]
    new: Counters
    day_before: Counters
    cumulative: Counters
    late_reports: int

    @property
    def best(self) -> list[Ranked]:
        """Best of the day; empty where too few are ranked."""
        lists = self.table.rules.lists
        return best(self.table.rows, lists.best) if len(self.table.rows) >= lists.least_ranked else []

    @property
    def worst(self) -> list[Ranked]:
        """Worst of the day, never one that is among the best."""
        lists = self.table.rules.lists
        if len(self.table.rows) < lists.least_ranked:
            return []
        first = {row.standing.unit.code for row in self.best}
        return [row for row in worst(self.table.rows, lists.worst) if row.standing.unit.code not in first]


def running_task(period: Period, tasks: Iterable[Task], time_progress: Fraction) -> RunningTask | None:
    """A unit's tasks of a period together; None when nothing is due."""
    listed = list(tasks)
    due = sum((task.whole_due for task in listed), Fraction(0))
    if due <= 0:
        return None
    done = sum((min(Fraction(task.done), task.whole_due) for task in listed), Fraction(0))
    return RunningTask(period, done, due, time_progress)

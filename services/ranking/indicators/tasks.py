"""What is due from a unit in a period: by targets, or by the rule set's default (ranking.md, "What counts"). Pure."""

from collections.abc import Callable, Iterable, Mapping
from fractions import Fraction

from services.ranking.indicators.library import Figures, Task
from services.ranking.indicators.rule_sets import RuleSet
from services.ranking.periods.rules import Period
from shared.contracts.programme import Metric, ProgrammeClass, TargetEvent

EVERY = "*"
WHOLE = Fraction(1)
"""As progress: nothing is scaled."""
Done = Callable[[str, str, Metric], int]
"""(unit, programme, metric) -> what was done."""


def of_class(
    targets: Iterable[TargetEvent], classes: Mapping[str, ProgrammeClass], wanted: ProgrammeClass
) -> list[TargetEvent]:
    """The targets that count on a face: those whose programme is of its class; ``*`` means every help programme."""
    known: dict[str, ProgrammeClass] = {**classes, EVERY: "help"}
    return [target for target in targets if known.get(target.programme) == wanted]


def is_in_figures(programme: str, metric: Metric) -> bool:
    """Whether the unit's counters already say what was done: every help programme, in any metric but quantity."""
    return programme == EVERY and metric != "quantity"


def to_count(targets: Iterable[TargetEvent]) -> list[str]:
    """The programmes whose work has to be counted from facts."""
    return sorted({t.programme for t in targets if not is_in_figures(t.programme, t.metric)})


def by_targets(targets: Iterable[TargetEvent], done: Done, progress: Fraction) -> list[Task]:
    """One task a target; ``progress`` is the share of its due that may be asked for today."""
    return [
        Task(
            target.programme,
            target.metric,
            done(target.unit, target.programme, target.metric),
            Fraction(target.due),
            target.due * progress,
            by_target=True,
            unit=target.unit,
        )
        for target in targets
    ]


def by_default(unit: str, figures: Figures, rules: RuleSet, period: Period, progress: Fraction) -> list[Task]:
    """Reach a share of the served households, where no targets are set; none for cadences without a default."""
    share = rules.default_completion.get(period.cadence)
    if share is None:
        return []
    due = figures.served * Fraction(share)
    return [Task(EVERY, "households", figures.households, due, due * progress, by_target=False, unit=unit)]


def without_overlap(targets: Iterable[TargetEvent], city: str) -> list[TargetEvent]:
    """For a sector's row: the counties' targets, and the city's own only where no county has one.

    A city that sets 1,000 and distributes them to its counties asks for 1,000, not for 2,000.
    """
    listed = list(targets)
    distributed = {(target.programme, target.metric) for target in listed if target.unit != city}
    return [t for t in listed if t.unit != city or (t.programme, t.metric) not in distributed]

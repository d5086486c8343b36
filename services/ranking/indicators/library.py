"""The library of named indicators 指标库: each a ratio with a numerator, a denominator and a source. Pure.

An indicator without a denominator is not applicable (n/a): its weight is shared by the others in proportion. Some
wait for sources that do not exist yet; they are n/a everywhere until these arrive.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

from shared.contracts.programme import Metric
from shared.errors import Text

Source = Literal["facts", "targets", "none"]


@dataclass(frozen=True, slots=True)
class Figures:
    """A unit's counters of a period, and its denominators as of the day they are read for."""

    actions: int = 0
    households: int = 0
    persons: int = 0
    amount_fen: int = 0
    on_time: int = 0
    verified: int = 0
    served: int = 0
    stock: int = 0


@dataclass(frozen=True, slots=True)
class Task:
    """Something due 任务: by a target, or by the rule set where no targets are set.

    ``due`` is what may be asked for today: the whole due, scaled by working days while the period runs.
    """

    programme: str
    metric: Metric
    done: int
    whole_due: Fraction
    due: Fraction
    by_target: bool
    unit: str

    @property
    def counted(self) -> Fraction:
        """What is done of the due; doing more of one thing makes up for nothing else."""
        return min(Fraction(self.done), self.due)


@dataclass(frozen=True, slots=True)
class Evidence:
    """All that a unit's score is computed from."""

    figures: Figures
    tasks: Sequence[Task]
    min_sample: Fraction


@dataclass(frozen=True, slots=True)
class Measure:
    """An indicator's value: numerator of denominator, times what the sample is worth."""

    numerator: Fraction
    denominator: Fraction
    sample: Fraction = Fraction(1)

    @property
    def ratio(self) -> Fraction:
        return self.numerator / self.denominator * self.sample


@dataclass(frozen=True, slots=True)
class Indicator:
    """A named indicator 指标."""

    code: str
    label: Text
    numerator: Text
    denominator: Text
    source: Source
    measure: Callable[[Evidence], Measure | None]


def _completion(evidence: Evidence) -> Measure | None:
    due = sum((task.due for task in evidence.tasks), Fraction(0))
    if due <= 0:
        return None
    return Measure(sum((task.counted for task in evidence.tasks), Fraction(0)), due)


def _of_actions(count: int, evidence: Evidence) -> Measure | None:
    actions = evidence.figures.actions
    if actions == 0:
        return None
    return Measure(Fraction(count), Fraction(actions), min(Fraction(1), actions / evidence.min_sample))


def _timeliness(evidence: Evidence) -> Measure | None:
    return _of_actions(evidence.figures.on_time, evidence)


def _quality(evidence: Evidence) -> Measure | None:
    return _of_actions(evidence.figures.verified, evidence)


def _waiting(code: str, en: str, zh: str) -> Indicator:
    """An indicator whose source does not exist yet."""
    nothing = Text("no source yet", "暂无数据来源")
    return Indicator(code, Text(en, zh), nothing, nothing, "none", lambda _: None)


LIBRARY: Mapping[str, Indicator] = {
    indicator.code: indicator
    for indicator in (
        Indicator(
            "completion", Text("Completion", "完成率"),
            Text("sum of min(done, due) over the unit's tasks", "各项任务完成数之和(每项以任务数为限)"),
            Text(
                "sum of what is due, by working days elapsed while the period runs",
                "任务数之和(期内按已过工作日折算)",
            ),
            "targets", _completion,
        ),
        Indicator(
            "timeliness", Text("Timeliness", "及时率"),
            Text("actions recorded within 24 hours", "24小时内录入的帮扶行动数"), Text("actions", "帮扶行动数"),
            "facts", _timeliness,
        ),
        Indicator(
            "quality", Text("Quality", "质量"),
            Text("actions verified", "已核实的帮扶行动数"), Text("actions", "帮扶行动数"), "facts", _quality,
        ),
        Indicator(
            "served_of_due", Text("Served of due", "应享尽享率"),
            Text("sum of min(served, due) over the targets of the sector's programmes", "本行业政策任务完成数之和"),
            Text("sum of what is due", "本行业政策任务数之和"), "targets", _completion,
        ),
        _waiting("satisfaction", "Satisfaction", "群众满意度"),
        _waiting("inspection", "Inspection", "检查得分"),
        _waiting("exits_against_plan", "Exits against plan", "脱贫计划完成率"),
        _waiting("obligations_covered", "Obligations covered", "责任落实率"),
        _waiting("problems_cleared", "Problems cleared", "问题整改率"),
    )
}  # fmt: skip

"""How a decision goes: the steps of each procedure in order, notices that run, objections that block. Pure.

Source: domain.md 2, "Process".
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Literal
from uuid import UUID

from services.registry.standing.records import Act, Decision, Objection, Resolution, Step
from shared import errors
from shared.contracts.division import Path
from shared.contracts.household import EXITED, NEVER_POOR, STOCK, Standing
from shared.contracts.standing import DecisionKind, MonitoringCategory, StepCode
from shared.errors import Problem, fault

DECISION_OPEN = errors.kind(
    "decision_open", 409, "A decision is open already", "已有办理中的认定",
    "One decision at a time: conclude or withdraw the one that is open.", "同一对象同时只能有一项办理中的认定。",
)  # fmt: skip
DECISION_ENDED = errors.kind(
    "decision_ended", 409, "The decision has ended", "认定已办结",
    "What was concluded, refused or withdrawn does not change; propose anew.", "已办结、终止或撤回的认定不再变更。",
)  # fmt: skip
OBJECTION_OPEN = errors.kind(
    "objection_open", 409, "An objection blocks it", "存在未处理的异议",
    "Resolve the objection first.", "请先处理异议。",
)  # fmt: skip
OBJECTION_RESOLVED = errors.kind(
    "objection_resolved", 409, "The objection is resolved already", "异议已处理",
    "An objection is resolved once.", "异议只处理一次。",
)  # fmt: skip
OUTSIDE_WINDOW = errors.kind(
    "outside_window", 409, "Not within the yearly window", "不在动态管理期内",
    "Identifications and exits are proposed and concluded within the yearly window alone (BANGFU_REGISTRY_WINDOWS): "
    "the day stated and today lie in one and the same window.",
    "贫困户识别和退出只在年度动态管理期内办理,办理日期和录入当日须在同一动态管理期内。",
)  # fmt: skip
OWN_PROPOSAL = errors.kind(
    "own_proposal", 403, "Somebody else must review it", "不得审核本人提出的认定",
    "A decision is reviewed by another key than the one that proposed it.", "审核人不得是提出人。",
)  # fmt: skip
BELOW_LEVEL = errors.kind(
    "below_level", 403, "A higher level must review it", "须由上级审核",
    "What the township, the county or the city reviews is entered by a key that has the whole of it in its scope.",
    "乡镇、县级、市级审核环节,须由辖区覆盖该乡镇、该县(区)或全市的密钥办理。",
)  # fmt: skip
MONITORING_OFF = errors.kind(
    "monitoring_off", 409, "Monitoring is not kept here", "未启用监测对象管理",
    "Categories of monitoring date from 2020; the operator turns them on with BANGFU_REGISTRY_MONITORING.",
    "监测对象为 2020 年起的类别,由运维人员通过 BANGFU_REGISTRY_MONITORING 启用。",
)  # fmt: skip
KINDS = (
    DECISION_OPEN, DECISION_ENDED, OBJECTION_OPEN, OBJECTION_RESOLVED, OUTSIDE_WINDOW, OWN_PROPOSAL, BELOW_LEVEL,
    MONITORING_OFF,
)  # fmt: skip
Level = Literal["township", "county", "city"]


@dataclass(frozen=True, slots=True)
class StepRule:
    """A step of a procedure: who takes it and what it needs."""

    code: StepCode
    title: str
    role: Literal["recorder", "reviewer"] = "recorder"
    level: Level | None = None
    """Whose review it is: nobody below that level may take it. What the province decides, the city enters."""
    notice: bool = False
    """Runs for days 公示 before the next step may be taken."""
    signed: bool = False
    """Needs the document that the household signed."""


_AS_A_RELAPSE = (
    StepRule("verification", "入户核实"),
    StepRule("public_notice", "村内公示", notice=True),
    StepRule("county_recheck", "县级复审", "reviewer", "county"),
    StepRule("announcement", "公告"),
)
"""What follows the report."""
PROCEDURES: Mapping[DecisionKind, tuple[StepRule, ...]] = {
    "identification": (
        StepRule("application", "农户申请"),
        StepRule("democratic_appraisal", "民主评议"),
        StepRule("first_notice", "第一次公示", notice=True),
        StepRule("township_review", "乡镇审核", "reviewer", "township"),
        StepRule("second_notice", "第二次公示", notice=True),
        StepRule("county_recheck", "县级复审", "reviewer", "county"),
        StepRule("announcement", "公告"),
    ),
    "exit": (
        StepRule("democratic_appraisal", "村两委民主评议"),
        StepRule("verification", "村两委和驻村工作队核实"),
        StepRule("household_consent", "拟退出户认可", signed=True),
        StepRule("public_notice", "村内公示", notice=True),
        StepRule("announcement", "公告", "reviewer"),
        StepRule("striking_off", "销号", "reviewer"),
    ),
    "relapse": (StepRule("report", "返贫申报"), *_AS_A_RELAPSE),
    "village_exit": (
        StepRule("application", "村级申请"),
        StepRule("verification", "乡镇核实"),
        StepRule("public_notice", "公示", notice=True),
        StepRule("county_recheck", "县级审定", "reviewer", "county"),
        StepRule("announcement", "公告退出"),
    ),
    "county_exit": (
        StepRule("application", "县级申请"),
        StepRule("city_review", "市级初审", "reviewer", "city"),
        StepRule("special_assessment", "省级专项评估"),
        StepRule("public_notice", "公示", notice=True),
        StepRule("provincial_approval", "省政府批准", "reviewer", "city"),
    ),
    # No source names the steps of these two: they go as a relapse does.
    "monitoring": (StepRule("report", "监测对象申报"), *_AS_A_RELAPSE),
    "monitoring_end": (StepRule("report", "风险消除申报"), *_AS_A_RELAPSE),
}
"""The first step of each is taken by proposing, the last one concludes."""
NOTICES = frozenset(step.code for steps in PROCEDURES.values() for step in steps if step.notice)
"""The steps that put up a public notice 公示."""

FROM: Mapping[DecisionKind, frozenset[Standing]] = {
    "identification": NEVER_POOR,
    "exit": STOCK,
    "relapse": EXITED,
}
TO: Mapping[DecisionKind, Standing] = {
    "identification": "poor", "exit": "exited_supported", "relapse": "relapsed"
}  # fmt: skip
"""What a concluded decision makes of a household."""
MONITORED: Mapping[MonitoringCategory, tuple[frozenset[Standing], date]] = {
    "unstable_exit": (EXITED, date(2020, 3, 1)),
    "marginal": (NEVER_POOR, date(2020, 3, 1)),
    "sudden_hardship": (EXITED | NEVER_POOR, date(2021, 1, 1)),
}
"""Which households each category of monitoring is for, and since when there is such a category."""


def next_step(decision: Decision) -> StepRule | None:
    """The step to be taken next; None once it has ended."""
    procedure = PROCEDURES[decision.kind]
    taken = len(decision.steps)
    return procedure[taken] if decision.state in ("open", "contested") and taken < len(procedure) else None


def earliest(decision: Decision, notice_days: int) -> date:
    """The first day the next step may carry: not before the last one, nor before the notice has run."""
    resolved = (each.resolution.on for each in decision.objections if each.resolution is not None)
    return max([_ready(decision, notice_days), *resolved])


def notice_of(decision: Decision, notice_days: int) -> tuple[date, date]:
    """The first and the last day of the public notice that its last step put up."""
    return decision.steps[-1].on, _ready(decision, notice_days) - timedelta(days=1)


def _ready(decision: Decision, notice_days: int) -> date:
    """The day of the last step, or the first one after its notice: that runs from the day it was put up."""
    notice = PROCEDURES[decision.kind][len(decision.steps) - 1].notice
    return decision.steps[-1].on + timedelta(days=notice_days if notice else 0)


def check_level(step: StepRule, place: Path, divisions: Sequence[str]) -> None:
    """Raises 403 where none of a key's divisions is of the level that takes the step at a place."""
    city, county = (place.city,), (place.city, place.managing_unit)
    reviewing = {"township": (*county, place.township), "county": county, "city": city}
    if step.level is not None and set(divisions).isdisjoint(reviewing[step.level]):
        raise Problem(BELOW_LEVEL, extensions={"required_level": step.level})


def with_step(decision: Decision, step: Step, notice_days: int, today: date) -> Decision:
    """The decision after its next step. Raises 403, 409, 422."""
    due = _due(decision)
    if decision.state == "contested":
        raise Problem(OBJECTION_OPEN)
    if step.step != due.code:
        raise errors.invalid(fault("/step", "step_out_of_order", f"next is {due.code}", f"下一环节为{due.title}"))
    if due.role == "reviewer":
        _check_reviewer(decision, step.by)
    if due.signed and not any(each.sha256 for each in step.evidence):
        raise errors.invalid(
            fault("/evidence", "signature_missing", "the signed document is needed", "须附户主签字材料")
        )
    ready = _ready(decision, notice_days)
    if decision.steps[-1].on < ready and (decision.steps[-1].on <= step.on < ready or today < ready):
        until = ready - timedelta(days=1)
        en, zh = f"the notice runs until {until}: not before {ready}", f"公示期至 {until},最早 {ready} 办理"
        raise errors.invalid(fault("/on", "notice_running", en, zh))
    check_day(step.on, earliest(decision, notice_days), today)
    concluded = due is PROCEDURES[decision.kind][-1]
    check_year(decision.year, step.on, "/on", concluded=concluded)
    return _next(decision, steps=(*decision.steps, step), state="concluded" if concluded else "open")


def with_objection(decision: Decision, objection: Objection, today: date) -> Decision:
    """The decision with an objection against it, which blocks it. Raises 409, 422."""
    _due(decision)
    check_day(objection.on, decision.steps[0].on, today)
    return _next(decision, objections=(*decision.objections, objection), state="contested")


def with_resolution(decision: Decision, number: int, resolution: Resolution, today: date) -> Decision:
    """The decision with an objection resolved: upheld ends it. Raises 403, 404, 409, 422."""
    objection = next((each for each in decision.objections if each.number == number), None)
    if objection is None:
        raise Problem(errors.NOT_FOUND)
    if objection.resolution is not None:
        raise Problem(OBJECTION_RESOLVED)
    _due(decision)
    _check_reviewer(decision, resolution.by)
    check_day(resolution.on, objection.on, today)
    resolved = objection.model_copy(update={"resolution": resolution})
    objections = tuple(resolved if each.number == number else each for each in decision.objections)
    contested = any(each.resolution is None for each in objections)
    state = "refused" if resolution.outcome == "upheld" else "contested" if contested else "open"
    return _next(decision, objections=objections, state=state)


def withdrawn(decision: Decision, withdrawal: Act, today: date) -> Decision:
    """The decision taken back. Raises 409, 422."""
    _due(decision)
    check_day(withdrawal.on, decision.steps[-1].on, today)
    return _next(decision, withdrawal=withdrawal, state="withdrawn")


def _check_reviewer(decision: Decision, key: UUID) -> None:
    """Raises 403 for the key that proposed it."""
    if key == decision.proposer:
        raise Problem(OWN_PROPOSAL)


def check_day(day: date, first: date, last: date) -> None:
    """Raises 422 for a day outside its bounds."""
    if day > last:
        raise errors.invalid(fault("/on", "day_out_of_range", f"not after {last}", f"不得晚于 {last}"))
    if day < first:
        raise errors.invalid(fault("/on", "day_out_of_range", f"not before {first}", f"不得早于 {first}"))


def check_year(year: int | None, day: date, pointer: str, *, concluded: bool) -> None:
    """Raises 422 where the year of an exit 脱贫年度 is over on a day, or is not the year in which it takes effect.

    The income and the line that count are those of this year: nobody exits in 2019 on the income of 2018.
    """
    if year is not None and (day.year > year or (concluded and day.year < year)):
        raise errors.invalid(
            fault(pointer, "year_differs", "an exit takes effect in its year", "退出生效日须在脱贫年度内")
        )


def _due(decision: Decision) -> StepRule:
    due = next_step(decision)
    if due is None:
        raise Problem(DECISION_ENDED)
    return due


def _next(decision: Decision, **changes: object) -> Decision:
    return decision.model_copy(update={**changes, "version": decision.version + 1})

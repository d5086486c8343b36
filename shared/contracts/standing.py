"""Decisions on standing 状态认定 as registry publishes them: dated steps without names, notes or titles."""

from typing import Literal
from uuid import UUID

from pydantic import Field

from shared.contracts.base import Contract, Day, DivisionCode, Instant, Number14, topic
from shared.contracts.division import Path

DecisionKind = Literal[
    "identification", "exit", "relapse", "village_exit", "county_exit", "monitoring", "monitoring_end"
]
MonitoringCategory = Literal["unstable_exit", "marginal", "sudden_hardship"]
"""脱贫不稳定户, 边缘易致贫户, 突发严重困难户."""
DecisionState = Literal["open", "contested", "concluded", "refused", "withdrawn"]
StepCode = Literal[
    "application",
    "report",
    "democratic_appraisal",
    "verification",
    "household_consent",
    "first_notice",
    "township_review",
    "second_notice",
    "county_recheck",
    "public_notice",
    "city_review",
    "special_assessment",
    "provincial_approval",
    "announcement",
    "striking_off",
]


class StepTaken(Contract):
    """A step of the procedure and the documents it rests on."""

    step: StepCode
    on: Day
    recorded_at: Instant
    evidence_sha256: list[str] = Field(default=[], description="SHA-256 of each document, hexadecimal.")


class ObjectionRaised(Contract):
    """An objection 异议 and what became of it."""

    number: int = Field(ge=1)
    on: Day
    outcome: Literal["upheld", "dismissed"] | None = Field(default=None, description="None while it blocks.")
    resolved_on: Day | None = None


class StandingEvent(Contract):
    """The whole public state of a decision on a household, village or county."""

    id: UUID
    version: int = Field(ge=1)
    kind: DecisionKind
    state: DecisionState
    household_id: UUID | None = None
    household_number: Number14 | None = Field(default=None, description="Household number 户编号.")
    division: DivisionCode = Field(description="The village or county decided on, or the household's village.")
    path: Path = Field(description="As of the day it was proposed.")
    year: int | None = Field(default=None, description="Year whose income an exit rests on 脱贫年度.")
    category: MonitoringCategory | None = Field(default=None, description="Category of monitoring 监测对象类别.")
    steps: list[StepTaken]
    objections: list[ObjectionRaised] = Field(default=[])
    ended_on: Day | None = None
    certificate: str | None = Field(default=None, description="Honour certificate 脱贫光荣证 that an exit issued.")


STANDING = topic(
    "registry.standing",
    StandingEvent,
    ("proposed", "changed", "concluded", "refused", "withdrawn"),
    "Decisions on standing 状态认定: identification, exit, relapse; whole state without names.",
)

"""A decision on standing as it is kept: its steps, objections and end, each with its day and the key that made it.

Stored as JSON, and shown as it is: notes and titles are the public record of the procedure and name nobody.
"""

from datetime import date
from typing import Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from services.registry.freetext import FreeText
from services.registry.households.attributes import Cause
from services.registry.standing.evidence import CountySurvey, VillageEvidence
from shared.contracts.base import Instant
from shared.contracts.division import Path
from shared.contracts.standing import (
    DecisionKind,
    DecisionState,
    MonitoringCategory,
    ObjectionRaised,
    StandingEvent,
    StepCode,
    StepTaken,
)
from shared.http.fields import Day


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Evidence(_Record):
    """A document that a step rests on, kept elsewhere."""

    model_config = ConfigDict(strict=True)

    title: FreeText = Field(description="What it is 材料名称; without names of people.", examples=["民主评议会议记录"])
    sha256: str | None = Field(
        default=None, pattern=r"^[0-9a-f]{64}$", description="SHA-256 of the document, hexadecimal 材料摘要."
    )


class Act(_Record):
    """Something done to a decision."""

    on: Day = Field(description="Day it was done 办理日期.")
    recorded_at: Instant = Field(description="When it was entered 录入时间.")
    by: UUID = Field(description="API key that entered it.")
    note: FreeText | None = Field(description="Note 说明; without names of people.")


class Step(Act):
    """A step of the procedure."""

    step: StepCode
    evidence: tuple[Evidence, ...] = Field(description="Documents it rests on 佐证材料.")
    county: CountySurvey | None = Field(
        default=None, description="Of special_assessment: what it counted 专项评估数据; null: as the county applied."
    )


class Resolution(Act):
    """What became of an objection."""

    outcome: Literal["upheld", "dismissed"] = Field(description="upheld 异议成立, dismissed 异议不成立.")


class Objection(Act):
    """An objection 异议: it blocks until it is resolved."""

    number: int
    evidence: tuple[Evidence, ...]
    resolution: Resolution | None = None


class Decision(_Record):
    """A decision on the standing of a household, village or county."""

    id: UUID
    version: int
    kind: DecisionKind = Field(
        description="identification 贫困户识别, exit 贫困户退出, relapse 返贫, village_exit 贫困村退出, "
        "county_exit 贫困县退出, monitoring 纳入监测, monitoring_end 监测风险消除"
    )
    state: DecisionState = Field(
        description="open 办理中, contested 有异议, concluded 已办结, refused 异议成立终止, withdrawn 已撤回. "
        "May be extended."
    )
    household_id: UUID | None
    household_number: str | None = Field(description="Household number 户编号.")
    division: str = Field(description="The village or county decided on, or the household's village.")
    path: Path = Field(description="As of the day it was proposed.")
    year: int | None = Field(description="Year whose income an exit rests on 脱贫年度.")
    cause: Cause | None = Field(description="Cause of the poverty found 致贫或返贫原因, or the risk 监测风险.")
    category: MonitoringCategory | None = Field(default=None, description="Category of monitoring 监测对象类别.")
    village: VillageEvidence | None
    county: CountySurvey | None
    steps: tuple[Step, ...] = Field(description="Steps taken, oldest first 办理环节.")
    objections: tuple[Objection, ...]
    withdrawal: Act | None
    certificate: str | None = Field(description="Honour certificate 脱贫光荣证 that it issued.")

    @property
    def proposer(self) -> UUID:
        return self.steps[0].by

    @property
    def survey(self) -> CountySurvey | None:
        """What the exit of a county is judged by: what its assessment counted, or what it applied with until then."""
        return next((step.county for step in self.steps if step.county is not None), self.county)

    @property
    def ended_on(self) -> date | None:
        """The day of its conclusion, of the objection upheld, or of its withdrawal."""
        if self.state == "concluded":
            return self.steps[-1].on
        if self.withdrawal is not None:
            return self.withdrawal.on
        resolutions = (each.resolution for each in self.objections if each.resolution is not None)
        return next((each.on for each in resolutions if each.outcome == "upheld"), None)

    def event(self) -> StandingEvent:
        """The public state: no notes, no titles."""
        return StandingEvent(
            id=self.id,
            version=self.version,
            kind=self.kind,
            state=self.state,
            household_id=self.household_id,
            household_number=self.household_number,
            division=self.division,
            path=self.path,
            year=self.year,
            category=self.category,
            steps=[
                StepTaken(
                    step=step.step,
                    on=step.on,
                    recorded_at=step.recorded_at,
                    evidence_sha256=[each.sha256 for each in step.evidence if each.sha256 is not None],
                )
                for step in self.steps
            ],
            objections=[
                ObjectionRaised(
                    number=each.number,
                    on=each.on,
                    outcome=None if each.resolution is None else each.resolution.outcome,
                    resolved_on=None if each.resolution is None else each.resolution.on,
                )
                for each in self.objections
            ],
            ended_on=self.ended_on,
            certificate=self.certificate,
        )

    def as_proposed(self) -> "Decision":
        """Its first version, to answer a repeated proposal with."""
        return self.model_copy(
            update={
                "version": 1,
                "state": "open",
                "steps": self.steps[:1],
                "objections": (),
                "withdrawal": None,
                "certificate": None,
            }
        )

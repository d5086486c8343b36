"""HTTP shapes of actions. The same content travels in submissions (intake/contracts.py)."""

from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, model_validator

from shared.contracts.base import Contract, DivisionCode, Instant, Number14
from shared.contracts.division import Path
from shared.contracts.programme import ProgrammeClass
from shared.errors import unfit
from shared.http.fields import Code, Division, ExternalName, Id, ShortText
from shared.http.fields import Instant as InstantIn

MAX_PERSONS = 500
MAX_QUANTITY = 1_000_000_000
MAX_AMOUNT_FEN = 10**12
"""Ten billion yuan: no single payment of the article's programmes comes near it; a slip of digits does."""

_STRICT = ConfigDict(strict=True, extra="forbid", frozen=True)


class RegisterRef(BaseModel):
    """Names a household 农户 or person 人员 of the register: by `id` or by `number`, not both."""

    model_config = _STRICT

    id: Id | None = Field(default=None, description="Id at registry.")
    number: Number14 | None = Field(default=None, description="Number 编号, 14 digits.")

    @model_validator(mode="after")
    def _one(self) -> "RegisterRef":
        if (self.id is None) == (self.number is None):
            raise unfit("reference", "name it by id or by number", "须填 id 或 number 之一")
        return self


class ActorRef(BaseModel):
    """Names an actor 帮扶主体: by `id`, or by `source_system` and `external_id`."""

    model_config = _STRICT

    id: Id | None = None
    source_system: ExternalName | None = None
    external_id: ExternalName | None = None

    @model_validator(mode="after")
    def _one(self) -> "ActorRef":
        external = self.source_system is not None and self.external_id is not None
        partly = (self.source_system is None) != (self.external_id is None)
        if partly or (self.id is None) != external:
            raise unfit(
                "reference",
                "name it by id, or by source_system and external_id",
                "须填 id 或来源系统与来源编号",
            )
        return self


class ActionContent(BaseModel):
    """What happened 行动内容."""

    model_config = _STRICT

    programme: Code = Field(description="Programme code 帮扶项目, see `/v1/programmes`.")
    kind: Code = Field(description="Kind of action the programme accepts 行动类型.")
    household: RegisterRef | None = Field(default=None, description="Beneficiary household 受益农户.")
    persons: Annotated[tuple[RegisterRef, ...], Field(max_length=MAX_PERSONS, strict=False)] = Field(
        default=(), description="Beneficiary persons 受益人员, at most 500."
    )
    actor: ActorRef | None = Field(default=None, description="Who did it 帮扶主体.")
    division: Division | None = Field(
        default=None, description="Village or township it is for 受益村或乡镇, where no household is named."
    )
    place: Division | None = Field(default=None, description="Where it took place 发生地, if elsewhere.")
    occurred_at: InstantIn = Field(description="When it happened 发生时间; its day is taken in Asia/Shanghai.")
    quantity: int = Field(default=1, ge=0, le=MAX_QUANTITY, description="In the unit of the kind 数量.")
    amount_fen: int = Field(default=0, ge=0, le=MAX_AMOUNT_FEN, description="Money in fen 金额(分).")
    details: dict[str, Any] = Field(default={}, description="By the kind's `details_schema` 明细.")


class ActionIn(ActionContent):
    """An aid action to record 待登记的帮扶行动."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "source_system": "county-office-411323",
                    "external_id": "2018-000123",
                    "programme": "visit",
                    "kind": "household_visit",
                    "household": {"number": "41132310221701"},
                    "occurred_at": "2018-10-08T09:30:00+08:00",
                    "quantity": 1,
                    "amount_fen": 0,
                    "persons": [],
                    "details": {"purpose": "regular"},
                }
            ]
        }
    )

    source_system: ExternalName | None = Field(default=None, description="System that knows it 来源系统.")
    external_id: ExternalName | None = Field(default=None, description="Its name there 来源编号; unique in it.")

    @model_validator(mode="after")
    def _named_wholly(self) -> "ActionIn":
        if (self.source_system is None) != (self.external_id is None):
            raise unfit("reference", "source_system and external_id come together", "来源系统与来源编号须同填")
        return self


class Correction(ActionIn):
    """The whole content as it should have been, and why it changes 更正."""

    model_config = ConfigDict(json_schema_extra={"examples": []})

    reason: ShortText = Field(description="Why 更正原因.")


class Reason(BaseModel):
    """Why something is undone 原因."""

    model_config = ConfigDict(strict=True, extra="forbid", json_schema_extra={"examples": [{"reason": "重复登记"}]})

    reason: ShortText = Field(description="Why 原因.")


class Verification(BaseModel):
    """What the reviewer says 核实意见."""

    model_config = ConfigDict(strict=True, extra="forbid")

    note: ShortText | None = Field(default=None, description="Remark 备注.")


class HouseholdOut(Contract):
    """The beneficiary household as registry numbers it."""

    id: UUID
    number: str = Field(description="Household number 户编号.")
    seq: int = Field(description="32-bit number of the household.")


class PersonOut(Contract):
    """A beneficiary person as registry numbers it."""

    id: UUID
    number: str = Field(description="Person number 人编号.")


class ActorOut(Contract):
    """Who did it."""

    id: UUID


class ActionOut(Contract):
    """One version of an action 帮扶行动. Path and sector are as of the day it happened, and stay so."""

    id: UUID
    version: int = Field(ge=1)
    status: Literal["recorded", "revoked"] = Field(description="recorded 已登记, revoked 已撤销. May be extended.")
    source_system: str | None
    external_id: str | None
    programme: str
    programme_class: ProgrammeClass = Field(alias="class")
    sector: str = Field(description="Responsible department 行业部门.")
    kind: str
    household: HouseholdOut | None
    persons: list[PersonOut]
    actor: ActorOut | None
    division: DivisionCode = Field(description="Counts for this division: the responsible village, or the place.")
    path: Path
    place: DivisionCode | None
    occurred_at: Instant
    quantity: int
    amount_fen: int = Field(description="金额(分).")
    details: dict[str, Any] = Field(description="明细.")
    first_recorded_at: Instant
    recorded_at: Instant = Field(description="When this version was recorded.")
    verified_at: Instant | None = Field(description="When a reviewer verified it 核实时间; null after a correction.")


class VersionOut(BaseModel):
    """One entry of an action's history 变更记录."""

    version: int
    verb: Literal["recorded", "corrected", "revoked", "verified"]
    recorded_at: Instant
    changed_by: UUID = Field(description="API key or submission source that made it.")
    reason: str | None = Field(description="Why 原因.")
    action: ActionOut


class VersionsOut(BaseModel):
    """All versions, oldest first."""

    items: list[VersionOut]

"""HTTP shapes of moves: people who come into a household, households that split or merge."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from services.registry.freetext import FreeText
from services.registry.households.numbers import Number
from services.registry.households.rules import Relation
from services.registry.households.schemas import MAX_MEMBERS, HouseholdDetail, RelationChange
from shared.contracts.household import Standing
from shared.http.fields import Day, Division


class HouseholdRef(BaseModel):
    """A household of the register."""

    model_config = ConfigDict(strict=True, extra="forbid")

    number: Number = Field(description="Household number 户编号.")


class Joining(BaseModel):
    """Somebody comes into a household."""

    model_config = ConfigDict(strict=True, extra="forbid")

    household: HouseholdRef = Field(description="The household joined 转入户.")
    relation: Relation = Field(description="Relation to its head 与户主关系.")
    effective_on: Day | None = Field(default=None, description="First day there 生效日期; default today.")


class MemberTransfer(Joining):
    """A member goes to another household 人员转户."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "household": {"number": "41132300000001"},
                    "relation": "daughter_in_law",
                    "effective_on": "2018-10-01",
                    "reason": "婚嫁",
                }
            ]
        },
    )

    reason: FreeText = Field(description="Why 转户原因.")


class HouseholdSplit(BaseModel):
    """Members make a household of their own 分户."""

    model_config = ConfigDict(
        strict=True,
        extra="forbid",
        json_schema_extra={
            "examples": [
                {
                    "members": [{"member": "01932c5e-4b3a-7c11-8f7a-3f4f6f2f9a10", "relation": "head"}],
                    "effective_on": "2018-10-01",
                    "reason": "成家分户",
                }
            ]
        },
    )

    members: Annotated[list[RelationChange], Field(min_length=1, max_length=MAX_MEMBERS)] = Field(
        description="Who goes, and their relation to the new head, who is one of them 新户成员."
    )
    village: Division | None = Field(
        default=None, description="Responsible village 责任村; default: the same on every day."
    )
    standing: Standing | None = Field(default=None, description="Standing 状态; default: the same.")
    effective_on: Day | None = Field(default=None, description="First day of the new household; default today.")
    reason: FreeText = Field(description="Why 分户原因.")


class HouseholdMerger(BaseModel):
    """A whole household joins another one 并户."""

    model_config = ConfigDict(
        strict=True,
        extra="forbid",
        json_schema_extra={
            "examples": [
                {
                    "into": {"number": "41132300000001"},
                    "relations": [{"member": "01932c5e-4b3a-7c11-8f7a-3f4f6f2f9a10", "relation": "father"}],
                    "effective_on": "2018-10-01",
                    "reason": "随子女生活",
                }
            ]
        },
    )

    into: HouseholdRef = Field(description="The household joined 并入户.")
    relations: Annotated[list[RelationChange], Field(min_length=1, max_length=MAX_MEMBERS)] = Field(
        description="Every member's relation to its head 与户主关系."
    )
    effective_on: Day | None = Field(default=None, description="First day there 生效日期; default today.")
    reason: FreeText = Field(description="Why 并户原因.")


class MovedOut(BaseModel):
    """What became of both households."""

    left: HouseholdDetail = Field(description="The household left 原户.")
    joined: HouseholdDetail = Field(description="The household joined 转入户.")

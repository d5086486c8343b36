"""HTTP shapes of persons without a household."""

from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from services.registry.checks.schemas import FindingOut
from services.registry.freetext import FreeText
from services.registry.households.moves_schemas import Joining
from services.registry.households.rules import Relation
from services.registry.households.schemas import (
    Given,
    HouseholdDetail,
    PersonChanges,
    PersonFields,
    PersonShown,
)
from shared.contracts.base import Instant
from shared.contracts.division import Path
from shared.http.fields import Day, Division


class PersonIn(PersonFields):
    """A person to register without a household 登记无户人员."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "name": "测试丙",
                    "village": "411323102217",
                    "sex": "male",
                    "birth_date": "1950-02-03",
                    "employable": "lost",
                    "registered_on": "2018-05-01",
                }
            ]
        },
    )

    village: Division = Field(description="Village the person belongs to 所在村.")
    registered_on: Day | None = Field(default=None, description="Since when 登记日期; default today.")


class PersonPatch(PersonChanges):
    """What changes about a person without a household; what is not named stays."""

    village: Given[Division] = Field(default=None, description="New village 所在村.")
    effective_on: Day | None = Field(
        default=None, description="Day from which status or village change 生效日期; default today."
    )


class Placement(Joining):
    """A person comes into a household 落户."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "household": {"number": "41132300000001"},
                    "relation": "other",
                    "effective_on": "2018-10-01",
                    "reason": "落户",
                }
            ]
        },
    )

    reason: FreeText = Field(description="Why 落户原因.")


class Departure(BaseModel):
    """A member leaves a household for none 离户."""

    model_config = ConfigDict(
        strict=True,
        extra="forbid",
        json_schema_extra={"examples": [{"effective_on": "2018-10-01", "reason": "离户独居"}]},
    )

    village: Division | None = Field(
        default=None, description="Village 所在村; default: that of the household on that day."
    )
    effective_on: Day | None = Field(default=None, description="First day without a household; default today.")
    reason: FreeText = Field(description="Why 离户原因.")


class Membership(BaseModel):
    """Whose member a person is."""

    household: str = Field(description="Household number 户编号.")
    household_id: UUID
    relation: Relation = Field(description="Relation to the head 与户主关系.")


class PersonOut(PersonShown):
    """A person, masked 人员."""

    village: str = Field(description="Village of the person, or of the household 所在村.")
    path: Path = Field(description="Divisions above it, of the latest state.")
    member_of: Membership | None = Field(description="Household 所在户; null: none.")
    since: Day = Field(description="In this household, or without one, since this day.")
    until: Day | None = Field(description="First day of no longer: deceased, moved away, or off the register.")
    changed_at: Instant
    findings: list[FindingOut] | None = Field(
        description="What the rules find 疑点, with pointers into the person; null for a member, whose household has "
        "them, and for who is gone."
    )


class DepartedOut(BaseModel):
    """What became of the household and of who left it."""

    household: HouseholdDetail = Field(description="The household left 原户.")
    person: PersonOut = Field(description="The person, now without a household 离户人员.")

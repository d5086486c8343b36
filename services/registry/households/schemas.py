"""HTTP shapes of households and members. What is shown of identity data is masked."""

from typing import Annotated, Literal
from uuid import UUID

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, model_validator
from pydantic_core import PydanticCustomError

from services.registry.households.rules import Relation, Sex, normalised_id_number
from shared.contracts.base import Instant
from shared.contracts.division import Path
from shared.contracts.household import HouseholdState, Standing
from shared.http.fields import Day, Division, ExternalName, Name, ShortText

_STRICT = ConfigDict(strict=True, extra="forbid", frozen=True)
MAX_MEMBERS = 50

Cause = Literal[
    "illness", "disability", "schooling", "disaster", "lack_of_land", "lack_of_water", "lack_of_skills",
    "lack_of_labour", "lack_of_funds", "poor_transport", "lack_of_motivation", "other",
]  # fmt: skip
"""主要致贫原因 AAC007 01 to 11 and 99 in this order (domain.md 1.1)."""
Welfare = Literal["none", "dibao", "tekun", "dibao_and_tekun"]
Employable = Literal["full", "partial", "lost", "none"]
Number = Annotated[str, StringConstraints(pattern=r"^[0-9]{14}$")]
IdNumber = Annotated[str, StringConstraints(min_length=15, max_length=40), AfterValidator(normalised_id_number)]
Phone = Annotated[str, StringConstraints(pattern=r"^1[0-9]{10}$")]


class MemberIn(BaseModel):
    """A member of a household 家庭成员."""

    model_config = _STRICT

    number: Number | None = Field(default=None, description="Person number 人编号; issued when not given.")
    name: Name = Field(description="Name 姓名; encrypted.")
    relation: Relation = Field(description="Relation to the head 与户主关系.")
    id_number: IdNumber | None = Field(default=None, description="Citizen ID number 公民身份号码; encrypted.")
    sex: Sex | None = Field(default=None, description="Sex 性别; taken from the ID number when there is one.")
    birth_date: Day | None = Field(default=None, description="Day of birth 出生日期; as with sex.")
    employable: Employable = Field(default="none", description="Labour ability 劳动能力: full, partial, lost, none.")
    in_school: bool = Field(default=False, description="In school 在校.")
    disability_level: int | None = Field(default=None, ge=1, le=4, description="Disability level 残疾等级, 1 worst.")
    phone: Phone | None = Field(default=None, description="Mobile phone 手机; encrypted.")

    @model_validator(mode="after")
    def _born(self) -> "MemberIn":
        if self.id_number is None and (self.sex is None or self.birth_date is None):
            raise PydanticCustomError("identity", "without an ID number, sex and birth_date are needed")
        return self


class HouseholdIn(BaseModel):
    """A household to register 登记农户."""

    model_config = ConfigDict(
        strict=True,
        extra="forbid",
        frozen=True,
        json_schema_extra={
            "examples": [
                {
                    "village": "411323102217",
                    "standing": "poor",
                    "registered_on": "2014-05-01",
                    "cause": "illness",
                    "welfare": "none",
                    "members": [
                        {
                            "name": "测试甲",
                            "relation": "head",
                            "sex": "male",
                            "birth_date": "1968-03-12",
                            "employable": "partial",
                        }
                    ],
                }
            ]
        },
    )

    number: Number | None = Field(default=None, description="Household number 户编号; issued when not given.")
    source_system: ExternalName | None = Field(default=None, description="System that knows it 来源系统.")
    external_id: ExternalName | None = Field(default=None, description="Its name there 来源编号.")
    village: Division = Field(description="Responsible village 责任村.")
    standing: Standing = Field(
        description="poor 未脱贫, pre_exit 预脱贫, exited_supported 已脱贫(享受政策), exited 已脱贫(不再享受政策), "
        "relapsed 返贫, ordinary 一般农户, welfare_only 仅享受社会救助"
    )
    registered_on: Day | None = Field(default=None, description="Since when 登记日期; default today.")
    cause: Cause | None = Field(default=None, description="Main cause of poverty 主要致贫原因.")
    welfare: Welfare = Field(default="none", description="Welfare category 社会救助类别.")
    members: Annotated[list[MemberIn], Field(min_length=1, max_length=MAX_MEMBERS)]

    @model_validator(mode="after")
    def _named_wholly(self) -> "HouseholdIn":
        if (self.source_system is None) != (self.external_id is None):
            raise PydanticCustomError("reference", "source_system and external_id come together")
        return self


class HouseholdPatch(BaseModel):
    """What changes, from which day on, and why; what is not named stays."""

    model_config = ConfigDict(
        strict=True,
        extra="forbid",
        json_schema_extra={
            "examples": [{"standing": "pre_exit", "effective_on": "2018-10-01", "reason": "年度动态管理"}]
        },
    )

    village: Division | None = Field(default=None, description="New responsible village 责任村.")
    standing: Standing | None = Field(default=None, description="New standing 状态.")
    cause: Cause | None = Field(default=None, description="Main cause of poverty 主要致贫原因.")
    welfare: Welfare | None = Field(default=None, description="Welfare category 社会救助类别.")
    effective_on: Day | None = Field(default=None, description="From which day 生效日期; default today.")
    reason: ShortText = Field(description="Why 变更原因.")


class Deregistration(BaseModel):
    """Taking a household off the register 注销."""

    model_config = ConfigDict(
        strict=True,
        extra="forbid",
        json_schema_extra={"examples": [{"effective_on": "2018-10-01", "reason": "整户迁出"}]},
    )

    effective_on: Day | None = Field(default=None, description="First day it is no longer registered; default today.")
    reason: ShortText = Field(description="Why 注销原因.")


class MemberPatch(BaseModel):
    """What changes about a member."""

    model_config = _STRICT

    employable: Employable | None = None
    in_school: bool | None = None
    disability_level: int | None = Field(default=None, ge=1, le=4)
    phone: Phone | None = Field(default=None, description="Mobile phone 手机; encrypted.")
    status: Literal["active", "deceased", "moved_away"] | None = Field(default=None, description="Status 生存状态.")
    effective_on: Day | None = Field(default=None, description="Day of a change of status; default today.")


class MemberOut(BaseModel):
    """A member, masked."""

    id: UUID
    number: str = Field(description="Person number 人编号.")
    version: int
    status: Literal["active", "deceased", "moved_away", "deregistered", "erased"]
    relation: Relation
    name: str = Field(description="Name, masked 姓名(脱敏).", examples=["张*丰"])
    id_number: str | None = Field(description="ID number, masked 身份号码(脱敏).", examples=["4***************34"])
    phone: str | None = Field(description="Phone, masked 手机(脱敏).", examples=["138****0000"])
    sex: Sex
    birth_year: int
    employable: Employable
    in_school: bool
    disability_level: int | None
    joined_on: Day
    left_on: Day | None


class HouseholdOut(BaseModel):
    """A household of the register 农户."""

    id: UUID
    number: str = Field(description="Household number 户编号.")
    seq: int = Field(description="32-bit number of the household.")
    version: int
    status: Literal["active", "deregistered", "erased"]
    source_system: str | None
    external_id: str | None
    village: str = Field(description="Responsible village 责任村.")
    path: Path = Field(description="Divisions above it, of the latest state.")
    standing: Standing = Field(description="Latest standing 状态. May be extended.")
    cause: Cause | None
    welfare: Welfare
    timeline: list[HouseholdState] = Field(description="Dated states 历次状态, oldest first.")
    valid_to: Day | None = Field(description="First day it is no longer registered.")
    head: str | None = Field(description="Name of the head, masked 户主(脱敏).")
    people: int = Field(description="Members present 人口.")
    changed_at: Instant


class HouseholdDetail(HouseholdOut):
    """A household with its members."""

    members: list[MemberOut]


class RowError(BaseModel):
    """What is wrong with one row."""

    row: int
    column: str
    code: str
    message: str
    severity: Literal["error", "warning"] = "error"


class Counts(BaseModel):
    """Rows by outcome."""

    received: int
    created: int
    updated: int = 0
    unchanged: int = 0
    rejected: int


class ImportReport(BaseModel):
    """What became of an import 导入报告."""

    status: Literal["completed", "rejected"] = Field(description="rejected: nothing was written.")
    mode: Literal["all", "each"]
    dry_run: bool
    counts: Counts
    errors: list[RowError]

"""HTTP shapes of households and members. What is shown of identity data is masked."""

from typing import Annotated, Any, Literal, Self, TypeVar
from uuid import UUID

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator
from pydantic.json_schema import SkipJsonSchema

from services.registry.checks.schemas import FindingOut
from services.registry.codes.rules import Welfare
from services.registry.freetext import FreeText
from services.registry.households.attributes import Cause, HouseholdAttributes, PersonAttributes
from services.registry.households.incomes import IncomeOut, Incomes
from services.registry.households.monitoring import Monitoring
from services.registry.households.numbers import BankCard, DisabilityNumber, IdNumber, Number, Phone
from services.registry.households.records import HouseholdStatus, PersonStatus
from services.registry.households.rules import Employable, Relation, Sex
from shared.contracts.base import Instant
from shared.contracts.division import Path
from shared.contracts.household import HouseholdEvent, HouseholdState, Standing
from shared.errors import unfit
from shared.http.fields import Day, Division, ExternalName, Id, Name

MAX_MEMBERS = 50
T = TypeVar("T")


def _refuse_null(value: object) -> object:
    if value is None:
        raise unfit("null", "cannot be taken away", "不能清空")
    return value


Given = Annotated[T | SkipJsonSchema[None], BeforeValidator(_refuse_null)]
"""Of a patch: may be left out, which changes nothing, but cannot be null."""


class PersonFields(BaseModel):
    """What is told of anybody who is registered 人员."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    number: Number | None = Field(default=None, description="Person number 人编号; issued when not given.")
    name: Name = Field(description="Name 姓名; encrypted.")
    id_number: IdNumber | None = Field(default=None, description="Citizen ID number 公民身份号码; encrypted.")
    sex: Sex | None = Field(default=None, description="Sex 性别; taken from the ID number when there is one.")
    birth_date: Day | None = Field(default=None, description="Day of birth 出生日期; as with sex.")
    employable: Employable = Field(
        default="none",
        description="Labour ability 劳动能力: full (技能劳动力 02: with the attribute `skilled`), partial, lost, none.",
    )
    in_school: bool | None = Field(default=None, description="In school 在校; default: as `schooling` says, else no.")
    disability_level: int | None = Field(default=None, ge=1, le=4, description="Disability level 残疾等级, 1 worst.")
    phone: Phone | None = Field(default=None, description="Mobile phone 手机; encrypted.")
    disability_number: DisabilityNumber | None = Field(
        default=None, description="Number of the disability card 残疾人证号, 20 or 22 characters; encrypted."
    )
    bank_card: BankCard | None = Field(default=None, description="Bank card for benefits 惠农一卡通账号; encrypted.")
    attributes: PersonAttributes = PersonAttributes()

    @model_validator(mode="after")
    def _born(self) -> Self:
        if self.id_number is None and (self.sex is None or self.birth_date is None):
            raise unfit(
                "identity", "without an ID number, sex and birth_date are needed", "无身份证号码须填性别和出生日期"
            )
        return self


class MemberIn(PersonFields):
    """A member of a household 家庭成员."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "name": "测试乙",
                    "relation": "spouse",
                    "sex": "female",
                    "birth_date": "1970-06-01",
                    "employable": "full",
                }
            ]
        },
    )

    relation: Relation = Field(description="Relation to the head 与户主关系.")
    joined_on: Day | None = Field(
        default=None,
        description="Member since 加入日期, not before the registration or the birth; default: the later of them.",
    )


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
    cause: Cause | None = Field(
        default=None,
        description="Main cause of poverty 主要致贫原因: illness 因病, disability 因残, schooling 因学, disaster 因灾, "
        "lack_of_land 缺土地, lack_of_water 缺水, lack_of_skills 缺技术, lack_of_labour 缺劳力, lack_of_funds 缺资金, "
        "poor_transport 交通条件落后, lack_of_motivation 自身发展动力不足, other 其他",
    )
    welfare: Welfare = Field(
        default="none", description="Welfare category 社会救助类别 from the first day on: dibao 低保, tekun 特困."
    )
    attributes: HouseholdAttributes = HouseholdAttributes()
    incomes: Incomes = Field(default=[], description="Incomes by year 家庭年收入.")
    members: Annotated[list[MemberIn], Field(min_length=1, max_length=MAX_MEMBERS)]

    @model_validator(mode="after")
    def _named_wholly(self) -> "HouseholdIn":
        if (self.source_system is None) != (self.external_id is None):
            raise unfit("reference", "source_system and external_id come together", "来源系统与来源编号须同填")
        return self


class RelationChange(BaseModel):
    """A member's new relation to the head."""

    model_config = ConfigDict(strict=True, extra="forbid")

    member: Id = Field(description="Member 成员.")
    relation: Relation = Field(description="Relation to the (new) head 与户主关系.")


class HouseholdPatch(BaseModel):
    """What changes, from which day on, and why; what is not named stays."""

    model_config = ConfigDict(
        strict=True,
        extra="forbid",
        json_schema_extra={
            "examples": [{"standing": "pre_exit", "effective_on": "2018-10-01", "reason": "年度动态管理"}]
        },
    )

    village: Given[Division] = Field(default=None, description="New responsible village 责任村.")
    standing: Given[Standing] = Field(default=None, description="New standing 状态.")
    cause: Cause | None = Field(default=None, description="Main cause of poverty 主要致贫原因; null takes it away.")
    welfare: Given[Welfare] = Field(default=None, description="New welfare category 社会救助类别.")
    attributes: Given[dict[str, Any]] = Field(
        default=None,
        description="Attributes that change, as in `POST /v1/households`, merged as RFC 7396 has it: "
        "null makes one unknown, what is not named stays 指标变更.",
    )
    relations: Annotated[list[RelationChange], Field(max_length=MAX_MEMBERS)] = Field(
        default=[], description="New relations to the head 与户主关系: naming another `head` changes the head 变更户主."
    )
    effective_on: Day | None = Field(
        default=None, description="From which day village, standing and welfare change 生效日期; default today."
    )
    reason: FreeText = Field(description="Why 变更原因.")


class Deregistration(BaseModel):
    """Taking a household off the register 注销."""

    model_config = ConfigDict(
        strict=True,
        extra="forbid",
        json_schema_extra={"examples": [{"effective_on": "2018-10-01", "reason": "整户迁出"}]},
    )

    effective_on: Day | None = Field(default=None, description="First day it is no longer registered; default today.")
    reason: FreeText = Field(description="Why 注销原因.")


class PersonChanges(BaseModel):
    """What changes about anybody; what is not named stays."""

    model_config = ConfigDict(
        strict=True,
        extra="forbid",
        json_schema_extra={"examples": [{"status": "deceased", "effective_on": "2018-10-01", "reason": "去世"}]},
    )

    name: Given[Name] = Field(default=None, description="Name 姓名; encrypted.")
    id_number: IdNumber | None = Field(default=None, description="Citizen ID number 公民身份号码; null takes it away.")
    sex: Given[Sex] = Field(default=None, description="Sex 性别; follows a new ID number.")
    birth_date: Given[Day] = Field(default=None, description="Day of birth 出生日期; follows a new ID number.")
    employable: Given[Employable] = Field(default=None, description="Labour ability 劳动能力.")
    in_school: Given[bool] = Field(default=None, description="In school 在校.")
    disability_level: int | None = Field(default=None, ge=1, le=4, description="Disability level 残疾等级; null: none.")
    phone: Phone | None = Field(default=None, description="Mobile phone 手机; encrypted; null takes it away.")
    disability_number: DisabilityNumber | None = Field(
        default=None, description="Number of the disability card 残疾人证号; encrypted; null takes it away."
    )
    bank_card: BankCard | None = Field(default=None, description="Bank card 银行卡号; encrypted; null takes it away.")
    attributes: Given[dict[str, Any]] = Field(
        default=None, description="Attributes that change, merged as RFC 7396 has it 指标变更."
    )
    status: Given[Literal["active", "deceased", "moved_away"]] = Field(default=None, description="Status 生存状态.")
    effective_on: Day | None = Field(
        default=None, description="Day of a change of status 生效日期; default today; with `active`, of a return."
    )
    reason: FreeText | None = Field(default=None, description="Why 变更原因.")


class MemberPatch(PersonChanges):
    """What changes about a member; what is not named stays."""

    relation: Given[Relation] = Field(default=None, description="Relation to the head 与户主关系.")


class PersonShown(BaseModel):
    """What is shown of anybody, masked."""

    id: UUID
    number: str = Field(description="Person number 人编号.")
    version: int
    status: PersonStatus = Field(description="Status 生存状态. May be extended.")
    name: str = Field(description="Name, masked 姓名(脱敏).", examples=["张*丰"])
    id_number: str | None = Field(description="ID number, masked 身份号码(脱敏).", examples=["4***************34"])
    phone: str | None = Field(description="Phone, masked 手机(脱敏).", examples=["138****0000"])
    sex: Sex
    birth_year: int
    employable: Employable
    in_school: bool
    disability_level: int | None
    disability_number: str | None = Field(description="Disability card, masked 残疾人证号(脱敏).")
    bank_card: str | None = Field(description="Bank card, masked 银行卡号(脱敏).", examples=["6217***********0018"])
    attributes: PersonAttributes


class MemberOut(PersonShown):
    """A member, masked."""

    relation: Relation
    joined_on: Day
    left_on: Day | None = Field(description="First day no longer a member.")


class WelfareSince(BaseModel):
    """A welfare category that holds from a day on."""

    valid_from: Day
    welfare: Welfare


class HouseholdOut(BaseModel):
    """A household of the register 农户."""

    id: UUID
    number: str = Field(description="Household number 户编号.")
    seq: int = Field(description="32-bit number of the household.")
    version: int
    status: HouseholdStatus
    source_system: str | None
    external_id: str | None
    village: str = Field(description="Responsible village 责任村.")
    path: Path = Field(description="Divisions above it, of the latest state.")
    standing: Standing = Field(description="Latest standing 状态. May be extended.")
    cause: Cause | None
    welfare: Welfare = Field(description="Latest welfare category 社会救助类别.")
    timeline: list[HouseholdState] = Field(description="Dated states 历次状态, oldest first.")
    welfare_timeline: list[WelfareSince] = Field(
        description="Dated welfare categories 历次社会救助类别, oldest first; not days of `timeline`."
    )
    valid_to: Day | None = Field(description="First day it is no longer registered.")
    head: str | None = Field(description="Name of the head, masked 户主(脱敏).")
    people: int = Field(description="Members present 人口.")
    changed_at: Instant


class HouseholdDetail(HouseholdOut):
    """A household with its members."""

    poverty_attribute: str | None = Field(
        description="贫困户属性 AAC006 of the day 当日属性; since 2019 null for `ordinary` and `welfare_only`, "
        "for which it has no code.",
        examples=["04"],
    )
    attributes: HouseholdAttributes
    incomes: list[IncomeOut] = Field(description="Incomes by year 家庭年收入, oldest first.")
    monitoring: list[Monitoring] = Field(description="Stretches of monitoring 监测情况, oldest first.")
    members: list[MemberOut]
    findings: list[FindingOut] = Field(description="What the rules find about it as it is now 疑点与退出障碍.")


class VersionOut(BaseModel):
    """One entry of a household's history 变更记录."""

    version: int
    recorded_at: Instant
    changed_by: UUID = Field(description="API key that made it.")
    reason: str | None = Field(description="Why 原因.")
    cause: Cause | None
    welfare: Welfare = Field(description="Latest welfare category 社会救助类别, as it said.")
    welfare_timeline: list[WelfareSince] = Field(description="Dated welfare categories 历次社会救助类别.")
    household: HouseholdEvent


class VersionsOut(BaseModel):
    """All versions, oldest first."""

    items: list[VersionOut]

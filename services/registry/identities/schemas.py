"""HTTP shapes of reveals, look-ups and erasures."""

from typing import Annotated, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from services.registry.codes.rules import Welfare
from services.registry.freetext import FreeText
from services.registry.households.numbers import IdNumber
from services.registry.households.persons.schemas import PersonOut
from services.registry.households.records import PersonStatus
from services.registry.households.schemas import HouseholdDetail
from shared.contracts.household import Standing
from shared.http.fields import Day

MAX_ID_NUMBERS = 1000
Purpose = Literal["verification", "benefit", "contact", "medical", "correction", "law"]
_PURPOSE = Field(
    description="What for 用途: verification 信息核实, benefit 待遇发放, contact 走访联系, medical 医疗救助, "
    "correction 数据更正, law 依法查询."
)


class RevealIn(BaseModel):
    """Why somebody's identity is to be seen."""

    model_config = ConfigDict(
        strict=True,
        extra="forbid",
        json_schema_extra={"examples": [{"purpose": "benefit", "reason": "核对惠农一卡通账号"}]},
    )

    purpose: Annotated[Purpose, _PURPOSE]
    reason: FreeText = Field(description="Why 查看原因; kept in the audit log.")


class IdentityOut(BaseModel):
    """One person's identity, in the clear 身份信息(明文)."""

    id: UUID
    number: str = Field(description="Person number 人编号.")
    name: str = Field(description="Name 姓名.")
    id_number: str | None = Field(description="ID number 公民身份号码.")
    phone: str | None = Field(description="Phone 手机.")
    disability_number: str | None = Field(description="Disability card 残疾人证号.")
    bank_card: str | None = Field(description="Bank card 银行卡号.")
    birth_date: Day = Field(description="Day of birth 出生日期.")


class LookupIn(BaseModel):
    """Persons to look up, and what for."""

    model_config = ConfigDict(
        strict=True,
        extra="forbid",
        json_schema_extra={"examples": [{"purpose": "medical", "id_numbers": ["411399196803120018"]}]},
    )

    purpose: Annotated[Purpose, _PURPOSE]
    reason: FreeText | None = Field(default=None, description="Why 查询原因; kept in the audit log.")
    id_numbers: Annotated[list[IdNumber], Field(min_length=1, max_length=MAX_ID_NUMBERS)] = Field(
        description="ID numbers 公民身份号码, up to 1,000."
    )


class PersonFound(BaseModel):
    """What the register says of one ID number; unknown ones and those of other divisions look alike."""

    found: bool
    person: str | None = Field(description="Person number 人编号.")
    household: str | None = Field(description="Household number 户编号; null: belongs to none.")
    name: str | None = Field(description="Name, masked 姓名(脱敏).", examples=["张*丰"])
    id_number: str | None = Field(description="ID number, masked 身份号码(脱敏).", examples=["4***************34"])
    status: PersonStatus | None = Field(description="Status 生存状态.")
    standing: Standing | None = Field(description="Standing of the household 状态; null: has none.")
    welfare: Welfare | None = Field(description="Welfare category 社会救助类别.")


class LookupOut(BaseModel):
    """The answers, in the order asked."""

    id: UUID = Field(description="Names this look-up in the audit log 查询编号.")
    items: list[PersonFound]


class ExpiryIn(BaseModel):
    """Whose retention is over, and why they are erased."""

    model_config = ConfigDict(
        strict=True,
        extra="forbid",
        json_schema_extra={"examples": [{"deregistered_before": "2018-01-01", "reason": "保存期届满"}]},
    )

    deregistered_before: Day = Field(description="Who left the register before this day 注销日期早于.")
    reason: FreeText = Field(description="Why 删除原因; kept in the history and the audit log.")


_AUDIT_ENTRIES = Field(
    description="Entries of the audit log, by `id`, whose reason names who was erased: they are sealed and never "
    "changed, so deal by hand with who reads them 仍载有姓名的审计记录(不可更改,请人工处理). Elsewhere such free text "
    "has lost the name: reasons in the history of the household, notes and titles in decisions on it."
)


class ErasedMemberOut(HouseholdDetail):
    """The household, one of whose members has no identity any more."""

    audit_entries: Annotated[list[UUID], _AUDIT_ENTRIES]


class ErasedPersonOut(PersonOut):
    """A person who has no identity any more."""

    audit_entries: Annotated[list[UUID], _AUDIT_ENTRIES]


class ExpiryOut(BaseModel):
    """What was erased."""

    households: int
    persons: int
    more: bool = Field(description="Some are left: call again.")
    audit_entries: Annotated[list[UUID], _AUDIT_ENTRIES]


class ErasureIn(BaseModel):
    """Why somebody's identity is to be destroyed."""

    model_config = ConfigDict(
        strict=True, extra="forbid", json_schema_extra={"examples": [{"reason": "注销满五年,保存期届满"}]}
    )

    reason: FreeText = Field(description="Why 删除原因; kept in the history and the audit log.")

"""HTTP shapes of divisions."""

from typing import Annotated, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from services.registry.freetext import FreeText
from shared.contracts.base import Instant
from shared.contracts.division import (
    Designation,
    DesignationKind,
    DivisionEvent,
    FormerName,
    FormerParent,
    Level,
    ManagingUnit,
    Path,
)
from shared.http.fields import Day, Division, Name

_STRICT = ConfigDict(strict=True, extra="forbid")


class DivisionOut(BaseModel):
    """A division 行政区划 with what holds on the day asked about."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "code": "411323102217",
                    "name": "下营村委会",
                    "level": "village",
                    "parent": "411323102000",
                    "version": 1,
                    "valid_from": "2010-01-01",
                    "valid_to": None,
                    "sort_order": 2731,
                    "source": "NBS 2023",
                    "managing_units": [],
                    "designations": [],
                    "former_names": [],
                    "former_parents": [],
                    "successor": None,
                    "origin": None,
                    "path": None,
                }
            ]
        }
    )

    code: str = Field(description="Division code 行政区划代码.")
    version: int
    name: str = Field(description="Name 名称 on the day, as published.")
    level: Level = Field(description="city 市, county 县级, township 乡级, village 村级.")
    parent: str | None = Field(description="Code of the division above on the day 上级.")
    valid_from: Day
    valid_to: Day | None = Field(description="First day it is no longer valid.")
    sort_order: int = Field(description="Official order 排序.")
    source: str = Field(description="Edition of the codes, or `local`.")
    managing_units: list[ManagingUnit] = Field(description="Who runs it 管理单位, dated; default: its county.")
    designations: list[Designation] = Field(description="Designations 认定, dated.")
    former_names: list[FormerName] = Field(description="Names before the newest 曾用名, oldest first.")
    former_parents: list[FormerParent] = Field(description="Divisions it lay below before 原上级, oldest first.")
    successor: str | None = Field(description="The division it went into when it ended 并入区划.")
    origin: str | None = Field(description="The division it was cut out of 析出自.")
    path: Path | None = Field(description="Divisions above it on the day; null at city level or when not valid then.")


class DivisionIn(BaseModel):
    """A division to add, such as a local unit without a national code."""

    model_config = ConfigDict(
        strict=True,
        extra="forbid",
        json_schema_extra={
            "examples": [
                {
                    "code": "411323102098",
                    "name": "下营社区",
                    "level": "village",
                    "parent": "411323102000",
                    "valid_from": "2018-10-08",
                    "sort_order": 2731,
                }
            ]
        },
    )

    code: Division
    name: Name
    level: Literal["county", "township", "village"]
    parent: Division
    valid_from: Day
    sort_order: int = Field(ge=0, le=2_000_000_000)


class DesignationIn(BaseModel):
    """A designation to give 认定."""

    model_config = ConfigDict(
        strict=True,
        extra="forbid",
        json_schema_extra={"examples": [{"kind": "poor_village", "valid_from": "2014-01-01"}]},
    )

    kind: DesignationKind = Field(description="For example poor_village 贫困村, deep_poverty_village 深度贫困村.")
    valid_from: Day


class DesignationEnd(BaseModel):
    """When a designation ends."""

    model_config = _STRICT

    valid_to: Day = Field(description="First day it no longer holds.")


_Reason = Annotated[FreeText, Field(description="Why: the approval 变更依据.", examples=["西民〔2018〕1号"])]


class _Change(BaseModel):
    """What every change of a division says.

    Examples stand at its fields, and none at its day: the documentation page fills in the day of asking, and a change
    is refused on any other.
    """

    model_config = _STRICT

    valid_from: Day = Field(description="From this day on 生效日期: today, it is entered on the day it takes effect.")
    reason: _Reason


class Handover(_Change):
    """Who runs a division from today on 变更管理单位."""

    unit: Division | None = Field(
        description="County-level unit, for whole townships; null: its county again. Villages move below a township.",
        examples=["411392000000"],
    )


class Rename(_Change):
    """Another name from a day on 更名."""

    valid_from: Day = Field(description="From this day on 生效日期; today or later.")
    name: Name = Field(description="New name 新名称.", examples=["下营新村"])


class Move(_Change):
    """Below another division from today on 改变隶属关系."""

    parent: Division = Field(description="The division above it from then on 新上级.", examples=["411323103000"])


class Ending(BaseModel):
    """The end of a division that nothing depends on 撤销."""

    model_config = _STRICT

    valid_to: Day = Field(description="First day it is no longer valid 撤销日期: today, the day it is entered.")
    reason: _Reason


class Merge(_Change):
    """One township or village goes into another 合并."""

    into: Division = Field(
        description="Division of the same level that takes everything over 并入区划.", examples=["411323102218"]
    )


class Part(BaseModel):
    """A division cut out of another 析置区划, and what goes with it."""

    model_config = _STRICT

    code: Division
    name: Name
    sort_order: int = Field(ge=0, le=2_000_000_000, description="Official order 排序.")
    divisions: list[Division] = Field(default=[], max_length=1000, description="Of a township: villages 所辖村.")
    households: list[Annotated[str, StringConstraints(pattern=r"^[0-9]{14}$")]] = Field(
        default=[], max_length=20_000, description="Of a village: household numbers 户编号."
    )


class Split(_Change):
    """New divisions out of one township or village 析置. What no part names goes to ``rest``."""

    parts: Annotated[list[Part], Field(min_length=1, max_length=50)] = Field(
        description="New divisions 新设区划.",
        examples=[[
            {"code": "411323102299", "name": "下营二村", "sort_order": 2731, "households": ["41132300000001"]}
        ]],
    )  # fmt: skip
    rest: Division = Field(
        description="Where all else goes 其余归属: the division itself, which then goes on, or one of the parts.",
        examples=["411323102217"],
    )


class DivisionVersion(BaseModel):
    """One entry of a division's history 变更记录."""

    version: int
    recorded_at: Instant
    changed_by: UUID | None = Field(description="API key that made it; null for what was loaded with the edition.")
    reason: str | None = Field(description="Why 变更依据.")
    division: DivisionEvent


class DivisionVersions(BaseModel):
    """All versions, oldest first."""

    items: list[DivisionVersion]


class DesignationLine(DesignationIn):
    """One line of a bulk designation."""

    code: Division

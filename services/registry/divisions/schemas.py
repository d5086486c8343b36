"""HTTP shapes of divisions."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from shared.contracts.division import Designation, DesignationKind, Level, ManagingUnit, Path
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
                    "path": None,
                }
            ]
        }
    )

    code: str = Field(description="Division code 行政区划代码.")
    version: int
    name: str = Field(description="Name 名称, as published.")
    level: Level = Field(description="city 市, county 县级, township 乡级, village 村级.")
    parent: str | None = Field(description="Code of the division above 上级.")
    valid_from: Day
    valid_to: Day | None = Field(description="First day it is no longer valid.")
    sort_order: int = Field(description="Official order 排序.")
    source: str = Field(description="Edition of the codes, or `local`.")
    managing_units: list[ManagingUnit] = Field(description="Who runs it 管理单位, dated; default: its county.")
    designations: list[Designation] = Field(description="Designations 认定, dated.")
    path: Path | None = Field(description="Divisions above it on the day; null at city level or when not valid then.")


class DivisionIn(BaseModel):
    """A division to add, such as a local unit without a national code."""

    model_config = _STRICT

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


class Handover(BaseModel):
    """Who runs a division from a day on."""

    model_config = _STRICT

    unit: Division | None = Field(description="County-level unit; null gives it back to its county.")
    valid_from: Day


class DesignationLine(DesignationIn):
    """One line of a bulk designation."""

    code: Division

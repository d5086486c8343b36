"""HTTP shapes of locked years."""

from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from services.registry.freetext import FreeText
from shared.http.fields import Instant


class LockIn(BaseModel):
    """Why a year is locked."""

    model_config = ConfigDict(
        strict=True, extra="forbid", json_schema_extra={"examples": [{"reason": "2018 年度数据已上报"}]}
    )

    reason: FreeText = Field(description="Why 锁定原因.")


class LockedYear(BaseModel):
    """A locked year 已锁定年度."""

    year: int
    reason: str
    locked_at: Instant
    locked_by: UUID = Field(description="API key that locked it.")


class LockedYearsOut(BaseModel):
    """Every locked year, oldest first."""

    items: list[LockedYear]

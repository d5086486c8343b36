"""HTTP shapes of keys."""

from typing import Annotated, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from shared.contracts.base import Instant
from shared.contracts.key import Role
from shared.http.fields import Division, Name
from shared.http.fields import Instant as InstantIn


class KeyIn(BaseModel):
    """A key to issue."""

    model_config = ConfigDict(
        strict=True,
        extra="forbid",
        json_schema_extra={
            "examples": [{"name": "西峡县扶贫办", "roles": ["reader", "recorder"], "divisions": ["411323000000"]}]
        },
    )

    name: Name = Field(description="Who uses it 使用者.")
    roles: Annotated[list[Role], Field(min_length=1, max_length=20)] = Field(description="What it may do 角色.")
    divisions: Annotated[list[Division], Field(min_length=1, max_length=500)] = Field(description="Where 辖区.")
    expires_at: InstantIn | None = Field(default=None, description="Until when 到期时间.")


class KeyOut(BaseModel):
    """A key without its secret."""

    id: UUID
    version: int
    prefix: str = Field(description="The part before the dot, which tells keys apart.")
    name: str
    status: Literal["active", "revoked"]
    roles: list[Role]
    divisions: list[str]
    expires_at: Instant | None


class NewKeyOut(KeyOut):
    """A key just issued."""

    key: str | None = Field(
        description="The whole key, shown this once only 仅显示一次; null where the request is repeated, or a dry run."
    )

"""HTTP shapes of the intake."""

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from shared.http.fields import Division, Name


class SourceContent(BaseModel):
    """What a source may do; a change sends the whole of it."""

    model_config = ConfigDict(strict=True, extra="forbid")

    label: Name = Field(description="Name people know it by 名称.")
    divisions: Annotated[list[Division], Field(min_length=1, max_length=100)] = Field(
        description="Division scope 辖区: where its submissions may count."
    )
    mode: Literal["live", "test"] = Field(
        default="live", description="live 正式, test 测试: checked and receipted, never counted."
    )
    status: Literal["active", "disabled"] = Field(default="active", description="active 启用, disabled 停用.")


class SourceIn(SourceContent):
    """A new submission source 报送来源."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "name": "https://fupin.xixia.example/exports",
                    "label": "西峡县扶贫信息平台",
                    "divisions": ["411323000000"],
                    "mode": "test",
                }
            ]
        }
    )

    name: Annotated[str, Field(pattern=r"^[\x21-\x7e]{1,255}$")] = Field(
        description="`ce_source` of its CloudEvents, a URI reference 来源标识."
    )


class SourceOut(BaseModel):
    """A registered submission source 报送来源."""

    id: UUID
    version: int
    name: str
    label: str
    divisions: list[str]
    mode: Literal["live", "test"]
    status: Literal["active", "disabled"]
    changed_at: datetime

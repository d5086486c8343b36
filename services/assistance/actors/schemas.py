"""HTTP shapes of actors. Officials' and helpers' names and office phones are public-office data."""

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, model_validator

from shared.errors import unfit
from shared.http.fields import Division, ExternalName, Name

ActorKind = Literal["helper", "enterprise", "department", "work_team", "secretary"]


class ActorContent(BaseModel):
    """What is known of an actor; a change sends the whole of it."""

    model_config = ConfigDict(strict=True, extra="forbid")

    kind: ActorKind = Field(
        description="helper 帮扶责任人, enterprise 企业, department 部门, work_team 工作队, secretary 书记."
    )
    name: Name = Field(description="Name 姓名或名称.")
    organisation: Name | None = Field(default=None, description="Where the person works 所在单位.")
    rank: Annotated[str, Field(pattern=r"^1[0-9]{2}$")] | None = Field(
        default=None, description="Code of the official rank 职级 (131 县处正职 ... 150 科员)."
    )
    office_phone: Annotated[str, Field(pattern=r"^0[0-9]{2,3}-[0-9]{7,8}(-[0-9]{1,6})?$")] | None = Field(
        default=None, description="Office phone 办公电话, a landline: 0377-69662345. No personal phones."
    )
    division: Division = Field(description="Division it belongs to 所属行政区划.")
    status: Literal["active", "retired"] = Field(default="active", description="active 在任, retired 离任.")


class ActorIn(ActorContent):
    """A new actor 帮扶主体."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "kind": "helper",
                    "name": "李明",
                    "organisation": "西峡县水利局",
                    "rank": "150",
                    "office_phone": "0377-69662345",
                    "division": "411323000000",
                    "source_system": "county-office-411323",
                    "external_id": "cadre-0815",
                }
            ]
        }
    )

    source_system: ExternalName | None = Field(default=None, description="System that knows it 来源系统.")
    external_id: ExternalName | None = Field(default=None, description="Its name there 来源编号.")

    @model_validator(mode="after")
    def _named_wholly(self) -> "ActorIn":
        if (self.source_system is None) != (self.external_id is None):
            raise unfit("reference", "source_system and external_id come together", "来源系统与来源编号须同填")
        return self


class ActorOut(BaseModel):
    """An actor 帮扶主体."""

    id: UUID
    version: int
    status: Literal["active", "retired"]
    kind: ActorKind
    name: str
    organisation: str | None
    rank: str | None
    office_phone: str | None
    division: str
    source_system: str | None
    external_id: str | None
    changed_at: datetime

"""HTTP shapes of the catalogue."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from shared.contracts.programme import ProgrammeClass, Serves
from shared.http.fields import Code, Day, Division, Name


class RolloutIn(BaseModel):
    """A county that the programme reaches, from a day on 推广范围."""

    model_config = ConfigDict(strict=True, extra="forbid")

    division: Division
    valid_from: Day


class KindIn(BaseModel):
    """A kind of action the programme accepts 行动类型."""

    model_config = ConfigDict(strict=True, extra="forbid")

    code: Code = Field(description="Code of the kind 类型代码.")
    label_zh: Name = Field(description="Chinese name 名称.")
    unit_zh: Name = Field(default="次", description="What `quantity` counts 计量单位.")
    serves: Serves | None = Field(default=None, description="Whom it serves 服务对象; null: as its programme.")
    details_schema: dict[str, Any] = Field(
        default={"type": "object", "additionalProperties": False},
        description="JSON Schema of `details` 明细格式: an object with `additionalProperties: false`; "
        "no `$ref`, no `pattern`.",
    )


class ProgrammeContent(BaseModel):
    """What a programme says; a change sends the whole of it."""

    model_config = ConfigDict(strict=True, extra="forbid", populate_by_name=True)

    label_zh: Name = Field(description="Chinese name 项目名称.")
    programme_class: ProgrammeClass = Field(
        alias="class", description="help 帮扶, benefit 待遇, activity 活动, duty 职责. May be extended."
    )
    issuer: Division = Field(description="City or county whose policy it is 发文单位.")
    rollout: Annotated[list[RolloutIn], Field(max_length=100)] = Field(
        default=[], description="Where it applies from when 推广; empty: everywhere below the issuer."
    )
    sector: Code = Field(description="Responsible department 行业部门, see `/v1/sectors`.")
    tags: Annotated[list[str], Field(max_length=50)] = Field(
        default=[], description="Policy vocabulary 政策用语, see `/v1/taxonomy`."
    )
    serves: Serves = Field(description="household 户, person 人, village 村, township 乡镇.")
    kinds: Annotated[list[KindIn], Field(min_length=1, max_length=50)] = Field(description="Kinds of action.")
    valid_from: Day
    valid_to: Day | None = Field(default=None, description="First day it no longer holds 失效日期.")
    status: Literal["active", "retired"] = Field(default="active", description="active 有效, retired 停用.")


class ProgrammeIn(ProgrammeContent):
    """A new programme."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "code": "edible_fungi",
                    "label_zh": "食用菌产业扶贫",
                    "class": "help",
                    "issuer": "411323000000",
                    "sector": "agriculture",
                    "tags": ["battle:industry"],
                    "serves": "household",
                    "kinds": [{"code": "joined", "label_zh": "参与食用菌产业", "unit_zh": "户"}],
                    "valid_from": "2018-01-01",
                }
            ]
        }
    )

    code: Code = Field(description="Code of the programme 项目代码.")


class SectorOut(BaseModel):
    """A department that answers for policies 行业部门."""

    code: str
    label_zh: str


class SectorsOut(BaseModel):
    """All sectors, in the order tables list them."""

    items: list[SectorOut]


class TermOut(BaseModel):
    """A term of the policy vocabulary 政策用语."""

    tag: str
    group_zh: str
    label_zh: str


class TaxonomyOut(BaseModel):
    """The policy vocabulary: five batches, six precisions, four battles, six actions twice, four projects."""

    items: list[TermOut]

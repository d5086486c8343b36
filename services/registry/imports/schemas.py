"""HTTP shapes of imports."""

from typing import Annotated, Literal
from uuid import UUID

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from services.registry.households.merging import Policy
from services.registry.imports.columns import by_name
from services.registry.imports.records import Status
from services.registry.imports.values import EthnicityCodes
from services.registry.reports import ImportReport, Mode
from shared.contracts.base import Instant
from shared.errors import unfit
from shared.http.fields import ExternalName, ShortText

MAX_COLUMNS = 200


def _known(columns: dict[str, Policy]) -> dict[str, Policy]:
    if not columns.keys() <= by_name().keys():
        raise unfit("column_unknown", "not a column of the template", "不是模板中的列")
    return columns


def _known_targets(columns: dict[str, str]) -> dict[str, str]:
    if not set(columns.values()) <= {"", *by_name()}:
        raise unfit("column_unknown", "not a column of the template", "不是模板中的列")
    return columns


Policies = Annotated[dict[str, Policy], AfterValidator(_known), Field(max_length=MAX_COLUMNS)]


class ImportForm(BaseModel):
    """The fields that come with a file 导入选项."""

    model_config = ConfigDict(extra="forbid")

    kind: Literal["households"] = Field(default="households", description="What the file holds 类别.")
    mode: Mode = Field(default="all", description="all: all or nothing 全部或不写; each: the good ones 逐户.")
    dry_run: Literal["true", "false"] = Field(default="false", description="Check only; nothing is written 仅校验.")
    source: ExternalName | None = Field(
        default=None, description="System or office the file is from 来源; its saved mapping is used."
    )
    overwrite: Policy | None = Field(
        default=None,
        description="What becomes of values that the register holds otherwise 覆盖规则: never (the default) 保留, "
        "if_empty 仅补空, always 覆盖.",
    )
    overwrite_columns: Policies = Field(default={}, description="Other policies for some columns, by name 分列规则.")


class Progress(BaseModel):
    """How far an import is 进度."""

    rows: int = Field(description="Rows done 已处理行数.")
    expected_rows: int | None = Field(description="Rows the file says it has: an estimate 预计行数.")
    households: int = Field(description="Households done 已处理户数.")


class LeftStanding(BaseModel):
    """A household that could not be taken back."""

    household: UUID
    why: Literal["changed_since", "name_taken", "year_locked"] = Field(
        description="changed_since: changed after the import 导入后已变更; name_taken: its number or an ID number "
        "is another's now 编号已被占用; year_locked: an income of a year locked since would change 收入年度已锁定."
    )


class Undoing(BaseModel):
    """What became of taking an import back 撤销结果."""

    undone: int = Field(description="Households taken back 已撤销户数.")
    left: int = Field(description="Households left as they are 未能撤销户数.")
    households: list[LeftStanding] = Field(description="Those left, the first 1,000.")


class Refusal(BaseModel):
    """Why a whole file was refused 文件拒收原因."""

    column: str = Field(description="Column it is about; empty for the whole file.")
    code: str
    message: str


class ImportOut(BaseModel):
    """An import 导入任务."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "id": "01932c5e-4b3a-7c11-8f7a-3f4f6f2f9a10", "kind": "households", "status": "completed",
                    "mode": "each", "dry_run": False, "source": "西峡县扶贫办", "format": "xlsx", "header_row": 3,
                    "progress": {"rows": 7, "expected_rows": 10, "households": 3},
                    "report": {
                        "id": "01932c5e-4b3a-7c11-8f7a-3f4f6f2f9a10", "status": "completed", "mode": "each",
                        "dry_run": False,
                        "counts": {"received": 3, "created": 2, "updated": 0, "unchanged": 0, "rejected": 1},
                        "errors": [{"row": 6, "column": "身份证号码", "code": "number_as_text",
                                    "message": "以数值格式保存会丢失位数:请将该列设为文本格式后重新录入",
                                    "severity": "error"}],
                    },
                    "refusals": [], "rejected_rows": 2, "undoing": None,
                    "recorded_at": "2018-10-08T01:00:00Z", "started_at": "2018-10-08T01:00:00Z",
                    "ended_at": "2018-10-08T01:00:02Z",
                }
            ]
        }
    )  # fmt: skip

    id: UUID
    kind: Literal["households"]
    status: Status = Field(
        description="queued 排队, running 处理中, completed 完成, rejected 未写入(有错误), refused 文件拒收, "
        "undoing 撤销中, undone 已撤销. May be extended."
    )
    mode: Mode
    dry_run: bool
    source: str | None
    format: str | None = Field(description="xlsx, xls, csv or jsonl, as its content says.")
    header_row: int | None = Field(description="Row of the column names 表头行; null until read.")
    progress: Progress
    report: ImportReport | None = Field(
        description="The import report 导入报告: counts are households, `row` and `column` those of the sheet; "
        "null until the import has ended."
    )
    refusals: list[Refusal] = Field(description="Why the whole file was refused.")
    rejected_rows: int = Field(description="Rows in the rejected-rows workbook 退回行数.")
    undoing: Undoing | None
    recorded_at: Instant
    started_at: Instant | None
    ended_at: Instant | None


class MappingIn(BaseModel):
    """How the sheets of a source are read 列映射."""

    model_config = ConfigDict(
        strict=True,
        extra="forbid",
        json_schema_extra={
            "examples": [
                {"columns": {"户主电话": "phone", "内部批次": ""}, "overwrite": "if_empty",
                 "overwrite_columns": {"phone": "always"}, "ethnicity_codes": "gb"}
            ]
        },
    )  # fmt: skip

    columns: Annotated[dict[ShortText, str], AfterValidator(_known_targets), Field(max_length=MAX_COLUMNS)] = Field(
        default={}, description="Header of the sheet to name of a column; empty: not taken in 表头到字段."
    )
    overwrite: Policy = Field(default="never", description="Policy when an import states none 覆盖规则.")
    overwrite_columns: Policies = Field(default={}, description="Other policies for some columns 分列规则.")
    ethnicity_codes: EthnicityCodes | None = Field(
        default=None, description="Numbers in a column of ethnicity 民族编号: gb GB/T 3304, form_a 采集表甲."
    )


class MappingOut(MappingIn):
    """A saved mapping."""

    source: str
    version: int
    recorded_at: Instant

"""HTTP shapes of decisions and exit tests."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue

from services.registry.freetext import FreeText
from services.registry.households.attributes import Cause
from services.registry.households.incomes import Year
from services.registry.standing.evidence import CountySurvey, VillageEvidence
from services.registry.standing.exit_tests import Check, Result, Value
from services.registry.standing.records import Decision, Evidence
from services.registry.standing.rules import Level
from shared.contracts.standing import DecisionKind, MonitoringCategory, StepCode
from shared.errors import Language
from shared.http.fields import Day, Division

Documents = list[Evidence]


def _example(**content: JsonValue) -> ConfigDict:
    return ConfigDict(strict=True, extra="forbid", json_schema_extra={"examples": [content]})


class ActIn(BaseModel):
    """Something done to a decision, when, and what it rests on."""

    on: Day | None = Field(default=None, description="Day it was done 办理日期; default today.")
    note: FreeText | None = Field(default=None, description="Note 说明; name nobody.")


class DocumentedIn(ActIn):
    """With documents."""

    evidence: Documents = Field(default=[], max_length=20, description="Documents it rests on 佐证材料.")


class Proposal(DocumentedIn):
    """A decision to open, with its first step 提出认定. Which fields go with which kind is in their descriptions."""

    model_config = _example(
        kind="exit",
        household="41132310221701",
        year=2018,
        on="2018-10-08",
        note="村两委会议评议通过",
        evidence=[{"title": "民主评议会议记录", "sha256": "0" * 64}],
    )

    kind: DecisionKind = Field(
        description="identification 贫困户识别, exit 贫困户退出, relapse 返贫, village_exit 贫困村退出, "
        "county_exit 贫困县退出, monitoring 纳入监测, monitoring_end 监测风险消除"
    )
    household: str | None = Field(
        default=None, max_length=40, description="Household id or number 农户, of kinds about one."
    )
    division: Division | None = Field(default=None, description="Of village_exit, county_exit: what exits.")
    year: Year | None = Field(
        default=None, description="Of exit: year whose income counts, and in which it takes effect 脱贫年度."
    )
    cause: Cause | None = Field(
        default=None,
        description="Of relapse: its cause 返贫原因; of identification: main cause 主要致贫原因, "
        "which the register may know already; "
        "of monitoring: main risk 主要风险.",
    )
    category: MonitoringCategory | None = Field(
        default=None,
        description="Of monitoring: unstable_exit 脱贫不稳定户, marginal 边缘易致贫户, sudden_hardship 突发严重困难户.",
    )
    village: VillageEvidence | None = Field(default=None, description="Of village_exit 村退出指标.")
    county: CountySurvey | None = Field(default=None, description="Of county_exit: what it applies with 县退出数据.")


class StepIn(DocumentedIn):
    """The next step of a decision."""

    model_config = _example(
        step="household_consent", on="2018-10-12", evidence=[{"title": "户主签字确认表", "sha256": "0" * 64}]
    )

    step: StepCode = Field(description="Which step 环节; it must be the next one.")
    county: CountySurvey | None = Field(
        default=None,
        description="Of special_assessment: what it counted 专项评估数据, which then counts instead of what the county "
        "applied with.",
    )


class ObjectionIn(DocumentedIn):
    """An objection against a decision 异议."""

    model_config = _example(on="2018-10-15", note="反映该户在县城有商品房")

    note: FreeText = Field(description="What is objected 异议内容; name nobody.")


class ResolutionIn(ActIn):
    """What became of an objection."""

    model_config = _example(outcome="dismissed", on="2018-10-16", note="经核查不属实")

    outcome: Literal["upheld", "dismissed"] = Field(description="upheld 成立: the decision ends; dismissed 不成立.")
    note: FreeText = Field(description="Findings 核查结论; name nobody.")


class WithdrawalIn(ActIn):
    """Taking a decision back."""

    model_config = _example(note="录入有误")

    note: FreeText = Field(description="Why 撤回原因; name nobody.")


class NextStep(BaseModel):
    """What comes next in a decision."""

    step: StepCode
    title: str = Field(description="Name of the step 环节名称.")
    role: str = Field(description="Role that takes it: recorder, or a reviewer with another key than the proposer's.")
    level: Level | None = Field(
        description="Level whose review it is 审核层级: the key has the whole township, county or city in its scope; "
        "null: any key of the place. What the province decides, the city enters."
    )
    not_before: Day = Field(description="First day it may carry, public notices included.")


class DecisionOut(Decision):
    """A decision and what comes next in it."""

    next: NextStep | None = Field(description="None once it has ended.")


class ReadingOut(BaseModel):
    """A value that a check looked at."""

    name: str = Field(description="JSON pointer into the household, or the name of a figure.")
    value: Value = Field(description="What it found; null: not known.")
    result: Result


class CheckOut(BaseModel):
    """One condition of an exit."""

    code: str = Field(description="Stable code of the check.", examples=["income_above_line"])
    title: str = Field(description="What must hold, in the language asked for.")
    result: Result = Field(description="passed 达标, failed 未达标, unknown 情况不明 (not passed).")
    readings: list[ReadingOut]

    @classmethod
    def of(cls, check: Check, language: Language) -> "CheckOut":
        readings = [ReadingOut(**reading._asdict()) for reading in check.readings]
        return cls(code=check.code, title=check.title.of(language), result=check.result, readings=readings)


class ExitTestOut(BaseModel):
    """Whether a household may exit 脱贫退出测评: income over the line, and the guarantees."""

    year: int
    passed: bool = Field(description="Every check is passed.")
    checks: list[CheckOut]

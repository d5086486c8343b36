"""HTTP shapes of the daily notice."""

from datetime import date

from pydantic import BaseModel, ConfigDict, Field

from services.ranking.tables.rules import Reason
from services.ranking.tables.schemas import EXACT, UnitBody
from shared.contracts.programme import Cadence


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class CountersBody(_Body):
    """What help actions add up to."""

    actions: int = Field(description="Actions 帮扶行动数.")
    households: int = Field(description="Distinct households reached 覆盖户数.")
    persons: int = Field(description="Person-times 人次.")
    amount_fen: int = Field(description="Money in fen 金额(分).")
    on_time: int = Field(description="Recorded within 24 hours 及时录入数.")
    verified: int = Field(description="Verified 已核实数.")


class RunningTaskBody(_Body):
    """What a running week, month, quarter or year asks, against the time that has passed 任务进度."""

    cadence: Cadence
    period: str
    done: str = Field(description="Done of the due, to the end of the day. " + EXACT)
    due: str = Field(description="Due over the whole period. " + EXACT)
    remaining: str = Field(description="Still to do 剩余任务. " + EXACT)
    share_done: str = Field(description="done / due 完成率. " + EXACT)
    time_progress: str = Field(description="Working days elapsed of all 时间进度. " + EXACT)
    behind: bool = Field(description="Less is done than time has passed 滞后.")


class CountyBody(_Body):
    """A county's line 县区情况."""

    unit: UnitBody
    rank: int | None = Field(description="Rank of the day 当日名次; null where not ranked.")
    score: str | None = Field(description="Score of the day 当日得分, two places.")
    reason: Reason | None = Field(description="Why it is not ranked; null where it is.")
    new: CountersBody = Field(description="New today 当日新增.")
    cumulative: CountersBody = Field(description="From 1 January to this day 本年累计.")
    tasks: list[RunningTaskBody]
    late_reports: int = Field(description="First recorded today, later than 24 hours after they happened 迟报.")


class CityBody(_Body):
    """The city's totals 全市情况."""

    name: str
    new: CountersBody
    change: CountersBody = Field(description="New today less new on the day before 较前一日增减.")
    cumulative: CountersBody
    late_reports: int


class DailyNotice(_Body):
    """The daily notice 日通报, live until it is frozen."""

    date: date
    version: str = Field(description="Changes with every change of the notice; also its ETag.")
    rule_set: str
    watermark: str | None = Field(description="`演示数据` when the data is a demonstration.")
    city: CityBody
    counties: list[CountyBody] = Field(description="In official order.")
    best: list[UnitBody] = Field(description="Best of the day 先进, ties included; empty where too few are ranked.")
    worst: list[UnitBody] = Field(description="Worst of the day 后进.")
    text: str = Field(description="The notice in words, composed from the figures; `Accept-Language: en` for English.")

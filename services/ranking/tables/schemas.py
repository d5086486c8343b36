"""HTTP shapes of league tables. Exact figures travel as strings: integers, fractions such as ``369/5``, ``87.53``."""

from datetime import date, datetime
from typing import Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from services.ranking.indicators.rule_sets import TableLevel
from services.ranking.tables.rules import Reason
from services.ranking.tables.units import PeerGroup
from shared.contracts.programme import Cadence, Metric

EXACT = "Exact figure: an integer, or a fraction such as `369/5`."


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class UnitBody(_Body):
    """A ranked unit 被评单位."""

    code: str = Field(
        description="Division code 行政区划代码, or the name of a department 行业部门.", examples=["411323000000"]
    )
    name: str = Field(examples=["西峡县"])
    peer_group: PeerGroup = Field(description="Whom it is compared with 同类组; more may be added.")


class FiguresBody(_Body):
    """Counters of the period and households as of `as_of`."""

    actions: int = Field(description="Actions counted 帮扶行动数.")
    households: int = Field(description="Distinct households reached 覆盖户数.")
    persons: int = Field(description="Person-times 人次.")
    amount_fen: int = Field(description="Money in fen 金额(分).")
    on_time: int = Field(description="Actions recorded within 24 hours 及时录入数.")
    verified: int = Field(description="Actions verified 已核实数.")
    served: int = Field(description="Households owed help 享受政策户数 (脱贫不脱政策).")
    stock: int = Field(description="Poor households 贫困存量户数.")


class TermBody(_Body):
    """One indicator's part in a score; nulls where it is not applicable (n/a)."""

    indicator: str = Field(description="Code of the indicator; see `/v1/indicators`.", examples=["completion"])
    weight: int = Field(description="Weight 权重.")
    numerator: str | None = Field(description=EXACT, examples=["31"])
    denominator: str | None = Field(description=EXACT, examples=["369/5"])
    sample: str | None = Field(
        description="What the sample is worth, up to 1; the ratio is multiplied by it.", examples=["1"]
    )
    points: str | None = Field(description="What it adds to the score, exactly.", examples=["6200/369"])


class RowBody(_Body):
    """A line of a table."""

    rank: int | None = Field(description="Rank 名次 overall; equal scores share one (1, 2, 2, 4).")
    peer_rank: int | None = Field(description="Rank within the peer group 组内名次.")
    movement: int | None = Field(
        default=None, description="Against the previous period's latest edition; null in live tables 位次变化."
    )
    unit: UnitBody
    score: str | None = Field(description="Score 综合得分, two places.", examples=["87.53"])
    deductions: str = Field(description="Points taken off 扣分, exactly.", examples=["0"])
    figures: FiguresBody
    terms: list[TermBody]


class NotRankedBody(RowBody):
    """A unit that is not ranked 不参评, and why."""

    reason: Reason = Field(description="Why; more reasons may be added.")
    reason_zh: str = Field(examples=["享受政策户数不足"])


class CellBody(_Body):
    """A department's work in one county."""

    sector: str
    unit: str = Field(description="The county's code.")
    score: str | None = Field(description="Score by the sector's composition; null where nothing applies.")
    figures: FiguresBody
    terms: list[TermBody]


class WorkingDaysBody(_Body):
    """Working days 工作日 of the period, by which a due is scaled while it runs."""

    elapsed: int = Field(description="Up to today, today included.")
    total: int
    progress: str = Field(description=EXACT, examples=["3/5"])


class LeagueTable(_Body):
    """A league table 评比排名表."""

    cadence: Cadence
    period: str = Field(description="Period id.", examples=["2018-W40"])
    level: TableLevel
    division: str | None = Field(description="Only units below this division; ranks are among them.")
    edition: Literal["live"] = Field(description="`live` until editions are issued.")
    version: str = Field(description="Changes with every change of the table; also its ETag and SSE id.")
    first_day: date
    last_day: date
    as_of: date = Field(description="Households are counted as of this day: today, or the period's last day.")
    running: bool = Field(description="The period is not over yet.")
    working_days: WorkingDaysBody
    rule_set: str = Field(examples=["2018-v1"])
    what_if: bool = Field(description="Computed with a rule set other than the one in force, on request.")
    watermark: str | None = Field(description="`演示数据` when the data is a demonstration.")
    rows: list[RowBody] = Field(description="Ranked units, best first.")
    not_ranked: list[NotRankedBody] = Field(description="Units not ranked 不参评, in official order.")
    matrix: list[CellBody] | None = Field(description="Sector tables: department by county 行业×县区.")


class TaskBody(_Body):
    """Something due 任务."""

    unit: str
    programme: str = Field(description="Programme code; `*`: every help programme.")
    metric: Metric
    done: int
    whole_due: str = Field(description="Due over the whole period. " + EXACT)
    due: str = Field(description="Due by now, which is what counts. " + EXACT)
    by_target: bool = Field(description="Set as a target; false: the rule set's default.")


class ExplainedTermBody(TermBody):
    """A term in words."""

    label_zh: str
    label_en: str
    numerator_zh: str
    numerator_en: str
    denominator_zh: str
    denominator_en: str
    ratio: str | None = Field(description="numerator / denominator x sample. " + EXACT)


class ActionBody(_Body):
    """An action behind the figures."""

    action_id: UUID
    version: int
    day: date = Field(description="The day it happened, Asia/Shanghai.")
    occurred_at: datetime
    first_recorded_at: datetime
    programme: str
    kind: str
    managing_unit: str
    household_id: UUID | None
    persons: int
    quantity: int
    amount_fen: int
    on_time: bool
    verified: bool


class Explanation(_Body):
    """A row explained to the last term, with the actions behind it."""

    cadence: Cadence
    period: str
    level: TableLevel
    version: str
    as_of: date
    rule_set: str
    watermark: str | None
    row: NotRankedBody | RowBody
    working_days: WorkingDaysBody
    min_sample: str = Field(description="Actions that make a full sample. " + EXACT)
    min_served: int
    explained: list[ExplainedTermBody]
    tasks: list[TaskBody]
    formula: str = Field(description="How the terms make the score.")
    actions: list[ActionBody] = Field(description="Within the caller's divisions only, by day and id.")
    next_cursor: str | None = Field(description="Send as `cursor` for the next page of actions.")

"""Programmes 帮扶项目 and targets 任务 as assistance publishes them."""

from datetime import date
from typing import Any, Literal
from uuid import UUID

from pydantic import Field

from shared.contracts.base import Contract, Day, DivisionCode, topic

ProgrammeClass = Literal["help", "benefit", "activity", "duty"]
Cadence = Literal["day", "week", "month", "quarter", "year"]
Metric = Literal["actions", "households", "persons", "quantity", "amount_fen"]
Serves = Literal["household", "person", "village", "township"]


class ActionKind(Contract):
    """One kind of action a programme accepts, with the JSON Schema of its details."""

    code: str
    label_zh: str
    unit_zh: str = Field(default="次", description="What ``quantity`` of such an action counts.")
    serves: Serves | None = Field(default=None, description="Whom this kind serves; null: as its programme does.")
    details_schema: dict[str, Any]


class Rollout(Contract):
    """A county that a programme reaches, from a day on (试点, 推广)."""

    division: DivisionCode
    valid_from: Day


class ProgrammeEvent(Contract):
    """A catalogue entry of a policy."""

    code: str
    version: int = Field(ge=1)
    status: Literal["active", "retired"]
    label_zh: str
    programme_class: ProgrammeClass = Field(alias="class", description="Which face it counts on 计入口径.")
    issuer: DivisionCode = Field(description="City or county whose policy it is.")
    rollout: list[Rollout] = Field(description="Where it applies from when; empty: everywhere below issuer.")
    sector: str = Field(description="Responsible department 行业部门.")
    tags: list[str] = Field(description="Policy vocabulary 政策用语, namespaced.")
    serves: Serves
    kinds: list[ActionKind]
    valid_from: Day
    valid_to: Day | None = None

    def holds_on(self, day: date) -> bool:
        return self.valid_from <= day and (self.valid_to is None or day < self.valid_to)


class TargetEvent(Contract):
    """How much is due from a unit in a period 任务数."""

    id: UUID
    version: int = Field(ge=1)
    status: Literal["active", "withdrawn"]
    unit: DivisionCode
    programme: str = Field(description="Programme code, or * for every help programme.")
    cadence: Cadence
    period: str = Field(description="Period id: 2018-10-05, 2018-W40, 2018-10, 2018-Q4, 2018.")
    metric: Metric
    due: int = Field(ge=1, description="In the metric's unit; amounts in fen.")
    deadline: Day


PROGRAMME = topic(
    "assistance.programme",
    ProgrammeEvent,
    ("published", "changed", "retired"),
    "Programme catalogue 帮扶项目目录, whole state.",
    readers=("ranking-mirror",),
)
TARGET = topic(
    "assistance.target",
    TargetEvent,
    ("set", "changed", "withdrawn"),
    "Targets 任务 set by the city.",
    readers=("ranking-mirror",),
)

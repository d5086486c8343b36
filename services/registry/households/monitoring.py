"""Monitoring 监测对象: households at risk of poverty, watched from a day on under one category. Pure.

The categories date from 2020 and 2021 and are kept only where the operator wants them (domain.md 2, "Monitoring").
"""

import json
from collections.abc import Mapping
from datetime import date
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from services.registry.households.attributes import Cause
from services.registry.households.rules import Standings
from shared.contracts.household import STOCK
from shared.contracts.standing import MonitoringCategory
from shared.http.fields import Day

LABELS: Mapping[MonitoringCategory, str] = {
    "unstable_exit": "脱贫不稳定户", "marginal": "边缘易致贫户", "sudden_hardship": "突发严重困难户"
}  # fmt: skip


class Monitoring(BaseModel):
    """Days in which a household was monitored: until another decision, until it is poor again, or off the register."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    category: MonitoringCategory = Field(
        description="unstable_exit 脱贫不稳定户, marginal 边缘易致贫户, sudden_hardship 突发严重困难户."
    )
    cause: Cause = Field(description="Main risk 主要风险, by the list of causes.")
    valid_from: Day = Field(description="Monitored since 纳入日期.")
    valid_to: Day | None = Field(default=None, description="First day no longer 风险消除日期.")
    decision_id: UUID = Field(description="Decision that began it 纳入认定.")


Monitored = tuple[Monitoring, ...]
_STORED = TypeAdapter(Monitored)


def ended(stretches: Monitored, day: date) -> Monitored:
    """With the last stretch ended on a day."""
    return (*stretches[:-1], stretches[-1].model_copy(update={"valid_to": day}))


def unless_poor(stretches: Monitored, standings: Standings) -> Monitored:
    """With none that goes on once the household counts as stock, as after a relapse 返贫: no category is for those."""
    last = standings[-1]
    return cut(stretches, last.valid_from) if last.value in STOCK else stretches


def cut(stretches: Monitored, day: date) -> Monitored:
    """With no stretch that goes beyond a day, from which on the household is off the register, or poor.

    One that began later is left without a day: none is ever taken away.
    """
    return tuple(
        each.model_copy(update={"valid_to": max(day, each.valid_from)})
        if each.valid_to is None or each.valid_to > day
        else each
        for each in stretches
    )


def as_of(stretches: Monitored, day: date) -> Monitored:
    """As they were on a day: none that began later, and those that still went on without an end."""
    return tuple(
        each.model_copy(update={"valid_to": None}) if each.valid_to is None or each.valid_to > day else each
        for each in stretches
        if each.valid_from <= day
    )


def stored(stretches: Monitored) -> str:
    """As they are kept in a column."""
    return json.dumps([each.model_dump(mode="json") for each in stretches])


def read(text: str) -> Monitored:
    """What ``stored`` wrote."""
    return _STORED.validate_json(text)

"""HTTP shapes of indicators and rule sets."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from services.ranking.indicators.library import Source
from services.ranking.indicators.rule_sets import RuleSet

State = Literal["past", "in_force", "future"]


class IndicatorBody(BaseModel):
    """A named indicator 指标."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    code: str = Field(examples=["completion"])
    label_zh: str = Field(examples=["完成率"])
    label_en: str
    numerator_zh: str = Field(description="What is counted 分子.")
    numerator_en: str
    denominator_zh: str = Field(description="Of what 分母; without it the indicator is not applicable.")
    denominator_en: str
    source: Source = Field(description="Where its figures come from; `none`: no source yet, not applicable anywhere.")


class RuleSetBody(RuleSet):
    """A rule set and where it stands."""

    version: int = Field(description="Its version; also its ETag.")
    state: State = Field(description="For a period that begins today; may be extended.")


class IndicatorList(BaseModel):
    """The library of indicators 指标库."""

    items: list[IndicatorBody]


class RuleSetList(BaseModel):
    """Every rule set, oldest first."""

    items: list[RuleSetBody]

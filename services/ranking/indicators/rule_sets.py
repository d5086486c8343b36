"""What a rule set says: weights a face, thresholds, defaults; data, dated and versioned."""

from collections.abc import Mapping
from fractions import Fraction
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, model_validator

from services.ranking.indicators.library import LIBRARY
from shared.contracts.programme import Cadence
from shared.http.fields import Day

TableLevel = Literal["county", "township", "village", "sector"]
Face = Literal["daily", "weekly", "monthly", "township_quarter", "sector"]


def _positive(text: str) -> str:
    if not 0 < Fraction(text) <= 1:
        raise ValueError("a share lies above 0 and not above 1")
    return text


Share = Annotated[
    str,
    StringConstraints(pattern=r"^[0-9]{1,6}(/[1-9][0-9]{0,5})?$"),
    AfterValidator(_positive),
    Field(description="Exact share above 0 up to 1, as an integer or a fraction.", examples=["1/2"]),
]
Weight = Annotated[int, Field(ge=1, le=100, description="Weight 权重.")]
Points = Annotated[int, Field(ge=0, le=100)]


class _Part(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


class Sample(_Part):
    """How many actions make timeliness and quality count in full: one perfect visit is no merit."""

    least: int = Field(ge=1, le=10_000, description="At least this many.")
    share_of_served: Share = Field(description="Or this share of the served households, if more.")


class Deductions(_Part):
    """Points taken off 扣分, as rates so that size does not punish."""

    overdue: Points = Field(description="Times overdue of due problems 逾期问题.")
    absent: Points = Field(description="Times absent of required days 缺岗天数.")
    cap: Points = Field(description="At most this much together.")


class Lists(_Part):
    """Best and worst 红黑榜."""

    best: int = Field(ge=1, le=50)
    worst: int = Field(ge=1, le=50)
    least_ranked: int = Field(ge=1, le=500, description="Only where at least this many are ranked.")


class RuleSet(_Part):
    """A scoring rule set 评分规则: in force for periods whose first day is not before ``valid_from``."""

    code: str = Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,39}$", description="Name of the rule set.", examples=["2018-v1"])
    valid_from: Day = Field(description="Periods that begin on this day or later.")
    title_en: str = Field(min_length=1, max_length=200)
    title_zh: str = Field(min_length=1, max_length=200)
    min_served: Mapping[TableLevel, Annotated[int, Field(ge=0, le=1_000_000)]] = Field(
        description="Units with fewer served households are not ranked 不参评."
    )
    sample: Sample
    default_completion: Mapping[Cadence, Share] = Field(
        description="Share of the served households to reach where no targets are set; no entry: not applicable."
    )
    deductions: Deductions
    lists: Lists
    compositions: Mapping[Face, Mapping[str, Weight]] = Field(description="Weights of the indicators, by face.")

    @model_validator(mode="after")
    def _complete(self) -> "RuleSet":
        if set(self.min_served) != {"county", "township", "village", "sector"}:
            raise ValueError("min_served names every level")
        if set(self.compositions) != {"daily", "weekly", "monthly", "township_quarter", "sector"}:
            raise ValueError("compositions name every face")
        for composition in self.compositions.values():
            if not composition or not set(composition) <= set(LIBRARY):
                raise ValueError("a composition names indicators of the library")
        return self

    def composition(self, level: TableLevel, cadence: Cadence) -> Mapping[str, int]:
        """The weights of a table (ranking.md, "Faces")."""
        return self.compositions[face(level, cadence)]

    def min_sample(self, served: int) -> Fraction:
        """Actions that make a sample: a share of the served households, exactly, but at least so many."""
        return max(Fraction(self.sample.least), served * Fraction(self.sample.share_of_served))


def face(level: TableLevel, cadence: Cadence) -> Face:
    """Whose composition a table uses; quarters and years without one of their own use the month's."""
    if level == "sector":
        return "sector"
    if level == "township" and cadence == "quarter":
        return "township_quarter"
    return {"day": "daily", "week": "weekly"}.get(cadence, "monthly")  # type: ignore[return-value]

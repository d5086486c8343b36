"""The score: exact rational arithmetic, rounded half up to two places once, at the end. Pure.

Score = 100 x sum(w x ratio) / sum(w with a denominator) - deductions, floor 0 (ranking.md, "Score").
"""

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from math import floor

from services.ranking.indicators.library import LIBRARY, Evidence, Indicator, Measure


@dataclass(frozen=True, slots=True)
class Term:
    """One indicator's part in a score; ``measure`` is None where it is not applicable."""

    indicator: Indicator
    weight: int
    measure: Measure | None
    points: Fraction
    """What it adds to the score, its share of the weight of n/a indicators included."""


@dataclass(frozen=True, slots=True)
class Score:
    """A unit's score, to the last term; ``exact`` is None when every indicator is n/a."""

    terms: tuple[Term, ...]
    deductions: Fraction
    exact: Fraction | None

    @property
    def hundredths(self) -> int | None:
        """The rounded score times 100: what ranks are made of."""
        return None if self.exact is None else round_half_up(self.exact * 100)


def score(composition: Mapping[str, int], evidence: Evidence) -> Score:
    """Compute a score. Overdue problems and absences have no sources yet: deductions are 0."""
    measures = [(LIBRARY[code], weight, LIBRARY[code].measure(evidence)) for code, weight in composition.items()]
    weight_in_use = sum(weight for _, weight, measure in measures if measure is not None)
    terms = tuple(
        Term(indicator, weight, measure, _points(weight, measure, weight_in_use))
        for indicator, weight, measure in measures
    )
    deductions = Fraction(0)
    if weight_in_use == 0:
        return Score(terms, deductions, None)
    total = sum((term.points for term in terms), Fraction(0))
    return Score(terms, deductions, max(Fraction(0), total - deductions))


def _points(weight: int, measure: Measure | None, weight_in_use: int) -> Fraction:
    return Fraction(0) if measure is None else 100 * weight * measure.ratio / weight_in_use


def round_half_up(value: Fraction) -> int:
    """The nearest integer, halves upwards (values here are never negative)."""
    return floor(value + Fraction(1, 2))


def two_places(hundredths: int) -> str:
    """A rounded figure as published: ``87.53``."""
    return f"{hundredths // 100}.{hundredths % 100:02}"


def exact(value: Fraction) -> str:
    """An exact figure as published: ``74`` or ``369/5``."""
    return str(value)

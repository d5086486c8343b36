"""Periods 统计周期 and their ids: 2018-10-05, 2018-W40, 2018-10, 2018-Q4, 2018 (ranking.md, "Faces")."""

import re
from calendar import monthrange
from dataclasses import dataclass
from datetime import date, timedelta
from functools import lru_cache

from shared.contracts.programme import Cadence

CADENCES: tuple[Cadence, ...] = ("day", "week", "month", "quarter", "year")
EARLIEST_YEAR, LATEST_YEAR = 2000, 2199
"""Outside these years a period is a slip of the pen: no campaign, no calendar."""

_FORMATS: dict[Cadence, re.Pattern[str]] = {
    "day": re.compile(r"(\d{4})-(\d{2})-(\d{2})", re.ASCII),
    "week": re.compile(r"(\d{4})-W(\d{2})", re.ASCII),
    "month": re.compile(r"(\d{4})-(\d{2})", re.ASCII),
    "quarter": re.compile(r"(\d{4})-Q([1-4])", re.ASCII),
    "year": re.compile(r"(\d{4})", re.ASCII),
}


@dataclass(frozen=True, slots=True)
class Period:
    """One day, ISO week (Monday first), month, quarter or year, by its first day."""

    cadence: Cadence
    first: date

    @property
    def last(self) -> date:
        """Its last day, itself included."""
        year, month = self.first.year, self.first.month
        match self.cadence:
            case "day":
                return self.first
            case "week":
                return self.first + timedelta(days=6)
            case "month":
                return date(year, month, monthrange(year, month)[1])
            case "quarter":
                return date(year, month + 2, monthrange(year, month + 2)[1])
            case "year":
                return date(year, 12, 31)

    @property
    def id(self) -> str:
        """The public name; a week carries its ISO week-year, which is not always the calendar year."""
        match self.cadence:
            case "day":
                return self.first.isoformat()
            case "week":
                year, week, _ = self.first.isocalendar()
                return f"{year:04}-W{week:02}"
            case "month":
                return f"{self.first:%Y-%m}"
            case "quarter":
                return f"{self.first.year:04}-Q{self.first.month // 3 + 1}"
            case "year":
                return f"{self.first.year:04}"

    def __contains__(self, day: date) -> bool:
        return self.first <= day <= self.last

    def quarters(self) -> list["Period"]:
        """The quarters a year is made of."""
        return [Period("quarter", date(self.first.year, month, 1)) for month in (1, 4, 7, 10)]


@lru_cache(maxsize=100_000)
def period_of(day: date, cadence: Cadence) -> Period:
    """The period of a cadence that a day lies in."""
    match cadence:
        case "day":
            return Period(cadence, day)
        case "week":
            return Period(cadence, day - timedelta(days=day.weekday()))
        case "month":
            return Period(cadence, day.replace(day=1))
        case "quarter":
            return Period(cadence, date(day.year, (day.month - 1) // 3 * 3 + 1, 1))
        case "year":
            return Period(cadence, date(day.year, 1, 1))


def parse(cadence: Cadence, text: str) -> Period:
    """The period an id names. Raises ``ValueError`` for ids of another form and for days that do not exist."""
    match = _FORMATS[cadence].fullmatch(text)
    if match is None:
        raise ValueError(f"not the id of a {cadence}")
    year, *rest = (int(part) for part in match.groups())
    if not EARLIEST_YEAR <= year <= LATEST_YEAR:
        raise ValueError("year out of range")
    match cadence:
        case "day":
            return Period(cadence, date(year, *rest))
        case "week":
            return Period(cadence, date.fromisocalendar(year, rest[0], 1))
        case "month":
            return Period(cadence, date(year, rest[0], 1))
        case "quarter":
            return Period(cadence, date(year, rest[0] * 3 - 2, 1))
        case "year":
            return Period(cadence, date(year, 1, 1))

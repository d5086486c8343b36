"""The working calendar 工作日历: public holidays and the weekends worked in exchange (调休).

``working_days.json`` holds the years whose official notice is known; in every other year Monday to Friday are
working days. A due is scaled by working days while its period runs (ranking.md, "What counts").
"""

import json
from collections.abc import Iterable
from datetime import date, timedelta
from fractions import Fraction
from functools import cache
from pathlib import Path

from services.ranking.periods.rules import Period


class WorkingCalendar:
    """Which days are worked."""

    def __init__(self, holidays: Iterable[date], working_weekends: Iterable[date]) -> None:
        self._holidays = frozenset(holidays)
        self._working_weekends = frozenset(working_weekends)

    def is_working(self, day: date) -> bool:
        if day in self._holidays:
            return False
        return day.weekday() < 5 or day in self._working_weekends

    def count(self, first: date, last: date) -> int:
        """Working days from ``first`` to ``last``, both included; 0 when ``last`` comes before."""
        days = range((last - first).days + 1)
        return sum(self.is_working(first + timedelta(days=step)) for step in days)

    def elapsed(self, period: Period, today: date) -> int:
        """Working days of the period up to today, today included."""
        return self.count(period.first, min(today, period.last))

    def progress(self, period: Period, today: date) -> Fraction:
        """The share of a due that may be asked for today.

        Working days elapsed of all while the period runs, 1 once it is over; 0 while a period without any
        working day runs (the week of National Day).
        """
        if today > period.last:
            return Fraction(1)
        total = self.count(period.first, period.last)
        return Fraction(self.elapsed(period, today), total) if total else Fraction(0)


@cache
def official_calendar() -> WorkingCalendar:
    """The calendar of ``working_days.json``, read at first use."""
    data = json.loads((Path(__file__).parent / "working_days.json").read_text("utf-8"))
    holidays: set[date] = set()
    for first, last in data["holidays"]:
        start, end = date.fromisoformat(first), date.fromisoformat(last)
        holidays.update(start + timedelta(days=step) for step in range((end - start).days + 1))
    return WorkingCalendar(holidays, map(date.fromisoformat, data["working_weekends"]))

"""Periods, their ids and the working calendar."""

from datetime import date, timedelta
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.ranking.periods.calendar import WorkingCalendar, official_calendar
from services.ranking.periods.rules import CADENCES, Period, parse, period_of
from shared.contracts.programme import Cadence

IDS: list[tuple[Cadence, str, date, date]] = [
    ("day", "2018-10-05", date(2018, 10, 5), date(2018, 10, 5)),
    ("week", "2018-W40", date(2018, 10, 1), date(2018, 10, 7)),
    ("week", "2020-W53", date(2020, 12, 28), date(2021, 1, 3)),
    ("week", "2019-W01", date(2018, 12, 31), date(2019, 1, 6)),
    ("month", "2018-10", date(2018, 10, 1), date(2018, 10, 31)),
    ("month", "2020-02", date(2020, 2, 1), date(2020, 2, 29)),
    ("quarter", "2018-Q4", date(2018, 10, 1), date(2018, 12, 31)),
    ("quarter", "2019-Q1", date(2019, 1, 1), date(2019, 3, 31)),
    ("year", "2018", date(2018, 1, 1), date(2018, 12, 31)),
]


@pytest.mark.parametrize(("cadence", "text", "first", "last"), IDS)
def test_ids(cadence: Cadence, text: str, first: date, last: date) -> None:
    period = parse(cadence, text)
    assert (period.first, period.last, period.id) == (first, last, text)


@pytest.mark.parametrize(
    ("cadence", "text"),
    [
        ("day", "2018-02-30"), ("day", "2018-2-3"), ("day", "0000-00-00"), ("day", "2018-W40"), ("day", "٢٠١٨-10-05"),
        ("week", "2018-W53"), ("week", "2018-W00"), ("week", "2018-w40"), ("week", "2018-W4"), ("month", "2018-13"),
        ("month", "2018-00"), ("quarter", "2018-Q5"), ("quarter", "2018-Q0"), ("year", "18"), ("year", "1999"),
        ("year", "9999"), ("year", ""), ("month", "2018-10\n"),
    ],
)  # fmt: skip
def test_ids_that_are_none(cadence: Cadence, text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse(cadence, text)


@given(st.dates(date(2000, 1, 1), date(2198, 12, 31)), st.sampled_from(CADENCES))
def test_a_day_lies_in_its_period_and_in_no_other(day: date, cadence: Cadence) -> None:
    period = period_of(day, cadence)
    assert day in period
    assert parse(cadence, period.id) == period
    assert period_of(period.first - timedelta(days=1), cadence) != period
    assert period_of(period.last + timedelta(days=1), cadence).first == period.last + timedelta(days=1)


def test_quarters_make_the_year() -> None:
    quarters = parse("year", "2018").quarters()
    assert [quarter.id for quarter in quarters] == ["2018-Q1", "2018-Q2", "2018-Q3", "2018-Q4"]
    assert quarters[-1].last == date(2018, 12, 31)


def test_official_calendar() -> None:
    calendar = official_calendar()
    assert not any(calendar.is_working(date(2018, 10, day)) for day in range(1, 8)), "National Day"
    assert calendar.is_working(date(2018, 9, 29)), "a Saturday worked in exchange"
    assert calendar.is_working(date(2018, 9, 30)), "a Sunday worked in exchange"
    assert not calendar.is_working(date(2026, 2, 16)), "Spring Festival, a Monday"
    assert calendar.is_working(date(2026, 2, 28)), "a Saturday worked in exchange"
    assert calendar.is_working(date(2031, 10, 1)), "no notice yet: by the weekday"
    assert [calendar.count(date(year, 1, 1), date(year, 12, 31)) for year in (2018, 2019, 2026)] == [250, 250, 248]


@pytest.mark.parametrize(
    ("text", "today", "elapsed", "progress"),
    [
        ("2018-W41", date(2018, 10, 10), 3, Fraction(3, 5)),  # Wednesday
        ("2018-W41", date(2018, 10, 14), 5, Fraction(1)),  # Sunday: nothing is left to wait for
        ("2018-W41", date(2018, 10, 15), 5, Fraction(1)),
        ("2018-W41", date(2018, 10, 7), 0, Fraction(0)),  # not begun
        ("2018-W40", date(2018, 10, 3), 0, Fraction(0)),  # no working day at all: nothing may be asked for yet
        ("2018-W40", date(2018, 10, 8), 0, Fraction(1)),  # over: the whole
    ],
)
def test_progress(text: str, today: date, elapsed: int, progress: Fraction) -> None:
    period = parse("week", text)
    assert official_calendar().elapsed(period, today) == elapsed
    assert official_calendar().progress(period, today) == progress


def test_a_calendar_of_ones_own() -> None:
    monday, saturday = date(2018, 10, 8), date(2018, 10, 13)
    calendar = WorkingCalendar(holidays=[monday], working_weekends=[saturday])
    assert calendar.count(monday, saturday) == 5
    assert Period("day", monday) != Period("week", monday)

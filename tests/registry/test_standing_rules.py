"""What exits are measured by, as pure rules: windows, lines, checks; dated data."""

from datetime import date
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from services.registry.checks.catalogue import notes
from services.registry.checks.rules import Facts, MemberFacts, pointer_of
from services.registry.households.attributes import HouseholdAttributes, PersonAttributes
from services.registry.households.incomes import Income
from services.registry.standing.evidence import CountySurvey
from services.registry.standing.exit_tests import county_checks, failing, household_checks
from services.registry.standing.rules import PROCEDURES
from services.registry.standing.settings import StandingSettings

LINE = 299_500
DAY = date(2018, 12, 1)


def facts(income: Income | None, attributes: dict[str, object], *members: dict[str, object], age: int = 50) -> Facts:
    return Facts(
        day=DAY,
        standing="poor",
        welfare="none",
        cause="illness",
        attributes=HouseholdAttributes.model_validate(attributes),
        incomes=[] if income is None else [income],
        members=[
            MemberFacts(
                pointer=pointer_of(place),
                relation="head" if place == 0 else "other",
                sex="male",
                birth_date=date(DAY.year - age, 1, 1),
                id_number=None,
                phone=None,
                disability_number=None,
                employable="full",
                in_school=False,
                disability_level=None,
                attributes=PersonAttributes.model_validate(member),
            )
            for place, member in enumerate(members)
        ],
    )


def results(of: Facts, line_fen: int | None = LINE) -> dict[str, str]:
    return {check.code: check.result for check in household_checks(of, 2018, line_fen)}


@pytest.mark.parametrize(
    ("net", "people", "result"),
    [(299_500, 1, "failed"), (299_501, 1, "passed"), (3 * 299_500, 3, "failed"), (3 * 299_500 + 1, 3, "passed")],
)
def test_income_must_be_above_the_line_not_rounded_onto_it(net: int, people: int, result: str) -> None:
    assert results(facts(Income(year=2018, people=people, wages_fen=net), {}))["income_above_line"] == result


def test_what_is_not_known_is_not_passed() -> None:
    assert set(results(facts(None, {}, {}, age=10)).values()) == {"unknown"}
    earned = Income(year=2018, people=1, wages_fen=10**9)
    assert results(facts(earned, {}, {}), None)["income_above_line"] == "unknown"
    assert results(facts(None, {}, {}))["compulsory_schooling"] == "passed"


_MAYBE = st.sampled_from([None, True, False])


@given(
    danger=st.sampled_from([None, "none", "grade_c", "grade_d"]), safe=_MAYBE, resident=_MAYBE, employee=_MAYBE,
    left=_MAYBE, age=st.integers(0, 80),
)  # fmt: skip
def test_no_exit_passes_what_the_catalogue_blocks(
    danger: str | None, safe: bool | None, resident: bool | None, employee: bool | None, left: bool | None, age: int
) -> None:
    insurance = {"resident_medical": resident, "employee_medical": employee}
    of = facts(
        Income(year=2018, people=1, wages_fen=10**6),
        {"housing": {"danger": danger}, "water": {"safe": safe}},
        {"insurance": insurance, "dropped_out": left},
        age=age,
    )
    blocked = {each.rule.code for each in notes(of) if each.rule.severity == "exit_blocker"}
    failed = {code for code, result in results(of).items() if result == "failed"}
    names = {
        "dangerous_housing": "safe_housing", "unsafe_water": "safe_water", "not_insured": "medical_insurance",
        "dropped_out": "compulsory_schooling",
    }  # fmt: skip
    assert {names[code] for code in blocked} == failed


@given(poor=st.integers(0, 3000), missed=st.integers(0, 100), wrong=st.integers(0, 100))
def test_the_rates_of_a_county_are_exact(poor: int, missed: int, wrong: int) -> None:
    survey = CountySurvey(
        rural_population=100_000, unregistered_people=70_000, exited_people=20_000, surveyed_unregistered=3000,
        missed=missed, surveyed_exited=700, wrongly_exited=wrong, asked=3, satisfied=3,
        income_growth_bp=1, province_income_growth_bp=0, services_near_mean=True,
    )  # fmt: skip
    thresholds = StandingSettings().standards.on(DAY)
    checks = county_checks(survey, poor, poor_villages=10, exited_villages=9, thresholds=thresholds)
    incidence = Fraction(poor * 3000 * 700 + missed * 70_000 * 700 + wrong * 20_000 * 3000, 3000 * 700 * 100_000)
    expected = {
        "incidence": incidence >= Fraction(1, 50), "missed": missed >= 60, "wrongly_exited": wrong >= 14,
    }  # fmt: skip
    assert {check.code for check in failing(checks)} == {code for code, fails in expected.items() if fails}


def test_lines_are_data_and_the_higher_one_counts() -> None:
    assert StandingSettings().standards.line_fen(2018) == LINE
    raised = StandingSettings.load({"BANGFU_REGISTRY_EXIT_LINES": "2018=3400,2017=1000,2021=5000"}).standards
    assert [raised.line_fen(year) for year in (2017, 2018, 2021, 2022)] == [295_200, 340_000, 500_000, None]


_TURN = "11-01..02-29, 06-01..06-01"


@pytest.mark.parametrize(
    ("windows", "day", "today", "holds"),
    [
        ("", date(2018, 5, 1), date(2018, 5, 2), True),
        ("09-01..12-31", date(2018, 9, 1), date(2018, 12, 31), True),
        ("09-01..12-31", date(2018, 8, 31), date(2018, 9, 1), False),
        ("09-01..12-31", date(2018, 9, 1), date(2019, 1, 1), False),
        ("09-01..12-31", date(2018, 9, 1), date(2019, 9, 1), False),
        (_TURN, date(2018, 11, 1), date(2019, 1, 15), True),
        (_TURN, date(2019, 1, 15), date(2019, 2, 28), True),
        (_TURN, date(2019, 1, 15), date(2019, 11, 1), False),
        (_TURN, date(2019, 6, 1), date(2019, 6, 1), True),
        (_TURN, date(2019, 1, 15), date(2019, 6, 1), False),
        (_TURN, date(2019, 3, 1), date(2019, 3, 1), False),
    ],
)
def test_a_day_and_today_lie_in_one_stretch_of_a_window(windows: str, day: date, today: date, holds: bool) -> None:
    """Which may run over the turn of the year."""
    assert StandingSettings.load({"BANGFU_REGISTRY_WINDOWS": windows}).open_for(day, today) is holds


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("WINDOWS", "09-01"), ("WINDOWS", "02-30..03-01"), ("EXIT_LINES", "2018:3400"), ("NOTICE_DAYS", "0"),
        ("STANDING_BY_DECISION", "maybe"),
    ],
)  # fmt: skip
def test_settings_that_cannot_be_read_stop_the_start(name: str, value: str) -> None:
    with pytest.raises(ValidationError):
        StandingSettings.load({f"BANGFU_REGISTRY_{name}": value})


def test_every_procedure_has_a_notice_and_a_review() -> None:
    for steps in PROCEDURES.values():
        assert any(step.notice for step in steps[:-1])
        assert any(step.role == "reviewer" for step in steps)
        assert steps[0].role == "recorder"

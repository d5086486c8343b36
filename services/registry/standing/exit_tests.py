"""The tests of an exit: household 一超过两不愁三保障, village, county (domain.md 2). Pure.

Every check has a stable code, its result and what it read. What is not known is not passed.
"""

from collections.abc import Iterable, Iterator
from datetime import date
from fractions import Fraction
from typing import Literal, NamedTuple

from services.registry.checks.rules import Facts, MemberFacts
from services.registry.households.incomes import Income
from services.registry.standing.evidence import CountySurvey, VillageEvidence
from services.registry.standing.standards import Thresholds
from shared.errors import Fault, Text

Result = Literal["passed", "failed", "unknown"]
Value = bool | int | str | None
COMPULSORY_AGES = range(6, 16)
"""Nine years of schooling from the sixth birthday on (义务教育法, articles 2 and 11)."""


class Reading(NamedTuple):
    """A value that a check looked at, and what it says."""

    name: str
    """JSON pointer into the household, or the name of a figure."""
    value: Value
    result: Result


class Check(NamedTuple):
    """One condition of an exit."""

    code: str
    title: Text
    readings: tuple[Reading, ...]

    @property
    def result(self) -> Result:
        """Failed where anything failed, else unknown where anything is unknown."""
        results = {reading.result for reading in self.readings}
        return "failed" if "failed" in results else "unknown" if "unknown" in results else "passed"

    def fault(self, pointer: str) -> Fault:
        """As what stands in the way of an exit."""
        if self.result == "unknown":
            return Fault(pointer, self.code, Text(f"not known: {self.title.en}", f"情况不明:{self.title.zh}"))
        return Fault(pointer, self.code, Text(f"not so: {self.title.en}", f"未达标:{self.title.zh}"))


def failing(checks: Iterable[Check]) -> list[Check]:
    """The checks that are not passed."""
    return [check for check in checks if check.result != "passed"]


def household_checks(facts: Facts, year: int, line_fen: int | None) -> list[Check]:
    """Income of a year above its line, and the guarantees 三保障 with safe water."""
    return [
        Check(
            "income_above_line",
            Text("net income per head is above the line of the year", "人均纯收入稳定超过当年标准"),
            tuple(_income(facts, year, line_fen)),
        ),
        Check("safe_housing", Text("the house is safe", "住房安全有保障"), (_housing(facts),)),
        Check(
            "safe_water",
            Text("the water is safe", "饮水安全有保障"),
            (Reading("/attributes/water/safe", facts.attributes.water.safe, _known(facts.attributes.water.safe)),),
        ),
        Check(
            "medical_insurance",
            Text("every member has basic medical insurance", "家庭成员均参加基本医疗保险"),
            tuple(reading for member in facts.members for reading in _insurance(member)),
        ),
        Check(
            "compulsory_schooling",
            Text("nobody left compulsory schooling", "义务教育阶段无辍学"),
            tuple(_schooling(member, facts.day) for member in facts.members),
        ),
    ]


def _known(value: bool | None) -> Result:
    return "unknown" if value is None else "passed" if value else "failed"


def _income(facts: Facts, year: int, line_fen: int | None) -> Iterator[Reading]:
    income = next((entry for entry in facts.incomes if entry.year == year), None)
    yield Reading("line_fen", line_fen, "unknown" if line_fen is None else "passed")
    if income is None:
        yield Reading("per_capita_fen", None, "unknown")
    elif line_fen is not None:
        shared = _shared(facts, income)
        above = shared.net_fen > line_fen * shared.people  # the share itself is rounded to the fen
        yield Reading("people", shared.people, _known(above))
        yield Reading("per_capita_fen", shared.per_capita_fen, _known(above))


def _shared(facts: Facts, income: Income) -> Income:
    """The income as shared by everybody the household had when the year ended, or by more if more are stated.

    家庭人口 AAC017 is what the register knows (domain.md 1.2): nobody exits by members left out of the statement.
    """
    members = facts.people_on(facts.last_day(income.year))
    return income.model_copy(update={"people": max(members, income.people)})


def _housing(facts: Facts) -> Reading:
    danger = facts.attributes.housing.danger
    return Reading("/attributes/housing/danger", danger, _known(None if danger is None else danger == "none"))


def _insurance(member: MemberFacts) -> Iterator[Reading]:
    held = member.attributes.insurance
    kinds = {"resident_medical": held.resident_medical, "employee_medical": held.employee_medical}
    insured = True if any(kinds.values()) else held.resident_medical  # without a job, employees' is not told
    for kind, value in kinds.items():
        yield Reading(f"{member.pointer}/attributes/insurance/{kind}", value, _known(insured))


def _schooling(member: MemberFacts, day: date) -> Reading:
    left = member.attributes.dropped_out
    at_school = True if member.in_school or member.age(day) not in COMPULSORY_AGES else None
    return Reading(f"{member.pointer}/attributes/dropped_out", left, _known(at_school if left is None else not left))


def village_checks(
    evidence: VillageEvidence, poor_people: int, thresholds: Thresholds, *, rural_people: int | None = None
) -> list[Check]:
    """Incidence of the village below the threshold, and the facilities that must be there.

    Where the register has a rural population, as ``rural_people``, it counts instead of the one stated.
    """
    rural = rural_people or evidence.rural_population
    return [
        _share(
            "incidence",
            Text("incidence of poverty is below the threshold", "贫困发生率低于标准"),
            {"poor_people": poor_people, "rural_population": rural},
            Fraction(poor_people, rural),
            below=thresholds.village_incidence_below,
        ),
        *(
            Check(code, title, (Reading(f"/village/{code}", value, _known(value)),))
            for code, title, value in evidence.facilities()
        ),
    ]


def county_checks(
    survey: CountySurvey,
    poor_people: int,
    *,
    poor_villages: int,
    exited_villages: int,
    thresholds: Thresholds,
    rural_people: int | None = None,
) -> list[Check]:
    """The four rates 三率一度 of the special assessment, the poor villages that exited, incomes and services.

    Where the register has a rural population, as ``rural_people``, it counts instead of the one stated.
    """
    rural = rural_people or survey.rural_population
    poor = poor_people + _missed(survey) * survey.unregistered_people + _wrong(survey) * survey.exited_people
    return [
        _share(
            "incidence",
            Text("comprehensive incidence is below the threshold", "综合贫困发生率低于标准"),
            {
                "poor_people": poor_people,
                "unregistered_people": survey.unregistered_people,
                "exited_people": survey.exited_people,
                "rural_population": rural,
            },
            poor / rural,
            below=thresholds.county_incidence_below,
        ),
        *_assessed(survey, thresholds),
        _share(
            "poor_villages_exited",
            Text("nearly all poor villages exited", "贫困村退出比例达标"),
            {"exited_villages": exited_villages, "poor_villages": poor_villages},
            Fraction(exited_villages, poor_villages) if poor_villages else Fraction(1),
            at_least=thresholds.poor_villages_exited_at_least,
        ),
        _growth(survey),
        Check(
            "public_services",
            Text("main public services are near the mean", "基本公共服务主要领域指标接近平均水平"),
            (Reading("/county/services_near_mean", survey.services_near_mean, _known(survey.services_near_mean)),),
        ),
    ]


def _missed(survey: CountySurvey) -> Fraction:
    """漏评率."""
    return Fraction(survey.missed, survey.surveyed_unregistered)


def _wrong(survey: CountySurvey) -> Fraction:
    """错退率."""
    return Fraction(survey.wrongly_exited, survey.surveyed_exited)


def _assessed(survey: CountySurvey, thresholds: Thresholds) -> list[Check]:
    """What the special assessment 专项评估检查 found among those it asked."""
    return [
        _share(
            "missed",
            Text("few poor people were missed", "漏评率低于标准"),
            {"missed": survey.missed, "surveyed_unregistered": survey.surveyed_unregistered},
            _missed(survey),
            below=thresholds.missed_below,
        ),
        _share(
            "wrongly_exited",
            Text("few people exited wrongly", "错退率低于标准"),
            {"wrongly_exited": survey.wrongly_exited, "surveyed_exited": survey.surveyed_exited},
            _wrong(survey),
            below=thresholds.wrongly_exited_below,
        ),
        _share(
            "approval",
            Text("the people approve", "群众认可度达标"),
            {"satisfied": survey.satisfied, "asked": survey.asked},
            Fraction(survey.satisfied, survey.asked),
            at_least=thresholds.approval_at_least,
        ),
    ]


def _growth(survey: CountySurvey) -> Check:
    own, province = survey.income_growth_bp, survey.province_income_growth_bp
    result = _known(None if own is None or province is None else own > province)
    return Check(
        "income_growth",
        Text("rural incomes grow faster than the province's", "农民人均可支配收入增幅高于全省平均水平"),
        (
            Reading("/county/income_growth_bp", own, result),
            Reading("/county/province_income_growth_bp", province, result),
        ),
    )


def _share(
    code: str, title: Text, read: dict[str, int], share: Fraction, *, below: int = 0, at_least: int = 0
) -> Check:
    """A check of an exact share against a percentage, told with the figures it was made of."""
    result = _known(share < Fraction(below, 100) if below else share >= Fraction(at_least, 100))
    return Check(code, title, tuple(Reading(name, value, result) for name, value in read.items()))

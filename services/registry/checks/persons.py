"""School, insurance and work of members 教育、医保、务工."""

from collections.abc import Iterator

from services.registry.checks.rules import YUAN, Facts, Rule, rule
from services.registry.households.attributes import PersonAttributes

_UNKNOWN = PersonAttributes()


@rule(
    "education_and_schooling", "error", "either education or a grade of school", "文化程度与在校生状况只能填一项",
    "members.attributes.education", "members.attributes.schooling",
)  # fmt: skip
def education_and_schooling(facts: Facts) -> Iterator[str]:
    for member in facts.members:
        if member.attributes.education is not None and member.attributes.schooling not in (None, "none"):
            yield f"{member.pointer}/attributes/schooling"


@rule(
    "schooling_differs", "error", "differs from in_school", "与是否在校不符",
    "members.in_school", "members.attributes.schooling",
)  # fmt: skip
def schooling_differs(facts: Facts) -> Iterator[str]:
    for member in facts.members:
        grade = member.attributes.schooling
        if grade is not None and (grade != "none") != member.in_school:
            yield f"{member.pointer}/attributes/schooling"


@rule(
    "education_missing", "warning", "attributes without education or a grade of school", "文化程度与在校生状况均未填",
    "members.attributes.education", "members.attributes.schooling",
)  # fmt: skip
def education_missing(facts: Facts) -> Iterator[str]:
    for member in facts.members:
        known = member.attributes
        if known.education is None and known.schooling in (None, "none") and known != _UNKNOWN:
            yield f"{member.pointer}/attributes/education"


@rule(
    "two_medical_insurances", "error", "insured as a resident and as an employee", "居民医保与职工医保不能同时参加",
    "members.attributes.insurance",
)  # fmt: skip
def two_medical_insurances(facts: Facts) -> Iterator[str]:
    for member in facts.members:
        insurance = member.attributes.insurance
        if insurance.resident_medical and insurance.employee_medical:
            yield f"{member.pointer}/attributes/insurance"


@rule(
    "work_incomplete", "error", "place and months of work go together", "务工地点与务工时间须同时填写",
    "members.attributes.work",
)  # fmt: skip
def work_incomplete(facts: Facts) -> Iterator[str]:
    for member in facts.members:
        work = member.attributes.work
        if (work.place is not None) != (work.months > 0):
            yield f"{member.pointer}/attributes/work"


@rule(
    "healthy_without_labour", "warning", "healthy, of working age, not in school, but not able to work",
    "健康、劳动年龄、非在校,却无劳动能力",
    "members.attributes.health", "members.birth_date", "members.in_school", "members.employable",
)  # fmt: skip
def healthy_without_labour(facts: Facts) -> Iterator[str]:
    for member in facts.members:
        able = member.employable == "full" or member.in_school or member.attributes.health != ["healthy"]
        if not able and 16 <= member.age(facts.day) <= 59:
            yield f"{member.pointer}/employable"


@rule(
    "works_without_labour", "warning", "works away from home without being able to work", "无劳动能力者外出务工",
    "members.attributes.work", "members.employable",
)  # fmt: skip
def works_without_labour(facts: Facts) -> Iterator[str]:
    for member in facts.members:
        if member.attributes.work.months > 0 and member.employable in ("lost", "none"):
            yield f"{member.pointer}/attributes/work"


@rule(
    "pay_unusual", "warning", "monthly pay outside 100 to 30,000 yuan", "务工月收入不在 100 至 30000 元之间",
    "members.attributes.work",
)  # fmt: skip
def pay_unusual(facts: Facts) -> Iterator[str]:
    for member in facts.members:
        pay, months = member.attributes.work.monthly_fen, member.attributes.work.months
        without_work = pay == 0 and months == 0  # as forms have it of those who stay at home
        if pay is not None and not without_work and not 100 * YUAN <= pay <= 30_000 * YUAN:
            yield f"{member.pointer}/attributes/work/monthly_fen"


@rule(
    "disability_incomplete", "warning", "disabled, but without a level", "健康状况为残疾但未填残疾等级",
    "members.attributes.health", "members.disability_level",
)  # fmt: skip
def disability_incomplete(facts: Facts) -> Iterator[str]:
    for member in facts.members:
        if "disabled" in member.attributes.health and member.disability_level is None:
            yield f"{member.pointer}/disability_level"


RULES: tuple[Rule, ...] = (
    education_and_schooling,
    schooling_differs,
    education_missing,
    two_medical_insurances,
    work_incomplete,
    healthy_without_labour,
    works_without_labour,
    pay_unusual,
    disability_incomplete,
)

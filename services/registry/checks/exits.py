"""What stands in the way of an exit 退出障碍 (domain.md 1.5 and 2)."""

from collections.abc import Iterator

from services.registry.checks.rules import Facts, Rule, rule

_STANDARD = "贫困户退出标准(两不愁三保障)"


@rule("dangerous_housing", "exit_blocker", "the house is dangerous", "住房为危房", "attributes.housing.danger",
       source=_STANDARD)  # fmt: skip
def dangerous_housing(facts: Facts) -> Iterator[str]:
    if facts.attributes.housing.danger in ("grade_c", "grade_d"):
        yield "/attributes/housing/danger"


@rule("unsafe_water", "exit_blocker", "the water is not safe", "饮水不安全", "attributes.water.safe",
       source=_STANDARD)  # fmt: skip
def unsafe_water(facts: Facts) -> Iterator[str]:
    if facts.attributes.water.safe is False:
        yield "/attributes/water/safe"


@rule("not_insured", "exit_blocker", "without medical insurance", "未参加基本医疗保险", "members.attributes.insurance",
       source=_STANDARD)  # fmt: skip
def not_insured(facts: Facts) -> Iterator[str]:
    for member in facts.members:
        insurance = member.attributes.insurance
        if insurance.resident_medical is False and not insurance.employee_medical:
            yield f"{member.pointer}/attributes/insurance"


@rule("dropped_out", "exit_blocker", "left compulsory schooling", "义务教育阶段辍学", "members.attributes.dropped_out",
       source=_STANDARD)  # fmt: skip
def dropped_out(facts: Facts) -> Iterator[str]:
    for member in facts.members:
        if member.attributes.dropped_out:
            yield f"{member.pointer}/attributes/dropped_out"


RULES: tuple[Rule, ...] = (
    dangerous_housing,
    unsafe_water,
    not_insured,
    dropped_out,
)

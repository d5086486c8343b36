"""The household and its income 家庭情况与收入."""

from collections.abc import Iterator
from datetime import date

from services.registry.checks.rules import YUAN, Facts, Rule, rule
from services.registry.households.incomes import Income
from shared.contracts.household import STOCK


def _incomes(facts: Facts) -> Iterator[tuple[str, Income]]:
    for position, income in enumerate(facts.incomes):
        yield f"/incomes/{position}", income


@rule("cause_missing", "warning", "poor, but without a main cause", "贫困户未填主要致贫原因", "standing", "cause",
       source="建档立卡指标 AAC007")  # fmt: skip
def cause_missing(facts: Facts) -> Iterator[str]:
    if facts.standing in STOCK and facts.cause is None:
        yield "/cause"


@rule("cause_twice", "error", "the main cause is named again", "其他致贫原因与主要致贫原因重复", "cause",
       "attributes.other_causes", source="建档立卡指标 AAC007、AAC008")  # fmt: skip
def cause_twice(facts: Facts) -> Iterator[str]:
    if facts.cause is not None and facts.cause in facts.attributes.other_causes:
        yield "/attributes/other_causes"


@rule("returned_land", "warning", "more returned land than forest and pasture", "退耕还林面积大于林地与牧草地面积之和",
       "attributes.land")  # fmt: skip
def returned_land(facts: Facts) -> Iterator[str]:
    land = facts.attributes.land
    if land.returned is not None and land.returned > (land.forest or 0) + (land.pasture or 0):
        yield "/attributes/land/returned"


@rule("far_from_road", "warning", "further than 5 km from the main road", "距主干路超过 5 公里", "attributes.road")
def far_from_road(facts: Facts) -> Iterator[str]:
    distance = facts.attributes.road.distance_km
    if distance is not None and distance > 5:
        yield "/attributes/road/distance_km"


@rule("business_without_costs", "warning", "business income without costs", "有生产经营性收入而无支出", "incomes")
def business_without_costs(facts: Facts) -> Iterator[str]:
    for pointer, income in _incomes(facts):
        if income.business_fen > 0 and income.business_costs_fen == 0:
            yield f"{pointer}/business_costs_fen"


@rule(
    "ecological_without_land", "warning", "ecological compensation without returned land",
    "有生态补偿金而无退耕还林面积",
    "incomes", "attributes.land.returned",
)  # fmt: skip
def ecological_without_land(facts: Facts) -> Iterator[str]:
    for pointer, income in _incomes(facts):
        if income.transfers.ecological_fen > 0 and not facts.attributes.land.returned:
            yield f"{pointer}/transfers/ecological_fen"


_LEAST = {"dibao_fen": 200, "family_planning_fen": 100, "pension_fen": 88, "tekun_fen": 200}
"""Yuan a year; a smaller amount, if not nothing, was probably entered in another unit."""


@rule(
    "transfer_too_small", "warning", "smaller than such a grant can be in a year", "补助金额低于常见年度标准", "incomes"
)
def transfer_too_small(facts: Facts) -> Iterator[str]:
    for pointer, income in _incomes(facts):
        for name, least in _LEAST.items():
            if 0 < getattr(income.transfers, name) < least * YUAN:
                yield f"{pointer}/transfers/{name}"


@rule(
    "wages_unusual",
    "warning",
    "wages outside 300 to 300,000 yuan a year",
    "工资性收入不在 300 至 300000 元之间",
    "incomes",
)
def wages_unusual(facts: Facts) -> Iterator[str]:
    for pointer, income in _incomes(facts):
        if income.wages_fen and not 300 * YUAN <= income.wages_fen <= 300_000 * YUAN:
            yield f"{pointer}/wages_fen"


@rule(
    "people_differ", "warning", "not as many as its members of that year", "与该年度家庭成员人数不符",
    "incomes", "members", source="建档立卡指标 AAC017",
)  # fmt: skip
def people_differ(facts: Facts) -> Iterator[str]:
    """Members come and go: as many as it had on any day of the year."""
    for pointer, income in _incomes(facts):
        first, last = date(income.year, 1, 1), facts.last_day(income.year)
        changes = (day for stay in facts.stays for day in (stay.joined_on, stay.left_on) if day is not None)
        counts = {facts.people_on(day) for day in (first, last, *changes) if first <= day <= last} - {0}
        if counts and not min(counts) <= income.people <= max(counts):
            yield f"{pointer}/people"


RULES: tuple[Rule, ...] = (
    cause_missing,
    cause_twice,
    returned_land,
    far_from_road,
    business_without_costs,
    ecological_without_land,
    transfer_too_small,
    wages_unusual,
    people_differ,
)

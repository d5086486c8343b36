"""Whether a household, village or county may take the way a decision proposes: read from the register as it is."""

from collections.abc import Sequence
from datetime import date

from services.registry.context import Registry, within
from services.registry.households.changing import changeable
from services.registry.households.facts import facts_of
from services.registry.households.records import Household
from services.registry.standing import exit_tests, rules
from services.registry.standing.evidence import CountySurvey, VillageEvidence
from services.registry.standing.exit_tests import Check
from services.registry.statistics import reading as statistics
from shared import errors
from shared.auth import Caller
from shared.contracts.division import DesignationKind, DivisionEvent, DivisionTree, Path
from shared.contracts.standing import DecisionKind, MonitoringCategory
from shared.db import Pg
from shared.errors import fault

POOR_VILLAGE: tuple[DesignationKind, ...] = ("poor_village", "deep_poverty_village")
POOR_COUNTY: tuple[DesignationKind, ...] = ("national_poverty_county", "provincial_poverty_county")


def household_test(registry: Registry, household: Household, year: int, day: date) -> list[Check]:
    """The exit test of a household as it is now, by the line of a year."""
    line_fen = registry.standing.standards.line_fen(year)
    return exit_tests.household_checks(facts_of(household, day), year, line_fen)


def check_household(
    registry: Registry,
    household: Household,
    kind: DecisionKind,
    day: date,
    year: int | None,
    category: MonitoringCategory | None,
) -> None:
    """Raises 409 for one off the register, 422 where its standing does not fit or its exit test fails."""
    changeable(household)
    if kind == "monitoring_end":
        _check_monitored(household, day)
        return
    last = household.standings[-1]
    if last.value not in (rules.FROM[kind] if category is None else rules.MONITORED[category][0]):
        raise errors.invalid(fault("/household", "standing_unfit", "its standing does not fit", "该户状态不符"))
    if last.valid_from > day:
        raise errors.invalid(fault("/on", "standing_later", "its standing changed later", "该户状态在此日后已变更"))
    if category is not None:
        _check_unmonitored(household, category, day)
    if kind == "exit" and year is not None:
        _refuse_failing(household_test(registry, household, year, day), "/household")


def _check_unmonitored(household: Household, category: MonitoringCategory, day: date) -> None:
    first = rules.MONITORED[category][1]
    if day < first:
        raise errors.invalid(fault("/on", "category_later", f"none before {first}", f"该类别自 {first} 起实行"))
    if any(each.valid_to is None or each.valid_to > max(day, each.valid_from) for each in household.monitoring):
        raise errors.invalid(fault("/household", "monitored_already", "monitored already", "该户已纳入监测"))


def _check_monitored(household: Household, day: date) -> None:
    last = household.monitoring[-1] if household.monitoring else None
    if last is None or last.valid_to is not None:
        raise errors.invalid(fault("/household", "not_monitored", "it is not monitored", "该户未纳入监测"))
    if last.valid_from >= day:
        raise errors.invalid(fault("/on", "monitored_later", "monitored only later", "该户在此日后才纳入监测"))


def _refuse_failing(checks: Sequence[Check], pointer: str) -> None:
    """Raises 422 with every check that is not passed."""
    faults = [check.fault(pointer) for check in exit_tests.failing(checks)]
    if faults:
        raise errors.invalid(*faults)


def located(tree: DivisionTree, caller: Caller, kind: DecisionKind, code: str, day: date) -> tuple[DivisionEvent, Path]:
    """The village or county that is to exit, poor on the day. Raises 422."""
    division, path = tree.get(code), tree.path(code, day)
    level = "village" if kind == "village_exit" else "county"
    if division is None or path is None or division.level != level or not within(caller, tree, code, day):
        raise errors.invalid(fault("/division", "division_unknown", "no such division of yours", "辖区内无此区划"))
    if not held(division, POOR_VILLAGE[:1] if kind == "village_exit" else POOR_COUNTY, day):
        raise errors.invalid(fault("/division", "not_designated", "it is not designated poor", "不属于贫困村或贫困县"))
    return division, path


async def check_division(
    pg: Pg,
    registry: Registry,
    tree: DivisionTree,
    code: str,
    day: date,
    *,
    village: VillageEvidence | None,
    county: CountySurvey | None,
) -> None:
    """Raises 422 where the exit test of a village or county fails, by the evidence stated for it."""
    if village is not None:
        _refuse_failing(await _village_test(pg, registry, tree, code, village, day), "/village")
    if county is not None:
        _refuse_failing(await _county_test(pg, registry, tree, code, county, day), "/county")


def held(division: DivisionEvent, kinds: Sequence[DesignationKind], day: date) -> list[DesignationKind]:
    """Which of these designations hold on a day."""
    return [kind for kind in kinds if division.designated(kind, day)]


async def _village_test(
    pg: Pg, registry: Registry, tree: DivisionTree, code: str, evidence: VillageEvidence, day: date
) -> list[Check]:
    """The exit test of a village on a day."""
    return exit_tests.village_checks(
        evidence,
        await statistics.stock_people(pg, tree, code, day),
        registry.standing.standards.on(day),
        rural_people=await statistics.rural_people(pg, tree, code, day),
    )


async def _county_test(
    pg: Pg, registry: Registry, tree: DivisionTree, code: str, survey: CountySurvey, day: date
) -> list[Check]:
    """The exit test of a county on a day."""
    villages = [each for each in tree if _poor_until(each, day) and _lies_in(tree.path(each.code, day), code)]
    exited = [each for each in villages if not each.designated("poor_village", day)]
    return exit_tests.county_checks(
        survey,
        await statistics.stock_people(pg, tree, code, day),
        poor_villages=len(villages),
        exited_villages=len(exited),
        thresholds=registry.standing.standards.on(day),
        rural_people=await statistics.rural_people(pg, tree, code, day),
    )


def _poor_until(village: DivisionEvent, day: date) -> bool:
    """Whether it was a poor village on a day or before."""
    return any(each.kind == "poor_village" and each.valid_from <= day for each in village.designations)


def _lies_in(path: Path | None, code: str) -> bool:
    return path is not None and path.managing_unit == code

"""What a concluded decision does, in its own transaction."""

from datetime import date

from services.registry.certificates import service as certificates
from services.registry.context import Registry
from services.registry.divisions import service as divisions
from services.registry.households import changing
from services.registry.households import service as households
from services.registry.households.judging import Surroundings
from services.registry.households.monitoring import Monitoring
from services.registry.households.records import Household
from services.registry.standing import judging, rules
from services.registry.standing.records import Decision
from shared.auth import Caller
from shared.contracts.division import DivisionTree, Path
from shared.db import Pg


async def conclude(pg: Pg, registry: Registry, caller: Caller, decision: Decision) -> Decision:
    """Judge once more what was proposed, then bring it about. Raises 404, 409, 422."""
    day = decision.steps[-1].on
    if decision.household_id is not None:
        household = await _household(pg, registry, caller, decision, day)
        return await _certified(pg, registry, decision, household) if decision.kind == "exit" else decision
    tree = await divisions.current_tree(pg, registry.divisions)
    code, village, county = decision.division, decision.village, decision.survey
    await judging.check_division(pg, registry, tree, code, day, village=village, county=county)
    division, _ = judging.located(tree, caller, decision.kind, code, day)
    kinds = judging.POOR_VILLAGE if decision.kind == "village_exit" else judging.POOR_COUNTY
    for kind in judging.held(division, kinds, day):
        await divisions.end_designation(pg, registry, caller, code, kind, day, None)
    return decision


async def _household(pg: Pg, registry: Registry, caller: Caller, decision: Decision, day: date) -> Household:
    give = _given(decision, day)

    def decide(old: Household, around: Surroundings) -> Household:
        judging.check_household(registry, old, decision.kind, day, decision.year, decision.category)
        return give(old, around)

    reason = f"{rules.PROCEDURES[decision.kind][-1].title} {decision.id}"
    return await households.change_within(pg, registry, caller, str(decision.household_id), None, decide, reason)


def _given(decision: Decision, day: date) -> changing.Decision:
    """What the decision makes of its household from a day on."""
    if decision.kind == "monitoring_end":
        return changing.no_longer_monitored(day)
    if decision.category is not None and decision.cause is not None:
        return changing.monitored(
            Monitoring(category=decision.category, cause=decision.cause, valid_from=day, decision_id=decision.id)
        )
    return changing.decided(rules.TO[decision.kind], day, cause=decision.cause)


async def _certified(pg: Pg, registry: Registry, decision: Decision, household: Household) -> Decision:
    """With the certificate of the exit: of where the household lived on that day, in the names of that day."""
    tree = await divisions.current_tree(pg, registry.divisions)
    day = decision.steps[-1].on
    state = household.event.state_on(day)
    assert state is not None  # its standing has just changed on this day
    head = next(member for member in household.members if member.present and member.relation == "head")
    number = await certificates.issue(
        pg,
        household,
        county=state.path.county,
        village_name=_full_name(tree, state.path, day),
        head_id=head.id,
        decision_id=decision.id,
        on=day,
    )
    return decision.model_copy(update={"certificate": number})


def _full_name(tree: DivisionTree, path: Path, day: date) -> str:
    """County, township and village, as they were called on a day."""
    divisions_above = (tree.get(code) for code in (path.county, path.township, path.village) if code is not None)
    return "".join(division.name_on(day) for division in divisions_above if division is not None)

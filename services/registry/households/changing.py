"""What a change makes of a household. Decisions are pure; only new ID numbers are looked up."""

from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import date
from uuid import UUID

from services.registry.checks import catalogue, failing
from services.registry.context import Registry
from services.registry.households import collisions, monitoring, responsibility, rules
from services.registry.households.attributes import Cause, HouseholdAttributes
from services.registry.households.facts import facts_of
from services.registry.households.incomes import Income, with_income
from services.registry.households.judging import Surroundings, day_of, identify, relocation_faults, year_faults
from services.registry.households.monitoring import Monitored, Monitoring
from services.registry.households.patching import birth_pointer, merged, patched_person
from services.registry.households.problems import (
    ALREADY_REGISTERED,
    HOUSEHOLD_DEREGISTERED,
    PERSON_ERASED,
    UNKNOWN_VILLAGE,
)
from services.registry.households.records import Author, Household, Person
from services.registry.households.registering import draw_numbers, new_person
from services.registry.households.rules import NotValidThenError, Relation, Residences, Since, Standings
from services.registry.households.schemas import (
    Deregistration,
    HouseholdPatch,
    MemberIn,
    MemberPatch,
    RelationChange,
)
from shared import errors
from shared.contracts.household import Standing
from shared.db import Pg
from shared.errors import Fault, Problem, fault

Decision = Callable[[Household, Surroundings], Household]


def changeable(household: Household) -> Household:
    """One on the register. Raises 409 for one that is off it."""
    if household.status != "active":
        raise Problem(HOUSEHOLD_DEREGISTERED)
    return household


def patched(patch: HouseholdPatch) -> Decision:
    """Standing, village, welfare, cause, relations. Raises 404, 422."""

    def decide(old: Household, around: Surroundings) -> Household:
        new = old
        if patch.village is not None or patch.standing is not None or patch.welfare is not None:
            new = _from_a_day(old, patch, around)
        if "cause" in patch.model_fields_set:
            new = replace(new, cause=patch.cause)
        if patch.attributes is not None:
            new = replace(new, attributes=merged(HouseholdAttributes, new.attributes, patch.attributes))
            if new.attributes.relocation != old.attributes.relocation:
                village = new.residences[-1].value
                if wrong := list(relocation_faults(new.attributes.relocation, village, around)):
                    raise errors.invalid(*wrong)
        return checked(old, _related(new, patch.relations), around)

    return decide


def _from_a_day(old: Household, patch: HouseholdPatch, around: Surroundings) -> Household:
    day = day_of("/effective_on", patch.effective_on, old.registered_on, around.today)
    new = old if patch.village is None and patch.standing is None else _moved(old, patch, day, around)
    if patch.welfare is None:
        return new
    return replace(new, welfares=rules.dated(new.welfares, Since(day, patch.welfare)))


def _moved(old: Household, patch: HouseholdPatch, day: date, around: Surroundings) -> Household:
    residences, standings = old.residences, old.standings
    if patch.village is not None:
        path = around.tree.path(patch.village, day)
        if path is None or path.village is None or not around.caller.reaches(path):
            raise errors.invalid(UNKNOWN_VILLAGE)
        residences = rules.dated(residences, Since(day, patch.village))
    if patch.standing is not None:
        standings = rules.dated(standings, Since(day, patch.standing))
    return _dated(old, residences, standings, around)


def _dated(old: Household, residences: Residences, standings: Standings, around: Surroundings) -> Household:
    """With these villages and standings, and what follows: the states, and the end of monitoring. Raises 422."""
    try:
        states = rules.timeline(around.tree, residences, standings)
    except NotValidThenError as error:
        wrong = fault("/effective_on", "division_not_valid", "the village is not valid then", "该村当日无效")
        raise errors.invalid(wrong) from error
    monitored = monitoring.unless_poor(old.monitoring, standings)
    return replace(old, residences=residences, standings=standings, timeline=tuple(states), monitoring=monitored)


def decided(standing: Standing, day: date, *, cause: Cause | None = None) -> Decision:
    """A standing that a decision gave from a day on, and the cause it found: of a relapse, or of the poverty."""

    def decide(old: Household, around: Surroundings) -> Household:
        new = _dated(old, old.residences, rules.dated(old.standings, Since(day, standing)), around)
        if cause is not None and standing == "relapsed":
            new = replace(new, attributes=new.attributes.model_copy(update={"relapse_cause": cause}))
        elif cause is not None:
            new = replace(new, cause=cause)
        # This is the decision.
        return checked(old, new, replace(around, standing_by_decision=False), pointer="/on")

    return decide


def monitored(stretch: Monitoring) -> Decision:
    """Monitored from a day on, as a decision found."""
    return _monitoring(lambda held: (*held, stretch))


def no_longer_monitored(day: date) -> Decision:
    """Monitored no longer from a day on, as a decision found."""
    return _monitoring(lambda held: monitoring.ended(held, day))


def _monitoring(change: Callable[[Monitored], Monitored]) -> Decision:
    def decide(old: Household, around: Surroundings) -> Household:
        new = replace(old, monitoring=change(old.monitoring))
        responsibility.check(old, new, around.caller, "/on")
        return new

    return decide


def _related(old: Household, relations: Iterable[RelationChange]) -> Household:
    wanted: dict[UUID, Relation] = {}
    for position, entry in enumerate(relations):
        present_member(old, entry.member, f"/relations/{position}/member")
        wanted[entry.member] = entry.relation
    members = (
        replace(each, relation=wanted[each.id]) if each.present and each.id in wanted else each for each in old.members
    )
    return replace(old, members=tuple(members))


def present_member(household: Household, member_id: UUID, pointer: str) -> Person:
    """A member who is present. Raises 422 for another one."""
    member = household.member(member_id)
    if member is None or not member.present:
        raise errors.invalid(fault(pointer, "member_unknown", "no member of this household", "不是该户成员"))
    return member


def income_set(income: Income) -> Decision:
    """A year's income, reported for the first time or anew. Raises 422 for a year that is locked or to come."""

    def decide(old: Household, around: Surroundings) -> Household:
        if found := year_faults("/year", income.year, around):
            raise errors.invalid(*found)
        return checked(old, replace(old, incomes=with_income(old.incomes, income)), around)

    return decide


def deregistered(body: Deregistration) -> Decision:
    """Off the register with all its members. Raises 422."""

    def decide(old: Household, around: Surroundings) -> Household:
        new = gone(old, day_of("/effective_on", body.effective_on, old.registered_on, around.today))
        responsibility.check(old, new, around.caller, "/effective_on")
        return new

    return decide


def gone(old: Household, day: date) -> Household:
    """Off the register from a day on, with all its members; what was open ends, so that it does not come back open."""
    members = tuple(
        replace(
            member,
            status="erased" if member.status == "erased" else "deregistered",
            left_on=max(day, member.joined_on),
        )
        if member.present
        else member
        for member in old.members
    )
    monitored = monitoring.cut(old.monitoring, day)
    return replace(old, status="deregistered", valid_to=day, members=members, monitoring=monitored)


def member_patched(member_id: UUID, patch: MemberPatch) -> Decision:
    """A member's attributes, identity, death, departure or return. Raises 404, 422."""

    def decide(old: Household, around: Surroundings) -> Household:
        member = old.member(member_id)
        if member is None:
            raise Problem(errors.NOT_FOUND)
        if member.status == "erased":
            raise Problem(PERSON_ERASED)
        changed = patched_person(member, patch, around, old.registered_on)
        if patch.status not in (None, "active") and changed.relation == "head":
            if [each.id for each in old.members if each.present] == [member_id]:
                raise errors.invalid(last_member("/status"))
            raise errors.invalid(fault("/status", "head_leaves", "name another head first", "须先变更户主"))
        members = tuple(changed if each is member else each for each in old.members)
        pointer = birth_pointer(patch) if patch.status is None else "/effective_on"
        return checked(old, replace(old, members=members), around, pointer=pointer)

    return decide


def last_member(pointer: str) -> Fault:
    """Nobody dies or leaves without a household to stay behind: it goes off the register, for the same reason."""
    return fault(pointer, "last_member", "deregister the household instead", "户内仅此一人,请改为注销该户")


async def with_member(
    pg: Pg, registry: Registry, old: Household, member: MemberIn, around: Surroundings, author: Author
) -> Household:
    """A household with a new member. Raises 409 for an ID number or number that is taken, 422, 429."""
    identity = identify(member.id_number, member.sex, member.birth_date, around)
    if isinstance(identity, list):
        raise errors.invalid(*identity)
    joined_on = day_of("/joined_on", member.joined_on, max(old.registered_on, identity.birth_date), around.today)
    [(_, number)] = await draw_numbers(pg, "person", [old.latest.path.county[:6]])
    person = new_person(
        member, identity, old.id, number=number, place=old.next_position, joined_on=joined_on, author=author
    )
    new = checked(old, replace(old, members=(*old.members, person)), around, pointer="/joined_on")
    await collisions.check_free(pg, registry, around.caller, old.members, new.members)
    taken = await pg.fetchval("SELECT EXISTS (SELECT FROM person WHERE number = $1)", person.number)
    if taken:
        raise Problem(ALREADY_REGISTERED, faults=[fault("/number", "number_taken", "registered already", "已登记")])
    return new


def checked(
    old: Household | None,
    new: Household,
    around: Surroundings,
    *,
    origin: Household | None = None,
    pointer: str = "/effective_on",
) -> Household:
    """Raises 422 where a change breaks a rule of the catalogue, or reaches into days that were another unit's.

    What was wrong before does not stand in its way. ``origin`` is the household that a new one comes from,
    ``pointer`` the field that says the day. Raises 500 where a rule cannot be evaluated.
    """
    before = [] if old is None else catalogue.errors(facts_of(old, around.today))
    undecided = _undecided(origin or old, new) if around.standing_by_decision else ()
    found = catalogue.errors(facts_of(new, around.today, undecided))
    faults = [each.fault() for each in found if each.failed or each not in before]
    if faults:
        raise failing.refusal(faults)
    if old is not None:
        responsibility.check(old, new, around.caller, pointer)
    return new


def _undecided(old: Household | None, new: Household) -> list[tuple[Standing | None, Standing]]:
    """The standings given: what held before (None: it was not on the register), and what does now."""
    held = () if old is None or old.status != "active" else old.standings
    return [
        (rules.value_on(held, entry.valid_from) if held else None, entry.value)
        for entry in new.standings
        if entry not in held
    ]

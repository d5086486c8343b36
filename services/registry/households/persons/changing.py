"""Decisions about persons without a household: registered, changed, placed; and about members who leave. Pure."""

from collections.abc import Callable
from dataclasses import replace
from uuid import UUID

from services.registry.checks import catalogue, failing
from services.registry.households.changing import checked, last_member, present_member
from services.registry.households.facts import facts_alone
from services.registry.households.judging import EARLIEST, Surroundings, day_faults, day_of, identify
from services.registry.households.moving import earliest, parted
from services.registry.households.patching import patched_person
from services.registry.households.persons.records import Unattached, latest_path
from services.registry.households.persons.schemas import Departure, PersonIn, PersonPatch, Placement
from services.registry.households.problems import UNKNOWN_VILLAGE
from services.registry.households.records import Author, Household, Person
from services.registry.households.registering import told
from services.registry.households.rules import NotValidThenError, Residences, Since, dated, inherited
from services.registry.households.schemas import Deregistration
from shared import errors
from shared.contracts.division import Path
from shared.errors import fault

Decision = Callable[[Unattached, Surroundings], Unattached]


def registered(content: PersonIn, around: Surroundings, author: Author, number: str) -> Unattached:
    """The person as registered; ``number`` is for one who brings none. Raises 422 with every fault."""
    identity = identify(content.id_number, content.sex, content.birth_date, around)
    found = identity if isinstance(identity, list) else []
    born = EARLIEST if isinstance(identity, list) else identity.birth_date
    day = content.registered_on or around.today
    found = [*found, *day_faults("/registered_on", day, max(EARLIEST, born), around.today)]
    residences = (Since(day, content.village),)
    path = _path(residences, around)
    if path is None:
        found.append(UNKNOWN_VILLAGE)
    if isinstance(identity, list) or path is None or found:
        raise errors.invalid(*found)
    common = told(content, identity, number=number, joined_on=day, author=author)
    return _checked(None, Unattached(residences=residences, path=path, **common), around)


def patched(patch: PersonPatch) -> Decision:
    """Attributes, identity, village, death, departure, return. Raises 422."""

    def decide(old: Unattached, around: Surroundings) -> Unattached:
        if patch.status == "active" and patch.effective_on is not None and patch.village is None:
            raise errors.invalid(fault("/effective_on", "without_village", "goes with a village", "须与村一并填写"))
        # The day is that of the village where the status stays.
        changes = patch if patch.village is None or patch.status else patch.model_copy(update={"effective_on": None})
        new = patched_person(old, changes, around, EARLIEST)
        residences = old.residences if new.joined_on == old.joined_on else inherited(old.residences, new.joined_on)
        if patch.village is not None:
            day = day_of("/effective_on", patch.effective_on, new.joined_on, around.today)
            residences = dated(residences, Since(day, patch.village))
        # On return the village may have gone into another one meanwhile.
        if residences != old.residences or patch.status == "active":
            new = _settled(new, residences, around)
        return _checked(old, new, around)

    return decide


def deregistered(body: Deregistration) -> Decision:
    """Off the register; from that day on retention counts, also of who died or moved away before. Raises 422."""

    def decide(old: Unattached, around: Surroundings) -> Unattached:
        day = day_of("/effective_on", body.effective_on, old.left_on or old.joined_on, around.today)
        return replace(old, status="deregistered", left_on=day)

    return decide


def placed(old: Unattached, joined: Household, body: Placement, around: Surroundings) -> tuple[Unattached, Household]:
    """The stay without a household, ended, and the household with its new member. Raises 422."""
    if not old.present:
        raise errors.invalid(fault("", "person_gone", "deceased or moved away", "该人员已死亡或迁出"))
    day = day_of("/effective_on", body.effective_on, earliest(joined, [old]), around.today)
    member = Person(
        **old.common()
        | {"version": old.version + 2, "joined_on": day},  # the one in between ends the stay without a household
        household_id=joined.id,
        household_version=joined.version,
        position=joined.next_position,
        relation=body.relation,
    )
    received = checked(joined, replace(joined, members=(*joined.members, member)), around)
    return replace(old, status="transferred", left_on=day), received


def departed(left: Household, member: UUID, body: Departure, around: Surroundings) -> tuple[Household, Unattached]:
    """The household without a member, and the member without a household. Raises 422."""
    person = present_member(left, member, "/member")
    if sum(each.present for each in left.members) == 1:
        raise errors.invalid(last_member("/member"))
    day = day_of("/effective_on", body.effective_on, person.joined_on, around.today)
    residences = (Since(day, body.village or left.village_on(day)),)
    path = _path(residences, around)
    if path is None:
        raise errors.invalid(UNKNOWN_VILLAGE)
    alone = Unattached(
        **person.common() | {"version": person.version + 2, "joined_on": day}, residences=residences, path=path
    )
    return checked(left, parted(left, {member}, day), around), alone


def _path(residences: Residences, around: Surroundings) -> Path | None:
    """Where somebody belongs; None where that is no village of the caller's."""
    try:
        path = latest_path(around.tree, residences)
    except NotValidThenError:
        return None
    return path if around.caller.reaches(path) else None


def _settled(person: Unattached, residences: Residences, around: Surroundings) -> Unattached:
    path = _path(residences, around)
    if path is None:
        raise errors.invalid(UNKNOWN_VILLAGE)
    return replace(person, residences=residences, path=path)


def _checked(old: Unattached | None, new: Unattached, around: Surroundings) -> Unattached:
    """Raises 422 where a change breaks a rule of the catalogue; what was wrong before does not stand in its way.

    Raises 500 where a rule cannot be evaluated.
    """
    before = [] if old is None else catalogue.errors_alone(facts_alone(old, around.today))
    found = catalogue.errors_alone(facts_alone(new, around.today))
    faults = [each.fault() for each in found if each.failed or each not in before]
    if faults:
        raise failing.refusal(faults)
    return new

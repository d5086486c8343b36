"""What becomes of households when members go from one to another: transfer, split, merger. Pure.

A person keeps id and number. The stay in the household left is ended there and kept; a new one begins elsewhere.
"""

from collections.abc import Container, Mapping, Sequence
from dataclasses import replace
from datetime import date, timedelta
from typing import NamedTuple
from uuid import UUID

from services.registry.households.attributes import HouseholdAttributes
from services.registry.households.changing import (
    checked,
    deregistered,
    present_member,
)
from services.registry.households.judging import Surroundings, day_of
from services.registry.households.moves_schemas import HouseholdMerger, HouseholdSplit, MemberTransfer
from services.registry.households.patching import patched_person
from services.registry.households.problems import PERSON_ERASED, UNKNOWN_VILLAGE
from services.registry.households.records import Author, Household, Individual, Person
from services.registry.households.rules import NotValidThenError, Relation, Since, inherited, timeline
from services.registry.households.schemas import Deregistration, MemberPatch
from shared import errors
from shared.errors import Problem, fault
from shared.ids import uuid7


class Moved(NamedTuple):
    """The household left and the one joined, as they are to be."""

    left: Household
    joined: Household


def transferred(left: Household, joined: Household, member: UUID, body: MemberTransfer, around: Surroundings) -> Moved:
    """One member goes to another household. Raises 422."""
    person = present_member(left, member, "/member")
    others = [each for each in left.members if each.present and each is not person]
    if not others:
        raise errors.invalid(fault("/member", "last_member", "merge the households instead", "请改为合并户"))
    day = day_of("/effective_on", body.effective_on, earliest(joined, [person]), around.today)
    return _moved(left, joined, {person.id: body.relation}, day, around)


def merged(left: Household, joined: Household, body: HouseholdMerger, around: Surroundings) -> Moved:
    """Every member goes to another household, and the one left is taken off the register. Raises 422."""
    relations = {each.member: each.relation for each in body.relations}
    for position, entry in enumerate(body.relations):
        present_member(left, entry.member, f"/relations/{position}/member")
    going = [each for each in left.members if each.present]
    if {each.id for each in going} != relations.keys():
        raise errors.invalid(fault("/relations", "relations_missing", "one for every member", "须逐一填写成员关系"))
    day = day_of("/effective_on", body.effective_on, earliest(joined, going), around.today)
    ended, received = parted(left, relations, day), _received(left, joined, relations, day)
    gone = deregistered(Deregistration(effective_on=day, reason=body.reason))(ended, around)
    return Moved(gone, checked(joined, received, around))


def split(
    left: Household, body: HouseholdSplit, around: Surroundings, author: Author, *, seq: int, number: str
) -> Moved:
    """Some members make a household of their own: same standing, cause and welfare unless others are given.

    Without another village they stay where the household lived on the day, and moved with it later.

    Raises 422.
    """
    relations = {each.member: each.relation for each in body.members}
    going = [present_member(left, each.member, f"/members/{place}/member") for place, each in enumerate(body.members)]
    if len(relations) == sum(each.present for each in left.members):
        raise errors.invalid(fault("/members", "nobody_stays", "somebody has to stay", "原户须保留成员"))
    day = day_of("/effective_on", body.effective_on, max(_since(going), left.registered_on), around.today)
    made = _founded(left, body, day, around, author, seq=seq, number=number)
    received = _received(left, made, relations, day)
    return Moved(checked(left, parted(left, relations, day), around), checked(None, received, around, origin=left))


def _founded(
    left: Household, body: HouseholdSplit, day: date, around: Surroundings, author: Author, *, seq: int, number: str
) -> Household:
    """The new household, nobody in it yet."""
    later = (entry for entry in left.residences if entry.valid_from > day)
    residences = (Since(day, left.village_on(day)), *later) if body.village is None else (Since(day, body.village),)
    standings = inherited(left.standings, day) if body.standing is None else (Since(day, body.standing),)
    try:
        states = tuple(timeline(around.tree, residences, standings))
    except NotValidThenError as error:
        raise errors.invalid(UNKNOWN_VILLAGE) from error
    # Where it stays in its village, whose days they were is asked of the household left.
    if not all(around.caller.reaches(state.path) for state in (states[-1:] if body.village is None else states)):
        raise errors.invalid(UNKNOWN_VILLAGE)
    identifier = uuid7()
    return Household(
        id=identifier,
        version=1,
        seq=seq,
        number=number,
        status="active",
        source_system=None,
        external_id=None,
        content=around.vault.index(str(identifier), "content"),
        residences=residences,
        standings=standings,
        timeline=states,
        valid_to=None,
        cause=left.cause,
        welfares=inherited(left.welfares, day),
        attributes=HouseholdAttributes(standard=left.attributes.standard),
        incomes=(),
        first_recorded_at=author.now,
        author=author,
        members=(),
    )


def _moved(
    left: Household, joined: Household, relations: Mapping[UUID, Relation], day: date, around: Surroundings
) -> Moved:
    ended, received = parted(left, relations, day), _received(left, joined, relations, day)
    return Moved(checked(left, ended, around), checked(joined, received, around))


def parted(left: Household, going: Container[UUID], day: date) -> Household:
    """Without those who go: their stays end on the day."""
    return replace(
        left,
        members=tuple(
            replace(each, status="transferred", left_on=day) if each.present and each.id in going else each
            for each in left.members
        ),
    )


def _received(left: Household, joined: Household, relations: Mapping[UUID, Relation], day: date) -> Household:
    """With those who come, after who is there."""
    coming = [each for each in left.members if each.present and each.id in relations]
    return replace(
        joined,
        members=(
            *joined.members,
            *(
                _newcomer(each, joined, relations[each.id], joined.next_position + i, day)
                for i, each in enumerate(coming)
            ),
        ),
    )


def _newcomer(person: Person, joined: Household, relation: Relation, place: int, day: date) -> Person:
    return replace(
        person,
        version=person.version + 2,  # the one in between ends the stay in the household left
        household_id=joined.id,
        household_version=joined.version,
        relation=relation,
        position=place,
        joined_on=day,
        author=joined.author,  # of a new household; in one that is there, its next version tells
    )


def stay_ended(home: Household, member: UUID) -> Household:
    """The stay of a member who moved away, kept as one that ended, so that another may begin. Raises 404, 409, 422."""
    person = home.member(member)
    if person is None:
        raise Problem(errors.NOT_FOUND)
    if person.status == "erased":
        raise Problem(PERSON_ERASED)
    if person.status not in ("moved_away", "deregistered"):
        en, zh = "goes with the return of somebody who moved away", "仅适用于迁出人员返回"
        raise errors.invalid(fault("/effective_on", "not_away", en, zh))
    ended = (replace(each, status="transferred") if each is person else each for each in home.members)
    return replace(home, members=tuple(ended))


def returned(home: Household, ended: Person, patch: MemberPatch, around: Surroundings) -> Household:
    """With a new stay of a member who is back from a day on, changed as the patch has it. Raises 422."""
    first = max(ended.left_on or ended.joined_on, earliest(home, [ended]))
    day = day_of("/effective_on", patch.effective_on, first, around.today)
    newcomer = _newcomer(ended, home, ended.relation, home.next_position, day)
    back = replace(newcomer, version=ended.version + 1, status="active", left_on=None)
    changes = patch.model_copy(update={"status": None, "effective_on": None})
    back = patched_person(back, changes, around, home.registered_on)
    return checked(home, replace(home, members=(*home.members, back)), around)


def _since(people: Sequence[Individual]) -> date:
    return max(each.joined_on for each in people)


def earliest(joined: Household, people: Sequence[Individual]) -> date:
    """The first day that people may come on; two stays of somebody in one household never begin on one day."""
    coming = {each.id for each in people}
    again = [each.joined_on + timedelta(days=1) for each in joined.members if each.id in coming]
    return max(_since(people), joined.registered_on, *again)

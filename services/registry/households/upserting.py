"""Registering households that may be there already: what differs is written or kept, column by column.

A household is recognised by its number or its name in the source; a member by number, by ID number, or, without
either, by name and day of birth. Members that are not named stay as they are.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, NamedTuple
from uuid import UUID

from pydantic import BaseModel

from services.registry.context import Registry
from services.registry.households import changing, reading, registering, rules, store
from services.registry.households.incomes import with_income
from services.registry.households.judging import Identity, Judged, Surroundings, identify, in_school
from services.registry.households.records import Author, Household, Person, next_version
from services.registry.households.registering import Existing, Outcome
from services.registry.households.rules import Since
from services.registry.households.schemas import HouseholdIn, MemberIn
from services.registry.statistics.service import PopulationChanges
from shared import errors
from shared.db import Pg
from shared.errors import Fault, Problem, fault

Policy = Literal["never", "if_empty", "always"]
"""What a value given does to one that is held: nothing, fill a gap, replace it."""
Path = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Overwriting:
    """A policy, and others for some fields: paths from the household, or from the member below ``members``."""

    default: Policy = "never"
    exceptions: Mapping[Path, Policy] = field(default_factory=dict)

    def of(self, path: Path) -> Policy:
        return self.exceptions.get(path, self.default)


@dataclass(frozen=True, slots=True)
class Updated:
    """A household that was there and is now as given, as far as the policy goes."""

    household: Household
    previous: int
    """The version before."""
    kept: tuple[str, ...]
    """Pointers to what is held otherwise than given, and stays so."""
    positions: Mapping[UUID, int]
    """Where in the content its members stand that were given."""

    def as_given(self, found: Fault) -> Fault:
        """A fault of the household as it is held, with the pointer to where the content has it."""
        return _as_given(found, self.household, self.positions)


def _as_given(found: Fault, household: Household, positions: Mapping[UUID, int]) -> Fault:
    """What is wrong with a member who was not given is a matter of the members as a whole."""
    steps = found.pointer.split("/")[1:]
    if len(steps) < 2 or steps[0] != "members":
        return found
    position = positions.get(household.members[int(steps[1])].id)
    below = [] if position is None else [str(position), *steps[2:]]
    return replace(found, pointer="/".join(["", "members", *below]))


@dataclass(frozen=True, slots=True)
class Kept:
    """A household that was there and stays as it is."""

    kept: tuple[str, ...]


class _Merge(NamedTuple):
    """A household before and after, not yet checked against the register."""

    old: Household
    new: Household
    kept: tuple[str, ...]
    positions: Mapping[UUID, int]


async def upsert(
    pg: Pg,
    registry: Registry,
    around: Surroundings,
    judged: Sequence[Judged | list[Fault]],
    author: Author,
    changes: PopulationChanges,
    overwriting: Overwriting,
) -> list[Outcome | Updated | Kept]:
    """Register what is new, and bring what is there to what is given; an outcome for each, in order.

    Raises ``asyncpg.UniqueViolationError`` when another transaction has just taken a number: try again.
    """
    registered = await registering.register(pg, registry, around, judged, author, changes)
    outcomes: list[Outcome | Updated | Kept] = list(registered)
    known = {
        place: each.content
        for place, (each, outcome) in enumerate(zip(judged, registered, strict=True))
        if isinstance(each, Judged) and _may_differ(outcome, overwriting)
    }
    if known:
        outcomes = await _updated(pg, registry, around, known, outcomes, author, changes, overwriting)
    return outcomes


def _may_differ(outcome: Outcome, overwriting: Overwriting) -> bool:
    """Whether a household is held and may be otherwise than given; also one registered as given may since have become.

    Where nothing is ever overwritten, that need not be looked at.
    """
    if isinstance(outcome, Existing):
        return overwriting != Overwriting()
    return isinstance(outcome, list) and any((each.pointer, each.code) in _OF_HOUSEHOLD for each in outcome)


_OF_HOUSEHOLD = {("/number", "number_taken"), ("/external_id", "external_id_taken")}


async def _updated(
    pg: Pg,
    registry: Registry,
    around: Surroundings,
    known: Mapping[int, HouseholdIn],
    outcomes: list[Outcome | Updated | Kept],
    author: Author,
    changes: PopulationChanges,
    overwriting: Overwriting,
) -> list[Outcome | Updated | Kept]:
    held = await _held(pg, registry, around, list(known.values()))
    pairs: list[tuple[Household, Household]] = []
    touched: set[Any] = set()
    for place, content in known.items():
        old = held.get(content.number) or held.get((content.source_system, content.external_id))
        if old is None:
            continue  # somebody else's: it stays taken
        if old.id in touched:
            outcomes[place] = [fault("/number", "household_again", "given twice", "同一户重复出现")]
            continue
        touched.add(old.id)
        merged = await _merged(pg, old, content, around, author, overwriting)
        if isinstance(merged, list):
            outcomes[place] = merged
        elif merged.new == merged.old:
            outcomes[place] = Kept(merged.kept)
        else:
            new = next_version(old, merged.new, author)
            pairs.append((old, new))
            outcomes[place] = Updated(new, old.version, merged.kept, merged.positions)
    await store.change(pg, registry, pairs, changes)
    return outcomes


async def _held(
    pg: Pg, registry: Registry, around: Surroundings, contents: Sequence[HouseholdIn]
) -> dict[Any, Household]:
    """The households that the contents name, within the caller's divisions and locked, by number and by name."""
    rows = await pg.fetch(
        "SELECT id FROM household WHERE (number = ANY($1::text[]) OR (source_system, external_id) IN "
        f"(SELECT * FROM unnest($2::text[], $3::text[]))) AND {reading.scope(4)}",
        [each.number for each in contents if each.number],
        [each.source_system for each in contents if each.external_id],
        [each.external_id for each in contents if each.external_id],
        list(around.caller.divisions),
    )
    found: dict[Any, Household] = {}
    for household in await reading.several(pg, [row["id"] for row in rows], registry.vault, lock=True):
        found[household.number] = household
        if household.external_id is not None:
            found[household.source_system, household.external_id] = household
    return found


async def _merged(
    pg: Pg, old: Household, content: HouseholdIn, around: Surroundings, author: Author, overwriting: Overwriting
) -> _Merge | list[Fault]:
    withdrawn = old.status == "deregistered" and old.valid_to == old.registered_on
    if old.status != "active" and not withdrawn:
        return [fault("/number", "household_deregistered", "the household is off the register", "该户已注销")]
    before = _reinstated(old, content, around) if withdrawn else old
    merge = _HouseholdMerge(before, content, around, Overwriting("always") if withdrawn else overwriting)
    try:
        new = await merge.run(pg, author)
        if withdrawn:
            new = replace(new, members=_without_strangers(old, new, merge.positions))
        await changing.check_id_numbers(pg, around.vault, old, new)
    except Problem as problem:
        return list(problem.faults)
    try:
        changing.checked(old, new, around)
    except Problem as problem:
        return [_as_given(each, new, merge.positions) for each in problem.faults]
    return _Merge(old, new, tuple(merge.kept), merge.positions)


def _reinstated(old: Household, content: HouseholdIn, around: Surroundings) -> Household:
    """A household whose registration was taken back from its first day, as if registered now; members too."""
    day = content.registered_on or around.today
    residences, standings = (Since(day, content.village),), (Since(day, content.standing),)
    members = tuple(
        member
        if member.status == "transferred"
        else replace(member, status="active", left_on=None, joined_on=max(day, member.birth_date))
        for member in old.members
    )
    return replace(
        old,
        status="active",
        valid_to=None,
        residences=residences,
        standings=standings,
        timeline=tuple(rules.timeline(around.tree, residences, standings)),
        members=members,
    )


def _without_strangers(old: Household, new: Household, given: Collection[UUID]) -> tuple[Person, ...]:
    """The members given; those of before that are not among them stay off the register."""
    before = {member.id: member for member in old.members if member.id not in given and member.status != "transferred"}
    return tuple(member if member.status == "transferred" else before.get(member.id, member) for member in new.members)


class _HouseholdMerge:
    """One household given meets the one held."""

    def __init__(self, old: Household, content: HouseholdIn, around: Surroundings, overwriting: Overwriting) -> None:
        self._old, self._content, self._around, self._overwriting = old, content, around, overwriting
        self.kept: list[str] = []
        self.positions: dict[UUID, int] = {}
        """Where in the content the household's members stand, as far as they were given."""

    async def run(self, pg: Pg, author: Author) -> Household:
        """The household as it is to be. Raises ``Problem`` 422."""
        old, content = self._old, self._content
        new = self._placed(old)
        for name, empty in (("cause", None), ("welfare", "none")):
            if name in content.model_fields_set:
                value = self._decided((name,), "", getattr(old, name), getattr(content, name), empty)
                new = replace(new, **{name: value})
        attributes = self._attributes(old.attributes, content.attributes, (), "")
        new = replace(new, attributes=attributes, incomes=self._incomes(old))
        members = await self._members(pg, author)
        return replace(new, members=members)

    def _decided(self, path: Path, pointer: str, held: Any, given: Any, empty: Any = None) -> Any:
        """The value that stays, by the policy of its field."""
        if held == given:
            return held
        policy = self._overwriting.of(path)
        if policy == "always" or (policy == "if_empty" and held == empty):
            return given
        self.kept.append(f"{pointer}/{'/'.join(path[1:] if path[0] == 'members' else path)}")
        return held

    def _placed(self, old: Household) -> Household:
        """Village and standing hold from today on where they are overwritten."""
        content, today = self._content, max(self._around.today, old.registered_on)
        village = self._decided(("village",), "", rules.value_on(old.residences, today), content.village)
        standing = self._decided(("standing",), "", rules.value_on(old.standings, today), content.standing)
        residences = rules.dated(old.residences, Since(today, village))
        standings = rules.dated(old.standings, Since(today, standing))
        if (residences, standings) == (old.residences, old.standings):
            return old
        timeline = tuple(rules.timeline(self._around.tree, residences, standings))
        return replace(old, residences=residences, standings=standings, timeline=timeline)

    def _attributes(self, held: Any, given: BaseModel, path: Path, pointer: str) -> Any:
        """Attributes field by field, nested ones too; what is not given stays."""
        changed: dict[str, Any] = {}
        for name in given.model_fields_set:
            value, before = getattr(given, name), getattr(held, name)
            empty = type(given).model_fields[name].get_default()
            below = (*path, "attributes", name) if not path or path[-1] == "members" else (*path, name)
            if isinstance(value, BaseModel) and isinstance(before, BaseModel):
                changed[name] = self._attributes(before, value, below, pointer)
            else:
                changed[name] = self._decided(below, pointer, before, value, empty)
        return held.model_copy(update=changed) if changed else held

    def _incomes(self, old: Household) -> Any:
        incomes = old.incomes
        held = {income.year: income for income in incomes}
        for position, given in enumerate(self._content.incomes):
            income, before = given.income(), held.get(given.year)
            if before is None or self._decided(("incomes",), "", before, income) == income:
                incomes = with_income(incomes, income)
            else:
                self.kept[-1] = f"/incomes/{position}"
        return incomes

    async def _members(self, pg: Pg, author: Author) -> tuple[Person, ...]:
        members = {member.stay: member for member in self._old.members}
        fresh: list[tuple[int, MemberIn, Identity]] = []
        for position, given in enumerate(self._content.members):
            identity = identify(given.id_number, given.sex, given.birth_date, self._around)
            assert isinstance(identity, Identity)  # judged before
            held = self._match(given, identity, members.values())
            if held is None:
                fresh.append((position, given, identity))
            else:
                self.positions[held.id] = position
                members[held.stay] = self._member(held, given, identity, f"/members/{position}")
        added = await self._added(pg, fresh, author) if fresh else []
        self.positions |= {person.id: position for person, (position, _, _) in zip(added, fresh, strict=True)}
        return (*members.values(), *added)

    @staticmethod
    def _match(given: MemberIn, identity: Identity, members: Any) -> Person | None:
        present: list[Person] = [member for member in members if member.present]
        for member in present:
            if given.number is not None and member.number == given.number:
                return member
        for member in present:
            if identity.id_number is not None and member.id_number == identity.id_number:
                return member
        born = (given.name, identity.birth_date)
        for member in present:
            if (member.name, member.birth_date) == born and None in (member.id_number, identity.id_number):
                return member
        return None

    def _member(self, held: Person, given: MemberIn, identity: Identity, pointer: str) -> Person:
        changed: dict[str, Any] = {}
        for name, empty in _PLAIN.items():
            if name in given.model_fields_set:
                value = getattr(given, name)
                changed[name] = self._decided(("members", name), pointer, getattr(held, name), value, empty)
        if in_school(given) and "in_school" not in given.model_fields_set:
            changed["in_school"] = self._decided(("members", "in_school"), pointer, held.in_school, True, False)
        if identity.id_number is not None and identity.id_number != held.id_number:
            path = ("members", "id_number")
            if self._decided(path, pointer, held.id_number, identity.id_number) == identity.id_number:
                changed |= {"id_number": identity.id_number, "sex": identity.sex, "birth_date": identity.birth_date}
        changed["attributes"] = self._attributes(held.attributes, given.attributes, ("members",), pointer)
        return replace(held, **changed)

    async def _added(self, pg: Pg, fresh: Sequence[tuple[int, MemberIn, Identity]], author: Author) -> list[Person]:
        old = self._old
        county = old.latest.path.county[:6]
        numbers = await registering.draw_numbers(pg, "person", [county] * len(fresh))
        given = [member.number for _, member, _ in fresh if member.number]
        taken = {row["number"] for row in await pg.fetch("SELECT number FROM person WHERE number = ANY($1)", given)}
        if taken:
            raise errors.invalid(
                *(
                    fault(f"/members/{position}/number", "number_taken", "registered already", "已登记")
                    for position, member, _ in fresh
                    if member.number in taken
                )
            )
        place = max(member.position for member in old.members) + 1
        return [
            registering.new_person(
                member,
                identity,
                old.id,
                number=number,
                place=place + offset,
                joined_on=member.joined_on or max(self._around.today, identity.birth_date),
                author=author,
            )
            for offset, ((_, member, identity), (_, number)) in enumerate(zip(fresh, numbers, strict=True))
        ]


_PLAIN: Mapping[str, Any] = {
    "name": None, "relation": None, "employable": "none", "in_school": False, "disability_level": None,
    "phone": None, "disability_number": None, "bank_card": None,
}  # fmt: skip
"""A member's plain fields, and what counts as a gap."""

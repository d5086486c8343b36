"""Registering households that may be there already: those are recognised by number or by name in the source."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple
from uuid import UUID

from services.registry.context import Registry
from services.registry.households import births, changing, collisions, reading, registering, rules, store
from services.registry.households.collisions import NumberTaken, taken_at
from services.registry.households.judging import Judged, Surroundings
from services.registry.households.merging import HouseholdMerge, Overwriting
from services.registry.households.records import Author, Household, Person, next_version
from services.registry.households.registering import Existing, Outcome
from services.registry.households.rules import NotValidThenError, Since
from services.registry.households.schemas import HouseholdIn
from services.registry.statistics.service import PopulationChanges
from shared.db import Pg
from shared.errors import Fault, Problem, fault


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


Upserted = Outcome | Updated | Kept


class _Merged(NamedTuple):
    """What a household is to be."""

    household: Household
    kept: tuple[str, ...]
    positions: Mapping[UUID, int]


Made = Callable[[Sequence[UUID]], Awaitable[frozenset[UUID]]]
"""Which of some households the same file registered or changed further up."""


async def nothing_made(_: Sequence[UUID]) -> frozenset[UUID]:
    """For what stands alone."""
    return frozenset()


async def upsert(
    pg: Pg,
    registry: Registry,
    around: Surroundings,
    judged: Sequence[Judged | list[Fault]],
    author: Author,
    changes: PopulationChanges,
    overwriting: Overwriting,
    made: Made = nothing_made,
) -> list[Upserted]:
    """Register what is new, and bring what is there to what is given; an outcome for each, in order.

    What the same file has registered or changed is not changed again: it contradicts itself.

    Raises ``asyncpg.UniqueViolationError`` when another transaction has just taken a number: try again.
    """
    registered = await registering.register(pg, registry, around, judged, author, changes)
    outcomes: list[Upserted] = list(registered)
    known = {
        place: each
        for place, (each, outcome) in enumerate(zip(judged, registered, strict=True))
        if isinstance(each, Judged) and _may_differ(outcome, overwriting)
    }
    if known:
        held = await _held(pg, registry, around, [each.content for each in known.values()])
        earlier = await made([household.id for household in held.values()])
        earlier |= {outcome.id for outcome in registered if isinstance(outcome, Household)}
        work = _Updating(pg, registry, around, author, overwriting, held, earlier)
        for place, each in known.items():
            outcomes[place] = await work.outcome(each, registered[place])
        await store.change(pg, registry, work.changed, changes)
    return outcomes


def _may_differ(outcome: Outcome, overwriting: Overwriting) -> bool:
    """Whether a household is there and may differ from what is given.

    One that was registered with this very content may have changed since; that matters only where a policy overwrites.
    """
    if isinstance(outcome, Existing):
        return overwriting != Overwriting()
    return isinstance(outcome, list) and registering.held_already(outcome)


_AGAIN = fault("/number", "household_again", "given twice", "同一户重复出现")


@dataclass(frozen=True, slots=True)
class _Updating:
    """Households that may be there are brought to what is given of them, one after the other."""

    pg: Pg
    registry: Registry
    around: Surroundings
    author: Author
    overwriting: Overwriting
    held: Mapping[Any, Household]
    """Those that are there, by number and by name."""
    earlier: frozenset[UUID]
    """Those that the same file registered or changed further up."""
    touched: set[UUID] = field(default_factory=set)
    changed: list[tuple[Household, Household]] = field(default_factory=list)
    """As they were and as they are to be, to be written."""

    async def outcome(self, judged: Judged, outcome: Outcome) -> Upserted:
        """What becomes of one of them; ``outcome`` is what did when it was taken for a new one."""
        content = judged.content
        old = self.held.get(content.number) or self.held.get((content.source_system, content.external_id))
        if old is None:
            return outcome  # somebody else's: it stays taken
        if judged.faults and isinstance(outcome, list):
            return await self._against(old, judged, outcome)
        if old.id in self.touched:
            return [_AGAIN]
        self.touched.add(old.id)
        return _names_of_another(outcome, old, content) or await self._updated(old, content)

    async def _updated(self, old: Household, content: HouseholdIn) -> Updated | Kept | list[Fault]:
        merged = await self._merged(old, content)
        if isinstance(merged, list):
            return merged
        if merged.household == old:
            return Kept(merged.kept)
        if old.id in self.earlier:
            return [_AGAIN]
        new = next_version(old, merged.household, self.author)
        self.changed.append((old, new))
        return Updated(new, old.version, merged.kept, merged.positions)

    async def _against(self, old: Household, judged: Judged, found: Sequence[Fault]) -> list[Fault]:
        """What is wrong with a household that is there already, of what was found while it was taken for a new one.

        That its own names and ID numbers are taken, by itself, is left out.
        """
        taken = [each.index for each in found if isinstance(each, NumberTaken)]
        members = [member.id for member in old.members]
        anothers = await collisions.held(self.pg, self.registry, self.around.caller, taken, besides=members)
        own = _own_names(old, judged.content)
        return _closed(old) + [
            each
            for each in found
            if each in judged.faults
            or (each.index in anothers if isinstance(each, NumberTaken) else each.pointer not in own)
        ]

    async def _merged(self, old: Household, content: HouseholdIn) -> _Merged | list[Fault]:
        if closed := _closed(old):
            return closed
        withdrawn = _withdrawn(old)
        before = _reinstated(old, content, self.around) if withdrawn else old
        merge = HouseholdMerge(before, content, self.around, Overwriting("always") if withdrawn else self.overwriting)
        try:
            new = await merge.run(self.pg, self.author)
        except NotValidThenError:
            return [fault("/village", "division_not_valid", "the village is not valid any more", "该村已不存在")]
        found: list[Fault] = []
        if withdrawn:
            new = replace(new, members=_as_registered(old, new, content, merge.positions))
        else:
            new, found = _born(old, new, merge.positions)
        found += await merge.numbers_taken(self.pg)
        found += await self._id_numbers_taken(old, new, merge.positions)
        if found:
            return found
        try:
            changing.checked(old, new, self.around, pointer="/members")
        except Problem as problem:
            return [_as_given(each, new, merge.positions) for each in problem.faults]
        return _Merged(new, tuple(merge.kept), merge.positions)

    async def _id_numbers_taken(self, old: Household, new: Household, positions: Mapping[UUID, int]) -> list[Fault]:
        """ID numbers given that are another's; nobody gets one otherwise."""
        taken = await collisions.taken(self.pg, self.registry, self.around.caller, old.members, new.members)
        places = sorted((positions[person], index) for person, index in taken.items())
        return [taken_at(f"/members/{place}/id_number", index) for place, index in places]


def _own_names(old: Household, content: HouseholdIn) -> set[str]:
    """Pointers to the names given that the household and its members hold."""
    numbers = {member.number for member in old.members}
    own = {f"/members/{place}/number" for place, each in enumerate(content.members) if each.number in numbers}
    if old.number == content.number:
        own.add("/number")
    if (old.source_system, old.external_id) == (content.source_system, content.external_id):
        own.add("/external_id")
    return own


def _names_of_another(outcome: Outcome, old: Household, content: HouseholdIn) -> list[Fault]:
    """What is taken of a household's names, and not by itself."""
    anothers = {"/number", "/external_id"} - _own_names(old, content)
    return [each for each in outcome if each.pointer in anothers] if isinstance(outcome, list) else []


def _closed(old: Household) -> list[Fault]:
    """A household that is off the register is not updated; one whose registration was taken back is registered anew."""
    if old.status == "active" or _withdrawn(old):
        return []
    return [fault("/number", "household_deregistered", "the household is off the register", "该户已注销")]


def _withdrawn(old: Household) -> bool:
    return old.status == "deregistered" and old.valid_to == old.registered_on


HELD = (
    f"SELECT id FROM household WHERE number = ANY($1::text[]) AND {reading.scope(4)} "
    "UNION SELECT id FROM household JOIN unnest($2::text[], $3::text[]) AS wanted (source_system, external_id) "
    f"USING (source_system, external_id) WHERE {reading.scope(4)}"
)


async def _held(
    pg: Pg, registry: Registry, around: Surroundings, contents: Sequence[HouseholdIn]
) -> dict[Any, Household]:
    """The households that the contents name, within the caller's divisions and locked, by number and by name."""
    rows = await pg.fetch(
        HELD,
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


def _reinstated(old: Household, content: HouseholdIn, around: Surroundings) -> Household:
    """A household whose registration was taken back from its first day, as if registered now; members too."""
    day = content.registered_on or around.today
    residences, standings = (Since(day, content.village),), (Since(day, content.standing),)
    welfare = content.welfare if "welfare" in content.model_fields_set else old.welfare
    members = tuple(
        member if member.status in ("transferred", "erased") else replace(member, status="active", left_on=None)
        for member in old.members
    )
    return replace(
        old,
        status="active",
        valid_to=None,
        residences=residences,
        standings=standings,
        welfares=(Since(day, welfare),),
        timeline=tuple(rules.timeline(around.tree, residences, standings)),
        members=members,
    )


def _as_registered(
    old: Household, new: Household, content: HouseholdIn, positions: Mapping[UUID, int]
) -> tuple[Person, ...]:
    """The members given, from their first day; those of before that are not among them stay off the register."""
    before = {member.id: member for member in old.members if member.status != "transferred"}

    def registered(member: Person) -> Person:
        if member.status == "transferred":
            return member
        if member.id not in positions:
            return before[member.id]
        joined_on = content.members[positions[member.id]].joined_on or new.registered_on
        return replace(member, joined_on=max(joined_on, member.birth_date))

    return tuple(map(registered, new.members))


def _born(old: Household, new: Household, positions: Mapping[UUID, int]) -> tuple[Household, list[Fault]]:
    """First days as corrected days of birth have them, and what speaks against those."""
    before = {member.id: member for member in old.members if member.present}
    members, found = list(new.members), []
    for place, member in enumerate(members):
        if member.present and (held := before.get(member.id)) is not None and held.birth_date != member.birth_date:
            members[place] = births.followed(held, member, old.registered_on)
            told = "birth_date" if held.id_number == member.id_number else "id_number"
            found += births.late(held, members[place], f"/members/{positions[member.id]}/{told}")
    return replace(new, members=tuple(members)), found

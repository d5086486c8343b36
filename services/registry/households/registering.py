"""Registering households, one or many: three look-ups and four statements a batch, whatever its size."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any
from uuid import UUID

from services.registry.checks import failing
from services.registry.context import Registry
from services.registry.households import collisions, store
from services.registry.households.judging import Identity, Judged, Surroundings, in_school
from services.registry.households.problems import ALREADY_REGISTERED
from services.registry.households.reading import scope
from services.registry.households.records import Author, Household, Person
from services.registry.households.rules import Since
from services.registry.households.schemas import MemberIn, PersonFields
from services.registry.statistics.service import PopulationChanges
from services.registry.turns import in_turns
from shared import errors
from shared.db import Pg
from shared.errors import Fault, fault
from shared.ids import uuid7

_TAKEN_CODES = frozenset({"number_taken", "external_id_taken", "id_number_taken"})


@dataclass(frozen=True, slots=True)
class Existing:
    """The same content was registered before, under this id."""

    household_id: UUID


Outcome = Household | Existing | list[Fault]


_OF_HOUSEHOLD = {("/number", "number_taken"), ("/external_id", "external_id_taken")}


def held_already(faults: Sequence[Fault]) -> bool:
    """Whether a household's own names are taken: it may be there."""
    return any((each.pointer, each.code) in _OF_HOUSEHOLD for each in faults)


def refusal(faults: Sequence[Fault]) -> errors.Problem:
    """409 when nothing but taken names stands in the way, else 422, or 500 where a rule cannot be evaluated."""
    if all(each.code in _TAKEN_CODES for each in faults):
        return errors.Problem(ALREADY_REGISTERED, faults=faults)
    return failing.refusal(faults)


async def register(
    pg: Pg,
    registry: Registry,
    around: Surroundings,
    judged: Sequence[Judged | list[Fault]],
    author: Author,
    changes: PopulationChanges,
) -> list[Outcome]:
    """Register what can be registered; an outcome for each, in order. Of what was found faulty, what is taken is told.

    Raises ``asyncpg.UniqueViolationError`` when another transaction has just taken a number: try again; 429.
    """
    outcomes = await _known(pg, registry, judged, around)
    fresh = [(place, each) for place, each in enumerate(judged) if isinstance(each, Judged) and place not in outcomes]
    made = await _make(pg, [each for _, each in fresh], author)
    await store.add(pg, registry, made, changes)
    outcomes |= {place: household for (place, _), household in zip(fresh, made, strict=True)}
    return [outcomes[place] for place in range(len(judged))]


# What the register holds already


async def _known(
    pg: Pg, registry: Registry, judged: Sequence[Judged | list[Fault]], around: Surroundings
) -> dict[int, Outcome]:
    """The outcome of everything that is not to be registered."""
    open_ones = [each for each in judged if isinstance(each, Judged)]
    register = await _look_up(pg, registry, open_ones, around)
    seen: Counter[Any] = Counter()
    outcomes: dict[int, Outcome] = {}
    for place, each in enumerate(judged):
        if isinstance(each, list):
            outcomes[place] = each
            continue
        existing = None if each.faults else register.same(each)
        if existing:
            outcomes[place] = Existing(existing)
            continue
        taken = list(_taken(each, register, seen))
        found = [*each.faults, *(() if held_already(taken) else each.if_new), *taken]
        if found:
            outcomes[place] = found
    return outcomes


@dataclass(frozen=True, slots=True)
class _Register:
    """The part of the register that a batch may collide with."""

    contents: Mapping[bytes, UUID]
    names: frozenset[Any]

    def same(self, judged: Judged) -> UUID | None:
        """The household that was registered with this very content, where the content names one."""
        content = judged.content
        named = content.number or content.external_id or any(each.index for each in judged.identities)
        return self.contents.get(judged.digest) if named else None


def _names(judged: Judged) -> Iterator[tuple[str, str, Any]]:
    """Pointer, kind of fault, and everything that only one household or person may hold."""
    content = judged.content
    if content.number:
        yield "/number", "number_taken", ("household", content.number)
    if content.external_id:
        yield "/external_id", "external_id_taken", (content.source_system, content.external_id)
    for position, (member, identity) in enumerate(zip(content.members, judged.identities, strict=True)):
        if member.number:
            yield f"/members/{position}/number", "number_taken", ("person", member.number)
        if identity.index:
            yield f"/members/{position}/id_number", "id_number_taken", identity.index


def _taken(judged: Judged, register: _Register, seen: "Counter[Any]") -> Iterator[Fault]:
    """What is taken, in the register or by what stands further up; what is not taken in itself takes nothing."""
    for pointer, code, name in _names(judged):
        if name in register.names or seen[name]:
            yield (
                collisions.taken_at(pointer, name)
                if code == "id_number_taken"
                else fault(pointer, code, "registered already", "已登记")
            )
        if not judged.faults:
            seen[name] += 1


_SHOWN = (
    "SELECT household.id, household.number, household.source_system, household.external_id, household.content, "
    f"household.status, {scope(5)} AS visible FROM household "
)
SAME_NAMES = (
    f"{_SHOWN} WHERE household.number = ANY($1::text[]) "
    f"UNION ALL {_SHOWN} WHERE household.content = ANY($2::bytea[]) "
    f"UNION ALL {_SHOWN} JOIN unnest($3::text[], $4::text[]) AS wanted (source_system, external_id) "
    "ON household.source_system = wanted.source_system AND household.external_id = wanted.external_id"
)


async def _look_up(pg: Pg, registry: Registry, judged: Sequence[Judged], around: Surroundings) -> _Register:
    contents = [each.content for each in judged]
    external = [(c.source_system, c.external_id) for c in contents if c.external_id]
    households = await pg.fetch(
        SAME_NAMES,
        [c.number for c in contents if c.number],
        [each.digest for each in judged],
        [system for system, _ in external],
        [name for _, name in external],
        list(around.caller.divisions),
    )
    numbers = [m.number for c in contents for m in c.members if m.number]
    persons = await pg.fetch("SELECT number FROM person WHERE number = ANY($1::text[])", numbers) if numbers else []
    names: set[Any] = {("household", row["number"]) for row in households}
    names |= {(row["source_system"], row["external_id"]) for row in households}
    names |= {("person", row["number"]) for row in persons}
    indexes = [identity.index for each in judged for identity in each.identities if identity.index]
    names |= await collisions.held(pg, registry, around.caller, indexes)
    same = {row["content"]: row["id"] for row in households if row["visible"] and row["status"] == "active"}
    return _Register(same, frozenset(names))


# What is made


async def _make(pg: Pg, judged: Sequence[Judged], author: Author) -> list[Household]:
    if not judged:
        return []
    counties = [each.states[0].path.county[:6] for each in judged]
    people = [county for each, county in zip(judged, counties, strict=True) for _ in each.content.members]
    numbers = await draw_numbers(pg, "household", counties)
    person_numbers = iter(await draw_numbers(pg, "person", people))

    def made(each: Judged, seq: int, number: str) -> Household:
        return _household(each, seq, number, [next(person_numbers)[1] for _ in each.content.members], author)

    return await in_turns(
        list(zip(judged, numbers, strict=True)), lambda some: [made(each, *drawn) for each, drawn in some]
    )


async def draw_numbers(pg: Pg, table: str, counties: Sequence[str]) -> list[tuple[int, str]]:
    """Fresh 32-bit numbers and, out of them, 14-digit numbers that nobody holds: county code and eight digits."""
    drawn: dict[int, tuple[int, str]] = {}
    places = list(range(len(counties)))
    while places:
        rows = await pg.fetch(f"SELECT nextval('{table}_seq') AS seq FROM generate_series(1, $1)", len(places))
        for place, row in zip(places, rows, strict=True):
            drawn[place] = row["seq"], f"{counties[place]}{row['seq'] % 10**8:08d}"
        wanted = [drawn[place][1] for place in places]
        taken = {row["number"] for row in await pg.fetch(f"SELECT number FROM {table} WHERE number = ANY($1)", wanted)}
        places = [place for place in places if drawn[place][1] in taken]
    return [drawn[place] for place in range(len(counties))]


def _household(judged: Judged, seq: int, number: str, person_numbers: Sequence[str], author: Author) -> Household:
    content, first = judged.content, judged.states[0].valid_from
    identifier = uuid7()
    members = tuple(
        new_person(member, identity, identifier, number=person_number, place=place, joined_on=joined_on, author=author)
        for place, (member, identity, person_number, joined_on) in enumerate(
            zip(content.members, judged.identities, person_numbers, judged.joined, strict=True)
        )
    )
    return Household(
        id=identifier,
        version=1,
        seq=seq,
        number=content.number or number,
        status="active",
        source_system=content.source_system,
        external_id=content.external_id,
        content=judged.digest,
        residences=(Since(first, content.village),),
        standings=(Since(first, content.standing),),
        timeline=judged.states,
        valid_to=None,
        cause=content.cause,
        welfares=(Since(first, content.welfare),),
        attributes=content.attributes,
        incomes=judged.incomes,
        first_recorded_at=author.now,
        author=author,
        members=members,
    )


def new_person(
    member: MemberIn,
    identity: Identity,
    household_id: UUID,
    *,
    number: str,
    place: int,
    joined_on: date,
    author: Author,
) -> Person:
    """A member of a household, in a first version that came with the household's first."""
    return Person(
        household_id=household_id,
        household_version=1,
        position=place,
        relation=member.relation,
        **told(member, identity, number=number, joined_on=joined_on, author=author),
    )


def told(content: PersonFields, identity: Identity, *, number: str, joined_on: date, author: Author) -> dict[str, Any]:
    """The first version of anybody, as told: the fields of ``Individual``."""
    return {
        "id": uuid7(),
        "version": 1,
        "number": content.number or number,
        "status": "active",
        "sex": identity.sex,
        "birth_date": identity.birth_date,
        "employable": content.employable,
        "in_school": in_school(content),
        "disability_level": content.disability_level,
        "joined_on": joined_on,
        "left_on": None,
        "name": content.name,
        "id_number": identity.id_number,
        "phone": content.phone,
        "disability_number": content.disability_number,
        "bank_card": content.bank_card,
        "attributes": content.attributes,
        "author": author,
    }

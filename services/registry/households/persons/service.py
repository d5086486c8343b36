"""Use cases of persons without a household: what a request does, in one transaction."""

from dataclasses import replace
from uuid import UUID

from services.registry.commands import attempted, claim, command, complete
from services.registry.context import Registry
from services.registry.households import reading as households
from services.registry.households import store as household_store
from services.registry.households.changing import changeable
from services.registry.households.collisions import check_free, collisions_noted, held, taken_at
from services.registry.households.persons import changing, reading, store
from services.registry.households.persons.records import Unattached, next_version
from services.registry.households.persons.schemas import Departure, PersonIn, Placement
from services.registry.households.problems import PERSON_DEREGISTERED, PERSON_ERASED
from services.registry.households.records import Household
from services.registry.households.records import next_version as next_household_version
from services.registry.households.registering import draw_numbers, refusal
from services.registry.households.service import REPUBLISHED_AT_ONCE, author_of, surroundings
from shared import errors, outbox
from shared.auth import Caller
from shared.db import Pg
from shared.errors import Fault, Problem, fault
from shared.http.etag import check_version
from shared.http.idempotency import IdempotencyKey


async def register(
    registry: Registry, caller: Caller, content: PersonIn, key: IdempotencyKey
) -> tuple[Unattached, bool]:
    """Register a person without a household; the person, and whether this answers an earlier request.

    Raises 409 for a number or an ID number that is taken, 422 with every fault, 429.
    """

    async def attempt() -> tuple[Unattached, bool]:
        async with command(registry.runtime, dry_run=registry.dry_run) as pg:
            earlier = await claim(pg, key)
            if earlier is not None:
                return await reading.at_version(pg, earlier.resource_id, earlier.version, registry.vault), True
            around = await surroundings(pg, registry, caller)
            [(_, number)] = await draw_numbers(pg, "person", [content.village[:6]])
            person = changing.registered(content, around, author_of(registry, caller), number)
            taken = await _taken(pg, registry, caller, person, content.number)
            if taken:
                raise refusal(taken)
            await store.write(pg, registry, [person])
            await complete(pg, key, person.id, person.version)
        return person, False

    async with collisions_noted(registry, caller):
        return await attempted(attempt)


async def _taken(pg: Pg, registry: Registry, caller: Caller, person: Unattached, number: str | None) -> list[Fault]:
    found: list[Fault] = []
    if await pg.fetchval("SELECT EXISTS (SELECT FROM person WHERE number = $1)", number):
        found.append(fault("/number", "number_taken", "registered already", "已登记"))
    if person.id_number is not None:
        index = registry.vault.index(person.id_number, "id_number")
        if await held(pg, registry, caller, [index]):
            found.append(taken_at("/id_number", index))
    return found


async def change(
    registry: Registry, caller: Caller, name: str, expected: int, decide: changing.Decision, reason: str | None
) -> Unattached:
    """Bring a person without a household to the next version as decided; unchanged where nothing changes.

    Raises 404, 409 for a member of a household, somebody off the register or an ID number that is taken, 412, 422, 429.
    """

    async def attempt() -> Unattached:
        async with command(registry.runtime, dry_run=registry.dry_run) as pg:
            around = await surroundings(pg, registry, caller)
            old = await _locked(pg, registry, caller, name, expected)
            new = decide(old, around)
            if new == old:
                return old
            await check_free(pg, registry, caller, [old], [new])
            written = next_version(old, new, author_of(registry, caller, reason))
            await store.write(pg, registry, [written])
        return written

    async with collisions_noted(registry, caller):
        return await attempted(attempt)


async def place(registry: Registry, caller: Caller, name: str, expected: int, body: Placement) -> reading.Found:
    """A person without a household comes into one. Raises 404, 409, 412, 422."""

    async def attempt() -> reading.Found:
        async with command(registry.runtime, dry_run=registry.dry_run) as pg:
            around = await surroundings(pg, registry, caller)
            old = await _locked(pg, registry, caller, name, expected)
            household = await _joined(pg, registry, caller, body)
            ended, joined = changing.placed(old, household, body, around)
            author = author_of(registry, caller, body.reason)
            await store.write(pg, registry, [next_version(old, ended, author)])
            written = next_household_version(household, joined, author)
            await household_store.change_one(pg, registry, household, written)
            return await reading.find(pg, str(old.id), caller, registry.vault)

    return await attempted(attempt)


async def _joined(pg: Pg, registry: Registry, caller: Caller, body: Placement) -> Household:
    try:
        household = await households.find(pg, body.household.number, caller, registry.vault, lock=True)
    except Problem as problem:
        wrong = fault("/household/number", "household_unknown", "no such household of yours", "辖区内无此农户")
        raise errors.invalid(wrong) from problem
    return changeable(household)


async def depart(
    registry: Registry, caller: Caller, name: str, member: UUID, expected: int, body: Departure
) -> tuple[Household, Unattached]:
    """A member leaves a household for none; both as they are then. Raises 404, 409, 412, 422."""

    async def attempt() -> tuple[Household, Unattached]:
        async with command(registry.runtime, dry_run=registry.dry_run) as pg:
            around = await surroundings(pg, registry, caller)
            old = await households.find(pg, name, caller, registry.vault, lock=True)
            if old.member(member) is None:
                raise Problem(errors.NOT_FOUND)
            check_version(old.version, expected)
            changeable(old)
            author = author_of(registry, caller, body.reason)
            left, person = changing.departed(old, member, body, around)
            household, alone = next_household_version(old, left, author), replace(person, author=author)
            await household_store.change_one(pg, registry, old, household)
            await store.write(pg, registry, [alone])
        return household, alone

    return await attempted(attempt)


async def _locked(pg: Pg, registry: Registry, caller: Caller, name: str, expected: int) -> Unattached:
    person = await reading.locked(pg, name, caller, registry.vault)
    check_version(person.version, expected)
    if person.status in ("deregistered", "erased"):
        raise Problem(PERSON_ERASED if person.status == "erased" else PERSON_DEREGISTERED)
    return person


async def republish(pg: Pg, registry: Registry) -> int:
    """Write the present state of everybody without a household to the outbox; returns how many."""
    count, last = 0, UUID(int=0)
    while rows := await pg.fetch(
        "SELECT * FROM person WHERE household_id IS NULL AND id > $1 ORDER BY id LIMIT $2", last, REPUBLISHED_AT_ONCE
    ):
        last = rows[-1]["id"]
        events = store.events_of([reading.unattached_of(row, registry.vault) for row in rows])
        await outbox.write(pg, outbox.rows(registry.runtime.settings, events))
        count += len(events)
    return count

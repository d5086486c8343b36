"""Use cases of people who go from one household to another: both are locked in order of id, and written together."""

from collections.abc import Callable
from uuid import UUID

from services.registry.commands import attempted, claim, command, complete
from services.registry.context import Registry
from services.registry.households import changing, moving, reading, store
from services.registry.households.judging import Surroundings
from services.registry.households.moves_schemas import HouseholdMerger, HouseholdRef, HouseholdSplit, MemberTransfer
from services.registry.households.moving import Moved
from services.registry.households.records import Author, Household, next_version
from services.registry.households.registering import draw_numbers
from services.registry.households.service import author_of, surroundings
from services.registry.statistics import service as statistics
from services.registry.statistics.service import PopulationChanges
from shared import errors
from shared.auth import Caller
from shared.db import Pg
from shared.errors import Problem, fault
from shared.http.etag import check_version
from shared.http.idempotency import IdempotencyKey

Decide = Callable[[Household, Household, Surroundings], Moved]


async def transfer(
    registry: Registry, caller: Caller, name: str, member: UUID, expected: int, body: MemberTransfer
) -> Moved:
    """A member goes to another household. Raises 404, 409, 412, 422."""

    def decide(left: Household, joined: Household, around: Surroundings) -> Moved:
        return moving.transferred(left, joined, member, body, around)

    target = (body.household, "/household")
    return await _move(registry, caller, name, expected, target, decide, body.reason, member)


async def merge(registry: Registry, caller: Caller, name: str, expected: int, body: HouseholdMerger) -> Moved:
    """A household joins another one. Raises 404, 409, 412, 422."""

    def decide(left: Household, joined: Household, around: Surroundings) -> Moved:
        return moving.merged(left, joined, body, around)

    return await _move(registry, caller, name, expected, (body.into, "/into"), decide, body.reason)


async def split(
    registry: Registry, caller: Caller, name: str, expected: int, body: HouseholdSplit, key: IdempotencyKey
) -> tuple[Moved, bool]:
    """Members make a household of their own; both, and whether this answers an earlier request.

    Raises 404, 409, 412, 422.
    """

    async def attempt() -> tuple[Moved, bool]:
        async with command(registry.runtime, dry_run=registry.dry_run) as pg:
            earlier = await claim(pg, key)
            if earlier is not None:
                left = await reading.find(pg, name, caller, registry.vault)
                made = await reading.at_version(pg, earlier.resource_id, earlier.version, registry.vault)
                return Moved(left, made), True
            around = await surroundings(pg, registry, caller)
            old = changing.changeable(await reading.find(pg, name, caller, registry.vault, lock=True))
            check_version(old.version, expected)
            author = author_of(registry, caller, body.reason)
            [(seq, number)] = await draw_numbers(pg, "household", [old.latest.path.county[:6]])
            moved = moving.split(old, body, around, author, seq=seq, number=number)
            changes = PopulationChanges()
            left = next_version(old, moved.left, author)
            await store.change(pg, registry, [(old, left)], changes)
            await store.add(pg, registry, [moved.joined], changes)
            await statistics.count(pg, changes)
            await complete(pg, key, moved.joined.id, moved.joined.version)
        return Moved(left, moved.joined), False

    return await attempted(attempt)


async def _move(
    registry: Registry,
    caller: Caller,
    name: str,
    expected: int,
    target: tuple[HouseholdRef, str],
    decide: Decide,
    reason: str,
    member: UUID | None = None,
) -> Moved:
    async def attempt() -> Moved:
        async with command(registry.runtime, dry_run=registry.dry_run) as pg:
            around = await surroundings(pg, registry, caller)
            left, joined = await _both_locked(pg, registry, caller, name, target, member)
            check_version(left.version, expected)
            moved = decide(changing.changeable(left), changing.changeable(joined), around)
            return await _written(pg, registry, left, joined, moved, author_of(registry, caller, reason))

    return await attempted(attempt)


async def _both_locked(
    pg: Pg, registry: Registry, caller: Caller, name: str, target: tuple[HouseholdRef, str], member: UUID | None
) -> tuple[Household, Household]:
    """Both households, locked in order of id, so that two moves never wait for each other.

    Raises 404 for the household or member to be left, 422 for the household to be joined.
    """
    ref, pointer = target
    left = await reading.find(pg, name, caller, registry.vault)
    if member is not None and left.member(member) is None:
        raise Problem(errors.NOT_FOUND)
    try:
        joined = await reading.find(pg, ref.number, caller, registry.vault)
    except Problem as problem:
        wrong = fault(f"{pointer}/number", "household_unknown", "no such household of yours", "辖区内无此农户")
        raise errors.invalid(wrong) from problem
    if left.id == joined.id:
        raise errors.invalid(fault(f"{pointer}/number", "same_household", "it is this household", "不能为本户"))
    found = {each.id: each for each in await reading.several(pg, [left.id, joined.id], registry.vault, lock=True)}
    return found[left.id], found[joined.id]


async def _written(
    pg: Pg, registry: Registry, left: Household, joined: Household, moved: Moved, author: Author
) -> Moved:
    """The household left comes first: its last word on who went is the version that the other one goes on from."""
    changes = PopulationChanges()
    result = Moved(next_version(left, moved.left, author), next_version(joined, moved.joined, author))
    await store.change(pg, registry, [(left, result.left)], changes)
    await store.change(pg, registry, [(joined, result.joined)], changes)
    await statistics.count(pg, changes)
    return result

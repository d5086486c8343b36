"""Use cases of the register: what a request does, in one transaction."""

from uuid import UUID

from services.registry.commands import attempted, claim, command, complete
from services.registry.context import Registry, today
from services.registry.divisions.service import current_tree
from services.registry.households import changing, collisions, moving, reading, store
from services.registry.households.collisions import collisions_noted
from services.registry.households.judging import Surroundings, judge
from services.registry.households.records import Author, Household, next_version
from services.registry.households.registering import Existing, refusal, register
from services.registry.households.schemas import HouseholdIn, MemberIn, MemberPatch
from services.registry.statistics import service as statistics
from services.registry.statistics.service import PopulationChanges
from services.registry.years import service as years
from shared import outbox
from shared.auth import Caller
from shared.db import Pg
from shared.http.etag import check_version
from shared.http.idempotency import IdempotencyKey

REPUBLISHED_AT_ONCE = 2000


async def surroundings(pg: Pg, registry: Registry, caller: Caller) -> Surroundings:
    """What households are judged against; the divisions stay as they are until this transaction ends."""
    tree = await current_tree(pg, registry.divisions)
    return Surroundings(
        tree,
        registry.vault,
        caller,
        today(registry),
        await years.locked_years(pg),
        registry.standing.standing_by_decision,
    )


def author_of(registry: Registry, caller: Caller, reason: str | None = None) -> Author:
    """Who changes the register now; read within the transaction that is to say so (``instants``)."""
    return Author(caller.key_id, registry.runtime.clock.now(), reason)


async def register_one(
    registry: Registry, caller: Caller, content: HouseholdIn, key: IdempotencyKey
) -> tuple[Household, int, bool]:
    """Register a household; the household, the status to answer with, and whether it answers an earlier request.

    Raises 409 for names that are taken, 422 with every fault, 429.
    """

    async def attempt() -> tuple[Household, int, bool]:
        async with command(registry.runtime, dry_run=registry.dry_run) as pg:
            earlier = await claim(pg, key)
            if earlier is not None:
                return await reading.at_version(pg, earlier.resource_id, earlier.version, registry.vault), 201, True
            changes = PopulationChanges()
            around = await surroundings(pg, registry, caller)
            judged = judge(content, around)
            [outcome] = await register(pg, registry, around, [judged], author_of(registry, caller), changes)
            if isinstance(outcome, list):
                raise refusal(outcome)
            if isinstance(outcome, Existing):
                household = await reading.find(pg, str(outcome.household_id), caller, registry.vault)
            else:
                household = outcome
                await statistics.count(pg, changes)
            await complete(pg, key, household.id, household.version)
        return household, 200 if isinstance(outcome, Existing) else 201, False

    async with collisions_noted(registry, caller):
        return await attempted(attempt)


async def change(
    registry: Registry, caller: Caller, name: str, expected: int, decide: changing.Decision, reason: str | None
) -> Household:
    """Bring a household to its next version as decided; unchanged where the decision changes nothing.

    Raises 404, 409 once it is off the register or for an ID number that is taken, 412, 422, 429.
    """

    async def attempt() -> Household:
        async with command(registry.runtime, dry_run=registry.dry_run) as pg:
            return await change_within(pg, registry, caller, name, expected, decide, reason)

    async with collisions_noted(registry, caller):
        return await attempted(attempt)


async def change_within(
    pg: Pg,
    registry: Registry,
    caller: Caller,
    name: str,
    expected: int | None,
    decide: changing.Decision,
    reason: str | None,
) -> Household:
    """As ``change``, in the transaction of the command it belongs to; None takes the version that is there."""
    around = await surroundings(pg, registry, caller)
    old = await _locked(pg, registry, caller, name, expected)
    new = decide(old, around)
    await collisions.check_free(pg, registry, caller, old.members, new.members)
    return await _written(pg, registry, old, new, author_of(registry, caller, reason))


async def add_member(
    registry: Registry, caller: Caller, name: str, expected: int, member: MemberIn, key: IdempotencyKey
) -> tuple[Household, bool]:
    """Add a member; the household, and whether it answers an earlier request. Raises 404, 409, 412, 422, 429."""

    async def attempt() -> tuple[Household, bool]:
        async with command(registry.runtime, dry_run=registry.dry_run) as pg:
            earlier = await claim(pg, key)
            if earlier is not None:
                return await reading.at_version(pg, earlier.resource_id, earlier.version, registry.vault), True
            around = await surroundings(pg, registry, caller)
            old = await _locked(pg, registry, caller, name, expected)
            author = author_of(registry, caller)
            new = await changing.with_member(pg, registry, old, member, around, author)
            household = await _written(pg, registry, old, new, author)
            await complete(pg, key, household.id, household.version)
        return household, False

    async with collisions_noted(registry, caller):
        return await attempted(attempt)


async def take_back(
    registry: Registry, caller: Caller, name: str, expected: int, member: UUID, patch: MemberPatch
) -> Household:
    """A member who moved away is back from a day on: one version keeps the stay that ended, the next has the new one.

    Raises 404, 409, 412, 422.
    """

    async def attempt() -> Household:
        async with command(registry.runtime, dry_run=registry.dry_run) as pg:
            around = await surroundings(pg, registry, caller)
            old, author = await _locked(pg, registry, caller, name, expected), author_of(registry, caller, patch.reason)
            ended = await _written(pg, registry, old, moving.stay_ended(old, member), author)
            [stay] = (each for each in ended.members if each.id == member and each.household_version == ended.version)
            new = moving.returned(ended, stay, patch, around)
            await collisions.check_free(pg, registry, caller, ended.members, new.members)
            return await _written(pg, registry, ended, new, author)

    async with collisions_noted(registry, caller):
        return await attempted(attempt)


async def _locked(pg: Pg, registry: Registry, caller: Caller, name: str, expected: int | None) -> Household:
    household = await reading.find(pg, name, caller, registry.vault, lock=True)
    if expected is not None:
        check_version(household.version, expected)
    return changing.changeable(household)


async def _written(pg: Pg, registry: Registry, old: Household, new: Household, author: Author) -> Household:
    if new == old:
        return old
    household = next_version(old, new, author)
    await store.change_one(pg, registry, old, household)
    return household


async def republish(pg: Pg, registry: Registry) -> int:
    """Write every household's and member's present state to the outbox, a piece at a time; returns how many."""
    count, last = 0, UUID(int=0)
    while rows := await pg.fetch(
        "SELECT id FROM household WHERE id > $1 ORDER BY id LIMIT $2", last, REPUBLISHED_AT_ONCE
    ):
        last = rows[-1]["id"]
        households = await reading.several(pg, [row["id"] for row in rows], registry.vault)
        events = [event for household in households for event in store.events_of(household, household.members)]
        await outbox.write(pg, outbox.rows(registry.runtime.settings, events))
        count += len(events)
    return count

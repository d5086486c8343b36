"""ID numbers that are taken 身份号码重复: clerks are told, since a number is one person's in the whole city.

To be told that somebody outside one's divisions holds a number is a look-up, also where nothing is written: the audit
log learns of it, and the quota of look-ups counts it (interfaces.md). Whom the caller may see anyway is not noted.
"""

from collections.abc import AsyncIterator, Collection, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from services.registry.audit import service as audit
from services.registry.audit.rules import Entry
from services.registry.checks.numbers import id_number_taken
from services.registry.commands import command
from services.registry.context import Registry
from services.registry.households import identifying
from services.registry.households.problems import ALREADY_REGISTERED
from services.registry.households.records import Individual
from shared import errors
from shared.auth import Caller
from shared.db import Pg
from shared.errors import Fault, Problem, fault

QUOTA_EXCEEDED = fault(
    "", "lookup_quota_exceeded", "too many of its ID numbers are of people registered elsewhere: try again in an hour",
    "身份号码属于辖区外已登记人员的过多,超出每小时查询配额,请一小时后重试",
)  # fmt: skip
"""Instead of 429 where nobody waits for an answer."""


@dataclass(frozen=True, slots=True)
class NumberTaken(Fault):
    """Somebody else holds the ID number, whose blind index this is."""

    index: bytes = field(repr=False)


def taken_at(pointer: str, index: bytes) -> NumberTaken:
    return NumberTaken(pointer, id_number_taken.code, id_number_taken.message, index)


def numbers_taken(outcomes: Iterable[Any]) -> set[bytes]:
    """The ID numbers of which outcomes tell that they are taken; those that are no lists of faults tell of none."""
    refused = (outcome for outcome in outcomes if isinstance(outcome, list))
    return {each.index for faults in refused for each in faults if isinstance(each, NumberTaken)}


HELD = (
    "SELECT id_number_index FROM person WHERE id_number_index = ANY($1::bytea[]) AND status IN ('active', 'deceased') "
    "AND NOT id = ANY($2::uuid[])"
)


async def held(
    pg: Pg, registry: Registry, caller: Caller, indexes: Collection[bytes], *, besides: Sequence[UUID] = ()
) -> set[bytes]:
    """Which of these ID numbers somebody on the register holds, living or dead, besides these persons.

    Raises 429 for a caller that went over its quota: while it lasts, not even a free number is told from a taken one.
    """
    if not indexes:
        return set()
    await registry.quotas.lookup.check(pg, caller.key_id, registry.runtime.clock.now())
    rows = await pg.fetch(HELD, list(indexes), besides)
    return {row["id_number_index"] for row in rows}


async def check_free(
    pg: Pg, registry: Registry, caller: Caller, before: Iterable[Individual], after: Iterable[Individual]
) -> None:
    """Raises 409 when one of these people now holds an ID number that somebody else holds, 429."""
    found = await taken(pg, registry, caller, before, after)
    if found:
        raise Problem(ALREADY_REGISTERED, faults=[taken_at("/id_number", index) for index in found.values()])


async def taken(
    pg: Pg, registry: Registry, caller: Caller, before: Iterable[Individual], after: Iterable[Individual]
) -> dict[UUID, bytes]:
    """Who of these people now holds an ID number that somebody else holds, with its blind index. Raises 429."""
    held_before = {person.id: _number_of(person) for person in before}
    wanted = {
        person.id: registry.vault.index(number, "id_number")
        for person in after
        if (number := _number_of(person)) is not None and number != held_before.get(person.id)
    }
    others = await held(pg, registry, caller, wanted.values(), besides=list(wanted))
    return {person: index for person, index in wanted.items() if index in others}


def _number_of(person: Individual) -> str | None:
    """The ID number that nobody else may have while this person is on the register."""
    return person.id_number if person.status in ("active", "deceased") else None


@asynccontextmanager
async def collisions_noted(registry: Registry, caller: Caller) -> AsyncIterator[set[bytes]]:
    """Note what a command tells of ID numbers taken: in a transaction of its own, since the command's may be undone.

    What it raises is seen here; what it reports, it adds. Raises 429 instead of telling what is beyond the quota.
    """
    told: set[bytes] = set()
    try:
        yield told
    except Problem as problem:
        await _noted(registry, caller, told | numbers_taken([list(problem.faults)]))
        raise
    await _noted(registry, caller, told)


async def _noted(registry: Registry, caller: Caller, told: Collection[bytes]) -> None:
    if not told:
        return
    async with command(registry.runtime) as pg:
        used = await note(pg, registry, caller, told)
    registry.quotas.lookup.left(used, 0, registry.runtime.clock.now())


async def note(pg: Pg, registry: Registry, caller: Caller, told: Collection[bytes]) -> int:
    """Enter and count those outside the caller's divisions who hold these ID numbers.

    Returns how much of the quota is used with them, which may be more than there was; 0 where there is nobody. Files
    and submissions call it in the transaction that tells their sender: what it goes over by is told, nothing after it.
    """
    met = await identifying.elsewhere(pg, told, caller) if told else []
    if not met:
        return 0
    now, lookup = registry.runtime.clock.now(), registry.quotas.lookup
    used = await lookup.count(pg, caller.key_id, len(met), now)

    def entry(row: Any) -> Entry:
        return Entry(
            recorded_at=now,
            key_id=caller.key_id,
            operation="person.collided",
            object_id=str(row["id"]),
            outcome=errors.TOO_MANY.code if used > lookup.an_hour else None,
            divisions=identifying.scopes_of(row),
        )

    await audit.record(pg, [entry(row) for row in met])
    return used

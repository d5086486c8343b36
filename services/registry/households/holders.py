"""Who holds an ID number: no two people on the register, living or dead, hold the same one."""

from collections.abc import Iterable
from uuid import UUID

from services.registry.context import Registry
from services.registry.households.collisions import held, taken_at
from services.registry.households.problems import ALREADY_REGISTERED
from services.registry.households.records import Individual
from shared.auth import Caller
from shared.db import Pg
from shared.errors import Problem


async def check(
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
    held_before = {person.id: _held(person) for person in before}
    wanted = {
        person.id: registry.vault.index(number, "id_number")
        for person in after
        if (number := _held(person)) is not None and number != held_before.get(person.id)
    }
    others = await held(pg, registry, caller, wanted.values(), besides=list(wanted))
    return {person: index for person, index in wanted.items() if index in others}


def _held(person: Individual) -> str | None:
    """The ID number that nobody else may have while this person is on the register."""
    return person.id_number if person.status in ("active", "deceased") else None

"""Who holds an ID number: no two people on the register, living or dead, hold the same one."""

from collections.abc import Iterable
from uuid import UUID

from services.registry.households.records import Individual
from services.registry.households.registering import TAKEN
from services.registry.identity import Vault
from shared.db import Pg
from shared.errors import Fault, Problem, fault


async def check(pg: Pg, vault: Vault, before: Iterable[Individual], after: Iterable[Individual]) -> None:
    """Raises 409 when one of these people now holds an ID number that somebody else holds."""
    if await taken(pg, vault, before, after):
        raise Problem(TAKEN, faults=[taken_at("/id_number")])


async def taken(pg: Pg, vault: Vault, before: Iterable[Individual], after: Iterable[Individual]) -> frozenset[UUID]:
    """Who of these people now holds an ID number that somebody else holds."""
    held_before = {person.id: _held(person) for person in before}
    wanted = {
        person.id: vault.index(number, "id_number")
        for person in after
        if (number := _held(person)) is not None and number != held_before.get(person.id)
    }
    if not wanted:
        return frozenset()
    rows = await pg.fetch(
        "SELECT id_number_index FROM person WHERE id_number_index = ANY($1::bytea[]) "
        "AND status IN ('active', 'deceased') AND NOT id = ANY($2::uuid[])",
        list(wanted.values()),
        list(wanted),
    )
    others = {row["id_number_index"] for row in rows}
    return frozenset(person for person, index in wanted.items() if index in others)


def taken_at(pointer: str) -> Fault:
    """Somebody else holds the ID number."""
    return fault(pointer, "id_number_taken", "registered already", "已登记")


def _held(person: Individual) -> str | None:
    """The ID number that nobody else may have while this person is on the register."""
    return person.id_number if person.status in ("active", "deceased") else None

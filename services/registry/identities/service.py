"""Use cases of seeing identity data: counted, audited, then shown; all in one transaction."""

from collections.abc import Iterator, Sequence
from typing import Any
from uuid import UUID

from services.registry.audit import service as audit
from services.registry.audit.rules import Entry, digest_of
from services.registry.commands import command
from services.registry.context import Registry, scopes, today
from services.registry.households import identifying, reading
from services.registry.households.persons import reading as persons
from services.registry.households.records import Individual, Person
from services.registry.identities.denials import denials_noted
from services.registry.identities.quota import Left
from services.registry.identities.schemas import LookupIn, LookupOut, PersonFound, RevealIn
from services.registry.identity import Vault
from services.registry.masking import masked_id_number, masked_name
from shared import errors
from shared.auth import Caller
from shared.contracts.division import Path
from shared.db import Pg
from shared.errors import Fault, Problem
from shared.idnumbers import BadIdNumberError, read_id_number
from shared.ids import uuid7


async def reveal(
    registry: Registry, caller: Caller, household: str, member: UUID, asked: RevealIn
) -> tuple[Person, Left]:
    """A person with identity data, once the audit log knows who sees it and why. Raises 404, 429."""
    async with (
        denials_noted(registry, caller, "person.reveal_denied", str(member), asked),
        command(registry.runtime) as pg,
    ):
        found = await reading.find(pg, household, caller, registry.vault)
        person = found.member(member)
        if person is None:
            raise Problem(errors.NOT_FOUND)
        left = await take_reveal(pg, registry, caller, person, found.latest.path, asked)
    return person, left


async def reveal_person(registry: Registry, caller: Caller, name: str, asked: RevealIn) -> tuple[Individual, Left]:
    """As ``reveal``, of anybody by id or number, with or without a household. Raises 404, 429."""
    async with (
        denials_noted(registry, caller, "person.reveal_denied", name, asked),
        command(registry.runtime) as pg,
    ):
        found = await persons.find(pg, name, caller, registry.vault)
        left = await take_reveal(pg, registry, caller, found.person, found.path, asked)
    return found.person, left


async def take_reveal(
    pg: Pg, registry: Registry, caller: Caller, person: Individual, path: Path, asked: RevealIn
) -> Left:
    """Count a reveal and tell the audit log of it, in the transaction that it is read in. Raises 429."""
    now = registry.runtime.clock.now()
    left = await registry.quotas.reveal.use(pg, caller.key_id, 1, now)
    entry = Entry(
        recorded_at=now,
        key_id=caller.key_id,
        operation="person.revealed",
        object_id=str(person.id),
        version=person.version,
        purpose=asked.purpose,
        reason=asked.reason,
        divisions=path.scopes(),
    )
    await audit.record(pg, [entry])
    return left


async def look_up(registry: Registry, caller: Caller, asked: LookupIn) -> tuple[LookupOut, Left]:
    """What the register says of ID numbers, in the order asked. Raises 422 for what is no ID number, 429."""
    indexes = _indexes(registry.vault, asked.id_numbers)
    now, identifier = registry.runtime.clock.now(), uuid7()

    def entry(operation: str, object_id: UUID, divisions: tuple[str, ...], digest: bytes | None = None) -> Entry:
        return Entry(
            recorded_at=now,
            key_id=caller.key_id,
            operation=operation,
            object_id=str(object_id),
            purpose=asked.purpose,
            reason=asked.reason,
            divisions=divisions,
            digest=digest,
        )

    async with (
        denials_noted(registry, caller, "persons.look_up_denied", str(identifier), asked),
        command(registry.runtime) as pg,
    ):
        left = await registry.quotas.lookup.use(pg, caller.key_id, len(indexes), now)
        rows = await identifying.by_indexes(pg, indexes, caller)
        where = scopes(await registry.divisions.get(pg), caller.divisions, today(registry))
        entries = [entry("persons.looked_up", identifier, where, digest_of(index.hex() for index in indexes))]
        entries += (entry("person.looked_up", row["id"], identifying.scopes_of(row)) for row in rows.values())
        await audit.record(pg, entries)
    return LookupOut(id=identifier, items=[_shown(rows.get(index), registry.vault) for index in indexes]), left


def _indexes(vault: Vault, numbers: Sequence[str]) -> list[bytes]:
    faults = list(_faults(numbers))
    if faults:
        raise errors.invalid(*faults)
    return [vault.index(number, "id_number") for number in numbers]


def _faults(numbers: Sequence[str]) -> Iterator[Fault]:
    for position, number in enumerate(numbers):
        try:
            read_id_number(number)
        except BadIdNumberError as error:
            yield error.fault(f"/id_numbers/{position}")


_UNKNOWN = PersonFound(
    found=False, person=None, household=None, name=None, id_number=None, status=None, standing=None, welfare=None
)


def _shown(row: Any, vault: Vault) -> PersonFound:
    if row is None:
        return _UNKNOWN
    return PersonFound(
        found=True,
        person=row["number"],
        household=row["household"],
        name=masked_name(vault.open(row["name"], "name", row["id"])),
        id_number=masked_id_number(vault.open(row["id_number"], "id_number", row["id"])),
        status=row["status"],
        standing=row["standing"],
        welfare=row["welfare"],
    )

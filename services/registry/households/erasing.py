"""Destroying identities, in every version of a member; what is counted stays (architecture rule 2)."""

import os
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import date
from functools import reduce
from typing import TypeVar
from uuid import UUID

from services.registry.commands import attempted, command
from services.registry.context import Registry
from services.registry.exchange import forgetting as exchange
from services.registry.households import reading, store
from services.registry.households.records import Author, Household, Individual, next_version
from services.registry.households.redacting import Redacted, redact
from services.registry.households.service import author_of
from services.registry.identities.traces import Traces
from services.registry.identity import Vault
from services.registry.imports import forgetting as imports
from services.registry.statistics import service as statistics
from services.registry.statistics.service import PopulationChanges
from shared import errors
from shared.auth import Caller
from shared.db import Pg
from shared.errors import Problem
from shared.http.etag import check_version

P = TypeVar("P", bound=Individual)
AT_ONCE = 200
"""Households, or persons without one, that a call erases whose retention is over."""
_FORGET_PERSONS = (
    "UPDATE person_version SET name = NULL, id_number = NULL, id_number_index = NULL, phone = NULL, "
    "disability_number = NULL, bank_card = NULL, birth_date = date_trunc('year', birth_date)::date "
    "WHERE id = ANY($1::uuid[])"
)
_SEALED = ("name", "id_number", "phone", "disability_number", "bank_card")
_IDENTITIES = " UNION ".join(
    f"SELECT id, {', '.join(_SEALED)} FROM {table} WHERE id = ANY($1::uuid[])" for table in ("person", "person_version")
)
_LOCK_REGISTERED = """
SELECT id FROM household WHERE id IN (
    SELECT household_id FROM person_version WHERE id = ANY($1::uuid[]) UNION SELECT unnest($2::uuid[])
) ORDER BY id FOR UPDATE"""
_FORGET_REGISTRATIONS = "UPDATE household SET content = sha256($2 || uuid_send(id)) WHERE id = ANY($1::uuid[])"
_FORGET_CONTENTS = (
    "UPDATE household_version SET content = household.content FROM household "
    "WHERE household.id = household_version.id AND household.id = ANY($1::uuid[])"
)
_MEMBERS = "SELECT id FROM person WHERE household_id = ANY($1::uuid[])"
_EXPIRED = (
    "SELECT id FROM household WHERE status = 'deregistered' AND valid_to < $1 AND "
    f"{reading.scope(2)} AND EXISTS (SELECT FROM person WHERE household_id = household.id AND status <> 'erased') "
    "ORDER BY id LIMIT $3"
)


@dataclass(frozen=True, slots=True)
class Expired:
    """How many households and persons were erased whose retention is over."""

    households: int
    persons: int
    more: bool
    """Some are left."""
    entries: list[UUID]
    """As in ``Redacted``."""


async def erase(
    registry: Registry, caller: Caller, name: str, member_id: UUID, expected: int, reason: str
) -> tuple[Household, list[UUID]]:
    """The household whose member has no identity any more; as it was where there was none left.

    And the entries of the audit log that name the member still. Also of a household off the register. Raises 404, 409,
    412.
    """

    async def attempt() -> tuple[Household, list[UUID]]:
        async with command(registry.runtime, dry_run=registry.dry_run) as pg:
            seen = await reading.find(pg, name, caller, registry.vault)
            if seen.member(member_id) is None:
                raise Problem(errors.NOT_FOUND)
            await _lock_registered(pg, [member_id], [seen.id])
            old = await reading.find(pg, name, caller, registry.vault, lock=True)
            check_version(old.version, expected)
            member = old.member(member_id)
            if member is None:
                raise Problem(errors.NOT_FOUND)
            if member.status == "erased":
                return old, []
            [household], entries = await _write(pg, registry, [old], {member_id}, author_of(registry, caller, reason))
        return household, entries

    return await attempted(attempt)


async def erase_expired(registry: Registry, caller: Caller, deregistered_before: date, reason: str) -> Expired:
    """Erase everyone of households that left the register before a day.

    Retention 保存期 is over for them. So many at a time that nobody waits; called again until none is left.
    """

    async def attempt() -> Expired:
        async with command(registry.runtime, dry_run=registry.dry_run) as pg:
            found = await pg.fetch(_EXPIRED, deregistered_before, list(caller.divisions), AT_ONCE + 1)
            identifiers = [row["id"] for row in found[:AT_ONCE]]
            persons = [row["id"] for row in await pg.fetch(_MEMBERS, identifiers)]
            await _lock_registered(pg, persons, identifiers)
            households = [
                each
                for each in await reading.several(pg, identifiers, registry.vault, lock=True)
                if each.valid_to is not None and each.valid_to < deregistered_before  # nobody brought it back meanwhile
            ]
            members = {
                member.id
                for each in households
                for member in each.members
                if member.status not in ("erased", "transferred")  # who left for elsewhere stays on the register there
            }
            _, entries = await _write(pg, registry, households, members, author_of(registry, caller, reason))
        return Expired(len(households), len(members), len(found) > AT_ONCE, entries)

    return await attempted(attempt)


async def _write(
    pg: Pg, registry: Registry, olds: Sequence[Household], members: Collection[UUID], author: Author
) -> tuple[list[Household], list[UUID]]:
    """The next versions without these identities; the versions before lose them too.

    So do the sealed copies elsewhere: rejected rows of imports, and what the exchange keeps; and free text.
    """
    redacted = await forget_texts(pg, registry, members, author)
    pairs = [(old, next_version(old, _without(old, members), redacted.author)) for old in olds]
    changes = PopulationChanges()
    await store.change(pg, registry, pairs, changes)
    await statistics.count(pg, changes)
    await forget(pg, members)
    await forget_registrations(pg, members)
    return [new for _, new in pairs], redacted.entries


async def forget(pg: Pg, persons: Collection[UUID]) -> None:
    """Destroy the identities in the versions before the newest."""
    await pg.execute(_FORGET_PERSONS, list(persons))


async def forget_registrations(pg: Pg, persons: Collection[UUID]) -> None:
    """Destroy the index of what households were registered with that these persons ever were members of.

    It could confirm a guess. Whoever holds the lock of one of those households has locked all of them before.
    """
    registered = await _lock_registered(pg, persons)
    await pg.execute(_FORGET_REGISTRATIONS, registered, os.urandom(32))
    await pg.execute(_FORGET_CONTENTS, registered)


async def _lock_registered(pg: Pg, persons: Collection[UUID], beside: Sequence[UUID] = ()) -> list[UUID]:
    """Lock the households that an earlier version of these persons belonged to, and others, all in order of id.

    As moves do, so that an erasure and a move never wait for each other.
    """
    return [row["id"] for row in await pg.fetch(_LOCK_REGISTERED, list(persons), beside)]


async def forget_texts(pg: Pg, registry: Registry, persons: Collection[UUID], author: Author) -> Redacted:
    """Destroy what else names them, while it is still known what they are called."""
    if not persons:
        return Redacted(author, [])
    await _lock_registered(pg, persons)
    known = await _known(pg, registry.vault, persons)
    everybody = reduce(Traces.and_of, known.values())
    await imports.forget(pg, registry.vault, everybody)
    await exchange.forget(pg, registry.vault, everybody, author.now)
    return await redact(pg, known, author)


async def _known(pg: Pg, vault: Vault, persons: Collection[UUID]) -> dict[UUID, Traces]:
    """What each of them is and was called, and numbered."""
    known = dict.fromkeys(persons, Traces.of([], []))
    for row in await pg.fetch(_IDENTITIES, list(persons)):
        opened = {name: vault.open(row[name], name, row["id"]) for name in _SEALED if row[name] is not None}
        names = [opened.pop("name")] if "name" in opened else []
        known[row["id"]] = known[row["id"]].and_of(Traces.of(names, opened.values()))
    return known


def _without(old: Household, members: Collection[UUID]) -> Household:
    # A stay that ended is one of the versions before.
    left = tuple(erased(each) if each.id in members and each.status != "transferred" else each for each in old.members)
    return replace(old, members=left)


def erased(person: P) -> P:
    """Without what names or finds a person; of the birth the year is left, which events tell and figures need."""
    return replace(
        person,
        status="erased",
        name="",
        id_number=None,
        phone=None,
        disability_number=None,
        bank_card=None,
        birth_date=person.birth_date.replace(month=1, day=1),
    )

"""Destroying identities of persons without a household, in every version of them (architecture rule 2)."""

from collections.abc import Sequence
from datetime import date
from uuid import UUID

from services.registry.commands import attempted, command
from services.registry.context import Registry
from services.registry.households.erasing import AT_ONCE, Expired, erased, forget, forget_registrations, forget_texts
from services.registry.households.persons import reading, store
from services.registry.households.persons.records import Unattached, next_version
from services.registry.households.reading import scope
from services.registry.households.records import Author
from services.registry.households.service import author_of
from shared.auth import Caller
from shared.db import Pg
from shared.http.etag import check_version

_EXPIRED = (
    "SELECT * FROM person WHERE household_id IS NULL AND status = 'deregistered' AND left_on < $1 "
    f"AND {scope(2, 'person')} ORDER BY id LIMIT $3 FOR UPDATE"
)


async def erase(
    registry: Registry, caller: Caller, name: str, expected: int, reason: str
) -> tuple[Unattached, list[UUID]]:
    """The person without an identity; as they were where there was none left.

    And the entries of the audit log that name them still. Also of somebody off the register. Raises 404, 409 for a
    member of a household, 412.
    """

    async def attempt() -> tuple[Unattached, list[UUID]]:
        async with command(registry.runtime, dry_run=registry.dry_run) as pg:
            old = await reading.locked(pg, name, caller, registry.vault)
            check_version(old.version, expected)
            if old.status == "erased":
                return old, []
            [new], entries = await _write(pg, registry, [old], author_of(registry, caller, reason))
        return new, entries

    return await attempted(attempt)


async def erase_expired(registry: Registry, caller: Caller, deregistered_before: date, reason: str) -> Expired:
    """Erase everybody who left the register before a day, so many at a time."""

    async def attempt() -> Expired:
        async with command(registry.runtime, dry_run=registry.dry_run) as pg:
            rows = await pg.fetch(_EXPIRED, deregistered_before, list(caller.divisions), AT_ONCE + 1)
            olds = [reading.unattached_of(row, registry.vault) for row in rows[:AT_ONCE]]
            _, entries = await _write(pg, registry, olds, author_of(registry, caller, reason))
        return Expired(0, len(olds), len(rows) > AT_ONCE, entries)

    return await attempted(attempt)


async def _write(
    pg: Pg, registry: Registry, olds: Sequence[Unattached], author: Author
) -> tuple[list[Unattached], list[UUID]]:
    redacted = await forget_texts(pg, registry, [old.id for old in olds], author)
    news = [next_version(old, erased(old), redacted.author) for old in olds]
    await store.write(pg, registry, news)
    persons = [new.id for new in news]
    await forget(pg, persons)
    await forget_registrations(pg, persons)
    return news, redacted.entries

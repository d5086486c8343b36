"""Reading persons, with or without a household, always within the caller's divisions."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from services.registry.households.persons.records import Unattached
from services.registry.households.persons.schemas import Membership
from services.registry.households.problems import PERSON_IN_HOUSEHOLD
from services.registry.households.reading import (
    Unreadable,
    common_of,
    dated_entries,
    named,
    person_of,
    read_or_why,
    scope,
)
from services.registry.households.records import Individual, PersonStatus
from services.registry.identity import Vault
from shared import errors
from shared.auth import Caller
from shared.contracts.division import Path
from shared.contracts.household import HouseholdEvent
from shared.db import Pg
from shared.errors import Problem

_FOUND = (
    "SELECT person.*, household.number AS household_number, household.event FROM person "
    "LEFT JOIN household ON household.id = person.household_id "
    f"WHERE (person.id = $1 OR person.number = $2) AND ({scope(3)} OR {scope(3, 'person')})"
)
_LOCKED = (
    f"SELECT * FROM person WHERE (id = $1 OR number = $2) AND household_id IS NULL AND {scope(3, 'person')} FOR UPDATE"
)


class Found(NamedTuple):
    """A person, and where they belong."""

    person: Individual
    path: Path
    member_of: Membership | None


async def find(pg: Pg, name: str, caller: Caller, vault: Vault) -> Found:
    """A person by id or number. Raises 404 when there is none, or none within the caller's divisions."""
    row = await pg.fetchrow(_FOUND, *named(name), list(caller.divisions))
    if row is None:
        raise Problem(errors.NOT_FOUND)
    if row["household_id"] is None:
        return alone(unattached_of(row, vault))
    member = person_of(row, vault)
    path = HouseholdEvent.model_validate_json(row["event"]).timeline[-1].path
    return Found(
        member,
        path,
        Membership(household=row["household_number"], household_id=member.household_id, relation=member.relation),
    )


def alone(person: Unattached) -> Found:
    """A person without a household."""
    return Found(person, person.path, None)


async def locked(pg: Pg, name: str, caller: Caller, vault: Vault) -> Unattached:
    """A person without a household, whose row is locked. Raises 404, 409 for a member of a household."""
    row = await pg.fetchrow(_LOCKED, *named(name), list(caller.divisions))
    if row is None:
        await find(pg, name, caller, vault)
        raise Problem(PERSON_IN_HOUSEHOLD)
    return unattached_of(row, vault)


async def at_version(pg: Pg, person_id: UUID, version: int, vault: Vault) -> Unattached:
    """A person without a household as one of their versions said."""
    row = await pg.fetchrow(
        "SELECT * FROM person WHERE id = $1 AND version = $2 "
        "UNION ALL SELECT * FROM person_version WHERE id = $1 AND version = $2",
        person_id,
        version,
    )
    if row is None:
        raise RuntimeError("a version that was answered with is not there")
    return unattached_of(row, vault)


@dataclass(frozen=True, slots=True)
class Filters:
    """What a list of persons without a household narrows by; None does not restrict."""

    division: str | None = None
    status: PersonStatus | None = None
    number: str | None = None
    updated_since: datetime | None = None


_LISTED = f"""FROM person WHERE household_id IS NULL AND {scope(1, "person")}
    AND ($2::text IS NULL OR $2 IN (city, managing_unit, township, village) OR length($2) < 12 AND village ^@ $2)
    AND ($3::text IS NULL OR status = $3) AND ($4::text IS NULL OR number = $4)
    AND ($5::timestamptz IS NULL OR recorded_at >= $5)"""


async def page(
    pg: Pg, filters: Filters, caller: Caller, vault: Vault, *, after: UUID | None, limit: int
) -> list[Unattached]:
    """Persons without a household in order of id, ``limit`` at most."""
    rows = await pg.fetch(
        f"SELECT * {_LISTED} AND ($6::uuid IS NULL OR id > $6) ORDER BY id LIMIT {limit:d}",
        *_arguments(filters, caller),
        after,
    )
    return [unattached_of(row, vault) for row in rows]


async def count(pg: Pg, filters: Filters, caller: Caller) -> int:
    """How many there are."""
    return int(await pg.fetchval(f"SELECT count(*) {_LISTED}", *_arguments(filters, caller)))


async def present_in(pg: Pg, division: str, vault: Vault, *, after: UUID, limit: int) -> list[Unattached | Unreadable]:
    """The next persons without a household who are in a division now, in order of id, whoever asks.

    One that cannot be read does not keep the others from being read.
    """
    rows = await pg.fetch(
        "SELECT * FROM person WHERE household_id IS NULL AND status = 'active' AND id > $1 "
        "AND (city = $2 OR managing_unit = $2 OR township = $2 OR village = $2) ORDER BY id LIMIT $3",
        after,
        division,
        limit,
    )
    return [read_or_why(row, lambda row=row: unattached_of(row, vault)) for row in rows]  # type: ignore[misc]


def _arguments(filters: Filters, caller: Caller) -> Sequence[Any]:
    return list(caller.divisions), filters.division, filters.status, filters.number, filters.updated_since


def unattached_of(row: Any, vault: Vault) -> Unattached:
    """The person without a household in a row, identity data opened."""
    path = Path(
        city=row["city"],
        county=row["county"],
        managing_unit=row["managing_unit"],
        township=row["township"],
        village=row["village"],
    )
    return Unattached(residences=dated_entries(row["residences"]), path=path, **common_of(row, vault))

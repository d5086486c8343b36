"""Reading households and their members out of their rows, always within the caller's divisions."""

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date, datetime
from typing import Any, NamedTuple, TypeVar
from uuid import UUID

from services.registry.households import incomes, monitoring
from services.registry.households.attributes import HouseholdAttributes, PersonAttributes
from services.registry.households.known import MEMBERS
from services.registry.households.records import Author, Household, Person
from services.registry.households.rules import Since, Standings, Welfares
from services.registry.identity import Vault
from shared import errors
from shared.auth import Caller
from shared.contracts.division import Path
from shared.contracts.household import HouseholdEvent
from shared.db import Pg
from shared.errors import Problem

T = TypeVar("T")
_NUMBER = re.compile(r"[0-9]{14}", re.ASCII)
_MEMBERS = (
    "SELECT * FROM person WHERE household_id = ANY($1) UNION ALL "
    "SELECT * FROM person_version WHERE household_id = ANY($1) AND status = 'transferred' "
    "ORDER BY household_id, position, id, joined_on"
)
_ACTIVE_IN = (
    "SELECT id FROM household WHERE id > $1 AND status = 'active' "
    "AND (city = $2 OR managing_unit = $2 OR township = $2 OR village = $2) ORDER BY id LIMIT $3"
)
_SCOPES = "array_remove(ARRAY[home.city, home.managing_unit, home.township, home.village], NULL) AS scopes"
_MEMBERS_AT = f"SELECT * FROM {MEMBERS.format(household='$1', version='$2')} members ORDER BY position, id, joined_on"


def scope(argument: int, table: str = "household") -> str:
    """The caller's divisions, given as an argument, as a condition on where a row lies now."""
    columns = ("city", "managing_unit", "township", "village")
    return "(" + " OR ".join(f"{table}.{column} = ANY(${argument}::text[])" for column in columns) + ")"


def once_in_scope(argument: int, table: str = "household") -> str:
    """The same on where it lies, or ever lay: for questions as of a day, whose own place is then looked at as well."""
    former = f"{table}.former_divisions"
    moved = f"{former} <> '' AND string_to_array({former}, ' ') && ${argument}::text[]"
    return f"({scope(argument, table)} OR ({moved}))"


async def find(pg: Pg, name: str, caller: Caller, vault: Vault, *, lock: bool = False) -> Household:
    """A household by id or number. Raises 404 when there is none, or none within the caller's divisions."""
    return await _found(pg, name, caller, vault, scope(3), lock=lock)


async def find_as_of(
    pg: Pg, name: str, caller: Caller, vault: Vault, day: date | None, instant: datetime | None
) -> Household:
    """A household as known at an instant, for whoever has it in scope now, or had it on the day by what was known.

    Raises 404 also where it was not known then.
    """
    household = await _found(pg, name, caller, vault, once_in_scope(3))
    ours = caller.reaches(household.latest.path)
    if instant is not None:
        household = await _known_at(pg, household, vault, instant)
    state = household.latest if day is None else household.event.state_on(day)
    if not ours and (state is None or not caller.reaches(state.path)):
        raise Problem(errors.NOT_FOUND)
    return household


async def _found(pg: Pg, name: str, caller: Caller, vault: Vault, within: str, *, lock: bool = False) -> Household:
    identifier, number = named(name)
    row = await pg.fetchrow(
        f"SELECT * FROM household WHERE (id = $1 OR number = $2) AND {within} {'FOR UPDATE' if lock else ''}",
        identifier,
        number,
        list(caller.divisions),
    )
    if row is None:
        raise Problem(errors.NOT_FOUND)
    return _household_of(row, await pg.fetch(_MEMBERS, [row["id"]]), vault)


def named(name: str) -> tuple[UUID | None, str | None]:
    """Fourteen digits are a number, anything else must be an id."""
    if _NUMBER.fullmatch(name):
        return None, name
    try:
        return UUID(name), None
    except ValueError as error:
        raise Problem(errors.NOT_FOUND) from error


async def _known_at(pg: Pg, current: Household, vault: Vault, instant: datetime) -> Household:
    """A household as it was known at an instant, members included. Raises 404 where it was not known then."""
    version = await pg.fetchval(
        "SELECT max(version) FROM ("
        "SELECT version FROM household WHERE id = $1 AND recorded_at <= $2 "
        "UNION ALL SELECT version FROM household_version WHERE id = $1 AND recorded_at <= $2) AS known",
        current.id,
        instant,
    )
    if version is None:
        raise Problem(errors.NOT_FOUND)
    return current if version == current.version else await at_version(pg, current.id, version, vault)


async def at_version(pg: Pg, household_id: UUID, version: int, vault: Vault) -> Household:
    """A household as one of its versions said, members included."""
    row = await pg.fetchrow(
        "SELECT * FROM household WHERE id = $1 AND version = $2 "
        "UNION ALL SELECT * FROM household_version WHERE id = $1 AND version = $2",
        household_id,
        version,
    )
    if row is None:
        raise RuntimeError("a version that was answered with is not there")
    return _household_of(row, await pg.fetch(_MEMBERS_AT, household_id, version), vault)


async def several(pg: Pg, identifiers: Sequence[UUID], vault: Vault, *, lock: bool = False) -> list[Household]:
    """Households by id, in order of id, which is the order in which they are locked if they are to be."""
    rows, members = await _rows(pg, identifiers, lock=lock)
    return [_household_of(row, members[row["id"]], vault) for row in rows]


class Unreadable(NamedTuple):
    """A household, or a person without one, in whose row stands what we never wrote, or what no key of ours opens."""

    id: UUID
    number: str
    village: str
    error: Exception


async def several_or_why(pg: Pg, identifiers: Sequence[UUID], vault: Vault) -> list[Household | Unreadable]:
    """The same, where one that cannot be read does not keep the others from being read."""
    rows, members = await _rows(pg, identifiers)
    return [read_or_why(row, lambda row=row: _household_of(row, members[row["id"]], vault)) for row in rows]  # type: ignore[misc]


def read_or_why(row: Any, read: Callable[[], T]) -> T | Unreadable:
    """What is read of a row, or why it cannot be."""
    try:
        return read()
    except Exception as error:
        return Unreadable(row["id"], row["number"], row["village"], error)


async def _rows(
    pg: Pg, identifiers: Sequence[UUID], *, lock: bool = False
) -> tuple[Sequence[Any], Mapping[UUID, Sequence[Any]]]:
    """The rows of households, and those of the members of each."""
    rows = await pg.fetch(
        f"SELECT * FROM household WHERE id = ANY($1) ORDER BY id {'FOR UPDATE' if lock else ''}", identifiers
    )
    members: dict[UUID, list[Any]] = {row["id"]: [] for row in rows}
    for member in await pg.fetch(_MEMBERS, list(members)):
        members[member["household_id"]].append(member)
    return rows, members


async def active_in(pg: Pg, division: str, *, after: UUID, limit: int) -> list[UUID]:
    """The next households on the register that lie in a division now, in order of id, whoever asks."""
    rows = await pg.fetch(_ACTIVE_IN, after, division, limit)
    return [row["id"] for row in rows]


async def members_by_id(pg: Pg, identifiers: Sequence[UUID], vault: Vault) -> dict[UUID, Person]:
    """Those of these persons who belong to a household, whoever asks."""
    rows = await pg.fetch("SELECT * FROM person WHERE id = ANY($1) AND household_id IS NOT NULL", identifiers)
    return {row["id"]: person_of(row, vault) for row in rows}


async def scopes_of(pg: Pg, households: Sequence[UUID]) -> Sequence[Any]:
    """``id`` of each household, and as ``scopes`` the divisions that it lies in now."""
    return await pg.fetch(f"SELECT home.id, {_SCOPES} FROM household home WHERE home.id = ANY($1::uuid[])", households)


async def scopes_of_members(pg: Pg, persons: Sequence[UUID]) -> Sequence[Any]:
    """The same of each of these persons who is present in a household."""
    return await pg.fetch(
        f"SELECT person.id, {_SCOPES} FROM person JOIN household home ON home.id = person.household_id "
        "WHERE person.id = ANY($1::uuid[]) AND person.left_on IS NULL",
        persons,
    )


async def standings_of(pg: Pg, household_id: UUID) -> tuple[Standings, date | None]:
    """The dated standings of a household that is there, and its end, whoever asks; they name nobody."""
    [row] = await pg.fetch("SELECT standings, valid_to FROM household WHERE id = $1", household_id)
    return dated_entries(row["standings"]), row["valid_to"]


async def place_of(pg: Pg, household_id: UUID) -> Path:
    """Where a household that is there lies now, whoever asks."""
    return (await event_of(pg, household_id)).timeline[-1].path


async def event_of(pg: Pg, household_id: UUID) -> HouseholdEvent:
    """The public state of a household that is there, whoever asks."""
    [row] = await pg.fetch("SELECT event FROM household WHERE id = $1", household_id)
    return HouseholdEvent.model_validate_json(row["event"])


async def versions(pg: Pg, household_id: UUID) -> Sequence[Any]:
    """The rows of every version of a household, oldest first."""
    return await pg.fetch(
        "SELECT * FROM household WHERE id = $1 UNION ALL SELECT * FROM household_version WHERE id = $1 "
        "ORDER BY version",
        household_id,
    )


def _household_of(row: Any, members: Iterable[Any], vault: Vault) -> Household:
    """The household in a row and its members' rows."""
    event = HouseholdEvent.model_validate_json(row["event"])
    return Household(
        id=row["id"],
        version=row["version"],
        seq=row["seq"],
        number=row["number"],
        status=row["status"],
        source_system=row["source_system"],
        external_id=row["external_id"],
        content=row["content"],
        residences=dated_entries(row["residences"]),
        standings=dated_entries(row["standings"]),
        timeline=tuple(event.timeline),
        valid_to=row["valid_to"],
        cause=row["cause"],
        welfares=welfares_of(row),
        attributes=HouseholdAttributes.model_validate_json(row["attributes"]),
        incomes=incomes.read(row["incomes"]),
        monitoring=monitoring.read(row["monitoring"]),
        seen_in=frozenset(row["former_divisions"].split()),
        first_recorded_at=row["first_recorded_at"],
        author=_author(row),
        members=tuple(person_of(member, vault) for member in members),
    )


def dated_entries(text: str) -> tuple[Since[Any], ...]:
    """What ``store.dated_text`` wrote: residences, standings, or welfare categories."""
    return tuple(Since(date.fromisoformat(valid_from), value) for valid_from, value in json.loads(text))


def welfares_of(row: Any) -> Welfares:
    """The dated welfare categories in a household's row; nothing is written down of one that never was another."""
    if row["welfares"] is None:
        return (Since(row["registered_on"], row["welfare"]),)
    return dated_entries(row["welfares"])


def _author(row: Any) -> Author:
    return Author(row["changed_by"], row["recorded_at"], row["reason"])


def person_of(row: Any, vault: Vault) -> Person:
    """The member in a row, identity data opened."""
    return Person(
        household_id=row["household_id"],
        household_version=row["household_version"],
        position=row["position"],
        relation=row["relation"],
        **common_of(row, vault),
    )


def common_of(row: Any, vault: Vault) -> dict[str, Any]:
    """What a row says of anybody, identity data opened: the fields of ``Individual``."""
    identifier: UUID = row["id"]

    def opened(column: str) -> str | None:
        return None if row[column] is None else vault.open(row[column], column, identifier)

    return {
        "id": identifier,
        "version": row["version"],
        "number": row["number"],
        "status": row["status"],
        "sex": row["sex"],
        "birth_date": row["birth_date"],
        "employable": row["employable"],
        "in_school": row["in_school"],
        "disability_level": row["disability_level"],
        "joined_on": row["joined_on"],
        "left_on": row["left_on"],
        "name": opened("name") or "",
        "id_number": opened("id_number"),
        "phone": opened("phone"),
        "disability_number": opened("disability_number"),
        "bank_card": opened("bank_card"),
        "attributes": PersonAttributes.model_validate_json(row["attributes"]),
        "author": _author(row),
    }

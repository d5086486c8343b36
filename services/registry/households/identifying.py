"""Finding persons: by ID number, within the caller's divisions; and when they were born."""

from collections.abc import Collection, Sequence
from datetime import date
from typing import Any
from uuid import UUID

from services.registry.households.reading import scope
from shared.auth import Caller
from shared.contracts.household import HouseholdEvent
from shared.db import Pg

_HOLDERS = (
    "SELECT person.id, person.number, person.name, person.id_number, person.id_number_index, person.status, "
    "person.city, person.managing_unit, person.township, person.village, "
    "household.number AS household, household.standing, household.welfare, household.event FROM person "
    "LEFT JOIN household ON household.id = person.household_id "
    "WHERE person.id_number_index = ANY($1::bytea[]) AND person.status IN ('active', 'deceased') "
)
_REACHED = f"({scope(2)} OR {scope(2, 'person')})"
_BY_INDEX = f"{_HOLDERS} AND {_REACHED}"
_ELSEWHERE = f"{_HOLDERS} AND {_REACHED} IS NOT TRUE"  # null where the person has no household


async def by_indexes(pg: Pg, indexes: Sequence[bytes], caller: Caller) -> dict[bytes, Any]:
    """Rows of those who hold these ID numbers, living or dead, by blind index."""
    rows = await pg.fetch(_BY_INDEX, indexes, list(caller.divisions))
    return {row["id_number_index"]: row for row in rows}


async def elsewhere(pg: Pg, indexes: Collection[bytes], caller: Caller) -> list[Any]:
    """Rows of those who hold these ID numbers, living or dead, and whom the caller does not reach."""
    return list(await pg.fetch(_ELSEWHERE, list(indexes), list(caller.divisions)))


def scopes_of(row: Any) -> tuple[str, ...]:
    """The divisions that a row's household lies in, or that the person belongs to who has none."""
    if row["event"] is None:
        return row["city"], row["managing_unit"], row["township"], row["village"]
    return HouseholdEvent.model_validate_json(row["event"]).timeline[-1].path.scopes()


async def births(pg: Pg, persons: Sequence[UUID]) -> dict[UUID, date]:
    """The days of birth of persons."""
    rows = await pg.fetch("SELECT id, birth_date FROM person WHERE id = ANY($1::uuid[])", persons)
    return {row["id"]: row["birth_date"] for row in rows}

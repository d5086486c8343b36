"""Use cases of actors."""

import json
from datetime import datetime
from uuid import UUID

from services.assistance.actors.schemas import ActorContent, ActorIn, ActorOut
from services.assistance.scope import SCOPE_SQL, Seat, seat
from shared import errors
from shared.auth import Caller
from shared.clock import local_day
from shared.contracts.division import DivisionTree
from shared.db import Pg
from shared.errors import Problem, Text, fault, invalid
from shared.http.etag import check_version
from shared.ids import uuid7

_COLUMNS = ", ".join(ActorOut.model_fields)
_WITHIN = SCOPE_SQL.format("$1::text[]")

ACTOR_BY_ID = "SELECT 'actor', id, NULL::text FROM actor WHERE id = ANY({0}::uuid[])"
ACTOR_BY_NAME = (
    "SELECT 'actor', a.id, json_build_array(a.source_system, a.external_id)::text FROM actor a "
    "JOIN unnest({0}::text[], {1}::text[]) AS wanted (source_system, external_id) USING (source_system, external_id)"
)
"""Branches of a lookup, as the mirror's. Retired actors are found too: what they did may be recorded late."""


def external_name(found: str) -> tuple[str, str]:
    """The name under which ``ACTOR_BY_NAME`` found an actor."""
    system, name = json.loads(found)
    return system, name


def seat_of(content: ActorContent, caller: Caller, tree: DivisionTree, now: datetime) -> Seat:
    """Where an actor belongs. Raises 422 outside the caller's divisions."""
    place = seat(tree, content.division, local_day(now))
    if place is None or not place.within(caller):
        message = "not known, or outside your divisions", "不存在,或不在您的辖区内"
        raise invalid(fault("/division", "unknown_reference", *message))
    return place


async def create(pg: Pg, content: ActorIn, place: Seat, *, by: UUID, now: datetime) -> ActorOut:
    """Add an actor, in the open transaction of ``pg``. Raises 409 when its external name is taken."""
    row = await pg.fetchrow(
        "INSERT INTO actor (id, version, status, kind, name, organisation, rank, office_phone, division, "
        "source_system, external_id, city, managing_unit, township, village, changed_by, changed_at) "
        "VALUES ($1, 1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16) "
        f"ON CONFLICT (source_system, external_id) DO NOTHING RETURNING {_COLUMNS}",
        uuid7(), content.status, content.kind, content.name, content.organisation, content.rank,
        content.office_phone, content.division, content.source_system, content.external_id, place.city,
        place.managing_unit, place.township, place.village, by, now,
    )  # fmt: skip
    if row is None:
        raise Problem(errors.CONFLICT, Text("the external name is taken", "来源编号已存在"))
    return ActorOut(**dict(row))


async def find(pg: Pg, actor_id: UUID, caller: Caller) -> ActorOut:
    """One actor. Raises 404, also outside the caller's divisions."""
    row = await pg.fetchrow(
        f"SELECT {_COLUMNS} FROM actor WHERE {_WITHIN} AND id = $2", list(caller.divisions), actor_id
    )
    if row is None:
        raise Problem(errors.NOT_FOUND)
    return ActorOut(**dict(row))


async def change(
    pg: Pg, actor_id: UUID, content: ActorContent, place: Seat, *, expected: int, caller: Caller, now: datetime
) -> ActorOut:
    """Replace what is known of an actor, in the open transaction of ``pg``. Raises 404, 412."""
    check_version((await find(pg, actor_id, caller)).version, expected)
    row = await pg.fetchrow(
        "UPDATE actor SET version = version + 1, status = $3, kind = $4, name = $5, organisation = $6, rank = $7, "
        "office_phone = $8, division = $9, city = $10, managing_unit = $11, township = $12, village = $13, "
        f"changed_by = $14, changed_at = $15 WHERE id = $1 AND version = $2 RETURNING {_COLUMNS}",
        actor_id, expected, content.status, content.kind, content.name, content.organisation, content.rank,
        content.office_phone, content.division, place.city, place.managing_unit, place.township, place.village,
        caller.key_id, now,
    )  # fmt: skip
    if row is None:
        raise Problem(errors.PRECONDITION_FAILED)
    return ActorOut(**dict(row))


async def listed(
    pg: Pg, caller: Caller, filters: dict[str, str | None], *, after: UUID | None, limit: int
) -> list[ActorOut]:
    """Actors within the caller's divisions, in order of creation."""
    condition, arguments = _conditions(caller, filters)
    position = len(arguments)
    rows = await pg.fetch(
        f"SELECT {_COLUMNS} FROM actor WHERE {condition} AND (${position + 1}::uuid IS NULL OR id > ${position + 1}) "
        f"ORDER BY id LIMIT ${position + 2}",
        *arguments,
        after,
        limit,
    )
    return [ActorOut(**dict(row)) for row in rows]


async def count(pg: Pg, caller: Caller, filters: dict[str, str | None]) -> int:
    """How many actors there are."""
    condition, arguments = _conditions(caller, filters)
    return int(await pg.fetchval(f"SELECT count(*) FROM actor WHERE {condition}", *arguments))


def _conditions(caller: Caller, filters: dict[str, str | None]) -> tuple[str, list[object]]:
    conditions: list[str] = [_WITHIN]
    arguments: list[object] = [list(caller.divisions)]
    for column in ("kind", "status", "division", "source_system", "external_id"):
        if (value := filters.get(column)) is not None:
            arguments.append(value)
            conditions.append(f"{column} = ${len(arguments)}")
    return " AND ".join(conditions), arguments

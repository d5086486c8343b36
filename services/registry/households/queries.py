"""Reading the register, always within the caller's divisions."""

from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Row, Select, and_, exists, func, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from services.registry.households.models import household, household_period, household_version, person
from services.registry.households.schemas import HouseholdDetail, HouseholdOut, MemberOut
from services.registry.identity import Vault, masked_id_number, masked_name, masked_phone
from shared import errors
from shared.auth import Caller
from shared.contracts.household import HouseholdEvent, Standing
from shared.db import Database
from shared.errors import Problem

_HEAD = (
    select(person.c.household_id, person.c.id.label("head_id"), person.c.name.label("head_name"))
    .where(person.c.relation == "head", person.c.left_on.is_(None))
    .subquery()
)
_PEOPLE = (
    select(func.count())
    .where(person.c.household_id == household.c.id, person.c.left_on.is_(None))
    .scalar_subquery()
    .label("people")
)


@dataclass(frozen=True, slots=True)
class Filters:
    """What a list of households narrows by."""

    division: str | None = None
    standing: Standing | None = None
    as_of: date | None = None
    number: str | None = None
    updated_since: datetime | None = None
    source_system: str | None = None
    external_id: str | None = None


def in_scope(caller: Caller) -> ColumnElement[bool]:
    """Rows whose latest path the caller reaches."""
    columns = (household.c.city, household.c.managing_unit, household.c.township, household.c.village)
    return or_(*(column.in_(caller.divisions) for column in columns))


def _conditions(filters: Filters, caller: Caller) -> list[ColumnElement[bool]]:
    found = [in_scope(caller)]
    if filters.division is not None and len(filters.division) == 12:
        columns = (household.c.city, household.c.managing_unit, household.c.township, household.c.village)
        found.append(or_(*(column == filters.division for column in columns)))
    elif filters.division is not None:
        found.append(household.c.village.like(filters.division + "%"))
    if filters.as_of is not None:
        found.append(exists(_period_on(filters.as_of, filters.standing)))
    elif filters.standing is not None:
        found += [household.c.standing == filters.standing, household.c.status == "active"]
    if filters.updated_since is not None:
        found.append(household.c.changed_at >= filters.updated_since)
    for column, value in (
        (household.c.number, filters.number),
        (household.c.source_system, filters.source_system),
        (household.c.external_id, filters.external_id),
    ):
        if value is not None:
            found.append(column == value)
    return found


def _period_on(day: date, standing: Standing | None) -> Select[tuple[UUID]]:
    period = household_period.c
    found = select(period.household_id).where(
        period.household_id == household.c.id,
        period.valid_from <= day,
        or_(period.valid_to.is_(None), period.valid_to > day),
    )
    return found if standing is None else found.where(period.standing == standing)


def _selected(conditions: Iterable[ColumnElement[bool]]) -> Select[Any]:
    joined = household.outerjoin(_HEAD, _HEAD.c.household_id == household.c.id)
    columns = (household, _HEAD.c.head_id, _HEAD.c.head_name, _PEOPLE)
    return select(*columns).select_from(joined).where(and_(*conditions)).order_by(household.c.id)


async def page(
    conn: AsyncConnection, filters: Filters, caller: Caller, *, after: UUID | None, limit: int
) -> Sequence[Row[Any]]:
    """Rows in order of registration, ``limit`` at most."""
    conditions = _conditions(filters, caller)
    if after is not None:
        conditions.append(household.c.id > after)
    rows: Sequence[Row[Any]] = (await conn.execute(_selected(conditions).limit(limit))).all()
    return rows


async def count(conn: AsyncConnection, filters: Filters, caller: Caller) -> int:
    statement = select(func.count()).select_from(household).where(and_(*_conditions(filters, caller)))
    return int((await conn.execute(statement)).scalar_one())


async def stream(database: Database, filters: Filters, caller: Caller) -> AsyncIterator[Row[Any]]:
    """Every matching row as of one moment."""
    async with database.transaction() as conn:
        async for row in await conn.stream(_selected(_conditions(filters, caller))):
            yield row


async def locked(conn: AsyncConnection, key: str, caller: Caller) -> Row[Any]:
    """The row of one household, by id or number, locked for a change. Raises 404 outside the caller's divisions."""
    statement = select(household).where(_named(key), in_scope(caller)).with_for_update()
    row = (await conn.execute(statement)).first()
    if row is None:
        raise Problem(errors.NOT_FOUND)
    return row


async def found(conn: AsyncConnection, key: str, caller: Caller) -> Row[Any]:
    """One household, by id or number. Raises 404 outside the caller's divisions."""
    row: Row[Any] | None = (await conn.execute(_selected([_named(key), in_scope(caller)]))).first()
    if row is None:
        raise Problem(errors.NOT_FOUND)
    return row


def _named(key: str) -> ColumnElement[bool]:
    """Fourteen digits are a number, anything else must be an id."""
    if len(key) == 14 and key.isdigit() and key.isascii():
        return household.c.number == key
    try:
        return household.c.id == UUID(key)
    except ValueError as error:
        raise Problem(errors.NOT_FOUND) from error


async def members(conn: AsyncConnection, household_id: UUID) -> Sequence[Row[Any]]:
    statement = select(person).where(person.c.household_id == household_id).order_by(person.c.position)
    return (await conn.execute(statement)).all()


async def versions(conn: AsyncConnection, household_id: UUID) -> Sequence[Row[Any]]:
    table = household_version
    return (
        await conn.execute(select(table).where(table.c.household_id == household_id).order_by(table.c.version))
    ).all()


def event_of(row: Row[Any]) -> HouseholdEvent:
    """The public state in a row."""
    return HouseholdEvent.model_validate(row.body, strict=False)


# What is shown


def shown(row: Row[Any], vault: Vault) -> HouseholdOut:
    """A household as others may see it."""
    return HouseholdOut.model_validate(_fields(row, vault))


def detailed(row: Row[Any], people: Sequence[Row[Any]], vault: Vault) -> HouseholdDetail:
    """A household and its members as others may see them."""
    return HouseholdDetail.model_validate({**_fields(row, vault), "members": [member(p, vault) for p in people]})


def _fields(row: Row[Any], vault: Vault) -> dict[str, Any]:
    event = event_of(row)
    head = None if row.head_id is None else masked_name(vault.open(row.head_name, "name", row.head_id))
    return {
        "id": row.id,
        "number": row.number,
        "seq": row.seq,
        "version": row.version,
        "status": row.status,
        "source_system": row.source_system,
        "external_id": row.external_id,
        "village": row.village,
        "path": event.timeline[-1].path,
        "standing": row.standing,
        "cause": row.cause,
        "welfare": row.welfare,
        "timeline": event.timeline,
        "valid_to": event.valid_to,
        "head": head,
        "people": row.people,
        "changed_at": row.changed_at,
    }


def member(row: Row[Any], vault: Vault) -> MemberOut:
    """A member as others may see it: masked, born in a year rather than on a day."""
    number = None if row.id_number is None else vault.open(row.id_number, "id_number", row.id)
    phone = None if row.phone is None else vault.open(row.phone, "phone", row.id)
    return MemberOut(
        id=row.id,
        number=row.number,
        version=row.version,
        status=row.status,
        relation=row.relation,
        name=masked_name(vault.open(row.name, "name", row.id)),
        id_number=None if number is None else masked_id_number(number),
        phone=None if phone is None else masked_phone(phone),
        sex=row.sex,
        birth_year=row.birth_date.year,
        employable=row.employable,
        in_school=row.in_school,
        disability_level=row.disability_level,
        joined_on=row.joined_on,
        left_on=row.left_on,
    )

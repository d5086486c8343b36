"""Use cases of the register: every change writes the state, its version, its periods and its event together."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import delete, insert, select, text, update
from sqlalchemy.ext.asyncio import AsyncConnection

from services.registry.households import rules
from services.registry.households.checking import Checked, born_on, sex_of
from services.registry.households.models import household, household_period, household_version, person
from services.registry.households.rules import Membership
from services.registry.households.schemas import MemberIn
from services.registry.identity import Vault
from shared.contracts.household import HOUSEHOLD, PERSON, HouseholdEvent, HouseholdState, PersonEvent
from shared.db import Pg
from shared.ids import uuid7
from shared.outbox import Event, emit
from shared.settings import Settings


@dataclass(frozen=True, slots=True)
class Author:
    """Who changes the register, when, and why."""

    key_id: UUID
    now: datetime
    reason: str | None = None


@dataclass(slots=True)
class _Rows:
    """What a batch writes, table by table."""

    households: list[dict[str, Any]]
    versions: list[dict[str, Any]]
    periods: list[dict[str, Any]]
    persons: list[dict[str, Any]]
    events: list[Event]


async def register(
    conn: AsyncConnection, settings: Settings, vault: Vault, checked: Sequence[Checked], author: Author
) -> list[HouseholdEvent]:
    """Register households that were found free of faults; returns their public states in the same order."""
    numbers = await _numbers(conn, [(c.path.county if c.path else "")[:6] for c in checked], "household")
    people = [(c.path.county if c.path else "")[:6] for c in checked for _ in c.content.members]
    person_numbers = iter(await _numbers(conn, people, "person"))
    rows = _Rows([], [], [], [], [])
    made = []
    for entry, (seq, number) in zip(checked, numbers, strict=True):
        event = _new_household(entry, seq, entry.content.number or number)
        members = [
            _new_person(vault, member, event.id, position, next(person_numbers)[1], entry.registered_on, author.now)
            for position, member in enumerate(entry.content.members)
        ]
        _add(rows, entry, event, members, author)
        made.append(event)
    await _write(conn, settings, rows)
    return made


async def _numbers(conn: AsyncConnection, counties: Sequence[str], kind: str) -> list[tuple[int, str]]:
    """Fresh 32-bit numbers and, out of them, 14-digit numbers that nobody holds."""
    table = household if kind == "household" else person
    drawn: list[tuple[int, str]] = []
    wanted = list(counties)
    while wanted:
        statement = text(f"SELECT nextval('{kind}_seq') FROM generate_series(1, :n)")
        seqs = (await conn.execute(statement, {"n": len(wanted)})).scalars()
        candidates = [(seq, f"{county}{seq:08d}") for county, seq in zip(wanted, seqs, strict=True)]
        column = table.c.number
        taken = set((await conn.execute(select(column).where(column.in_([n for _, n in candidates])))).scalars())
        drawn += [candidate for candidate in candidates if candidate[1] not in taken]
        wanted = [number[:6] for _, number in candidates if number in taken]
    return drawn


def _new_household(entry: Checked, seq: int, number: str) -> HouseholdEvent:
    if entry.path is None:
        raise ValueError("a checked household has a path")
    state = HouseholdState(valid_from=entry.registered_on, standing=entry.content.standing, path=entry.path)
    return HouseholdEvent(id=uuid7(), version=1, status="active", number=number, seq=seq, timeline=[state])


def _new_person(
    vault: Vault, member: MemberIn, home: UUID, position: int, number: str, joined_on: date, now: datetime
) -> dict[str, Any]:
    identifier = uuid7()
    return {
        "id": identifier,
        "number": member.number or number,
        "version": 1,
        "status": "active",
        "household_id": home,
        "position": position,
        "relation": member.relation,
        "sex": sex_of(member),
        "birth_date": born_on(member),
        "employable": member.employable,
        "in_school": member.in_school,
        "disability_level": member.disability_level,
        "joined_on": joined_on,
        "left_on": None,
        "name": vault.seal(member.name, "name", identifier),
        "id_number": vault.seal(member.id_number, "id_number", identifier) if member.id_number else None,
        "id_number_index": vault.index(member.id_number, "id_number") if member.id_number else None,
        "phone": vault.seal(member.phone, "phone", identifier) if member.phone else None,
        "changed_at": now,
    }


def _add(rows: _Rows, entry: Checked, event: HouseholdEvent, members: list[dict[str, Any]], author: Author) -> None:
    content = entry.content
    rows.households.append({
        **_state_columns(event),
        "id": event.id,
        "seq": event.seq,
        "number": event.number,
        "source_system": content.source_system,
        "external_id": content.external_id,
        "cause": content.cause,
        "welfare": content.welfare,
        "changed_at": author.now,
    })  # fmt: skip
    rows.versions.append(_version_row(event, content.cause, content.welfare, author))
    rows.periods += _period_rows(event, [Membership(m["joined_on"], m["left_on"]) for m in members])
    rows.persons += members
    rows.events.append(_household_event(event, "registered", author.now))
    rows.events += [_person_event(member, "registered", author.now) for member in members]


async def _write(conn: AsyncConnection, settings: Settings, rows: _Rows) -> None:
    await conn.execute(insert(household), rows.households)
    await conn.execute(insert(household_version), rows.versions)
    await conn.execute(insert(household_period), rows.periods)
    await conn.execute(insert(person), rows.persons)
    await emit(conn, settings, rows.events)


async def change(
    conn: AsyncConnection,
    settings: Settings,
    event: HouseholdEvent,
    *,
    verb: str,
    cause: str | None,
    welfare: str,
    author: Author,
) -> HouseholdEvent:
    """Store a household's next state; the caller holds its row lock and made ``event`` from what it read."""
    columns = {**_state_columns(event), "cause": cause, "welfare": welfare, "changed_at": author.now}
    await conn.execute(update(household).where(household.c.id == event.id).values(columns))
    await conn.execute(insert(household_version), [_version_row(event, cause, welfare, author)])
    await rewrite_periods(conn, event)
    await emit(conn, settings, [_household_event(event, verb, author.now)])
    return event


async def rewrite_periods(conn: AsyncConnection, event: HouseholdEvent) -> None:
    """Derive a household's periods anew from its timeline and memberships."""
    found = await conn.execute(select(person.c.joined_on, person.c.left_on).where(person.c.household_id == event.id))
    memberships = [Membership(row.joined_on, row.left_on) for row in found]
    await conn.execute(delete(household_period).where(household_period.c.household_id == event.id))
    rows = _period_rows(event, memberships)
    if rows:
        await conn.execute(insert(household_period), rows)


async def add_member(
    conn: AsyncConnection,
    settings: Settings,
    vault: Vault,
    home: HouseholdEvent,
    member: MemberIn,
    *,
    joined_on: date,
    author: Author,
) -> dict[str, Any]:
    """Add a person to a household that the caller has locked; returns the person's row."""
    [(_, number)] = await _numbers(conn, [home.timeline[-1].path.county[:6]], "person")
    last = text("SELECT coalesce(max(position) + 1, 0) FROM person WHERE household_id = :id")
    position = (await conn.execute(last, {"id": home.id})).scalar_one()
    row = _new_person(vault, member, home.id, position, number, joined_on, author.now)
    await conn.execute(insert(person), [row])
    await rewrite_periods(conn, home)
    await emit(conn, settings, [_person_event(row, "registered", author.now)])
    return row


async def change_member(
    conn: AsyncConnection, settings: Settings, home: HouseholdEvent, row: dict[str, Any], author: Author
) -> dict[str, Any]:
    """Store a person's next state; the caller holds the household's lock and raised the version."""
    row = {**row, "changed_at": author.now}
    await conn.execute(update(person).where(person.c.id == row["id"]).values(row))
    await rewrite_periods(conn, home)
    verb = "deregistered" if row["status"] == "deregistered" else "changed"
    await emit(conn, settings, [_person_event(row, verb, author.now)])
    return row


async def republish(pg: Pg, now: datetime) -> list[Event]:
    """Events with the present state of every household and person."""
    events = []
    for record in await pg.fetch("SELECT body::text FROM household ORDER BY seq"):
        events.append(_household_event(HouseholdEvent.model_validate_json(record["body"]), "changed", now))
    for record in await pg.fetch("SELECT * FROM person ORDER BY id"):
        events.append(_person_event(dict(record), "changed", now))
    return events


# Rows and events out of states


def _state_columns(event: HouseholdEvent) -> dict[str, Any]:
    state = event.timeline[-1]
    return {
        "version": event.version,
        "status": event.status,
        "city": state.path.city,
        "managing_unit": state.path.managing_unit,
        "township": state.path.township,
        "village": state.path.village,
        "standing": state.standing,
        "body": event.model_dump(mode="json"),
    }


def _version_row(event: HouseholdEvent, cause: str | None, welfare: str, author: Author) -> dict[str, Any]:
    return {
        "household_id": event.id,
        "version": event.version,
        "body": event.model_dump(mode="json"),
        "cause": cause,
        "welfare": welfare,
        "recorded_at": author.now,
        "changed_by": author.key_id,
        "reason": author.reason,
    }


def _period_rows(event: HouseholdEvent, memberships: Iterable[Membership]) -> list[dict[str, Any]]:
    return [
        {
            "household_id": event.id,
            "valid_from": period.valid_from,
            "valid_to": period.valid_to,
            "city": period.path.city,
            "managing_unit": period.path.managing_unit,
            "township": period.path.township,
            "village": period.path.village,
            "standing": period.standing,
            "people": period.people,
        }
        for period in rules.periods(event.timeline, event.valid_to, memberships)
    ]


def _household_event(event: HouseholdEvent, verb: str, now: datetime) -> Event:
    return Event(HOUSEHOLD, verb, str(event.id), event, now, version=event.version)


def _person_event(row: dict[str, Any], verb: str, now: datetime) -> Event:
    body = PersonEvent(
        id=row["id"],
        version=row["version"],
        status=row["status"],
        number=row["number"],
        household_id=row["household_id"],
        sex=row["sex"],
        birth_year=row["birth_date"].year,
        employable=row["employable"],
        in_school=row["in_school"],
        disability_level=row["disability_level"],
    )
    return Event(PERSON, verb, str(row["id"]), body, now, version=row["version"])

"""Changes of single households and members, from the row that is locked to the next state."""

from datetime import date
from typing import Any
from uuid import UUID

from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from services.registry.context import Registry, today
from services.registry.households import queries, rules, service
from services.registry.households.checking import EARLIEST, sex_of
from services.registry.households.models import person
from services.registry.households.rules import Kin
from services.registry.households.schemas import Deregistration, HouseholdPatch, MemberIn, MemberPatch
from services.registry.households.service import Author
from shared import errors
from shared.auth import Caller
from shared.contracts.division import DivisionTree
from shared.contracts.household import HouseholdEvent, HouseholdState
from shared.errors import Problem, fault
from shared.http.etag import check_version

DEREGISTERED = errors.kind(
    "household_deregistered", 409, "The household is off the register", "该户已注销",
    "A deregistered household does not change any more; register it again.", "已注销的农户不再变更,如需请重新登记。",
)  # fmt: skip


async def change(
    conn: AsyncConnection,
    registry: Registry,
    tree: DivisionTree,
    key: str,
    patch: HouseholdPatch,
    caller: Caller,
    expected: int,
) -> UUID:
    """Change standing, village, cause or welfare from a day on. Raises 404, 409, 412, 422."""
    row, event = await _locked(conn, key, caller, expected)
    day = _day(registry, patch.effective_on, event)
    latest = event.timeline[-1]
    path = latest.path
    if patch.village is not None:
        moved = tree.path(patch.village, day)
        if moved is None or moved.village is None or not caller.reaches(moved):
            raise errors.invalid(fault("/village", "division_unknown", "no such village of yours", "辖区内无此村"))
        path = moved
    timeline = event.timeline
    if patch.village is not None or patch.standing is not None:
        state = HouseholdState(valid_from=day, standing=patch.standing or latest.standing, path=path)
        timeline = rules.with_state(timeline, state)
    changed = event.model_copy(update={"version": event.version + 1, "timeline": timeline})
    await service.change(
        conn, registry.runtime.settings, changed, verb="changed", cause=patch.cause or row.cause,
        welfare=patch.welfare or row.welfare, author=_author(registry, caller, patch.reason),
    )  # fmt: skip
    return event.id


async def deregister(
    conn: AsyncConnection, registry: Registry, key: str, body: Deregistration, caller: Caller, expected: int
) -> UUID:
    """Take a household and its members off the register. Raises 404, 409, 412, 422."""
    row, event = await _locked(conn, key, caller, expected)
    day = _day(registry, body.effective_on, event)
    author = _author(registry, caller, body.reason)
    changed = event.model_copy(update={"version": event.version + 1, "status": "deregistered", "valid_to": day})
    await service.change(
        conn,
        registry.runtime.settings,
        changed,
        verb="deregistered",
        cause=row.cause,
        welfare=row.welfare,
        author=author,
    )
    for member in await queries.members(conn, event.id):
        if member.status == "active":
            gone = {"status": "deregistered", "left_on": day, "version": member.version + 1, "id_number_index": None}
            await service.change_member(conn, registry.runtime.settings, changed, {**member._mapping, **gone}, author)
    return event.id


async def add_member(
    conn: AsyncConnection, registry: Registry, key: str, body: MemberIn, caller: Caller, expected: int
) -> tuple[UUID, UUID]:
    """Add a person to a household; returns the ids of both. Raises 404, 409, 412, 422."""
    row, event = await _locked(conn, key, caller, expected)
    present = [m for m in await queries.members(conn, event.id) if m.left_on is None]
    kin = [Kin(m.relation, m.sex) for m in present] + [Kin(body.relation, sex_of(body))]
    faults = list(rules.kinship_faults(kin))
    wrong = rules.id_number_fault(body.id_number, today(registry)) if body.id_number else None
    if wrong is not None:
        faults.append(fault("/id_number", *wrong))
    elif body.id_number and await _is_registered(conn, registry, body.id_number):
        faults.append(fault("/id_number", "id_number_taken", "registered already", "该身份号码已登记"))
    if faults:
        raise errors.invalid(*faults)
    author = _author(registry, caller, None)
    raised = await _raise_version(conn, registry, row, event, author)
    made = await service.add_member(
        conn, registry.runtime.settings, registry.vault, raised, body, joined_on=today(registry), author=author
    )
    return event.id, made["id"]


async def change_member(
    conn: AsyncConnection,
    registry: Registry,
    key: str,
    member_id: UUID,
    body: MemberPatch,
    caller: Caller,
    expected: int,
) -> UUID:
    """Change a member; a death or departure ends the membership on its day. Raises 404, 409, 412, 422."""
    row, event = await _locked(conn, key, caller, expected)
    member = next((m for m in await queries.members(conn, event.id) if m.id == member_id), None)
    if member is None:
        raise Problem(errors.NOT_FOUND)
    given = body.model_dump(exclude_unset=True, exclude={"phone", "effective_on"})
    changed: dict[str, Any] = {**member._mapping, **given, "version": member.version + 1}
    if body.phone is not None:
        changed["phone"] = registry.vault.seal(body.phone, "phone", member_id)
    if body.status in ("deceased", "moved_away"):
        if member.relation == "head":
            raise errors.invalid(fault("/status", "head_leaves", "name another head first", "须先变更户主"))
        changed["left_on"] = _day(registry, body.effective_on, event)
    elif body.status == "active":
        changed["left_on"] = None
    author = _author(registry, caller, None)
    raised = await _raise_version(conn, registry, row, event, author)
    await service.change_member(conn, registry.runtime.settings, raised, changed, author)
    return event.id


async def make_head(
    conn: AsyncConnection, registry: Registry, key: str, member_id: UUID, caller: Caller, expected: int
) -> UUID:
    """Another member becomes head; the former one becomes 'other'. Raises 404, 409, 412."""
    row, event = await _locked(conn, key, caller, expected)
    present = [m for m in await queries.members(conn, event.id) if m.left_on is None]
    chosen = next((m for m in present if m.id == member_id), None)
    if chosen is None:
        raise Problem(errors.NOT_FOUND)
    author = _author(registry, caller, "变更户主")
    raised = await _raise_version(conn, registry, row, event, author)
    for former in present:
        if former.relation == "head" and former.id != member_id:
            await conn.execute(update(person).where(person.c.id == former.id).values(relation="other"))
    await conn.execute(update(person).where(person.c.id == member_id).values(relation="head"))
    return raised.id


async def _locked(conn: AsyncConnection, key: str, caller: Caller, expected: int) -> tuple[Any, HouseholdEvent]:
    row = await queries.locked(conn, key, caller)
    check_version(row.version, expected)
    if row.status != "active":
        raise Problem(DEREGISTERED)
    return row, queries.event_of(row)


async def _raise_version(
    conn: AsyncConnection, registry: Registry, row: Any, event: HouseholdEvent, author: Author
) -> HouseholdEvent:
    """Members belong to their household's version: what changes them changes it."""
    raised = event.model_copy(update={"version": event.version + 1})
    return await service.change(
        conn, registry.runtime.settings, raised, verb="changed", cause=row.cause, welfare=row.welfare, author=author
    )


async def _is_registered(conn: AsyncConnection, registry: Registry, id_number: str) -> bool:
    index = registry.vault.index(id_number, "id_number")
    return (await conn.execute(select(person.c.id).where(person.c.id_number_index == index))).first() is not None


def _day(registry: Registry, given: date | None, event: HouseholdEvent) -> date:
    day = given or today(registry)
    if not max(EARLIEST, event.timeline[0].valid_from) <= day <= today(registry):
        raise errors.invalid(
            fault("/effective_on", "day_out_of_range", "between registration and today", "须在登记日与今日之间")
        )
    return day


def _author(registry: Registry, caller: Caller, reason: str | None) -> Author:
    return Author(caller.key_id, registry.runtime.clock.now(), reason)

"""Recording one action over HTTP: one look at what it refers to, one statement that writes everything."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from uuid import UUID

import asyncpg

from services.assistance.actions import ledger
from services.assistance.actions.composing import recorded, same_content
from services.assistance.actions.entries import Entry
from services.assistance.actions.rules import UNKNOWN, Placed, judge
from services.assistance.actions.schemas import ActionIn, ActionOut
from services.assistance.claiming import find_earlier
from services.assistance.context import Assistance
from shared import errors
from shared.auth import Caller
from shared.db import Pg
from shared.errors import Problem, Text, invalid
from shared.http.idempotency import IdempotencyKey

REFERENCE_WAIT_SECONDS = 2.0
"""How long an unknown reference is awaited over HTTP: the mirror may be about to learn of it."""
WAIT_STEP = 0.05

NAME_TAKEN = errors.kind(
    "external_id_taken", 409, "The record is there already", "该来源编号已登记",
    "Another action holds this (source_system, external_id); `action_id` names it. Correct that one instead.",
    "该来源系统和编号已登记其他内容,`action_id` 为已有记录,请对其更正。",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Answer:
    """A version of an action to answer with."""

    action_id: UUID
    version: int
    body: str
    created: bool = False
    replayed: bool = False


async def record(
    assistance: Assistance, content: ActionIn, caller: Caller, *, key: IdempotencyKey, dry_run: bool
) -> Answer:
    """Record an action. Raises 422 with every fault, 409 when its external name holds another content."""

    async def attempt() -> Answer:
        async with assistance.runtime.database.driver() as pg:
            return await replaying(pg, key, lambda: _record(assistance, pg, content, caller, key, dry_run))

    answer = await awaiting_references(attempt)
    if answer.created:
        assistance.runtime.wake_relay()
    return answer


async def awaiting_references(attempt: Callable[[], Awaitable[Answer]]) -> Answer:
    """Attempt a command again for two seconds while all that is wrong is that references are unknown.

    What was registered a moment ago is on its way to the mirror (architecture.md, "Ids").
    """
    deadline = time.monotonic() + REFERENCE_WAIT_SECONDS
    while True:
        try:
            return await attempt()
        except Problem as problem:
            heals = bool(problem.faults) and all(each.code == UNKNOWN for each in problem.faults)
            if not heals or time.monotonic() >= deadline:
                raise
        await asyncio.sleep(WAIT_STEP)


async def _record(
    assistance: Assistance, pg: Pg, content: ActionIn, caller: Caller, key: IdempotencyKey, dry_run: bool
) -> Answer:
    world = await assistance.world(pg, (content,))
    placed = judge(content, world, caller)
    if not isinstance(placed, Placed):
        raise invalid(*placed)
    entry = recorded(content, placed, now=world.now, by=caller.key_id)
    if not dry_run and await ledger.insert_one(pg, assistance.runtime.settings, entry, key):
        return Answer(entry.state.id, 1, entry.body, created=True)
    if not dry_run and (earlier := await find_replay(pg, key)) is not None:
        return earlier
    return await _existing(pg, entry, caller, dry_run=dry_run)


async def _existing(pg: Pg, entry: Entry, caller: Caller, *, dry_run: bool) -> Answer:
    """The action that holds the external name, if it says the same. Raises 409."""
    state = entry.state
    found = None
    if state.source_system is not None and state.external_id is not None:
        name = (state.source_system, state.external_id)
        found = (await ledger.load_by_names(pg, [name])).get(name)
    if found is None and dry_run:
        return Answer(state.id, 1, entry.body)
    if found is None:
        raise Problem(errors.CONFLICT, Text("another request holds it, try again", "其他请求正在处理,请重试"))
    if not same_content(found.state, state):
        raise name_taken(found.state, caller)
    return Answer(found.state.id, found.state.version, found.state.model_dump_json(by_alias=True))


def name_taken(existing: ActionOut, caller: Caller) -> Problem:
    """409; names the existing action to callers who may see it."""
    visible = {"action_id": str(existing.id)} if caller.reaches(existing.path) else {}
    return Problem(NAME_TAKEN, extensions=visible)


async def replaying(pg: Pg, key: IdempotencyKey, attempt: Callable[[], Awaitable[Answer]]) -> Answer:
    """Attempt a command; where it fails because it was carried out before under this key, answer as then."""
    try:
        return await attempt()
    except (Problem, asyncpg.UniqueViolationError):
        earlier = await find_replay(pg, key)
        if earlier is None:
            raise
        return earlier


async def find_replay(pg: Pg, key: IdempotencyKey) -> Answer | None:
    """What was answered to an earlier request with this key. Raises 422 when that was another request."""
    earlier = await find_earlier(pg, key)
    if earlier is None:
        return None
    body = await ledger.load_version(pg, earlier.resource_id, earlier.version)
    if body is None:
        raise RuntimeError("an idempotency key names a version that does not exist")
    return Answer(earlier.resource_id, earlier.version, body, replayed=True)

"""Recording actions over HTTP: one look at what they refer to, one statement that writes everything."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from uuid import UUID

import asyncpg

from services.assistance.actions import ledger
from services.assistance.actions.composing import recorded, same_content
from services.assistance.actions.entries import Entry
from services.assistance.actions.gathering import Gathering
from services.assistance.actions.rules import UNKNOWN, Placed, World, judge
from services.assistance.actions.schemas import ActionIn, ActionOut
from services.assistance.context import Assistance
from shared import errors
from shared.auth import Caller
from shared.commands import transaction
from shared.db import CONTENDED, Pg
from shared.errors import Problem, Text, invalid
from shared.http.claiming import find_earlier
from shared.http.idempotency import IdempotencyKey
from shared.telemetry import current_traceparent

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


@dataclass(frozen=True, slots=True)
class Request:
    """One action to record, for whom, and under which key."""

    content: ActionIn
    caller: Caller
    key: IdempotencyKey
    traceparent: str | None = field(default_factory=current_traceparent)


class Recording:
    """Records actions: those that arrive together in one statement, each as if it were alone."""

    def __init__(self, assistance: Assistance) -> None:
        self._assistance = assistance
        self._together = Gathering(self._record_plain)

    async def record(self, request: Request, *, dry_run: bool) -> Answer:
        """Record an action. Raises 422 with every fault, 409 when its external name holds another content."""
        answer = None if dry_run else await self._together(request)
        if answer is None:
            answer = await awaiting_references(lambda: self._alone(request, dry_run=dry_run))
        if answer.created and not dry_run:
            self._assistance.runtime.wake_relay()
        return answer

    async def _record_plain(self, requests: Sequence[Request]) -> list[Answer | None]:
        """Record what nothing speaks against; None for a request about which there is more to say."""
        settings = self._assistance.runtime.settings
        async with self._assistance.runtime.database.driver() as pg:
            world = await self._assistance.world(pg, [request.content for request in requests])
            entries = [_entry(request, world) for request in requests]
            given = [(e, r.key) for e, r in zip(entries, requests, strict=True) if e is not None]
            try:
                written = await ledger.insert(pg, settings, [e for e, _ in given], [key for _, key in given])
            except (asyncpg.IntegrityConstraintViolationError, *CONTENDED):
                return [None] * len(requests)  # a key was used before, or somebody is about to use it
        return [_created(e) if e is not None and e.state.id in written else None for e in entries]

    async def _alone(self, request: Request, *, dry_run: bool) -> Answer:
        async with self._assistance.runtime.database.driver() as pg:
            return await replaying(pg, request.key, lambda: self._attempt(pg, request), dry_run=dry_run)

    async def _attempt(self, pg: Pg, request: Request) -> Answer:
        world = await self._assistance.world(pg, (request.content,))
        placed = judge(request.content, world, request.caller)
        if not isinstance(placed, Placed):
            raise invalid(*placed)
        entry = _recorded(request, placed, world)
        settings = self._assistance.runtime.settings
        if await ledger.insert(pg, settings, [entry], [request.key]):
            return _created(entry)
        if (earlier := await find_replay(pg, request.key)) is not None:
            return earlier
        return await _existing(pg, entry, request.caller)


def _entry(request: Request, world: World) -> Entry | None:
    placed = judge(request.content, world, request.caller)
    return _recorded(request, placed, world) if isinstance(placed, Placed) else None


def _recorded(request: Request, placed: Placed, world: World) -> Entry:
    return recorded(request.content, placed, now=world.now, by=request.caller.key_id, traceparent=request.traceparent)


def _created(entry: Entry) -> Answer:
    return Answer(entry.state.id, 1, entry.body, created=True)


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


async def _existing(pg: Pg, entry: Entry, caller: Caller) -> Answer:
    """The action that holds the external name, if it says the same. Raises 409."""
    state = entry.state
    found = None
    if state.source_system is not None and state.external_id is not None:
        name = (state.source_system, state.external_id)
        found = (await ledger.load_by_names(pg, [name])).get(name)
    if found is None:
        raise Problem(errors.CONFLICT, Text("another request holds it, try again", "其他请求正在处理,请重试"))
    if not same_content(found.state, state):
        raise name_taken(found.state, caller)
    return Answer(found.state.id, found.state.version, found.state.model_dump_json(by_alias=True))


def name_taken(existing: ActionOut, caller: Caller) -> Problem:
    """409; names the existing action to callers who may see it."""
    visible = {"action_id": str(existing.id)} if caller.reaches(existing.path) else {}
    return Problem(NAME_TAKEN, extensions=visible)


async def replaying(
    pg: Pg, key: IdempotencyKey, attempt: Callable[[], Awaitable[Answer]], *, dry_run: bool = False
) -> Answer:
    """Attempt a command; where it fails because it was carried out before under this key, answer as then.

    In earnest its one statement commits by itself.
    """
    try:
        if not dry_run:
            return await attempt()
        async with transaction(pg, dry_run=True):
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

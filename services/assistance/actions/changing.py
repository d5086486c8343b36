"""Correcting, revoking and verifying one action over HTTP: nothing is deleted, every change is a version."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from uuid import UUID

from services.assistance.actions import ledger
from services.assistance.actions.composing import corrected, revoked, verified
from services.assistance.actions.entries import Entry, Stored
from services.assistance.actions.recording import Answer, awaiting_references, find_replay, replaying
from services.assistance.actions.rules import Placed, judge
from services.assistance.actions.schemas import Correction
from services.assistance.context import Assistance
from shared import errors
from shared.auth import Caller
from shared.db import Pg
from shared.errors import Problem, fault, invalid
from shared.http.etag import check_version
from shared.http.idempotency import IdempotencyKey

REVOKED = errors.kind(
    "action_revoked", 409, "The action was revoked", "该行动已撤销",
    "A revoked action stays as it is; record a new one.", "已撤销的行动不得再更正、撤销或核实,请重新登记。",
)  # fmt: skip
VERIFIED = errors.kind(
    "action_verified", 409, "The action is verified already", "该行动已核实",
    "A reviewer has verified this version.", "该版本已由核实人核实。",
)  # fmt: skip
OWN_RECORD = errors.kind(
    "own_record", 403, "Nobody verifies their own record", "不得核实自己登记的行动",
    "A verification comes from someone who neither recorded nor corrected the action.",
    "核实人不得为该行动的登记人或更正人。",
)  # fmt: skip

Compose = Callable[[Pg, Stored], Awaitable[Entry]]


@dataclass(frozen=True, slots=True)
class Change:
    """Which action is to change, from which version, at whose wish."""

    action_id: UUID
    expected: int
    caller: Caller
    key: IdempotencyKey


async def correct(assistance: Assistance, change: Change, correction: Correction) -> Answer:
    """Replace the content. Raises 404, 409, 412, and 422 as recording does."""

    async def compose(pg: Pg, stored: Stored) -> Entry:
        _refuse_other_name(stored, correction)
        world = await assistance.world(pg, (correction,))
        placed = judge(correction, world, change.caller)
        if not isinstance(placed, Placed):
            raise invalid(*placed)
        return corrected(stored, correction, placed, now=world.now, by=change.caller.key_id, reason=correction.reason)

    return await awaiting_references(lambda: _change(assistance, change, compose))


async def revoke(assistance: Assistance, change: Change, reason: str) -> Answer:
    """Undo an action: it counts nowhere from now on. Raises 404, 409, 412."""

    async def compose(_: Pg, stored: Stored) -> Entry:
        return revoked(stored, now=assistance.runtime.clock.now(), by=change.caller.key_id, reason=reason)

    return await _change(assistance, change, compose)


async def verify(assistance: Assistance, change: Change, note: str | None) -> Answer:
    """Vouch for an action. Raises 403 for its recorder, 404, 409, 412."""

    async def compose(_: Pg, stored: Stored) -> Entry:
        if change.caller.key_id in (stored.provenance.recorded_by, stored.provenance.changed_by):
            raise Problem(OWN_RECORD)
        if stored.state.verified_at is not None:
            raise Problem(VERIFIED)
        return verified(stored, now=assistance.runtime.clock.now(), by=change.caller.key_id, note=note)

    return await _change(assistance, change, compose)


def _refuse_other_name(stored: Stored, correction: Correction) -> None:
    """A correction may repeat the external name; it may not give another."""
    named = (correction.source_system, correction.external_id)
    if named not in ((None, None), (stored.state.source_system, stored.state.external_id)):
        raise invalid(fault("/external_id", "immutable", "an action keeps its external name", "来源编号不得更改"))


async def _change(assistance: Assistance, change: Change, compose: Compose) -> Answer:
    async with assistance.runtime.database.driver() as pg:
        attempt = partial(_attempt, assistance, pg, change, compose)
        answer = await replaying(pg, change.key, attempt, dry_run=assistance.dry_run)
    if not assistance.dry_run:
        assistance.runtime.wake_relay()
    return answer


async def _attempt(assistance: Assistance, pg: Pg, change: Change, compose: Compose) -> Answer:
    stored = await find(pg, change.action_id, change.caller)
    check_version(stored.state.version, change.expected)
    if stored.state.status == "revoked":
        raise Problem(REVOKED)
    entry = await compose(pg, stored)
    if await ledger.update(pg, assistance.runtime.settings, [entry], [change.key]):
        return Answer(entry.state.id, entry.state.version, entry.body)
    if (earlier := await find_replay(pg, change.key)) is not None:
        return earlier
    moved_on = await find(pg, change.action_id, change.caller)
    check_version(moved_on.state.version, change.expected)
    raise Problem(errors.CONFLICT)


async def find(pg: Pg, action_id: UUID, caller: Caller) -> Stored:
    """An action's current version. Raises 404, also outside the caller's divisions."""
    stored = await ledger.load(pg, action_id)
    if stored is None or not caller.reaches(stored.state.path):
        raise Problem(errors.NOT_FOUND)
    return stored

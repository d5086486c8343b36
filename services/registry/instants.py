"""What was known at an instant is final once it is told: two times, of architecture rule 7.

``recorded_at`` is read off the clock before its transaction commits. So an instant may have passed while what is
recorded at it cannot be seen yet, and a question with its ``known_at`` would be answered otherwise later. Therefore
whoever records says first in which second it begins, by a lock that is shared and ends when what was written can be
seen; whoever asks waits for those that began by then. A transaction that begins after the question reads the clock
after it, hence records a later instant.

This holds among processes as far as their clocks agree.
"""

import asyncio
import time
from datetime import UTC, datetime, timedelta
from typing import Any

from shared import errors
from shared.app import NOT_FOUND_RESPONSE, Runtime
from shared.clock import Clock
from shared.db import Pg
from shared.errors import Problem, fault

LOCK = 0x696E7374
"""Names our advisory locks among others; the second completes it."""
EPOCH = datetime(2020, 1, 1, tzinfo=UTC)
"""Seconds are counted from here, so that a lock's number holds them until 2088."""
PATIENCE_SECONDS = 2.0
"""How long a question waits for those that are recording."""
LOOK_SECONDS = 0.03
NOT_SETTLED = errors.kind(
    "not_settled", 503, "What was known then is still being recorded", "该时点的信息仍在记录中",
    "Somebody who began before the instant in `known_at` has not ended, such as an import in one transaction, so the "
    "answer could change. Ask again as Retry-After says, or for an earlier instant.",
    "在 `known_at` 时点之前开始的写入(例如一次性提交的导入)尚未结束,此时的回答可能改变。请按 Retry-After 稍后重试,"
    "或改用更早的时点。",
)  # fmt: skip
NOT_YET = fault("query:known_at", "not_yet", "still to come", "晚于当前时间")
SETTLED_RESPONSE: dict[int | str, dict[str, Any]] = {
    503: {
        **NOT_FOUND_RESPONSE[404],
        "description": "A dependency is away, or `not_settled`: what was known then is still being recorded, "
        "see Retry-After 依赖服务暂不可用,或该时点的信息仍在记录中",
    }
}
_RECORDING = """
SELECT virtualtransaction FROM pg_locks WHERE locktype = 'advisory' AND granted
AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
AND classid::bigint = $1 AND objid::bigint <= $2 AND objsubid = 2"""


async def begin(pg: Pg, clock: Clock) -> None:
    """Say that this transaction records from now on: before it reads the clock for that."""
    await pg.execute("SELECT pg_advisory_xact_lock_shared($1, $2)", LOCK, _second(clock.now()))


async def settled(runtime: Runtime, known_at: datetime | None) -> None:
    """Wait until what was known at an instant stays as it is; before anything is read that answers the question.

    Raises 422 for an instant to come, and 503 where somebody is still recording what was known then. An instant about
    to come is waited for: it may be by another clock, as the one at which another process recorded something.
    """
    if known_at is None:
        return
    deadline = time.monotonic() + PATIENCE_SECONDS
    while (ahead := (known_at - runtime.clock.now()).total_seconds()) > 0:
        if ahead > deadline - time.monotonic():
            raise errors.invalid(NOT_YET)
        await asyncio.sleep(max(ahead, LOOK_SECONDS))
    awaited = await _recording(runtime, known_at)
    while awaited:
        if time.monotonic() > deadline:
            raise Problem(NOT_SETTLED, headers={"Retry-After": "1"})
        await asyncio.sleep(LOOK_SECONDS)
        awaited &= await _recording(runtime, known_at)  # who came since records later, though in the same second


async def _recording(runtime: Runtime, known_at: datetime) -> set[str]:
    """The transactions that began by an instant and have not ended. Between two looks others have the connection."""
    async with runtime.database.driver() as pg:
        rows = await pg.fetch(_RECORDING, LOCK, _second(known_at))
    return {row["virtualtransaction"] for row in rows}


def _second(instant: datetime) -> int:
    """As the number of a lock; what does not fit counts with the first or last that does."""
    return min(max((instant - EPOCH) // timedelta(seconds=1), 0), 2**31 - 1)

"""The transaction of a command, with what an ``Idempotency-Key`` needs inside it, tried again where it lost a race."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TypeVar

import asyncpg

from services.registry import instants
from shared import commands, errors
from shared.app import Runtime
from shared.db import Pg
from shared.errors import Problem, Text
from shared.http.claiming import claim, complete, find_earlier, forget

__all__ = ["attempted", "claim", "command", "complete", "find_earlier", "forget", "plan_anew"]
T = TypeVar("T")
ATTEMPTS = 3
"""How often a command is tried that loses to others running beside it."""
PAUSE_SECONDS = 0.05
"""How long one that the database undid lets the others go first: at once it would step in their way again."""


@asynccontextmanager
async def command(runtime: Runtime, *, dry_run: bool = False) -> AsyncIterator[Pg]:
    """A transaction: committed at the end, undone by any exception, and always in a dry run.

    Whatever instant it records, it reads from the clock inside (``instants``); a dry run records none.
    """
    async with commands.command(runtime, dry_run=dry_run) as pg:
        if not dry_run:
            await instants.begin(pg, runtime.clock)
        yield pg


async def plan_anew(pg: Pg) -> None:
    """Forget this connection's plans: those made while the tables were small read them from end to end.

    For each chunk of bulk work, under whose hands the tables grow. To plan every statement anew instead would plan
    every check of a foreign key, once a row, and take a third of the database's time.
    """
    await pg.execute("DISCARD PLANS")


async def attempted(attempt: Callable[[], Awaitable[T]]) -> T:
    """The result of an attempt, a transaction of its own, that may lose a race. Raises 409 when it loses every time."""
    for _ in range(ATTEMPTS):
        try:
            return await attempt()
        except asyncpg.UniqueViolationError:  # a number was taken first
            continue
        except (asyncpg.DeadlockDetectedError, asyncpg.SerializationError):
            await asyncio.sleep(PAUSE_SECONDS)
    raise Problem(errors.CONFLICT, Text("another request holds it, try again", "其他请求正在处理,请重试"))

"""The transaction of a command, with what an ``Idempotency-Key`` needs inside it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from shared.app import Runtime
from shared.db import Pg
from shared.http.claiming import claim, complete, find_earlier, forget

__all__ = ["claim", "command", "complete", "find_earlier", "forget"]


class _DryRunOver(Exception):
    """Undoes the transaction of a dry run."""


@asynccontextmanager
async def command(runtime: Runtime, *, dry_run: bool = False) -> AsyncIterator[Pg]:
    """A transaction: committed at the end, undone by any exception, and always in a dry run."""
    async with runtime.database.driver() as pg:
        try:
            async with pg.transaction():
                yield pg
                if dry_run:
                    raise _DryRunOver
        except _DryRunOver:
            return
    runtime.wake_relay()

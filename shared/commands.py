"""The transaction of a command: committed at its end, and in a dry run undone there."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from shared.app import Runtime
from shared.db import Pg


class _DryRunOver(Exception):
    """Undoes the transaction of a dry run."""


@asynccontextmanager
async def transaction(pg: Pg, *, dry_run: bool = False) -> AsyncIterator[None]:
    """A transaction: committed at the end, undone by any exception, and always in a dry run."""
    try:
        async with pg.transaction():
            yield
            if dry_run:
                raise _DryRunOver
    except _DryRunOver:
        pass


@asynccontextmanager
async def command(runtime: Runtime, *, dry_run: bool = False) -> AsyncIterator[Pg]:
    """A connection in such a transaction; what it wrote to the outbox is sent afterwards."""
    async with runtime.database.driver() as pg, transaction(pg, dry_run=dry_run):
        yield pg
    if not dry_run:
        runtime.wake_relay()

"""Small tables kept in memory, loaded again when any process has changed them.

A writer raises the table's revision in its transaction; a reader looks at the revision at most once a second.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

from shared.db import Pg

CHECK_SECONDS = 1.0
T = TypeVar("T")

RAISE_REVISION = (
    "INSERT INTO table_revision (name, value) VALUES ($1, 1) "
    "ON CONFLICT (name) DO UPDATE SET value = table_revision.value + 1"
)
"""For asyncpg, in the transaction of the change: ``await pg.execute(RAISE_REVISION, name)``."""


class Watched(Generic[T]):
    """A value loaded from the database and loaded again when its revision has moved."""

    def __init__(self, name: str, load: Callable[[Pg], Awaitable[T]]) -> None:
        self.name = name
        self._load = load
        self._value: T | None = None
        self._revision = -1
        self._due = 0.0
        self._expired = 0
        self._lock = asyncio.Lock()

    async def get(self, pg: Pg) -> T:
        """The present value, at most a second old.

        Not in a transaction that has changed the table: all others would get what may never be committed.
        """
        if self._value is None or time.monotonic() >= self._due:
            async with self._lock:
                if self._value is None or time.monotonic() >= self._due:
                    await self._refresh(pg)
        if self._value is None:
            raise RuntimeError(f"{self.name} was not loaded")
        return self._value

    async def latest(self, pg: Pg) -> T:
        """The value with everything that was committed before this was called. Not where ``get`` may not be called."""
        self.expire()
        return await self.get(pg)

    def expire(self) -> None:
        """Look again at the next use: this process has changed it, or needs what was just changed."""
        self._due = 0.0
        self._expired += 1

    async def _refresh(self, pg: Pg) -> None:
        expired = self._expired
        found = await pg.fetchval("SELECT value FROM table_revision WHERE name = $1", self.name) or 0
        if self._value is None or found != self._revision:
            # The revision is read before the rows: rows newer than it only cost one more load.
            self._value = await self._load(pg)
            self._revision = found
        if expired == self._expired:  # else it may have changed after it was looked at
            self._due = time.monotonic() + CHECK_SECONDS

"""Small tables kept in memory, reloaded when any process has changed them.

A writer raises the table's revision in its transaction; a reader looks at the revision at most once a second.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

from sqlalchemy import BigInteger, Column, Table, Text

from services.assistance.metadata import metadata
from shared.db import Pg

CHECK_SECONDS = 1.0
T = TypeVar("T")

revision = Table(
    "revision",
    metadata,
    Column("name", Text, primary_key=True),
    Column("value", BigInteger, nullable=False),
    comment="Raised with every change of a table that processes keep in memory",
)

RAISE_REVISION = (
    "INSERT INTO revision (name, value) VALUES ($1, 1) ON CONFLICT (name) DO UPDATE SET value = revision.value + 1"
)


class Watched(Generic[T]):
    """A value loaded from the database and loaded again when its revision has moved."""

    def __init__(self, name: str, load: Callable[[Pg], Awaitable[T]]) -> None:
        self.name = name
        self._load = load
        self._value: T | None = None
        self._revision = -1
        self._due = 0.0
        self._lock = asyncio.Lock()

    async def get(self, pg: Pg) -> T:
        """The present value, at most a second old."""
        if self._value is None or time.monotonic() >= self._due:
            async with self._lock:
                if self._value is None or time.monotonic() >= self._due:
                    await self._refresh(pg)
        if self._value is None:
            raise RuntimeError(f"{self.name} was not loaded")
        return self._value

    def expire(self) -> None:
        """Look again at the next use: this process has changed it, or needs what was just changed."""
        self._due = 0.0

    async def _refresh(self, pg: Pg) -> None:
        found = await pg.fetchval("SELECT value FROM revision WHERE name = $1", self.name) or 0
        if self._value is None or found != self._revision:
            # Read the revision before the rows: rows newer than it only cost one more reload.
            self._value = await self._load(pg)
            self._revision = found
        self._due = time.monotonic() + CHECK_SECONDS

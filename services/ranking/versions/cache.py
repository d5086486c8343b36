"""Keeps what was rendered for as long as its live versions stand (architecture rule 11)."""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable, Mapping
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from services.ranking.versions import service
from shared.db import Database, Pg

CHECK_SECONDS = 0.02
PAUSE_PER_RENDERING = 3.0
LONGEST_PAUSE_SECONDS = 1.0
"""Something under constant change is rendered in at most a quarter of the time, but at least once a second."""
KEPT = 200
K = TypeVar("K", bound=Hashable)
S = TypeVar("S")
Versions = Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Recipe(Generic[K, S]):
    """How something is rendered, and what it depends on."""

    names: Callable[[K], list[str]]
    """The live versions it depends on."""
    stamp: Callable[[K, Versions], str]
    """Its own version: equal exactly when nothing it depends on has changed, the day included."""
    render: Callable[[Pg, K, Versions, str], Awaitable[S]]
    """Make it, in a transaction whose snapshot the versions were read in; the last argument is its version."""


@dataclass(slots=True)
class _Entry(Generic[S]):
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    fresh_until: float = 0.0
    version: str = ""
    rendered: S | None = None

    def is_fresh(self) -> bool:
        return self.rendered is not None and time.monotonic() < self.fresh_until

    def stays_fresh(self, rendering_took: float) -> None:
        pause = min(rendering_took * PAUSE_PER_RENDERING, LONGEST_PAUSE_SECONDS)
        self.fresh_until = time.monotonic() + max(CHECK_SECONDS, pause)


class VersionedCache(Generic[K, S]):
    """Rendered things by key: checked for a newer version at most every 20 ms, rendered once per version."""

    def __init__(self, database: Database, recipe: Recipe[K, S]) -> None:
        self._database = database
        self._recipe = recipe
        self._entries: OrderedDict[K, _Entry[S]] = OrderedDict()

    async def get(self, key: K) -> S:
        """What stands under a key now, as a rule at most 20 ms old. Raises what rendering raises."""
        entry = self._entries.get(key)
        if entry is not None and entry.is_fresh():
            assert entry.rendered is not None  # fresh
            return entry.rendered
        if entry is None:
            entry = self._remember(key)
        async with entry.lock:
            if not entry.is_fresh():
                await self._renew(key, entry)
            assert entry.rendered is not None  # renewed
            return entry.rendered

    def fresh_for(self, key: K) -> float:
        """Seconds until a newer version is looked for."""
        entry = self._entries.get(key)
        return 0.0 if entry is None else max(0.0, entry.fresh_until - time.monotonic())

    def _remember(self, key: K) -> _Entry[S]:
        entry: _Entry[S] = _Entry()
        self._entries[key] = entry
        while len(self._entries) > KEPT:
            self._entries.popitem(last=False)
        return entry

    async def _renew(self, key: K, entry: _Entry[S]) -> None:
        names, started, took = self._recipe.names(key), time.monotonic(), 0.0
        async with self._database.driver() as pg:
            if entry.rendered is None or self._stamp(key, await service.read(pg, names)) != entry.version:
                async with pg.transaction(isolation="repeatable_read", readonly=True):
                    versions = await service.read(pg, names)
                    version = self._stamp(key, versions)
                    entry.rendered = await self._recipe.render(pg, key, versions, version)
                    entry.version = version
                took = time.monotonic() - started
        entry.stays_fresh(took)

    def _stamp(self, key: K, versions: Versions) -> str:
        return self._recipe.stamp(key, versions)

"""Live tables: rendered once per version."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass

from services.ranking.periods.calendar import official_calendar
from services.ranking.tables import service
from services.ranking.tables.assembly import Moment, Table, TableKey, moment_of
from services.ranking.tables.presentation import present
from services.ranking.tables.sources import Sources
from services.ranking.versions.cache import Recipe, VersionedCache, Versions
from shared.clock import Clock, local_day
from shared.db import Database, Pg
from shared.settings import Settings


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A table as of one version, and its JSON."""

    version: str
    table: Table
    body: bytes

    @property
    def etag(self) -> str:
        return f'"{self.version}"'


class LiveTables:
    """The live tables this process has served lately."""

    def __init__(self, settings: Settings, database: Database, clock: Clock) -> None:
        self.sources = Sources()
        self._settings = settings
        self._clock = clock
        self._cache = VersionedCache(database, Recipe(service.version_names, self._stamp, self._render))

    async def snapshot(self, key: TableKey) -> Snapshot:
        """The table as it is now, at most 20 ms old. Raises what ``service.compute`` raises."""
        return await self._cache.get(key)

    async def changes(self, key: TableKey, last_seen: str | None) -> AsyncIterator[Snapshot | None]:
        """Snapshots that differ from the last one seen, as they come; None while nothing changes."""
        while True:
            snapshot = await self.snapshot(key)
            if snapshot.version != last_seen:
                last_seen = snapshot.version
                yield snapshot
            else:
                yield None
            await asyncio.sleep(self._cache.fresh_for(key))

    def _moment(self, key: TableKey) -> Moment:
        return moment_of(key.period, local_day(self._clock.now()), official_calendar())

    def _stamp(self, key: TableKey, versions: Versions) -> str:
        """For example ``20181005r.17.3.260.12.0.1``: T, running or closed, then every live version."""
        moment = self._moment(key)
        state = "r" if moment.running else "c"
        return f"{moment.as_of:%Y%m%d}{state}." + ".".join(map(str, versions.values()))

    async def _render(self, pg: Pg, key: TableKey, versions: Versions, version: str) -> Snapshot:
        table = await service.compute(pg, self.sources, versions, key, self._moment(key))
        if len(table.lines()) > service.LARGE:
            return await asyncio.to_thread(self._presented, table, version)
        return self._presented(table, version)

    def _presented(self, table: Table, version: str) -> Snapshot:
        body = present(table, version, self._settings.demonstration).model_dump_json().encode()
        return Snapshot(version, table, body)

"""The sealer: chains what commands recorded, about every second, one at a time in a database."""

import asyncio
import logging
import time

from services.registry.audit import service
from services.registry.audit.service import BATCH
from shared.clock import Clock
from shared.db import AWAY, CONTENDED, Database

logger = logging.getLogger("bangfu.registry.audit")
SECONDS = 1.0
RETRY_SECONDS = 2.0
REST = 50
REST_SECONDS = 20.0
"""Times as long as a look took, until the next, but not longer than this. A look walks over every entry that a large
import has not committed yet, and finds none of them."""


class Sealer:
    """A job of the service; of several processes, whichever gets the lock seals."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        self._last_look = 0.0
        """Seconds."""

    async def run(self) -> None:
        """Seal until cancelled; survives the database going away."""
        while True:
            try:
                await self.seal()
                await asyncio.sleep(max(SECONDS, min(REST * self._last_look, REST_SECONDS)))
            except (*AWAY, *CONTENDED) as error:
                logger.warning("sealing held up by %s", type(error).__name__)
                await asyncio.sleep(RETRY_SECONDS)

    async def seal(self) -> int:
        """Seal everything there is; returns how many entries."""
        count = 0
        while True:
            begun = time.monotonic()
            async with self._database.driver() as pg, pg.transaction():
                sealed = await service.seal(pg, self._clock.now())
            count += sealed
            self._last_look = time.monotonic() - begun
            if sealed < BATCH:
                return count

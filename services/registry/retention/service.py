"""The job that deletes what was kept long enough."""

import asyncio
import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

from services.registry.exchange import forgetting as exchange
from services.registry.imports import forgetting as imports
from shared.app import Runtime
from shared.db import AWAY, CONTENDED

logger = logging.getLogger("bangfu.registry.retention")
PAUSE_SECONDS = 3600.0
RETRY_SECONDS = 10.0
REJECTED_ROWS_DAYS = 30
EXCHANGE_DAYS = 180
"""Six months are the least that 网络安全法, article 21, wants of logs."""
FEWEST_EXCHANGE_DAYS = 2
"""A message may be a day old when it comes: so long it must be known that it was taken."""


@dataclass(frozen=True, slots=True)
class Kept:
    """For how many days what is kept."""

    rejected_rows: int = REJECTED_ROWS_DAYS
    """Rows of imports that were not taken in, for download."""
    exchange: int = EXCHANGE_DAYS
    """What DCI parties sent."""

    @classmethod
    def load(cls, environ: Mapping[str, str] = os.environ) -> "Kept":
        """``BANGFU_REGISTRY_REJECTED_ROWS_DAYS`` and ``BANGFU_REGISTRY_EXCHANGE_DAYS``. Raises ``ValueError``."""
        found = cls(
            int(environ.get("BANGFU_REGISTRY_REJECTED_ROWS_DAYS") or REJECTED_ROWS_DAYS),
            int(environ.get("BANGFU_REGISTRY_EXCHANGE_DAYS") or EXCHANGE_DAYS),
        )
        if found.rejected_rows < 0 or found.exchange < FEWEST_EXCHANGE_DAYS:
            raise ValueError(f"rejected rows are kept 0 days at least, the exchange {FEWEST_EXCHANGE_DAYS}")
        return found


async def run(runtime: Runtime, kept: Kept) -> None:
    """Purge every hour until cancelled; survives the database going away."""
    while True:
        try:
            await purge(runtime, kept)
            await asyncio.sleep(PAUSE_SECONDS)
        except (*AWAY, *CONTENDED) as error:
            logger.warning("purging held up by %s", type(error).__name__)
            await asyncio.sleep(RETRY_SECONDS)


async def purge(runtime: Runtime, kept: Kept) -> None:
    """Delete what was kept long enough, in many transactions: what one of them deleted stays deleted."""
    now = runtime.clock.now()
    await imports.purge(runtime.database, now - timedelta(days=kept.rejected_rows))
    await exchange.purge(runtime.database, now - timedelta(days=kept.exchange))

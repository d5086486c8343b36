"""The sample service's relay or consumer as a process of its own: `python -m tests.faults.sample_process relay`."""

import asyncio
import logging
import sys

from shared.db import Database
from shared.settings import Settings
from tests.faults import sample


async def work(part: str) -> None:
    settings = Settings.load("assistance")
    database = Database(settings.database_url)
    if part == "relay":
        await sample.relay(settings, database).run()
    else:
        await sample.consumer(settings, database).run()


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO)
    asyncio.run(work(sys.argv[1]))

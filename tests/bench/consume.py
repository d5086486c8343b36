"""B3's two sides of our own, each one process with one event loop.

``python -m tests.bench.consume floor|project`` reads an order as JSON from standard input and prints the seconds
between the first record in hand and the end of the work; the start of the process and joining the group are not
measured.
"""

import asyncio
import json
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import uvloop

from services.ranking.facts.consumers import FactsHandler
from services.ranking.facts.reading import Batch, read_batch
from shared import broker, collector
from shared.clock import SystemClock
from shared.collector import collect_less_often
from shared.consumer import Consumer
from shared.contracts.action import ACTION
from shared.db import Database, Pg
from shared.deadletter import DeadLetterLimit
from shared.record import Record, Verdict
from shared.settings import Settings

BATCH = 5000
"""As the ranking service has it."""


@dataclass(frozen=True, slots=True)
class Order:
    """Which events to take in, as whom."""

    environment: dict[str, str]
    group: str
    events: int


async def floor(order: Order, settings: Settings) -> float:
    """The least: fetch, decode the payload and the headers, keep nothing, commit nothing."""
    await broker.ensure_topics(settings, [ACTION])
    client = broker.consumer(settings, order.group)
    client.subscribe([settings.topic(ACTION.name)])
    await client.start()
    try:
        started, seen = 0.0, 0
        while seen < order.events:
            fetched = await client.getmany(timeout_ms=200, max_records=BATCH)
            started = started or (time.monotonic() if fetched else 0.0)
            for messages in fetched.values():
                for message in messages:
                    json.loads(message.value)
                    {name: value.decode() for name, value in message.headers}
                seen += len(messages)
        return time.monotonic() - started
    finally:
        await client.stop()


@dataclass
class Timed:
    """The facts handler with a stop-watch: from the first records in hand."""

    handle: FactsHandler
    started: float = 0.0
    seen: int = 0

    def read(self, records: Sequence[Record]) -> Batch:
        self.started = self.started or time.monotonic()
        return read_batch(records)

    async def __call__(self, pg: Pg, batch: Batch) -> Mapping[int, Verdict]:
        verdicts = await self.handle(pg, batch)
        self.seen += sum(map(len, batch.places.values())) - len(verdicts)
        return verdicts


async def project(order: Order, settings: Settings) -> float:
    """The ranking service's consumer of facts as it is: its handler, its batches, offsets after the database."""
    clock = SystemClock()
    database = Database(settings.database_url)
    timed = Timed(FactsHandler(clock))
    done = asyncio.Event()
    consumer = Consumer(
        settings=settings,
        database=database,
        clock=clock,
        group=order.group,
        topics=(ACTION,),
        read=timed.read,
        handle=timed,
        allowance=DeadLetterLimit(),
        max_records=BATCH,
        after_batch=lambda: done.set() if timed.seen >= order.events else None,
    )
    running = asyncio.create_task(consumer.run())
    try:
        await done.wait()
        return time.monotonic() - timed.started
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await database.close()


if __name__ == "__main__":
    order = Order(**json.load(sys.stdin))
    collect_less_often()  # as every service does
    side = {"floor": floor, "project": project}[sys.argv[1]]
    collector.collect_less_often()  # as in every service
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        seconds = runner.run(side(order, Settings.load("ranking", order.environment)))
        print(json.dumps({"seconds": seconds}))

"""Which log the broker holds, asked beside the work on a client kept open (architecture rule 3).

The id of a log is the first record of the meta topic, so that of several services meeting an empty log all take the
same. A broker that lost its log, or another one in its place, has another id or none yet.
"""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from uuid import uuid4

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from shared import broker
from shared.contracts.base import Topic
from shared.settings import Settings

logger = logging.getLogger("bangfu.log")
CHECK_SECONDS = 2.0
"""How often relays and consumers ask whether the broker still holds the log they know."""
ANSWER_LIMIT = 3.0
"""Seconds the broker may take to answer; then it is asked again on a new client."""
RETRY_SECONDS = 0.5


class LogWatch:
    """Knows the broker's log as long as it runs; makes the topics of a log that is new."""

    def __init__(self, settings: Settings, topics: Sequence[Topic]) -> None:
        self.incarnation: str | None = None
        """The id of the log; None while the broker is away or has not been asked yet."""
        self.last_contact = 0.0
        """``time.monotonic()`` when the broker last answered; for health."""
        self._settings = settings
        self._topics = topics
        self._known = asyncio.Event()
        self._ask = asyncio.Event()

    async def known(self) -> str:
        """The id of the log, as soon as the broker tells it. Its topics are there by then."""
        while self.incarnation is None:
            await self._known.wait()
        return self.incarnation

    def doubt(self) -> None:
        """The broker just failed us: nothing is known until it was asked again, which happens at once."""
        self._learn(None)
        self._ask.set()

    async def run(self) -> None:
        """Ask every two seconds until cancelled."""
        while True:
            try:
                await broker.ensure_topics(self._settings, self._topics)
                async with _reader(self._settings) as reader:
                    while True:
                        self._ask.clear()
                        await self._look(reader)
                        await self._wait(CHECK_SECONDS)
            except (KafkaError, OSError, TimeoutError) as error:
                logger.info("the broker does not tell its log: %s", type(error).__name__)
                self._learn(None)
                await self._wait(RETRY_SECONDS)

    async def _look(self, reader: AIOKafkaConsumer) -> None:
        found = await _first_record(self._settings, reader)
        self.last_contact = time.monotonic()
        if found != self.incarnation:
            await broker.ensure_topics(self._settings, self._topics)
        self._learn(found)

    def _learn(self, incarnation: str | None) -> None:
        self.incarnation = incarnation
        if incarnation is None:
            self._known.clear()
        else:
            self._known.set()

    async def _wait(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._ask.wait()
        except TimeoutError:
            return


async def log_incarnation(settings: Settings) -> str:
    """The id of the log the broker holds at this moment; gives it one if it has none.

    Call ``broker.ensure_topics`` before. Raises ``KafkaError`` or ``TimeoutError`` while the broker is away.
    """
    async with _reader(settings) as reader:
        return await _first_record(settings, reader)


@asynccontextmanager
async def _reader(settings: Settings) -> AsyncIterator[AIOKafkaConsumer]:
    """A client of the meta topic that fetches nothing unless asked to."""
    client = AIOKafkaConsumer(
        bootstrap_servers=settings.kafka_bootstrap_servers, auto_offset_reset="earliest", fetch_max_wait_ms=20
    )
    try:
        async with asyncio.timeout(broker.SEND_LIMIT):
            await client.start()
        partition = _partition(settings)
        client.assign([partition])
        client.pause(partition)
        yield client
    finally:
        await broker.close(client)


async def _first_record(settings: Settings, reader: AIOKafkaConsumer) -> str:
    partition = _partition(settings)
    async with asyncio.timeout(ANSWER_LIMIT):
        if (await reader.end_offsets([partition]))[partition] == 0:
            await _write(settings, uuid4().hex)
        reader.seek(partition, 0)
        reader.resume(partition)
        try:
            first = await reader.getone(partition)
        finally:
            reader.pause(partition)
    return str(first.value.decode())


async def _write(settings: Settings, incarnation: str) -> None:
    await broker.ensure_topics(settings, ())
    writer = broker.producer(settings)
    try:
        await writer.start()
        await writer.send_and_wait(settings.topic(broker.META_TOPIC), incarnation.encode(), partition=0)
    finally:
        await writer.stop()


def _partition(settings: Settings) -> TopicPartition:
    return TopicPartition(settings.topic(broker.META_TOPIC), 0)

"""Kafka clients with the settings that the services use, and a group member that reads and commits as they do."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import CommitFailedError, UnknownTopicOrPartitionError, for_code
from aiokafka.structs import ConsumerRecord

from shared import broker
from shared.broker import close
from shared.log import LogWatch
from shared.settings import Settings

PATIENCE = 60.0
"""Seconds after which a test gives up waiting: twice what the project promises to heal within, for a busy machine."""


async def eventually(condition: Callable[[], bool], *, within: float = PATIENCE) -> float:
    """Wait until the condition holds; returns the seconds it took. Raises TimeoutError."""
    started = time.monotonic()
    async with asyncio.timeout(within):
        while not condition():
            await asyncio.sleep(0.02)
    return time.monotonic() - started


class Member:
    """A running group member: reads, keeps what it read, commits offset + 1."""

    def __init__(self, client: AIOKafkaConsumer) -> None:
        self.client = client
        self.records: list[ConsumerRecord[Any, Any]] = []
        self.committed = 0
        """How many of the records; one that was read and is not committed may be read again by whoever follows."""
        self.failed_commits = 0
        self._loop = asyncio.create_task(self._run())

    @property
    def values(self) -> list[bytes]:
        return [record.value for record in self.records]

    @property
    def partitions(self) -> set[TopicPartition]:
        return set(self.client.assignment())

    async def has_read(self, *values: bytes) -> float:
        """Wait until all these values have come; returns the seconds it took."""
        return await eventually(lambda: set(values) <= set(self.values))

    async def has_committed(self, *values: bytes) -> None:
        """Wait until all these values have come, and all that came is committed."""
        await self.has_read(*values)
        await eventually(lambda: self.committed == len(self.records))

    async def stop(self) -> None:
        """Leave the group in order."""
        self._loop.cancel()
        await asyncio.gather(self._loop, return_exceptions=True)
        await close(self.client)

    async def _run(self) -> None:
        while True:
            fetched = await self.client.getmany(timeout_ms=100)
            for records in fetched.values():
                self.records += records
            if fetched:
                await self._commit({place: records[-1].offset + 1 for place, records in fetched.items()})

    async def _commit(self, offsets: dict[TopicPartition, int]) -> None:
        read = len(self.records)
        try:
            async with asyncio.timeout(5):
                await self.client.commit(offsets)
            self.committed = read
        except (CommitFailedError, TimeoutError):
            self.failed_commits += 1


class Clients:
    """Makes clients and topics for one test, and ends them with it."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._producers: list[AIOKafkaProducer] = []
        self._consumers: list[AIOKafkaConsumer] = []
        self._members: list[Member] = []

    async def topic(self, name: str = "topic", partitions: int = 12) -> str:
        """Create a topic of this test's own and return its full name."""
        full = self.settings.topic(name)
        async with admin(self.settings) as client:
            await client.create_topics([NewTopic(full, partitions, 1)])
        return full

    async def partition_count(self, topic: str) -> int:
        """How many partitions the topic has. To ask is to mention: brokers create it if it is missing."""
        async with admin(self.settings) as client, asyncio.timeout(PATIENCE):
            while True:
                (description,) = await client.describe_topics([topic])
                if description["partitions"]:
                    return len(description["partitions"])
                await asyncio.sleep(0.05)

    async def configuration(self, topic: str) -> dict[str, str]:
        """How the topic is configured, asked again until the broker knows it: Apache answers its making before."""
        asked = [ConfigResource(ConfigResourceType.TOPIC, topic)]
        async with admin(self.settings) as client, asyncio.timeout(PATIENCE):
            while True:
                (answer,) = await client.describe_configs(asked)
                ((code, message, _, _, entries),) = answer.resources
                if code != UnknownTopicOrPartitionError.errno:
                    break
                await asyncio.sleep(0.05)
        if code:
            raise for_code(code)(f"{topic}: {message}")
        return {entry[0]: str(entry[1]) for entry in entries}

    async def producer(self, **options: Any) -> AIOKafkaProducer:
        """A started producer: the services' own, or one with other options."""
        if options:
            made = AIOKafkaProducer(
                bootstrap_servers=self.settings.kafka_bootstrap_servers,
                **{"acks": "all", "enable_idempotence": False, **options},
            )
        else:
            made = broker.producer(self.settings)
        self._producers.append(made)
        await made.start()
        return made

    async def consumer(self, group: str, *topics: str) -> AIOKafkaConsumer:
        """A started group member that nobody polls yet, with partitions."""
        made = broker.consumer(self.settings, group)
        self._consumers.append(made)
        made.subscribe(topics)
        await made.start()
        await eventually(lambda: bool(made.assignment()))
        return made

    async def member(self, group: str, *topics: str) -> Member:
        """A running group member that has partitions."""
        made = Member(await self.consumer(group, *topics))
        self._members.append(made)
        return made

    async def log(self) -> str:
        """The id of the broker's log, asked again until it is told, as the services ask.

        A node that has just started or has many topics to make may serve for seconds before it leads its partitions.
        """
        watch = LogWatch(self.settings, ())
        async with asyncio.timeout(PATIENCE), asyncio.TaskGroup() as tasks:
            asking = tasks.create_task(watch.run())
            found = await watch.known()
            asking.cancel()
        return found

    async def commit(self, group: str, offsets: dict[TopicPartition, int]) -> None:
        """Commit for a group that has no member, as an operator would who sets it back."""
        client = broker.consumer(self.settings, group)
        self._consumers.append(client)
        await client.start()
        client.assign(list(offsets))
        async with asyncio.timeout(PATIENCE):
            await client.commit(offsets)
        await close(client)

    async def read(self, topic: str, count: int) -> list[ConsumerRecord[Any, Any]]:
        """The first `count` records of a topic from its start, without a group, in order of each partition."""
        client = AIOKafkaConsumer(bootstrap_servers=self.settings.kafka_bootstrap_servers, fetch_max_wait_ms=20)
        self._consumers.append(client)
        await client.start()
        places = [TopicPartition(topic, number) for number in range(await self.partition_count(topic))]
        client.assign(places)
        await client.seek_to_beginning(*places)
        found: list[ConsumerRecord[Any, Any]] = []
        async with asyncio.timeout(PATIENCE):
            while len(found) < count:
                for records in (await client.getmany(timeout_ms=100)).values():
                    found += records
        return found

    async def stop(self) -> None:
        for member in self._members:
            await member.stop()
        for consumer in self._consumers:
            await close(consumer)
        for producer in self._producers:
            await asyncio.wait({asyncio.create_task(producer.stop())}, timeout=PATIENCE)


@asynccontextmanager
async def admin(settings: Settings) -> AsyncIterator[AIOKafkaAdminClient]:
    """An admin client for one block."""
    client = AIOKafkaAdminClient(bootstrap_servers=settings.kafka_bootstrap_servers)
    await client.start()
    try:
        yield client
    finally:
        await client.close()


async def send(producer: AIOKafkaProducer, topic: str, values: Sequence[bytes], key: bytes | None = None) -> None:
    """Send values one after the other, each as its own key if none is given, and await every acknowledgement."""
    for value in values:
        await producer.send_and_wait(topic, value, key=key or value)

"""Kafka clients as every service makes them, topics, and the identity of the broker's log.

Settings follow what was measured on Apache Kafka 4 and on the embedded broker (tests/brokers/README.md).
"""

import asyncio
import logging
from collections.abc import Iterable
from dataclasses import dataclass
from uuid import uuid4

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import KafkaError, TopicAlreadyExistsError

from shared.contracts.base import Topic
from shared.settings import Settings

logger = logging.getLogger("bangfu.broker")
META_TOPIC = "bangfu.meta.v1"
LOG_CHECK_SECONDS = 2.0
"""How often relays and consumers ask whether the broker still holds the log they know."""
SEND_LIMIT = 10.0
"""Seconds a batch may wait for acknowledgement; then the producer is thrown away (reliability.md finding 2)."""


def producer(settings: Settings) -> AIOKafkaProducer:
    """A producer that waits for all replicas. It must be started inside the running loop."""
    return AIOKafkaProducer(
        bootstrap_servers=settings.kafka_bootstrap_servers,
        acks="all",
        enable_idempotence=settings.kafka_idempotence,
        linger_ms=0,
        max_batch_size=256 * 1024,
        request_timeout_ms=int(SEND_LIMIT * 1000),
        retry_backoff_ms=100,
        metadata_max_age_ms=30_000,
    )


def consumer(settings: Settings, group: str) -> AIOKafkaConsumer:
    """A member of a group that commits by hand and starts at the beginning of a topic it never read."""
    return AIOKafkaConsumer(
        bootstrap_servers=settings.kafka_bootstrap_servers,
        group_id=settings.topic(group),
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        session_timeout_ms=6_000,
        heartbeat_interval_ms=1_000,
        max_poll_interval_ms=60_000,
        metadata_max_age_ms=5_000,
        retry_backoff_ms=100,
        fetch_max_wait_ms=250,
        max_partition_fetch_bytes=1024 * 1024,
        request_timeout_ms=20_000,
    )


async def ensure_topics(settings: Settings, topics: Iterable[Topic]) -> None:
    """Create what is missing, dead-letter topics included; existing topics are left as they are."""
    wanted = {settings.topic(META_TOPIC): 1}
    for topic in topics:
        wanted[settings.topic(topic.name)] = topic.partitions
        wanted[settings.topic(topic.dead_letters)] = 1
    admin = AIOKafkaAdminClient(bootstrap_servers=settings.kafka_bootstrap_servers, request_timeout_ms=10_000)
    await admin.start()
    try:
        present = set(await admin.list_topics())
        for name, partitions in wanted.items():
            if name not in present:
                await _create(admin, name, partitions)
    finally:
        await admin.close()


async def _create(admin: AIOKafkaAdminClient, name: str, partitions: int) -> None:
    try:
        await admin.create_topics([NewTopic(name=name, num_partitions=partitions, replication_factor=-1)])
    except TopicAlreadyExistsError:
        logger.debug("topic %s was created by somebody else", name)


async def log_incarnation(settings: Settings) -> str:
    """The id of the log the broker holds now; gives it one if it has none.

    The id is the first record of the meta topic, so that of several services meeting an empty log all take the
    same. Raises ``KafkaError`` or ``TimeoutError`` while the broker is away.
    """
    async with asyncio.timeout(SEND_LIMIT):
        found = await _first_meta_record(settings)
        if found is None:
            await _write_meta_record(settings, uuid4().hex)
            found = await _first_meta_record(settings)
    if found is None:
        raise KafkaError("the broker did not keep the log's id")
    return found


async def _first_meta_record(settings: Settings) -> str | None:
    reader = AIOKafkaConsumer(
        bootstrap_servers=settings.kafka_bootstrap_servers,
        auto_offset_reset="earliest",
        fetch_max_wait_ms=100,
    )
    await reader.start()
    try:
        partition = TopicPartition(settings.topic(META_TOPIC), 0)
        reader.assign([partition])
        await reader.seek_to_beginning(partition)
        records = (await reader.getmany(partition, timeout_ms=500, max_records=1)).get(partition, [])
        return records[0].value.decode() if records else None
    finally:
        await reader.stop()


async def _write_meta_record(settings: Settings, incarnation: str) -> None:
    writer = producer(settings)
    await writer.start()
    try:
        await writer.send_and_wait(settings.topic(META_TOPIC), incarnation.encode(), partition=0)
    finally:
        await writer.stop()


@dataclass(frozen=True, slots=True)
class Progress:
    """How far the readers of a topic have come: next offsets by (topic, partition), one entry a group."""

    by_group: dict[str, dict[tuple[str, int], int]]

    def has_reached(self, topic: str, readers: Iterable[str], partition: int, next_offset: int) -> bool:
        return all(self.by_group.get(group, {}).get((topic, partition), 0) >= next_offset for group in readers)


async def reading_progress(settings: Settings, groups: Iterable[str]) -> Progress:
    """The committed offsets of consumer groups, which are committed only after the database has them."""
    admin = AIOKafkaAdminClient(bootstrap_servers=settings.kafka_bootstrap_servers, request_timeout_ms=10_000)
    await admin.start()
    try:
        found = {}
        for group in groups:
            offsets = await admin.list_consumer_group_offsets(settings.topic(group))
            found[group] = {(tp.topic, tp.partition): max(meta.offset, 0) for tp, meta in offsets.items()}
        return Progress(found)
    finally:
        await admin.close()

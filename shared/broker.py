"""Kafka clients as every service makes them, topics, and the identity of the broker's log.

Settings follow what was measured on Apache Kafka 4 and on the embedded broker (tests/brokers/README.md).
"""

import asyncio
from collections.abc import Iterable, Mapping
from uuid import uuid4

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import TopicAlreadyExistsError, for_code

from shared.contracts.base import Topic
from shared.settings import Settings

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
        metadata_max_age_ms=5_000,
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
        fetch_max_wait_ms=settings.kafka_fetch_wait_ms,
        max_partition_fetch_bytes=1024 * 1024,
        request_timeout_ms=20_000,
    )


async def ensure_topics(settings: Settings, topics: Iterable[Topic]) -> None:
    """Create what is missing, dead-letter topics included; existing topics are left as they are.

    It must come before anything that so much as mentions a topic: a broker creates a mentioned topic by itself,
    with as many partitions as it likes.
    """
    replicas = settings.kafka_replication_factor
    wanted = [NewTopic(settings.topic(META_TOPIC), 1, replicas, topic_configs=_KEPT_FOR_EVER)]
    for topic in topics:
        wanted.append(NewTopic(settings.topic(topic.name), topic.partitions, replicas))
        wanted.append(NewTopic(settings.topic(topic.dead_letters), 1, replicas))
    admin = AIOKafkaAdminClient(bootstrap_servers=settings.kafka_bootstrap_servers, request_timeout_ms=10_000)
    await admin.start()
    try:
        response = await admin.create_topics(wanted)
    finally:
        await admin.close()
    for name, code, message in response.topic_errors:
        if code not in (0, TopicAlreadyExistsError.errno):
            raise for_code(code)(f"{name}: {message}")


_KEPT_FOR_EVER = {"retention.ms": "-1", "retention.bytes": "-1", "cleanup.policy": "delete"}


async def log_incarnation(settings: Settings) -> str:
    """The id of the log the broker holds now; gives it one if it has none.

    The id is the first record of the meta topic, so that of several services meeting an empty log all take the
    same. Call ``ensure_topics`` before. Raises ``KafkaError`` or ``TimeoutError`` while the broker is away.
    """
    async with asyncio.timeout(SEND_LIMIT):
        reader = AIOKafkaConsumer(
            bootstrap_servers=settings.kafka_bootstrap_servers, auto_offset_reset="earliest", fetch_max_wait_ms=20
        )
        await reader.start()
        try:
            partition = TopicPartition(settings.topic(META_TOPIC), 0)
            reader.assign([partition])
            if (await reader.end_offsets([partition]))[partition] == 0:
                await _write_meta_record(settings, uuid4().hex)
            await reader.seek_to_beginning(partition)
            first = await reader.getone(partition)
            return str(first.value.decode())
        finally:
            await close(reader)


async def close(client: AIOKafkaConsumer) -> None:
    """Stop a consumer, whatever state the broker is in; raises ``TimeoutError`` after ten seconds.

    While the broker is away, aiokafka's ``stop`` awaits a fetch it has itself cancelled and raises
    ``CancelledError``, which would end whoever called it as if the service were shutting down.
    """
    async with asyncio.timeout(SEND_LIMIT):
        try:
            await client.stop()
        except asyncio.CancelledError:
            await client._client.close()  # what stop() did not come to
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise


async def _write_meta_record(settings: Settings, incarnation: str) -> None:
    writer = producer(settings)
    await writer.start()
    try:
        await writer.send_and_wait(settings.topic(META_TOPIC), incarnation.encode(), partition=0)
    finally:
        await writer.stop()


async def have_read(settings: Settings, published: Mapping[str, Mapping[TopicPartition, int]]) -> bool:
    """Whether consumer groups have committed these offsets, by group; they commit only what their database has."""
    admin = AIOKafkaAdminClient(bootstrap_servers=settings.kafka_bootstrap_servers, request_timeout_ms=10_000)
    await admin.start()
    try:
        for group, positions in published.items():
            # Named partitions: the embedded broker cannot answer for all of a group's.
            committed = await admin.list_consumer_group_offsets(settings.topic(group), partitions=list(positions))
            if any(committed[place].offset < offset for place, offset in positions.items()):
                return False
        return True
    finally:
        await admin.close()

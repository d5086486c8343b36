"""Kafka clients as every service makes them, and topics.

Settings follow what was measured on Apache Kafka 4 and on the embedded broker (tests/brokers/README.md).
"""

import asyncio
from collections.abc import Iterable, Mapping

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.consumer.group_coordinator import GroupCoordinator
from aiokafka.errors import TopicAlreadyExistsError, for_code

from shared.contracts.base import Topic
from shared.settings import Settings

META_TOPIC = "bangfu.meta.v1"
QUIET_SECONDS, QUIET_FETCH_WAIT_MS = 5.0, 200
SILENT_SECONDS, SILENT_FETCH_WAIT_MS = 60.0, 500
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


def attend(client: AIOKafkaConsumer, settings: Settings, idle_seconds: float) -> None:
    """How long the next fetches of a consumer may wait for records, if the last one came so long ago.

    The embedded broker does not end a fetch when a record comes, so fetches are short there; but a member of 72
    partitions that fetches every 20 ms costs a third of a processor, its own and the broker's, without a record.
    Where nothing has come for a while a fifth of a second is short enough, and later half a second.
    """
    longest = 0
    if idle_seconds > SILENT_SECONDS:
        longest = SILENT_FETCH_WAIT_MS
    elif idle_seconds > QUIET_SECONDS:
        longest = QUIET_FETCH_WAIT_MS
    client._fetcher._fetch_max_wait_ms = max(settings.kafka_fetch_wait_ms, longest)


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
    try:
        async with asyncio.timeout(SEND_LIMIT):
            await admin.start()
            response = await admin.create_topics(wanted)
    finally:
        await admin.close()
    for name, code, message in response.topic_errors:
        if code not in (0, TopicAlreadyExistsError.errno):
            raise for_code(code)(f"{name}: {message}")


_KEPT_FOR_EVER = {"retention.ms": "-1", "retention.bytes": "-1", "cleanup.policy": "delete"}


async def close(client: AIOKafkaConsumer) -> None:
    """Stop a consumer, whatever state the broker is in; raises ``TimeoutError`` after ten seconds.

    aiokafka's ``stop`` confuses two cancellations: while the broker is away it raises the one of a fetch that it has
    itself cancelled, which would end whoever called it as if the service were shutting down; and one that is meant
    for us, it takes for its own and says nothing.
    """
    if isinstance(client._coordinator, GroupCoordinator):
        _say_goodbye(client._coordinator)
    async with asyncio.timeout(SEND_LIMIT):
        try:
            await client.stop()
        except asyncio.CancelledError:
            await client._client.close()  # what stop() did not come to
        task = asyncio.current_task()
        if task is not None and task.cancelling():
            raise asyncio.CancelledError


def _say_goodbye(coordinator: GroupCoordinator) -> None:
    """Make a member leave its group also in generation 0, with which the embedded broker begins.

    aiokafka leaves from generation 1 on; whoever joins next would wait for eleven seconds instead of three.
    """
    leave = coordinator._maybe_leave_group

    async def goodbye() -> None:
        if coordinator.generation == 0:
            coordinator.generation = 1  # not part of the message
        await leave()

    coordinator._maybe_leave_group = goodbye


async def have_read(settings: Settings, published: Mapping[str, Mapping[TopicPartition, int]]) -> bool:
    """Whether consumer groups have committed these offsets, by group; they commit only what their database has."""
    admin = AIOKafkaAdminClient(bootstrap_servers=settings.kafka_bootstrap_servers, request_timeout_ms=10_000)
    try:
        await admin.start()
        for group, positions in published.items():
            # Named partitions: the embedded broker cannot answer for all of a group's.
            committed = await admin.list_consumer_group_offsets(settings.topic(group), partitions=list(positions))
            if any(committed[place].offset < offset for place, offset in positions.items()):
                return False
        return True
    finally:
        await admin.close()

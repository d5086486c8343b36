"""The broker is killed and comes back on its port: what clients do by themselves, and what must be done for them."""

import asyncio

import pytest
from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.errors import KafkaConnectionError, UnknownError

from shared import broker
from shared.broker import close
from shared.log import log_incarnation
from shared.settings import Settings
from tests.brokers.clients import PATIENCE, Clients, eventually, send
from tests.stack import Broker

OLD = [b"old %d" % number for number in range(5)]
NEW = [b"new %d" % number for number in range(12)]
LONGER_THAN_AN_OUTAGE_MS = 120_000
"""The services' own producers give up after ten seconds, and a busy machine may take longer to start a broker."""


async def restart(kafka: Broker, *, wiped: bool = False) -> None:
    """kill -9 and start again, while this test's clients go on."""
    await asyncio.to_thread(kafka.kill)
    if wiped:
        kafka.wipe()
    await asyncio.to_thread(kafka.start)


async def fresh_producer(clients: Clients) -> AIOKafkaProducer:
    """What a relay does about a new log: topics first, then a producer that learns their partitions."""
    await clients.topic()
    return await clients.producer()


async def test_send_during_an_outage_succeeds_after_it(kafka: Broker, clients: Clients) -> None:
    topic = await clients.topic()
    producer = await clients.producer(request_timeout_ms=LONGER_THAN_AN_OUTAGE_MS)
    await producer.send_and_wait(topic, b"before", partition=0)
    kafka.kill()
    sending = asyncio.create_task(producer.send_and_wait(topic, b"value", partition=0))
    assert not (await asyncio.wait({sending}, timeout=0.5))[0]
    await asyncio.to_thread(kafka.start)
    await clients.topic()
    async with asyncio.timeout(PATIENCE):
        await sending


async def test_clients_in_an_outage(kafka: Broker, clients: Clients, settings: Settings) -> None:
    """New clients fail at once, old ones wait without a word: every wait needs a limit of ours."""
    topic = await clients.topic(partitions=1)
    place = TopicPartition(topic, 0)
    producer = await clients.producer()
    consumer = await clients.consumer("group", topic)
    kafka.kill()
    for attempt in (
        clients.producer,
        lambda: broker.ensure_topics(settings, []),
        lambda: log_incarnation(settings),
    ):
        with pytest.raises(KafkaConnectionError):
            async with asyncio.timeout(PATIENCE):
                await attempt()
    for wait in (producer.send_and_wait(topic, b"value"), consumer.commit({place: 0}), consumer.end_offsets([place])):
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(1):
                await wait
    assert await consumer.getmany(timeout_ms=200) == {}
    await close(consumer)


async def test_consumers_are_closed_in_an_outage(kafka: Broker, clients: Clients) -> None:
    """Without an error and without a task left behind, at any moment: while a fetch is under way or waits to retry."""
    topic = await clients.topic()
    consumers = await asyncio.gather(*[clients.consumer(f"group {number}", topic) for number in range(6)])
    for consumer in consumers:
        await consumer.getmany(timeout_ms=100)
    kafka.kill()
    for consumer in consumers:
        await consumer.getmany(timeout_ms=30)
        await close(consumer)
    await eventually(lambda: asyncio.all_tasks() == {asyncio.current_task()})


async def test_retired_producer_ends_when_the_broker_is_back(kafka: Broker, clients: Clients, embedded: bool) -> None:
    """`stop` waits for what was not delivered: never cancel it, let it end in the background."""
    topic = await clients.topic()
    producer = await clients.producer(request_timeout_ms=LONGER_THAN_AN_OUTAGE_MS)
    await producer.send_and_wait(topic, b"before", partition=0)
    kafka.kill()
    await producer.send(topic, b"late", partition=0)
    retiring = asyncio.create_task(producer.stop())
    assert not (await asyncio.wait({retiring}, timeout=0.5))[0]
    await asyncio.to_thread(kafka.start)
    await clients.topic()
    async with asyncio.timeout(PATIENCE):
        await retiring
    if not embedded:
        assert [record.value for record in await clients.read(topic, 2)] == [b"before", b"late"]


async def test_record_that_comes_before_its_topic(kafka: Broker, clients: Clients, embedded: bool) -> None:
    """A stale producer may send to an embedded broker that has just come back, before anyone made the topic.

    It is acknowledged; once the topic is made, its partition refuses one send (`UnknownError`), then all is well. So
    that error means: try again.
    """
    if not embedded:
        pytest.skip("Apache Kafka keeps its topics")
    topic = await clients.topic()
    stale = await clients.producer(metadata_max_age_ms=600_000)  # stays stale
    await stale.send_and_wait(topic, b"before", partition=0)
    await restart(kafka)
    await stale.send_and_wait(topic, b"early", partition=0)
    producer = await fresh_producer(clients)
    with pytest.raises(UnknownError):
        await producer.send_and_wait(topic, b"late", partition=0)
    await producer.send_and_wait(topic, b"late", partition=0)
    assert {record.value for record in await clients.read(topic, 2)} == {b"early", b"late"}


async def test_member_goes_on_after_a_restart(kafka: Broker, clients: Clients, embedded: bool) -> None:
    """Apache Kafka keeps records and offsets; the embedded broker starts empty, and the member at its start."""
    topic = await clients.topic()
    member = await clients.member("group", topic)
    await send(await clients.producer(), topic, OLD)
    await member.has_committed(*OLD)
    await restart(kafka)
    await send(await fresh_producer(clients), topic, NEW)
    await member.has_read(*NEW)
    if not embedded:
        assert sorted(member.values) == sorted(OLD + NEW)


async def test_new_member_after_a_restart(kafka: Broker, clients: Clients) -> None:
    topic = await clients.topic()
    member = await clients.member("group", topic)
    await send(await clients.producer(), topic, OLD)
    await member.has_committed(*OLD)
    await member.stop()
    await restart(kafka)
    await send(await fresh_producer(clients), topic, NEW)
    again = await clients.member("group", topic)
    await again.has_read(*NEW)
    assert sorted(again.values) == sorted(NEW)


@pytest.mark.parametrize("count", [3, 12], ids=["shorter", "longer"])
async def test_wiped_log_is_read_from_its_start(kafka: Broker, clients: Clients, count: int) -> None:
    """Also when it is longer than the old one before the member finds out: a stale member's commit is refused."""
    topic = await clients.topic()
    member = await clients.member("group", topic)
    await send(await clients.producer(), topic, OLD, key=b"key")
    await member.has_read(*OLD)
    await restart(kafka, wiped=True)
    producer = await fresh_producer(clients)
    await send(producer, topic, NEW[:count], key=b"key")
    await member.has_read(*NEW[:count])
    await send(producer, topic, [b"last"], key=b"key")
    await member.has_read(b"last")


async def test_log_incarnation_changes_with_the_log(kafka: Broker, clients: Clients, embedded: bool) -> None:
    before = await clients.log()
    await restart(kafka)
    kept = await clients.log()
    assert (kept == before) is not embedded
    await restart(kafka, wiped=True)
    assert await clients.log() not in (before, kept)


async def test_a_cancellation_while_a_consumer_is_closed_is_not_lost(clients: Clients) -> None:
    """aiokafka takes it for the end of its own fetch and says nothing."""
    topic = await clients.topic()
    consumers = await asyncio.gather(*[clients.consumer(f"group {number}", topic) for number in range(8)])
    for moment, consumer in enumerate(consumers):
        await consumer.getmany(timeout_ms=50)
        closing = asyncio.create_task(close(consumer))
        for _ in range(moment):
            await asyncio.sleep(0)
        closing.cancel()
        await asyncio.wait({closing})
        assert closing.cancelled(), f"after {moment} turns of the loop"

"""Topics: made by us, made by the broker on mention, their ends, and the meta topic that names the log."""

import asyncio

import pytest
from aiokafka import TopicPartition
from aiokafka.admin import NewTopic
from aiokafka.errors import TopicAlreadyExistsError
from pydantic import BaseModel

from shared import broker
from shared.contracts.base import Topic
from shared.settings import Settings
from tests.brokers.clients import PATIENCE, Clients, admin, eventually, send

EVENTS = Topic("events.v1", BaseModel, (), "")


async def test_topics_are_made_as_declared(clients: Clients, settings: Settings) -> None:
    await broker.ensure_topics(settings, [EVENTS])
    names = [EVENTS.name, EVENTS.dead_letters, broker.META_TOPIC]
    assert [await clients.partition_count(settings.topic(name)) for name in names] == [12, 1, 1]
    await broker.ensure_topics(settings, [EVENTS])


async def test_existing_topic_is_reported_in_the_answer(clients: Clients) -> None:
    """aiokafka raises nothing: whoever creates topics must read the codes."""
    topic = await clients.topic()
    async with admin(clients.settings) as client:
        answer = await client.create_topics([NewTopic(topic, 12, 1), NewTopic(f"{topic}.new", 12, 1)])
    assert [code for _, code, _ in answer.topic_errors] == [TopicAlreadyExistsError.errno, 0]


async def test_mentioned_topic_is_made_by_the_broker(clients: Clients, settings: Settings, embedded: bool) -> None:
    """The embedded broker gives it four partitions, for good: create first, mention later."""
    topic = settings.topic("mentioned")
    await (await clients.producer()).send_and_wait(topic, b"value")
    assert await clients.partition_count(topic) == (4 if embedded else 12)


async def test_member_reads_a_topic_that_did_not_exist_when_it_subscribed(clients: Clients, settings: Settings) -> None:
    present, missing = await clients.topic("present"), settings.topic("missing")
    member = await clients.member("group", present, missing)
    await eventually(lambda: {place.topic for place in member.partitions} == {present, missing})
    producer = await clients.producer()
    await send(producer, missing, [b"a", b"b"])
    await send(producer, present, [b"c"])
    await member.has_read(b"a", b"b", b"c")


async def test_ends_of_a_partition(clients: Clients, embedded: bool) -> None:
    """`highwater` is right on both; ListOffsets(latest) of the embedded broker only tells empty from not empty."""
    topic = await clients.topic(partitions=1)
    place = TopicPartition(topic, 0)
    consumer = await clients.consumer("group", topic)
    assert await consumer.end_offsets([place]) == {place: 0}
    producer = await clients.producer(linger_ms=50)
    for _ in range(3):
        await asyncio.gather(*[await producer.send(topic, b"value") for _ in range(10)])
    read = 0
    async with asyncio.timeout(PATIENCE):
        while read < 30:
            read += len((await consumer.getmany(timeout_ms=100)).get(place, []))
    assert consumer.highwater(place) == 30
    assert await consumer.beginning_offsets([place]) == {place: 0}
    end = (await consumer.end_offsets([place]))[place]
    assert 0 < end < 30 if embedded else end == 30


async def test_everyone_takes_the_same_log_incarnation(clients: Clients) -> None:
    found = await asyncio.gather(*[clients.log() for _ in range(4)])
    assert len({*found, await clients.log()}) == 1


async def test_meta_topic_is_never_emptied(clients: Clients, settings: Settings, embedded: bool) -> None:
    """Apache's default retention would remove its one record after a week."""
    if embedded:
        pytest.skip("the embedded broker keeps its log in memory, whole")
    await broker.ensure_topics(settings, [])
    found = await clients.configuration(settings.topic(broker.META_TOPIC))
    assert (found["retention.ms"], found["retention.bytes"]) == ("-1", "-1")

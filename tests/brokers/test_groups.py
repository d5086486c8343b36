"""Consumer groups: partitions are shared out, handed over, and read on from where the group committed."""

import asyncio
import sys
from pathlib import Path

import pytest
from aiokafka import TopicPartition
from aiokafka.errors import IllegalStateError

from shared import broker
from shared.settings import Settings
from tests.brokers.clients import PATIENCE, Clients, admin, eventually, send

ROOT = Path(__file__).parents[2]
VALUES = [b"%d" % number for number in range(60)]


async def test_two_members_share_and_hand_over(clients: Clients) -> None:
    topic = await clients.topic()
    one = await clients.member("group", topic)
    two = await clients.member("group", topic)
    await eventually(lambda: len(one.partitions) == len(two.partitions) == 6)
    assert not one.partitions & two.partitions
    producer = await clients.producer()
    await send(producer, topic, VALUES)
    await eventually(lambda: one.committed + two.committed == 60)
    await two.stop()
    await eventually(lambda: len(one.partitions) == 12)
    await send(producer, topic, [b"new"])
    await one.has_read(b"new")
    assert sorted(one.values + two.values) == sorted([*VALUES, b"new"]), "nothing twice, nothing lost"


async def test_the_first_member_says_goodbye(clients: Clients) -> None:
    """Whoever joins next need not wait until its session has run out: the embedded broker begins with generation 0."""
    topic = await clients.topic()
    one = await clients.member("group", topic)
    await eventually(lambda: len(one.partitions) == 12)
    await one.stop()
    two = await clients.member("group", topic)
    await eventually(lambda: len(two.partitions) == 12)


async def test_partitions_of_a_killed_member_are_taken_over(clients: Clients, settings: Settings) -> None:
    """After its session has run out (6 s); what it had not committed is read again."""
    topic = await clients.topic()
    command = [sys.executable, "-m", "tests.brokers.outside_member"]
    command += [settings.kafka_bootstrap_servers, settings.topic("group"), topic]
    victim = await asyncio.create_subprocess_exec(*command, cwd=ROOT, stdout=asyncio.subprocess.PIPE)
    assert victim.stdout is not None
    try:
        assert await victim.stdout.readline() == b"ready\n"
        await send(await clients.producer(), topic, VALUES)
        assert {(await victim.stdout.readline()).strip() for _ in VALUES} == set(VALUES)
        survivor = await clients.member("group", topic)
        await eventually(lambda: len(survivor.partitions) == 6)
    finally:
        victim.kill()
        await victim.wait()
    await eventually(lambda: len(survivor.partitions) == 12)
    await survivor.has_read(*VALUES)


async def test_group_reads_on_from_its_commit(clients: Clients) -> None:
    topic = await clients.topic(partitions=1)
    await send(await clients.producer(), topic, VALUES[:10])
    await clients.commit("group", {TopicPartition(topic, 0): 4})
    member = await clients.member("group", topic)
    await member.has_read(b"9")
    assert member.values == VALUES[4:10]
    with pytest.raises(IllegalStateError):
        await member.client.commit({TopicPartition(topic, 1): 1})


async def test_commits_of_a_group_by_named_partitions(clients: Clients, settings: Settings) -> None:
    """For all of a group's partitions at once, the embedded broker's answer cannot be read."""
    topic = await clients.topic()
    await send(await clients.producer(), topic, VALUES)
    member = await clients.member("group", topic)
    await member.has_read(*VALUES)
    ends: dict[TopicPartition, int] = {}
    for record in member.records:
        ends[TopicPartition(topic, record.partition)] = record.offset + 1
    async with asyncio.timeout(PATIENCE):
        while not await broker.have_read(settings, {"group": ends}):
            await asyncio.sleep(0.05)
    beyond = {place: offset + 1 for place, offset in ends.items()}
    assert not await broker.have_read(settings, {"group": beyond})
    assert not await broker.have_read(settings, {"another": ends})
    async with admin(settings) as client:
        unknown = await client.list_consumer_group_offsets(settings.topic("another"), partitions=list(ends))
    assert {meta.offset for meta in unknown.values()} == {-1}


async def test_paused_member_stays_in_its_group(clients: Clients) -> None:
    """As long as it goes on polling; paused partitions return nothing."""
    topic = await clients.topic(partitions=1)
    consumer = await clients.consumer("group", topic)
    consumer.pause(*consumer.assignment())
    await send(await clients.producer(), topic, VALUES[:3])
    assert await consumer.getmany(timeout_ms=500) == {}
    consumer.resume(*consumer.assignment())
    async with asyncio.timeout(PATIENCE):
        assert [(await consumer.getone()).value for _ in range(3)] == VALUES[:3]


async def test_committed_offset_beyond_the_end(clients: Clients, embedded: bool) -> None:
    """Apache Kafka says so and the member starts over; the embedded broker answers with nothing, for ever.

    A restart cannot lead there, as offsets go with the log (test_restarts.py).
    """
    topic = await clients.topic(partitions=1)
    await send(await clients.producer(), topic, VALUES[:3])
    await clients.commit("group", {TopicPartition(topic, 0): 1000})
    if embedded:
        member = await clients.consumer("group", topic)
        assert await member.getmany(timeout_ms=2000) == {}
    else:
        await (await clients.member("group", topic)).has_read(*VALUES[:3])

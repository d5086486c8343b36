"""Records arrive as they were sent, from our producer and from other people's."""

import asyncio
import os
import statistics
import time

import pytest
from aiokafka.errors import KafkaError
from confluent_kafka import Producer

from tests.brokers.clients import PATIENCE, Clients

HEADERS = [("ce_id", b"1"), ("empty", b""), ("twice", b"a"), ("twice", b"b"), ("bytes", b"\xff\x00\xfe"), ("汉", b"z")]
RECORDS = {
    "with headers": (b"key", b"value", HEADERS),
    "64 KiB": (b"key", os.urandom(64 * 1024), []),
    "900 KiB": (b"key", bytes(900 * 1024), []),
    "tombstone": (b"key", None, []),
    "empty": (b"key", b"", []),
    "without key": (None, b"value", []),
    "empty key": (b"", b"value", []),
    "random bytes": (os.urandom(40), os.urandom(3000), [("ce_type", os.urandom(100))]),
}


@pytest.mark.parametrize("record", list(RECORDS))
async def test_record_arrives_as_sent(clients: Clients, record: str) -> None:
    key, value, headers = RECORDS[record]
    topic = await clients.topic()
    producer = await clients.producer()
    acknowledged = await producer.send_and_wait(topic, value, key=key, headers=headers)
    (read,) = await clients.read(topic, 1)
    assert (read.key, read.value, list(read.headers)) == (key, value, headers)
    assert (read.partition, read.offset) == (acknowledged.partition, acknowledged.offset)


@pytest.mark.parametrize("codec", [None, "gzip", "snappy", "lz4", "zstd"])
async def test_codecs_of_our_own_library(clients: Clients, codec: str | None) -> None:
    topic = await clients.topic()
    producer = await clients.producer(compression_type=codec, linger_ms=20)
    sent = [b"%d " % number * 200 for number in range(100)]
    await asyncio.gather(*[await producer.send(topic, value, headers=[("h", b"1")]) for value in sent])
    assert {record.value for record in await clients.read(topic, 100)} == set(sent)


@pytest.mark.parametrize("codec", ["none", "gzip", "snappy", "lz4", "zstd"])
async def test_codecs_of_librdkafka(clients: Clients, codec: str) -> None:
    topic = await clients.topic()
    servers = clients.settings.kafka_bootstrap_servers
    importer = Producer({"bootstrap.servers": servers, "compression.type": codec, "linger.ms": 50})
    sent = [b"%d " % number * 200 for number in range(500)]
    for value in sent:
        importer.produce(topic, value, key=value[:9], headers={"ce_id": value[:9]})
    assert await asyncio.to_thread(importer.flush, PATIENCE) == 0
    read = await clients.read(topic, 500)
    assert {record.value for record in read} == set(sent)
    assert all(record.headers == (("ce_id", record.key),) for record in read)


async def test_order_within_a_key(clients: Clients) -> None:
    topic = await clients.topic()
    producer = await clients.producer()
    waiting = [
        await producer.send(topic, b"%d" % number, key=b"household %d" % (number % 20)) for number in range(1000)
    ]
    await asyncio.gather(*waiting)
    read = await clients.read(topic, 1000)
    assert len({record.partition for record in read}) > 1
    for key in {record.key for record in read}:
        mine = [record for record in read if record.key == key]
        assert len({record.partition for record in mine}) == 1
        numbers = [int(record.value) for record in mine]
        assert numbers == sorted(numbers)


async def test_idempotent_producer(clients: Clients, embedded: bool) -> None:
    """Apache Kafka has it; the embedded broker refuses ours at once, so that the setting is not forgotten."""
    topic = await clients.topic()
    if embedded:
        with pytest.raises(KafkaError):
            await clients.producer(enable_idempotence=True)
    else:
        producer = await clients.producer(enable_idempotence=True)
        assert (await producer.send_and_wait(topic, b"value")).offset == 0


async def test_record_reaches_a_waiting_reader_soon(clients: Clients) -> None:
    """The embedded broker wakes no waiting fetch: hence the short `kafka_fetch_wait_ms` there (500 ms: 125 ms)."""
    topic = await clients.topic()
    producer = await clients.producer()
    member = await clients.member("group", topic)
    delays = []
    for number in range(20):
        started = time.monotonic()
        await producer.send_and_wait(topic, b"%d" % number)
        await member.has_read(b"%d" % number)
        delays.append(time.monotonic() - started)
    quartile, *_ = statistics.quantiles(delays)  # not the median: the machine may be busy most of the time
    assert quartile < 0.1

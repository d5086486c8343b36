"""The embedded broker starts, serves, forgets and comes back on its port."""

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

from deploy.local.broker import EmbeddedBroker
from deploy.local.ports import PortTakenError


@pytest.fixture
def broker(run_directory: Path, request: pytest.FixtureRequest) -> Iterator[EmbeddedBroker]:
    broker = EmbeddedBroker(run_directory / request.node.name)
    broker.start()
    yield broker
    broker.stop()


async def produce_and_consume(broker: EmbeddedBroker, value: bytes) -> bytes:
    async with AIOKafkaProducer(bootstrap_servers=broker.bootstrap_servers, enable_idempotence=False) as producer:
        await producer.send_and_wait("topic", value)
    consumer = AIOKafkaConsumer(
        "topic",
        bootstrap_servers=broker.bootstrap_servers,
        group_id="group",
        auto_offset_reset="earliest",
        # The broker lets half a session pass before it first gives a group its partitions.
        session_timeout_ms=1_000,
        heartbeat_interval_ms=300,
    )
    async with consumer:
        return (await consumer.getone()).value  # type: ignore[no-any-return]


async def test_serves_and_comes_back_empty_on_the_same_port(broker: EmbeddedBroker) -> None:
    address = broker.bootstrap_servers
    assert await produce_and_consume(broker, b"one") == b"one"
    broker.kill()
    assert not broker.running
    broker.start()
    assert broker.bootstrap_servers == address
    assert await produce_and_consume(broker, b"two") == b"two"


def test_second_object_finds_the_running_broker(broker: EmbeddedBroker) -> None:
    same = EmbeddedBroker(broker.directory)
    same.start()
    assert same.bootstrap_servers == broker.bootstrap_servers


def test_taken_port_is_named_with_its_holder(run_directory: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(PortTakenError, match=rf"port {port} .* held by process {os.getpid()}"):
            EmbeddedBroker(run_directory / "taken", port).start()

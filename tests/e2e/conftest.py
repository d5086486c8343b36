"""One running stack for these tests (and xdist worker): its own PostgreSQL and broker, which nobody else kills."""

import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.local.postgres import EmbeddedPostgres
from tests.e2e.city import City
from tests.stack import Broker, Databases, Stack, make_broker


@pytest.fixture(scope="package")
def kafka(request: pytest.FixtureRequest, run_directory: Path) -> Iterator[Broker]:
    """The broker of these tests alone."""
    broker = make_broker(request.config.getoption("--broker"), run_directory / "kafka-of-city")
    broker.start()
    yield broker
    broker.kill()


@pytest.fixture(scope="package")
def city(run_directory: Path, kafka: Broker) -> Iterator[City]:
    """The three services, running, with the real divisions loaded and mirrored; tests use their own households."""
    server = EmbeddedPostgres(run_directory / "postgres-of-city", durable=False)
    server.start()
    databases = Databases(server)
    stack = Stack(run_directory / "city", databases, kafka, f"t{uuid.uuid4().hex[:8]}.")
    stack.start()
    running = City(stack, databases)
    running.wait_until_quiet()
    yield running
    running.close()
    stack.kill()
    server.kill()

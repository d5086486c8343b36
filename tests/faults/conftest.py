"""Servers that these tests may kill: their own, so that nobody else's test meets the wreck."""

import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest

from deploy.local.postgres import EmbeddedPostgres
from shared.db import Database
from shared.settings import Settings
from tests.e2e.city import Json
from tests.faults import sample
from tests.faults.doomed import DoomedCity
from tests.stack import Broker, Databases, Stack, make_broker

COUNTIES = ("411321000000", "411323000000", "411325000000", "411330000000")


@pytest.fixture(scope="package")
def _own_broker(request: pytest.FixtureRequest, run_directory: Path) -> Iterator[Broker]:
    broker = make_broker(request.config.getoption("--broker"), run_directory / "kafka-of-faults")
    yield broker
    broker.kill()


@pytest.fixture
def kafka(_own_broker: Broker) -> Broker:
    """A broker of these tests alone, running at the start of each."""
    _own_broker.start()
    return _own_broker


@dataclass
class Plumbing:
    """What a plumbing test works with: the sample service's settings and database, and the broker."""

    settings: Settings
    database: Database
    broker: Broker


@pytest.fixture
async def plumbings(
    database_url: Callable[[str | None], str], kafka: Broker, kafka_prefix: str
) -> AsyncIterator[Callable[[], Awaitable[Plumbing]]]:
    """`await plumbings()`: a fresh sample service, as often as asked."""
    made: list[Plumbing] = []

    async def make() -> Plumbing:
        url = database_url(None)
        await sample.create_schema(url)
        settings = sample.settings_for(url, kafka, f"{kafka_prefix}{len(made)}.")
        each = Plumbing(settings, Database(url), kafka)
        made.append(each)
        await sample.relay(settings, each.database).clean_up(datetime.now(UTC).date())
        return each

    yield make
    for each in made:
        await each.database.close()


@pytest.fixture
async def plumbing(plumbings: Callable[[], Awaitable[Plumbing]]) -> Plumbing:
    """A fresh sample service."""
    return await plumbings()


@pytest.fixture(scope="package")
def _doomed(request: pytest.FixtureRequest, run_directory: Path) -> Iterator[DoomedCity]:
    directory = run_directory / "doomed"
    broker = make_broker(request.config.getoption("--broker"), directory / "kafka")
    broker.start()
    server = EmbeddedPostgres(directory / "postgres", durable=False)
    server.start()
    databases = Databases(server)
    stack = Stack(directory, databases, broker, f"t{uuid.uuid4().hex[:8]}.")
    city = DoomedCity(stack, databases, directory)
    yield city
    city.close()
    stack.kill()
    broker.kill()
    server.kill()


@pytest.fixture
def doomed(_doomed: DoomedCity, kafka: Broker) -> DoomedCity:
    """A running city that the test may kill; started again, as far as needed, for the next test."""
    _doomed.start()
    _doomed.wait_until_quiet()
    return _doomed


@pytest.fixture
def homes(doomed: DoomedCity) -> list[Json]:
    """Households in four counties, known to the ledger."""
    villages = [village for county in COUNTIES for village in doomed.villages(county)]
    found = doomed.households(villages, 5)
    doomed.wait_until_quiet()
    return found

"""What a broker must do for Bangfu, on the broker of this run (`--broker embedded|apache`)."""

from collections.abc import AsyncIterator

import pytest

from deploy.local.broker import EmbeddedBroker
from shared.settings import Settings
from tests.brokers.clients import Clients
from tests.stack import Broker


@pytest.fixture
def embedded(kafka: Broker) -> bool:
    """Whether this is the embedded broker, whose known differences the tests state one by one."""
    return isinstance(kafka, EmbeddedBroker)


@pytest.fixture
def settings(kafka: Broker, kafka_prefix: str, embedded: bool) -> Settings:
    """A service's settings for this broker."""
    return Settings(
        service="registry",
        database_url="postgresql://nobody@127.0.0.1:1/none",
        kafka_bootstrap_servers=kafka.bootstrap_servers,
        kafka_idempotence=not embedded,
        kafka_fetch_wait_ms=20 if embedded else 500,
        kafka_prefix=kafka_prefix,
    )


@pytest.fixture
async def clients(kafka: Broker, settings: Settings) -> AsyncIterator[Clients]:
    """Clients and topics of this test's own."""
    kafka.start()  # an earlier test may have failed while it was down
    made = Clients(settings)
    yield made
    kafka.start()
    await made.stop()

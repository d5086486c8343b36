"""What every test can ask for: real databases, a real broker, the services as processes; no mocks."""

import os
import tempfile
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import hypothesis
import pytest

from deploy.local.postgres import EmbeddedPostgres
from shared import db, jwks
from tests.leash import Leash
from tests.stack import Broker, Databases, Stack, make_broker

hypothesis.settings.register_profile(  # a busy machine is no fault of the code's
    "bangfu", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("bangfu")

for name in [name for name in os.environ if name.startswith("BANGFU_")]:
    del os.environ[name]  # a test run has nothing to do with the settings of the shell it runs in
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # or each process tests start would compile every module again


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--broker",
        choices=["embedded", "apache"],
        default="embedded",
        help="which Kafka broker tests run against",
    )


def pytest_report_header(config: pytest.Config) -> str | None:
    return None if _soaks(config) else "soak tests are left out; `-m soak` runs them"


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """On Apache Kafka only those tests run that touch a broker: those that ask for the fixture `kafka`."""
    on_apache, soaks = config.getoption("--broker") == "apache", _soaks(config)
    left_out = [
        item
        for item in items
        if (on_apache and "kafka" not in getattr(item, "fixturenames", ()))
        or (not soaks and item.get_closest_marker("soak") is not None)
    ]
    config.hook.pytest_deselected(items=left_out)
    items[:] = [item for item in items if item not in left_out]


def pytest_collection_finish(session: pytest.Session) -> None:
    """Tests of one group share servers: apart, each worker would start all of them, and nobody would notice."""
    if getattr(session.config.option, "loadgroup", False):
        apart = [item for item in session.items if item.get_closest_marker("xdist_group") and "@" not in item.nodeid]
        if apart:
            raise pytest.UsageError("this pytest-xdist does not keep groups of tests together")


def _soaks(config: pytest.Config) -> bool:
    return "soak" in str(config.getoption("-m"))


@pytest.fixture(autouse=True)
def _patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is given up after seconds, because people wait for it, has longer here: a busy machine is no fault."""
    monkeypatch.setattr(db, "ACQUIRE_SECONDS", 60.0)
    monkeypatch.setitem(db.SESSION_SETTINGS, "idle_in_transaction_session_timeout", "2min")  # tests hold some open
    monkeypatch.setattr(jwks, "FETCH_SECONDS", 60.0)


@pytest.fixture(scope="session")
def run_directory() -> Iterator[Path]:
    """A directory for servers and logs. It and every process started below it go with the run."""
    directory = Path(tempfile.mkdtemp(prefix="bangfu-test-", dir="/tmp"))
    directory.chmod(0o711)  # root's PostgreSQL runs as `nobody` and must pass
    leash = Leash(directory)
    yield directory
    leash.release()


@pytest.fixture(scope="session")
def postgres(run_directory: Path) -> EmbeddedPostgres:
    """The run's PostgreSQL (one a pytest-xdist worker). It can be killed and started again on its port.

    A mutant's run uses that of the run which planted it, in the directory TEST_POSTGRES.
    """
    server = EmbeddedPostgres(Path(os.environ.get("TEST_POSTGRES", run_directory / "postgres")), durable=False)
    server.start()
    return server


@pytest.fixture(scope="session")
def kafka(request: pytest.FixtureRequest, run_directory: Path) -> Broker:
    """The run's broker (one a pytest-xdist worker), `--broker embedded|apache`.

    Tests keep apart by `kafka_prefix`. It can be killed and started again on its port.
    """
    broker = make_broker(request.config.getoption("--broker"), run_directory / "kafka")
    broker.start()
    return broker


@pytest.fixture
def kafka_prefix() -> str:
    """A prefix for topics and groups (BANGFU_KAFKA_PREFIX) that no other test uses."""
    return f"t{uuid.uuid4().hex[:12]}."


@pytest.fixture(scope="session")
def _databases(postgres: EmbeddedPostgres) -> Databases:
    return Databases(postgres)


@pytest.fixture
def databases(_databases: Databases) -> Iterator[Databases]:
    """Fresh databases, dropped when the test ends."""
    yield _databases
    _databases.server.start()  # a test may have killed it
    _databases.drop_all()


@pytest.fixture
def database_url(databases: Databases) -> Callable[[str | None], str]:
    """`database_url("registry")`: a fresh database with that schema; `database_url(None)`: an empty one."""
    return databases.create


@pytest.fixture
def stack(run_directory: Path, databases: Databases, kafka: Broker, kafka_prefix: str) -> Iterator[Stack]:
    """The three services, not started, each with a fresh database: `stack.start()` runs them."""
    made = Stack(run_directory / "services", databases, kafka, kafka_prefix)
    yield made
    made.kill()

"""The real servers and services tests run against, in one directory that goes with the run."""

import base64
import itertools
import os
import secrets
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Protocol

from deploy.local.broker import EmbeddedBroker
from deploy.local.ports import free_port
from deploy.local.postgres import EmbeddedPostgres
from deploy.local.service import NAMES, Service
from shared.settings import Settings


class Broker(Protocol):
    """What tests may ask of a broker, whichever it is."""

    @property
    def bootstrap_servers(self) -> str: ...
    def start(self) -> None: ...
    def stop(self) -> None: ...
    def kill(self) -> None: ...
    def wipe(self) -> None:
        """Forget everything, while stopped."""


def make_broker(kind: str, directory: Path) -> Broker:
    """`embedded` (forgets everything when it stops) or `apache` (keeps it)."""
    if kind == "embedded":
        return EmbeddedBroker(directory)
    from deploy.kafka.node import ApacheKafka  # needs Java and Maven, which `embedded` must not

    return ApacheKafka(directory)


class Databases:
    """Fresh databases on one server: empty ones, or copies of a service's migrated schema."""

    def __init__(self, server: EmbeddedPostgres) -> None:
        self.server = server
        self._numbers = itertools.count(1)
        self._names: list[str] = []

    def create(self, service: str | None = None) -> str:
        """URL of a new database: migrated for `service`, or empty."""
        template = self._template(service) if service else "template0"
        name = f"test_{service or 'empty'}_{os.getpid()}_{next(self._numbers)}"
        self._names.append(name)
        return self.server.create_database(name, template)

    def drop_all(self) -> None:
        """Drop what `create` made so far."""
        while self._names:
            self.server.drop_database(self._names.pop())

    def _template(self, service: str) -> str:
        name = f"template_{service}"
        if not self.server.has_database(name):
            _migrate(service, self.server.create_database(name))
        return name


def _migrate(service: str, database_url: str) -> None:
    """What the service's command `migrate` does, in this process: a new one would import the service once more."""
    from services.registry.app import load_reference_data  # slow, and a mutant's run finds its databases migrated
    from shared.server import migrate

    fill = load_reference_data if service == "registry" else None
    settings = Settings.model_validate(
        {"service": service, "database_url": database_url, "kafka_bootstrap_servers": "127.0.0.1:1"}
    )
    with ThreadPoolExecutor(1) as thread:  # a test's own event loop may be running in ours
        thread.submit(migrate, settings, fill).result()


SIGNING_SECRET = "the-secrets-of-sources-are-made-from-this"


class Stack:
    """The services as real processes, each with its own fresh database, on one broker under one topic prefix.

    Nothing runs until `start`. A service can be killed and started again; several processes of one service
    (`role`, `label`) share its database.
    """

    def __init__(self, directory: Path, databases: Databases, broker: Broker, prefix: str) -> None:
        self.broker = broker
        self.prefix = prefix
        self.api_key = f"test.{secrets.token_urlsafe(32)}"
        self.databases = {name: databases.create(name) for name in NAMES}
        self._directory = directory
        self._settings = {
            "BANGFU_KAFKA_BOOTSTRAP_SERVERS": broker.bootstrap_servers,
            "BANGFU_KAFKA_IDEMPOTENCE": str(not isinstance(broker, EmbeddedBroker)).lower(),
            "BANGFU_KAFKA_FETCH_WAIT_MS": "20" if isinstance(broker, EmbeddedBroker) else "500",
            "BANGFU_KAFKA_PREFIX": prefix,
            "BANGFU_BOOTSTRAP_KEY": self.api_key,
            "BANGFU_SIGNING_SECRETS": SIGNING_SECRET,
            "BANGFU_REGISTRY_DATA_KEY": base64.b64encode(secrets.token_bytes(32)).decode(),
            **{f"BANGFU_{name}_DATABASE_URL".upper(): url for name, url in self.databases.items()},
        }
        self.processes: dict[str, Service] = {}

    def service(
        self,
        name: str,
        *,
        role: str = "all",
        label: str | None = None,
        settings: Mapping[str, str] | None = None,
    ) -> Service:
        """The process of a service; made at first use, with additional `settings`, and not started."""
        label = label or name
        if label not in self.processes:
            together = {**self._settings, **(settings or {})}
            self.processes[label] = Service(
                name, self._directory, free_port(), together, role=role, label=f"{self.prefix}{label}"
            )
        return self.processes[label]

    def start(self, *names: str) -> None:
        """Start services (all three by default) and wait until they are ready."""
        services = [self.service(name) for name in names or NAMES]
        for service in services:
            service.start()
        for service in services:
            service.wait_ready()

    def kill(self) -> None:
        """kill -9 of every process of this stack; broker and databases stay."""
        for service in self.processes.values():
            service.kill()

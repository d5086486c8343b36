"""The whole stack on one machine: PostgreSQL, the broker and the three services.

Databases and a broker given by URL (BANGFU_*_DATABASE_URL, BANGFU_KAFKA_BOOTSTRAP_SERVERS) are used instead
of embedded ones.
"""

import os
import sys
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from itertools import chain
from pathlib import Path

from deploy.local.broker import BrokerError, EmbeddedBroker
from deploy.local.ports import PortTakenError, claim, holder, is_free
from deploy.local.postgres import EmbeddedPostgres
from deploy.local.postgres_programs import PostgresError
from deploy.local.process import Daemon
from deploy.local.service import NAMES, ROOT, Service
from deploy.local.state import Configuration, State, settings_from

PARTS = (*NAMES, "kafka", "postgres")
FIRST_PORT = 8101
"""The five parts listen on five ports from here on."""

STEP = 10
"""Where five ports from 8101 on are not all free, `--port auto` looks at those from 8111 on, and so forth."""

READY_LIMIT = 120.0
"""Seconds a service may take to get ready: after a crash it first catches up."""

DRAIN_LIMIT = 15.0
"""Seconds `down` waits until all events are sent and read; what is missing is sent again at the next start."""

Say = Callable[[str], None]


class Stack:
    """The stack of one state directory, running or not."""

    def __init__(self, state: State) -> None:
        self.state = state
        self.configuration = state.configuration()
        self._build()

    def _build(self) -> None:
        ports, settings = self.configuration.ports, self.configuration.settings
        self.postgres = EmbeddedPostgres(self.state.postgres, ports.get("postgres"))
        self.broker = EmbeddedBroker(self.state.broker, ports.get("kafka"))
        self.embedded_databases = [name for name in NAMES if database_variable(name) not in settings]
        self.embedded_broker = "BANGFU_KAFKA_BOOTSTRAP_SERVERS" not in settings
        self.keeper = Daemon("keeper", self.state.logs)
        environment = self._environment() if ports else {}
        self.services = {name: Service(name, self.state.logs, ports.get(name, 0), environment) for name in NAMES}

    def _environment(self) -> dict[str, str]:
        """Settings of the services. What the user set wins, but for the mark of demonstration data."""
        secrets = self.state.secrets()
        embedded = {database_variable(name): self.postgres.url(name) for name in self.embedded_databases}
        if self.embedded_broker:
            embedded["BANGFU_KAFKA_BOOTSTRAP_SERVERS"] = self.broker.bootstrap_servers
            embedded["BANGFU_KAFKA_IDEMPOTENCE"] = "false"
            embedded["BANGFU_KAFKA_FETCH_WAIT_MS"] = "20"
        return {
            "BANGFU_BOOTSTRAP_KEY": secrets.api_key,
            "BANGFU_REGISTRY_DATA_KEY": secrets.registry_data_key,
            "BANGFU_CURSOR_SECRET": secrets.cursor_secret,
            "BANGFU_SIGNING_SECRETS": secrets.signing_secret,
            **embedded,
            **self.configuration.settings,
            "BANGFU_DEMONSTRATION": str(self.configuration.demonstration is not None).lower(),
        }

    # What runs

    @property
    def running(self) -> bool:
        """Whether all of it runs, ready or not."""
        return not self.missing

    @property
    def anything_runs(self) -> bool:
        return self.postgres.running or self.broker.running or any(s.running for s in self.services.values())

    @property
    def missing(self) -> list[str]:
        """Parts that should run and do not."""
        parts = {"PostgreSQL": self.postgres.running or not self.embedded_databases}
        parts["broker"] = self.broker.running or not self.embedded_broker
        parts |= {name: service.running for name, service in self.services.items()}
        return [name for name, runs in parts.items() if not runs]

    @property
    def logs(self) -> dict[str, Path]:
        """The log file of each part."""
        files = {name: service.daemon.log for name, service in self.services.items()}
        return files | {"broker": self.broker.daemon.log, "postgres": self.postgres.log, "keeper": self.keeper.log}

    @property
    def bootstrap_servers(self) -> str:
        return self.configuration.settings.get("BANGFU_KAFKA_BOOTSTRAP_SERVERS", self.broker.bootstrap_servers)

    @property
    def api_key(self) -> str:
        """The first API key: the one registry is started with."""
        return self.configuration.settings.get("BANGFU_BOOTSTRAP_KEY") or self.state.secrets().api_key

    def database_url(self, service: str) -> str:
        return self.configuration.settings.get(database_variable(service)) or self.postgres.url(service)

    def status(self) -> dict[str, object]:
        """For scripts: addresses, readiness and the first API key."""
        return {
            "services": {name: {"url": s.url, "ready": s.ready} for name, s in self.services.items()},
            "kafka": {"bootstrap_servers": self.bootstrap_servers},
            "databases": {name: self.database_url(name) for name in NAMES},
            "api_key": self.api_key,
        }

    # Start and stop

    def configure(self, environ: Mapping[str, str], *, port: str | None, demonstration: int | None) -> None:
        """Decide ports and settings of a stack that does not run, and remember them.

        `port`: None keeps the last ones (first time: from FIRST_PORT on), a number starts there, `auto` takes
        the next five free ones. `demonstration` is its scale, None for real use; the first one stays.
        Raises PortTakenError naming each taken port and who holds it.
        """
        settings = settings_from(environ)
        ports = _chosen_ports(self.configuration.ports, port) | _given_ports(settings)
        taken = [f"port {ports[name]} for {name} is held by {holder(ports[name])}" for name in _taken(ports)]
        if taken:
            raise PortTakenError("\n".join(taken))
        scale = self.configuration.demonstration or demonstration
        self.configuration = Configuration(ports, settings, scale)
        self.state.save(self.configuration)
        self._build()

    def unmark(self) -> None:
        """Take the mark of demonstration data back: it was refused, and none was loaded."""
        self.configuration.demonstration = None
        self.state.save(self.configuration)
        self._build()

    def up(self, say: Say) -> None:
        """Start what does not run and wait until all is ready; a start from nothing that fails leaves nothing.

        Raises PortTakenError, and PostgresError, BrokerError or ServiceError with the last lines of the log.
        """
        afresh = not self.anything_runs
        try:
            self._start_servers(say)
            if stopped := [name for name, service in self.services.items() if not service.running]:
                say(f"starting {', '.join(stopped)}")
            for service in self.services.values():
                service.start(migrate=True)
            registry = self.services["registry"]
            registry.wait_ready(READY_LIMIT, look=self._require_servers)
            api_key = "" if registry.refuses(self.api_key) else self.api_key  # it may have been revoked since
            for service in self.services.values():
                service.wait_ready(READY_LIMIT, api_key, self._require_servers)
            self.watch()
        except BaseException:  # Ctrl-C too
            if afresh:
                self._kill_parts()
            raise

    def watch(self) -> None:
        """Have a process of its own look after the stack (deploy/local/keeper.py); no-op when there is one."""
        environment = {**os.environ, "BANGFU_STATE": str(self.state.directory), "PYTHONPATH": str(ROOT)}
        self.keeper.start([sys.executable, "-P", "-m", "deploy.local.keeper"], cwd=ROOT, env=environment)

    def _start_servers(self, say: Say) -> None:
        if self.embedded_databases:
            if not self.postgres.running:
                say("starting PostgreSQL")
            self.postgres.start()
            for name in self.embedded_databases:
                if not self.postgres.has_database(name):
                    self.postgres.create_database(name)
        if self.embedded_broker and not self.broker.running:
            say("starting the broker")
            self.broker.start()

    def _require_servers(self) -> None:
        """Raises PostgresError or BrokerError when one has ended, without which no service gets ready."""
        if self.embedded_databases and not self.postgres.running:
            raise PostgresError("PostgreSQL ended")
        if self.embedded_broker and not self.broker.running:
            raise BrokerError(f"the broker ended:\n{self.broker.daemon.tail()}")

    def down(self, say: Say) -> None:
        """Stop everything so that the next `up` has nothing to send again (architecture rule 3)."""
        self.keeper.kill()
        self._stop_services(say)
        if self.broker.running:
            self.broker.stop()
        if self.postgres.running:
            say("stopping PostgreSQL")
            self.postgres.stop()

    def recycle_broker(self, say: Say) -> None:
        """Make the embedded broker forget what everyone has read; the services are away for some seconds."""
        self._stop_services(say)
        self.broker.stop()
        self.up(say)

    def _stop_services(self, say: Say) -> None:
        running = [service for service in self.services.values() if service.running]
        if not running:
            return
        say("waiting until all events are sent and read")
        for service in self._undrained(running):
            say(f"{service.name} still has events that were not read; the next start sends them again")
        say(f"stopping {', '.join(service.name for service in running)}")
        with ThreadPoolExecutor(len(running)) as pool:
            for service, ended in zip(running, pool.map(Service.stop, running), strict=True):
                if not ended:
                    say(f"{service.name} did not stop in time and was killed")

    def _undrained(self, running: list[Service]) -> list[Service]:
        """Let services run out of work: they refuse writes while outboxes and readers catch up."""
        if self.embedded_broker and not self.broker.running:
            return running
        for service in running:
            service.drain()
        deadline = time.monotonic() + DRAIN_LIMIT
        while (waiting := [service for service in running if not service.drained]) and time.monotonic() < deadline:
            time.sleep(0.1)
        return waiting

    def kill(self) -> None:
        """kill -9 of everything: no data is lost, the next `up` sends again what the broker forgot."""
        self.keeper.kill()
        self._kill_parts()

    def _kill_parts(self) -> None:
        for service in self.services.values():
            service.kill()
        self.broker.kill()
        self.postgres.kill()


def database_variable(service: str) -> str:
    return f"BANGFU_{service}_DATABASE_URL".upper()


def _chosen_ports(last: dict[str, int], port: str | None) -> dict[str, int]:
    if port is None:
        return last or _ports_from(FIRST_PORT)
    if port != "auto":
        return _ports_from(int(port))
    blocks = (_ports_from(first) for first in range(FIRST_PORT, 2**16 - len(PARTS), STEP))
    return next(block for block in chain([last] if last else [], blocks) if not _taken(block) and claim(block))


def _ports_from(first: int) -> dict[str, int]:
    return {part: first + i for i, part in enumerate(PARTS)}


def _given_ports(settings: Mapping[str, str]) -> dict[str, int]:
    """Ports that BANGFU_<SERVICE>_PORT asks for: these are never moved."""
    variables = {name: f"BANGFU_{name}_PORT".upper() for name in NAMES}
    return {name: int(settings[variable]) for name, variable in variables.items() if variable in settings}


def _taken(ports: Mapping[str, int]) -> list[str]:
    return [part for part, number in ports.items() if not is_free(number)]

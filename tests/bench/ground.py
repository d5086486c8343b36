"""The ground a benchmark stands on: a durable PostgreSQL and a broker of its own, and processes that end with it."""

import asyncio
import os
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from deploy.local.broker import EmbeddedBroker
from deploy.local.ports import free_port, is_answering
from deploy.local.postgres import EmbeddedPostgres
from deploy.local.process import Daemon
from deploy.local.service import ROOT, Service
from shared import broker
from shared.contracts.base import Contract, Topic
from shared.events import CloudEvent, encode
from shared.outbox import COLUMNS, Event, row
from shared.settings import ServiceName, Settings
from shared.telemetry import continue_trace
from tests.leash import Leash
from tests.stack import Databases

START_LIMIT = 60.0
NOWHERE = "postgresql://nowhere/nothing"
_EPOCH = datetime(2018, 10, 1, tzinfo=UTC)


@dataclass
class Ground:
    """Servers and a directory. Every part of a benchmark keeps to a topic prefix of its own."""

    directory: Path
    postgres: EmbeddedPostgres
    kafka: EmbeddedBroker
    databases: Databases

    def new_prefix(self) -> str:
        """A prefix for topics and groups that nobody used before."""
        return f"b{uuid.uuid4().hex[:8]}."

    def environment(self, name: str, database_url: str, prefix: str) -> dict[str, str]:
        """The settings of a service, as the launcher gives them for the embedded broker."""
        return {
            f"BANGFU_{name}_DATABASE_URL".upper(): database_url,
            "BANGFU_KAFKA_BOOTSTRAP_SERVERS": self.kafka.bootstrap_servers,
            "BANGFU_KAFKA_IDEMPOTENCE": "false",
            "BANGFU_KAFKA_FETCH_WAIT_MS": "20",
            "BANGFU_KAFKA_PREFIX": prefix,
        }

    def settings(self, name: ServiceName, prefix: str, database_url: str = NOWHERE) -> Settings:
        return Settings.load(name, self.environment(name, database_url, prefix))

    def service(self, name: str, database_url: str, prefix: str, also: Mapping[str, str] | None = None) -> Service:
        """One of the project's services, not started: everything on, one worker. ``also`` adds to its settings."""
        settings = {**self.environment(name, database_url, prefix), **(also or {})}
        return Service(name, self.directory / "services", free_port(), settings, label=f"{prefix}{name}")

    @contextmanager
    def floor(self, name: str, argument: str) -> Iterator[int]:
        """Run one of ``tests.bench.floors`` and give its port."""
        port = free_port()
        daemon = Daemon(f"floor-{name}-{port}", self.directory / "floors")
        daemon.start([sys.executable, "-m", "tests.bench.floors", name, str(port), argument], cwd=ROOT, env=os.environ)
        try:
            deadline = time.monotonic() + START_LIMIT
            while not is_answering(port):
                if not daemon.running or time.monotonic() > deadline:
                    raise RuntimeError(f"the floor did not start:\n{daemon.tail()}")
                time.sleep(0.02)
            yield port
        finally:
            daemon.stop(timeout=5.0)

    def run(self, command: list[str], *, stdin: str = "", timeout: float = 120.0) -> str:
        """Run a program of the benchmark's to its end; what it printed. Raises ``RuntimeError`` when it fails."""
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        result = subprocess.run(
            command, cwd=self.directory, env=environment, input=stdin, capture_output=True, text=True, timeout=timeout
        )
        if result.returncode:
            raise RuntimeError(f"{' '.join(command[1:4])} failed:\n{result.stderr[-3000:]}")
        return result.stdout

    def publish(self, prefix: str, topic: Topic, verb: str, bodies: Iterable[tuple[str, Contract]]) -> int:
        """Put events on a topic, by key, with the headers that the relay of their service gives them."""
        return asyncio.run(_publish(self.settings("registry", prefix), topic, verb, bodies))


@contextmanager
def own_ground() -> Iterator[Ground]:
    """Start servers in a directory of their own; they, and whatever was started on them, end with the context."""
    directory = Path(tempfile.mkdtemp(prefix="bangfu-bench-", dir="/tmp"))
    directory.chmod(0o711)  # root's PostgreSQL runs as `nobody` and must pass
    leash = Leash(directory)
    try:
        postgres = EmbeddedPostgres(directory / "postgres")
        postgres.start()
        kafka = EmbeddedBroker(directory / "kafka")
        kafka.start()
        yield Ground(directory, postgres, kafka, Databases(postgres))
    finally:
        leash.release()


async def _publish(settings: Settings, topic: Topic, verb: str, bodies: Iterable[tuple[str, Contract]]) -> int:
    await _create_topic(settings, topic)
    producer = broker.producer(settings)
    await producer.start()
    try:
        waiting = []
        for key, body in bodies:
            value, headers = record(settings, topic, verb, key, body)
            waiting.append(await producer.send(settings.topic(topic.name), value, key=key.encode(), headers=headers))
        await asyncio.gather(*waiting)
        return len(waiting)
    finally:
        await producer.stop()


async def _create_topic(settings: Settings, topic: Topic) -> None:
    """As the services create it, but with its retention said: B3's peer derives its own topics from that."""
    admin = AIOKafkaAdminClient(bootstrap_servers=settings.kafka_bootstrap_servers)
    await admin.start()
    try:
        kept = {"retention.ms": "-1", "retention.bytes": "-1", "cleanup.policy": "delete"}
        await admin.create_topics([NewTopic(settings.topic(topic.name), topic.partitions, 1, topic_configs=kept)])
    finally:
        await admin.close()
    await broker.ensure_topics(settings, [topic])


def record(
    settings: Settings, topic: Topic, verb: str, key: str, body: Contract
) -> tuple[bytes | None, list[tuple[str, bytes]]]:
    """Value and headers of an event as ``shared.relay`` sends it: every attribute, a trace context of its own."""
    continue_trace(None)
    time_of = getattr(body, "recorded_at", None) or _EPOCH
    event = Event(topic, verb, key, body, time_of, version=getattr(body, "version", None))
    held = dict(zip(COLUMNS.split(", "), row(settings.base_url, event), strict=True))
    extensions = [("partitionkey", key)]
    extensions += [(n, held[n]) for n in ("aggregateversion", "correlationid", "causationid", "traceparent") if held[n]]
    return encode(
        CloudEvent(
            id=held["id"], source=held["source"], type=held["type"], data=held["payload"], time=held["time"],
            subject=key, dataschema=held["dataschema"], extensions=tuple(extensions),
        )
    )  # fmt: skip

"""One real Apache Kafka node for tests and engineers: KRaft, loopback, one process, one private directory."""

import os
import shutil
import subprocess
import time
from pathlib import Path
from string import Template

from deploy.kafka import libraries
from deploy.kafka.libraries import KafkaError
from deploy.local.ports import LOOPBACK, free_port, holder, is_answering, is_free
from deploy.local.process import Daemon

START_LIMIT = 120.0
"""Seconds the node may take to accept connections (3 s on an idle machine)."""
STOP_LIMIT = 30.0
CLUSTER_ID = "YmFuZ2Z1LWxvY2FsLTAwMA"
PROPERTIES = Path(__file__).with_name("server.properties")
JVM = (
    "-Xms96m",
    "-Xmx512m",
    "-XX:+UseSerialGC",
    "-XX:TieredStopAtLevel=1",  # starts in half the time; nobody measures speed on this node
    "-Djava.awt.headless=true",
    "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
    "-Dorg.slf4j.simpleLogger.showDateTime=true",
    "-Dorg.slf4j.simpleLogger.dateTimeFormat=yyyy-MM-dd'T'HH:mm:ss.SSS",
)


class ApacheKafka:
    """One node, controller and broker in one, on a loopback port; `directory` is its own.

    Topics, records and committed offsets survive `stop` and `kill`; `wipe` forgets them.
    """

    def __init__(self, directory: Path, port: int | None = None) -> None:
        self.directory = directory
        self.port = port
        self.daemon = Daemon("kafka", directory)
        self._log = directory / "log"
        self._properties = directory / "server.properties"
        self._port_record = directory / "kafka.port"
        if port is None and self.running:
            self.port = int(self._port_record.read_text())

    @staticmethod
    def available() -> str | None:
        """Why Apache Kafka cannot run on this machine, in one line; None when it can."""
        return libraries.unavailable()

    @property
    def bootstrap_servers(self) -> str:
        return f"{LOOPBACK}:{self.port}"

    @property
    def running(self) -> bool:
        return self.daemon.running

    def start(self) -> None:
        """Start and wait until the node serves; the port is kept for later starts. No-op when it runs.

        Raises KafkaError when the machine lacks Java or Maven, the port is taken or the node does not come up.
        """
        if self.running:
            self.port = int(self._port_record.read_text())
            return
        jars = libraries.resolve()
        if self.port is None:
            self.port = free_port()
        elif not is_free(self.port):
            raise KafkaError(f"port {self.port} for Apache Kafka is held by {holder(self.port)}")
        self._log.mkdir(parents=True, exist_ok=True)
        self._port_record.write_text(str(self.port))
        self._properties.write_text(
            Template(PROPERTIES.read_text()).substitute(
                host=LOOPBACK, port=self.port, controller=free_port(), log=self._log.resolve()
            )
        )
        self._format(jars)
        command = _java(jars, "kafka.Kafka", self._properties.name)
        self.daemon.start(command, cwd=self.directory, env=os.environ)
        self._wait_until_serving()

    def stop(self) -> None:
        """Shut down in order; everything is kept."""
        self.daemon.stop(STOP_LIMIT)

    def kill(self) -> None:
        """kill -9, as a crash would; what was acknowledged is kept."""
        self.daemon.kill()

    def wipe(self) -> None:
        """Forget every topic, record and committed offset. Raises KafkaError while the node runs."""
        if self.running:
            raise KafkaError("stop Apache Kafka before wiping its log")
        shutil.rmtree(self._log, ignore_errors=True)

    def _format(self, jars: Path) -> None:
        """Give a new log directory its cluster's identity; one that has it is left as it is."""
        if (self._log / "meta.properties").exists():
            return
        command = _java(jars, "kafka.tools.StorageTool", "format", "-t", CLUSTER_ID, "-c", self._properties.name)
        run = subprocess.run(command, cwd=self.directory, capture_output=True, text=True, timeout=START_LIMIT)
        if run.returncode != 0:
            raise KafkaError(f"Apache Kafka could not prepare {self._log}:\n{run.stderr.strip()[-1000:]}")

    def _wait_until_serving(self) -> None:
        """The node opens its listener only when it is registered and may serve: answering is serving."""
        assert self.port is not None
        deadline = time.monotonic() + START_LIMIT
        while not is_answering(self.port):
            if not self.running or time.monotonic() > deadline:
                self.kill()
                raise KafkaError(f"Apache Kafka did not start:\n{self.daemon.tail()}")
            time.sleep(0.05)


def _java(jars: Path, *arguments: str) -> list[str]:
    return ["java", *JVM, "-cp", f"{jars.resolve()}/*", *arguments]

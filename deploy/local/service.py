"""One of our services as a background process."""

import os
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import httpx

from deploy.local.ports import LOOPBACK, holder, is_free
from deploy.local.process import Daemon

ROOT = Path(__file__).resolve().parent.parent.parent
"""The checkout the services run from."""

NAMES = ("registry", "assistance", "ranking")


class ServiceError(Exception):
    """A service could not be started, or one of its commands failed; the message ends with its log."""


class Service:
    """`python -m services.<name>`, with its settings in the environment.

    `label` tells processes of one service with different roles apart.
    """

    def __init__(
        self,
        name: str,
        directory: Path,
        port: int,
        settings: Mapping[str, str],
        *,
        role: str = "all",
        label: str | None = None,
    ) -> None:
        self.name = name
        self.port = port
        self.role = role
        self.daemon = Daemon(label or name, directory)
        self._settings = dict(settings)

    @property
    def url(self) -> str:
        return f"http://{LOOPBACK}:{self.port}"

    @property
    def running(self) -> bool:
        return self.daemon.running

    @property
    def ready(self) -> bool:
        return self.running and self.state() == ""

    def state(self) -> str:
        """Empty when the service says it is ready, else why it is not."""
        try:
            answer = httpx.get(f"{self.url}/readyz", timeout=5.0, trust_env=False)
        except httpx.TransportError as error:
            return f"does not answer ({type(error).__name__})"
        return "" if answer.status_code == 200 else answer.text

    def start(self, *, migrate: bool = False) -> None:
        """Start without waiting, bringing the database's schema up to date first if asked; no-op if it runs.

        Raises ServiceError when the port is taken.
        """
        if self.running:
            return
        if not is_free(self.port):
            raise ServiceError(f"port {self.port} for {self.name} is held by {holder(self.port)}")
        command = [sys.executable, "-m", f"services.{self.name}", "serve", "--role", self.role]
        command += ["--migrate"] if migrate else []
        self.daemon.start(command, cwd=ROOT, env=self._environment())

    def wait_ready(self, timeout: float = 60.0) -> None:
        """Wait for `/readyz`. Raises ServiceError when the process ends or does not get ready in time."""
        deadline = time.monotonic() + timeout
        while state := self.state():
            if not self.running:
                raise ServiceError(f"{self.name} ended:\n{self.daemon.tail()}")
            if time.monotonic() > deadline:
                raise ServiceError(
                    f"{self.name} is not ready after {timeout:.0f} s: {state}\n{self.daemon.tail()}"
                )
            time.sleep(0.05)

    def stop(self, timeout: float = 30.0) -> bool:
        """Let it finish what it holds and end (SIGTERM); False when it had to be killed."""
        return self.daemon.stop(timeout)

    def kill(self) -> None:
        """kill -9, as a crash would."""
        self.daemon.kill()

    def command(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run one of the service's commands, for example `migrate`, with its settings."""
        return subprocess.run(
            [sys.executable, "-m", f"services.{self.name}", *arguments],
            cwd=ROOT,
            env=self._environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
        )

    def migrate(self) -> None:
        """Bring the schema of the service's database up to date. Raises ServiceError when that fails."""
        result = self.command("migrate")
        if result.returncode:
            raise ServiceError(f"migrating {self.name} failed:\n{result.stderr[-4000:]}")

    def _environment(self) -> dict[str, str]:
        own = {
            f"BANGFU_{self.name}_HOST".upper(): LOOPBACK,
            f"BANGFU_{self.name}_PORT".upper(): str(self.port),
        }
        return {**os.environ, **self._settings, **own, "PYTHONPATH": str(ROOT)}

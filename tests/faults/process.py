"""Processes that a test arms, and whose end or freezing it waits for."""

import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from shared.settings import Settings
from tests.faults.failpoints import IDLE_VARIABLE, VARIABLE

ROOT = Path(__file__).resolve().parents[2]


class Armed:
    """A module run by the launcher, with a failpoint or without."""

    def __init__(
        self, *command: str, settings: Settings, log: Path, failpoint: str | None = None, idle: str | None = None
    ) -> None:
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("ab") as out:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.faults.launcher", *command],
                cwd=ROOT,
                env=_environment(settings, failpoint, idle),
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
            )

    async def killed(self) -> bool:
        """Whether the failpoint has killed it."""
        code = self._process.poll()
        assert code in (None, -signal.SIGKILL), f"ended by itself: {code}"
        return code is not None

    async def frozen(self) -> bool:
        """Whether the failpoint has frozen it."""
        state = Path(f"/proc/{self._process.pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
        return state == "T"

    def resume(self) -> None:
        self._process.send_signal(signal.SIGCONT)

    @property
    def alive(self) -> bool:
        return self._process.poll() is None

    def kill(self) -> None:
        """kill -9, and wait for its end."""
        self._process.kill()
        self._process.wait()

    def __enter__(self) -> "Armed":
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()


def _environment(settings: Settings, failpoint: str | None, idle: str | None) -> Mapping[str, str]:
    ours = {
        "BANGFU_DATABASE_URL": settings.database_url,
        "BANGFU_KAFKA_BOOTSTRAP_SERVERS": settings.kafka_bootstrap_servers,
        "BANGFU_KAFKA_IDEMPOTENCE": str(settings.kafka_idempotence).lower(),
        "BANGFU_KAFKA_FETCH_WAIT_MS": str(settings.kafka_fetch_wait_ms),
        "BANGFU_KAFKA_PREFIX": settings.kafka_prefix,
    }
    faults = {VARIABLE: failpoint, IDLE_VARIABLE: idle}
    return {**os.environ, **ours, **{name: value for name, value in faults.items() if value}}

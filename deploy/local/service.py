"""One of our services as a background process."""

import os
import signal
import sys
import time
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path

import httpx

from deploy.local.ports import LOOPBACK, require_free
from deploy.local.process import Daemon

ROOT = Path(__file__).resolve().parent.parent.parent
"""The checkout the services run from."""

NAMES = ("registry", "assistance", "ranking")

_OPEN_TO_EVERY_KEY = {
    "registry": "/v1/divisions?limit=1",
    "assistance": "/v1/programmes?limit=1",
    "ranking": "/v1/rule-sets",
}


@cache
def _client() -> httpx.Client:
    """One for all questions: making one reads every certificate authority, and takes 30 ms."""
    return httpx.Client(timeout=5.0, trust_env=False)


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
    def host(self) -> str:
        """The address it listens on: this machine only, unless BANGFU_<SERVICE>_HOST or BANGFU_HOST says else."""
        own = self._settings.get(f"BANGFU_{self.name}_HOST".upper())
        return own or self._settings.get("BANGFU_HOST") or LOOPBACK

    @property
    def url(self) -> str:
        everywhere = self.host in ("0.0.0.0", "::")  # noqa: S104 - asked for by the user's settings
        host = LOOPBACK if everywhere else self.host
        return f"http://[{host}]:{self.port}" if ":" in host else f"http://{host}:{self.port}"

    @property
    def running(self) -> bool:
        return self.daemon.running

    @property
    def ready(self) -> bool:
        return self.running and self.state() == ""

    def state(self) -> str:
        """Empty when the service says it is ready, else why it is not."""
        answer = self._readiness()
        if answer is None:
            return "does not answer"
        return "" if answer.status_code == 200 else ", ".join(answer.json().get("problems", [answer.text]))

    def _readiness(self) -> httpx.Response | None:
        return self._get("/readyz", {})

    def _get(self, path: str, headers: Mapping[str, str]) -> httpx.Response | None:
        """The answer, or None when there is none."""
        try:
            return _client().get(self.url + path, headers=headers)
        except httpx.TransportError:
            return None

    def start(self, *, migrate: bool = False) -> None:
        """Start without waiting, bringing the database's schema up to date first if asked; no-op if it runs.

        Raises PortTakenError.
        """
        if self.running:
            return
        require_free(self.port, self.name, self.host)
        command = self.command_line("serve", "--role", self.role, *(["--migrate"] if migrate else []))
        self.daemon.start(command, cwd=ROOT, env=self.environment)

    def wait_ready(self, timeout: float = 120.0, api_key: str = "", look: Callable[[], None] = lambda: None) -> None:
        """Wait until it listens, `/readyz` says yes, and it knows `api_key`, if one is given.

        (Registry's keys reach the other services as events.) `look` is called meanwhile, and may raise what makes
        waiting pointless. Raises ServiceError when the service ends or is not ready in time, PortTakenError when
        somebody took its port first.
        """
        deadline = time.monotonic() + timeout
        while state := self._lacks(api_key):
            if not self.running:
                require_free(self.port, self.name, self.host)
                raise ServiceError(f"{self.name} ended:\n{self.daemon.tail()}")
            if time.monotonic() > deadline:
                raise ServiceError(f"{self.name} is not ready after {timeout:.0f} s: {state}\n{self.daemon.tail()}")
            look()
            time.sleep(0.05)

    def _lacks(self, api_key: str) -> str:
        """What it still needs to serve whoever holds `api_key`; empty when nothing."""
        if not self.daemon.listens(self.port):
            return "does not listen yet"
        return self.state() or ("" if not api_key or self.knows(api_key) else "does not know the API key yet")

    def knows(self, api_key: str) -> bool:
        """Whether it accepts an API key, whatever that may do."""
        return self._answer_to(api_key) == httpx.codes.OK

    def refuses(self, api_key: str) -> bool:
        """Whether it does not accept an API key: that it has no answer at the moment is something else."""
        return self._answer_to(api_key) == httpx.codes.UNAUTHORIZED

    def _answer_to(self, api_key: str) -> int | None:
        answer = self._get(_OPEN_TO_EVERY_KEY[self.name], {"Authorization": f"Bearer {api_key}"})
        return None if answer is None else answer.status_code

    def drain(self) -> None:
        """Ask it to refuse writes and let its backlog run out; `drained` tells when."""
        identity = self.daemon.identity
        if identity is not None and self.state() == "":  # before it is up, the signal would end it
            identity.signal(signal.SIGUSR1)

    @property
    def drained(self) -> bool:
        """Whether, while draining, everything it sent was read by every reader."""
        answer = self._readiness()
        return answer is not None and bool(answer.json().get("drained"))

    def stop(self, timeout: float = 30.0) -> bool:
        """Let it finish what it holds and end (SIGTERM); False when it had to be killed."""
        return self.daemon.stop(timeout)

    def kill(self) -> None:
        """kill -9, as a crash would."""
        self.daemon.kill()

    def command_line(self, *arguments: str) -> list[str]:
        """The command line of one of the service's commands, for example `migrate`; run it in `environment`."""
        return [sys.executable, "-m", f"services.{self.name}", *arguments]

    @property
    def environment(self) -> dict[str, str]:
        """The service's settings, and of our own environment what is none of our settings (PATH, LANG, ...)."""
        ours = {name: value for name, value in os.environ.items() if not name.startswith("BANGFU_")}
        address = {"HOST": self.host, "PORT": str(self.port)}
        own = {f"BANGFU_{self.name}_{name}".upper(): value for name, value in address.items()}
        return {**ours, **self._settings, **own, "PYTHONPATH": str(ROOT)}

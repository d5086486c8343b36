"""What the embedded stack keeps between commands: its directory, secrets, ports and settings."""

import base64
import fcntl
import hashlib
import json
import os
import secrets
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import IO

from deploy.local.service import ROOT

LAUNCHER_VARIABLES = ("BANGFU_STATE", "BANGFU_PYTHON")


QUIET = 1.0
"""Seconds to wait for another command before saying so: the keeper's look takes less."""


class StateError(Exception):
    """The state directory cannot be used; the message says why."""


@dataclass(frozen=True)
class Secrets:
    """Made at first start. Who loses the data key loses the identity data it encrypts."""

    api_key: str
    registry_data_key: str
    cursor_secret: str
    signing_secret: str

    @classmethod
    def generate(cls) -> "Secrets":
        return cls(
            api_key=f"bf_{secrets.token_hex(6)}.{secrets.token_urlsafe(32)}",
            registry_data_key=base64.b64encode(secrets.token_bytes(32)).decode(),
            cursor_secret=secrets.token_urlsafe(32),
            signing_secret=secrets.token_urlsafe(32),
        )


@dataclass
class Configuration:
    """How the stack was last started, for the commands after it."""

    ports: dict[str, int] = field(default_factory=dict)
    """Port of each service, of `kafka` and of `postgres`."""

    settings: dict[str, str] = field(default_factory=dict)
    """BANGFU_* variables that were set when it was started: external servers, log level and so on."""

    demonstration: int | None = None
    """Scale of the demonstration data that was loaded: everything that shows it says so, for good."""


class State:
    """A directory that is private to its owner (root's lets PostgreSQL's account pass through)."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.logs = directory / "logs"
        self.postgres = directory / "postgres"
        self.broker = directory / "broker"
        self._configuration = directory / "configuration.json"
        self._secrets = directory / "secrets.json"

    @classmethod
    def find(cls, environ: Mapping[str, str] = os.environ) -> "State":
        """BANGFU_STATE, else `.bangfu` in the checkout, for root `/var/lib/bangfu/<hash of the checkout>`.

        (Root's PostgreSQL runs as `nobody`, who may not enter the directories of, say, /root.)
        """
        if environ.get("BANGFU_STATE"):
            return cls(Path(environ["BANGFU_STATE"]).resolve())
        if os.geteuid() == 0:
            return cls(Path("/var/lib/bangfu") / hashlib.sha256(bytes(ROOT)).hexdigest()[:16])
        return cls(ROOT / ".bangfu")

    @property
    def exists(self) -> bool:
        return self._configuration.exists()

    def prepare(self) -> None:
        """Make the directory. Raises StateError when that is not allowed."""
        try:
            self.directory.mkdir(parents=True, exist_ok=True)
            self.directory.chmod(0o711 if os.geteuid() == 0 else 0o700)
            self.logs.mkdir(mode=0o700, exist_ok=True)
        except OSError as error:
            raise StateError(f"cannot keep state in {self.directory}: {error.strerror}; set BANGFU_STATE") from None

    @contextmanager
    def locked(self, say: Callable[[str], None], wait: float = 180.0) -> Iterator[None]:
        """Keep other commands that start or stop things out, after waiting for one that is at work.

        Raises StateError when that one takes longer than `wait` seconds.
        """
        self.prepare()
        with (self.directory / "lock").open("a+") as lock:
            began, said = time.monotonic(), False
            while not _take(lock):
                waited = time.monotonic() - began
                if waited > QUIET and not said:
                    lock.seek(0)
                    say(f"waiting for another ./bangfu (process {lock.read()})")
                    said = True
                if waited >= wait:
                    raise StateError("another ./bangfu is still at work")
                time.sleep(0.1)
            lock.truncate(0)
            lock.write(str(os.getpid()))
            lock.flush()
            yield

    def secrets(self) -> Secrets:
        """The secrets, made at first use; those that an earlier version did not know are added."""
        kept = json.loads(self._secrets.read_text()) if self._secrets.exists() else {}
        found = Secrets(**{**asdict(Secrets.generate()), **kept})
        if asdict(found) != kept:
            _write_private(self._secrets, json.dumps(asdict(found), indent=2))
        return found

    def configuration(self) -> Configuration:
        """How the stack was last started; the defaults before that."""
        if not self._configuration.exists():
            return Configuration()
        return Configuration(**json.loads(self._configuration.read_text()))

    def save(self, configuration: Configuration) -> None:
        _write_private(self._configuration, json.dumps(asdict(configuration), indent=2, ensure_ascii=False))

    def remove(self) -> None:
        """Remove everything, data included."""
        shutil.rmtree(self.directory)


def _take(lock: IO[str]) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def settings_from(environ: Mapping[str, str]) -> dict[str, str]:
    """The BANGFU_* variables that are for the services."""
    return {
        name: value
        for name, value in environ.items()
        if name.startswith("BANGFU_") and name not in LAUNCHER_VARIABLES and value
    }


def _write_private(path: Path, text: str) -> None:
    """Write a file only its owner can read, whole or not at all, on the disk before we go on."""
    part = path.with_name(f"{path.name}.{os.getpid()}")
    with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as out:
        out.write(text)
        out.flush()
        os.fsync(out.fileno())
    part.replace(path)

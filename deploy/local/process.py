"""Detached child processes that outlive their starter and are never mistaken for another one.

A process is known by pid, start time and boot: a pid alone may have been given to a stranger since.
"""

import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from deploy.local.ports import listens

LOG_LIMIT = 20 * 1024 * 1024
"""Bytes after which a log is set aside as `<name>.log.1`; the one before that goes."""


@dataclass(frozen=True)
class Identity:
    """One process of one boot of this machine."""

    pid: int
    started: int  # clock ticks since boot, field 22 of /proc/<pid>/stat
    boot: str

    @classmethod
    def of(cls, pid: int) -> "Identity | None":
        """The identity of the process that has `pid` now; None when there is none or it is only a zombie."""
        try:
            stat = Path(f"/proc/{pid}/stat").read_text()
        except (FileNotFoundError, ProcessLookupError):
            return None
        # The command name stands in brackets and may itself hold blanks and brackets.
        state, *fields = stat[stat.rindex(")") + 2 :].split()
        return None if state in "ZX" else cls(pid, int(fields[18]), _boot_id())

    @property
    def alive(self) -> bool:
        return Identity.of(self.pid) == self

    def signal(self, number: int) -> None:
        """Send a signal if the process still lives."""
        if self.alive:
            try:
                os.kill(self.pid, number)
            except ProcessLookupError:
                return  # it ended in between, which is what a signal is for

    def wait(self, timeout: float) -> bool:
        """Wait until the process has ended; False when `timeout` seconds were not enough."""
        deadline = time.monotonic() + timeout
        while self.alive:
            if time.monotonic() > deadline:
                return False
            time.sleep(0.02)
        return True


def _boot_id() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


class Daemon:
    """A named background process with a pid record and a log file in one directory."""

    def __init__(self, name: str, directory: Path) -> None:
        self.name = name
        self.log = directory / f"{name}.log"
        self._record = directory / f"{name}.pid"
        self._child: subprocess.Popen[bytes] | None = None

    @property
    def identity(self) -> Identity | None:
        """The running process, or None; also when it was started by an earlier command."""
        if self._child is not None:
            self._child.poll()  # reaps our own child, so that it does not stay a zombie
        try:
            identity = Identity(**json.loads(self._record.read_text()))
        except (FileNotFoundError, ValueError, TypeError):  # ValueError: cut short by a crash of the machine
            return None
        return identity if identity.alive else None

    @property
    def running(self) -> bool:
        return self.identity is not None

    def listens(self, port: int) -> bool:
        """Whether this process accepts connections on a port."""
        identity = self.identity
        return identity is not None and listens(identity.pid, port)

    @property
    def memory(self) -> int:
        """Bytes of memory the process holds; 0 when it does not run."""
        identity = self.identity
        if identity is None:
            return 0
        pages = int(Path(f"/proc/{identity.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")

    def start(self, command: Sequence[str], *, cwd: Path, env: Mapping[str, str]) -> None:
        """Start `command` in a session of its own, its output appended to the log; no-op when it runs."""
        if self.running:
            return
        self.log.parent.mkdir(parents=True, exist_ok=True)
        set_aside(self.log)
        with self.log.open("ab") as log:
            self._child = subprocess.Popen(
                command,
                cwd=cwd,
                env=env,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        identity = Identity.of(self._child.pid)
        if identity is not None:  # None: it ended at once, and the log says why
            _write_whole(self._record, json.dumps(asdict(identity)))

    def stop(self, timeout: float = 30.0) -> bool:
        """Ask the process to end (SIGTERM), kill it after `timeout` seconds; False if it was killed."""
        identity = self.identity
        if identity is None:
            return True
        identity.signal(signal.SIGTERM)
        if self._wait(identity, timeout):
            return True
        self.kill()
        return False

    def kill(self) -> None:
        """End the process at once (SIGKILL), as a crash would."""
        identity = self.identity
        if identity is not None:
            identity.signal(signal.SIGKILL)
            self._wait(identity, 10.0)

    def tail(self, lines: int = 15) -> str:
        """The last lines of the log."""
        if not self.log.exists():
            return ""
        with self.log.open("rb") as log:
            log.seek(max(0, self.log.stat().st_size - 64 * 1024))
            return "\n".join(log.read().decode(errors="replace").splitlines()[-lines:])

    def _wait(self, identity: Identity, timeout: float) -> bool:
        if self._child is not None and self._child.pid == identity.pid:
            try:
                self._child.wait(timeout)
            except subprocess.TimeoutExpired:
                return False
            return True
        return identity.wait(timeout)


def set_aside(log: Path, limit: int = LOG_LIMIT) -> None:
    """Begin a log that has grown past `limit` anew; whoever writes to it goes on without noticing."""
    if log.exists() and log.stat().st_size > limit:
        shutil.copyfile(log, log.with_suffix(".log.1"))
        os.truncate(log, 0)  # they append, so that their next line is the first


def _write_whole(path: Path, text: str) -> None:
    """Replace a file in one step, so that no reader ever meets half of it."""
    part = path.with_name(f"{path.name}.{os.getpid()}")
    part.write_text(text)
    part.replace(path)

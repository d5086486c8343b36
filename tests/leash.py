"""Ends everything a test run started, however the run itself ends: finished, Ctrl-C or kill -9.

The run holds the other end of our standard input. When it closes, every process that carries the run's mark
in its environment is killed, its databases too (they drop our environment), and its directory removed.
"""

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

from deploy.local.postgres import EmbeddedPostgres
from deploy.local.process import Identity

MARK = "TEST_RUN_OF_BANGFU"


class Leash:
    """Held by the run; `release()` ends what it started, and so does the death of the run."""

    def __init__(self, directory: Path) -> None:
        os.environ[MARK] = str(directory)
        command = [sys.executable, "-m", "tests.leash", str(directory)]
        environment = {name: value for name, value in os.environ.items() if name != MARK}
        root = Path(__file__).parent.parent
        self._watcher = subprocess.Popen(
            command, cwd=root, env=environment, stdin=subprocess.PIPE, start_new_session=True
        )

    def release(self) -> None:
        self._watcher.communicate()


def heed_ctrl_c() -> None:
    """For a child that is to be interrupted as in a terminal: a run in the background passes Ctrl-C ignored on."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def end_everything(directory: Path) -> None:
    """Kill the processes marked with `directory`, stop the databases below it, remove it."""
    mark = f"{MARK}={directory}".encode()
    while marked := [process for process in _processes() if mark in _environment(process.pid)]:
        for process in marked:
            process.signal(signal.SIGKILL)
        for process in marked:
            process.wait(5.0)
    for record in directory.rglob("data/PG_VERSION"):
        EmbeddedPostgres(record.parent.parent).kill()
    shutil.rmtree(directory)


def _processes() -> list[Identity]:
    found = (Identity.of(int(entry.name)) for entry in Path("/proc").iterdir() if entry.name.isdigit())
    return [identity for identity in found if identity is not None]


def _environment(pid: int) -> list[bytes]:
    try:
        return Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    except OSError:  # another user's, or gone in the meantime
        return []


if __name__ == "__main__":
    sys.stdin.buffer.read()
    end_everything(Path(sys.argv[1]))

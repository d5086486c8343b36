"""Makes .venv beside the launcher from deploy/requirements.lock; run by ./bangfu with any Python >= 3.11.

Standard library only. Several at once wait for the first; one that was interrupted is taken up again.
"""

import fcntl
import hashlib
import os
import subprocess
import sys
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
ENVIRONMENT = ROOT / ".venv"
LOCK = ROOT / "deploy" / "requirements.lock"
STAMP = ENVIRONMENT / "installed.lock"
"""Holds the hash of the lock file that is installed, written last."""


def main() -> None:
    """Install unless another process just did. Exits with one line on standard error when that fails."""
    wanted = hashlib.sha256(LOCK.read_bytes()).hexdigest()
    try:
        with (ROOT / ".venv.lock").open("w") as lock:
            take(lock.fileno())
            if not (STAMP.exists() and STAMP.read_text() == wanted and python_works()):
                install()
                STAMP.write_text(wanted)
    except OSError as error:
        sys.exit(f"bangfu: cannot make {ENVIRONMENT}: {error}")
    except KeyboardInterrupt:
        sys.exit("bangfu: stopped; the next start goes on with the installation")


def take(lock: int) -> None:
    """Hold the lock until this process ends, however it ends."""
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        say("another ./bangfu is installing; waiting for it ...")
        fcntl.flock(lock, fcntl.LOCK_EX)


def install() -> None:
    """Make the environment, or bring the one there up to date."""
    say("installing into .venv (only the first time; one to two minutes) ...")
    if not python_works():
        try:
            venv.create(ENVIRONMENT, clear=True, with_pip=True)
        except subprocess.CalledProcessError as error:
            sys.exit(f"bangfu: cannot make {ENVIRONMENT}: {reason(error.output or b'')}")
    log = ENVIRONMENT / "install.log"
    pip = [str(ENVIRONMENT / "bin" / "python"), "-m", "pip", "install", "--require-hashes", "--no-deps"]
    options = ["--only-binary=:all:", "--no-input", "--disable-pip-version-check", "--progress-bar=off"]
    # A user's own pip settings may name the index, but not another place to install to.
    elsewhere = {"PIP_USER", "PIP_TARGET", "PIP_PREFIX", "PYTHONPATH", "PYTHONHOME"}
    environment = {name: value for name, value in os.environ.items() if name not in elsewhere}
    with log.open("wb") as output:
        command = [*pip, *options, "-r", str(LOCK)]
        result = subprocess.run(command, env=environment, stdout=output, stderr=output)
    if result.returncode:
        sys.exit(f"bangfu: installing failed: {reason(log.read_bytes())} (all of it in {log})")


def python_works() -> bool:
    """Whether the environment's Python starts: not if it is missing, half made or its base was removed."""
    pip = [str(ENVIRONMENT / "bin" / "python"), "-m", "pip", "--version"]
    try:
        return subprocess.run(pip, capture_output=True).returncode == 0
    except OSError:
        return False


def reason(output: bytes) -> str:
    """Why pip failed, in one line."""
    if b"connection broken by" in output:
        return "the package index cannot be reached"
    lines = output.decode(errors="replace").strip().splitlines()
    errors = [line.removeprefix("ERROR: ") for line in lines if line.startswith("ERROR")]
    return (errors or lines or ["no reason given"])[-1]


def say(line: str) -> None:
    print(f"bangfu: {line}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()

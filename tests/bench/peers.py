"""The peers' own environment: they are no part of the product and must not bend its dependencies."""

import os
import subprocess
import venv
from pathlib import Path

from deploy.local.service import ROOT

ENVIRONMENT = ROOT / ".venv.bench"
LOCK = ROOT / "deploy" / "requirements-bench.lock"
PROGRAM = str(Path(__file__).with_name("quix.py"))
HOW_TO = "Quix Streams is not installed; ./bangfu bench --with-peers installs it into .venv.bench"


def python() -> Path | None:
    """The Python of the peers' environment; None while it is not installed."""
    found = ENVIRONMENT / "bin" / "python"
    stamp = ENVIRONMENT / "installed.lock"
    return found if stamp.exists() and stamp.read_text() == LOCK.read_text() else None


def profiler() -> Path | None:
    """py-spy, which comes with the peers; None while it is not installed."""
    found = ENVIRONMENT / "bin" / "py-spy"
    return found if found.exists() else None


def install() -> None:
    """Install the peers as locked. Raises ``RuntimeError`` when that fails."""
    if python() is not None:
        return
    venv.create(ENVIRONMENT, clear=True, with_pip=True)
    pip = [str(ENVIRONMENT / "bin" / "python"), "-m", "pip", "install", "--require-hashes", "--no-deps"]
    options = ["--only-binary=:all:", "--no-input", "--disable-pip-version-check", "--quiet"]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    result = subprocess.run([*pip, *options, "-r", str(LOCK)], env=environment, capture_output=True, text=True)
    if result.returncode:
        raise RuntimeError(f"installing the peers failed:\n{result.stderr[-2000:]}")
    (ENVIRONMENT / "installed.lock").write_text(LOCK.read_text())

"""./bangfu on machines of all kinds. Nothing is downloaded: the lock file of these tests is empty."""

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from deploy.local.service import ROOT

TOOLS = ("sh", "cat", "dirname", "readlink", "sha256sum")


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A fresh checkout."""
    return make_checkout(tmp_path / "a checkout")


def make_checkout(checkout: Path) -> Path:
    """A checkout whose command line only says what it was given."""
    (checkout / "deploy").mkdir(parents=True)
    shutil.copy(ROOT / "bangfu", checkout)
    shutil.copy(ROOT / "deploy" / "install.py", checkout / "deploy")
    (checkout / "deploy" / "__init__.py").touch()
    (checkout / "deploy" / "requirements.lock").touch()
    (checkout / "deploy" / "cli.py").write_text("import sys\nprint(sys.argv[1:])\n")
    return checkout


@dataclass(frozen=True)
class Installed:
    """A checkout, and what its first start answered."""

    checkout: Path
    first: tuple[int, str, str]


@pytest.fixture(scope="module")
def installed_once(tmp_path_factory: pytest.TempPathFactory) -> Installed:
    """Installed in a path with a blank; once, because making an environment takes seconds."""
    checkout = make_checkout(tmp_path_factory.mktemp("installed") / "a checkout")
    return Installed(checkout, run(checkout / "bangfu", "up", "a b", cwd=checkout.parent))


@pytest.fixture
def installed(installed_once: Installed, tmp_path: Path) -> Path:
    """A checkout that was installed before."""
    return Path(shutil.copytree(installed_once.checkout, tmp_path / "installed", symlinks=True))


def path_with(directory: Path, **programs: str) -> str:
    """A PATH with nothing but the launcher's tools and the shell scripts given."""
    directory.mkdir()
    for tool in TOOLS:
        (directory / tool).symlink_to(str(shutil.which(tool)))
    for name, script in programs.items():
        (directory / name).write_text(f"#!/bin/sh\n{script}\n")
        (directory / name).chmod(0o755)
    return str(directory)


def start(launcher: Path, *arguments: str, cwd: Path, env: Mapping[str, str] | None = None) -> subprocess.Popen[str]:
    environment = {**os.environ, "BANGFU_PYTHON": sys.executable, **(env or {})}
    command = [str(launcher), *arguments]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, cwd=cwd, env=environment, stdout=pipe, stderr=pipe, text=True)


def run(launcher: Path, *arguments: str, cwd: Path, env: Mapping[str, str] | None = None) -> tuple[int, str, str]:
    process = start(launcher, *arguments, cwd=cwd, env=env)
    out, err = process.communicate()
    return process.returncode, out, err


def test_installs_once_and_hands_arguments_over(installed_once: Installed, tmp_path: Path) -> None:
    code, out, err = installed_once.first
    assert (code, out) == (0, "['up', 'a b']\n")
    assert err.count("\n") == 1
    assert "installing" in err
    assert run(installed_once.checkout / "bangfu", cwd=tmp_path) == (0, "[]\n", "")


def test_through_links_from_anywhere_beside_files_named_like_our_modules(installed: Path, tmp_path: Path) -> None:
    link, link_to_link = tmp_path / "link", installed / "link"
    link.symlink_to(installed / "bangfu")
    link_to_link.symlink_to("../link")
    (tmp_path / "deploy.py").write_text("raise SystemExit('not this one')")
    assert run(link_to_link, "status", cwd=tmp_path) == (0, "['status']\n", "")


def test_several_at_once_install_once(checkout: Path, tmp_path: Path) -> None:
    several = [start(checkout / "bangfu", str(i), cwd=tmp_path) for i in range(3)]
    answers = [process.communicate() for process in several]
    assert [out for out, _ in answers] == ["['0']\n", "['1']\n", "['2']\n"]
    assert sum("installing into" in err for _, err in answers) == 1


def test_broken_environment_is_mended(installed: Path, tmp_path: Path) -> None:
    python = installed / ".venv" / "bin" / "python"
    python.unlink()
    python.symlink_to("/gone/with/an/upgrade")
    code, out, err = run(installed / "bangfu", cwd=tmp_path)
    assert (code, out) == (0, "[]\n")
    assert "installing" in err


def test_interrupted_installation_is_taken_up_again(installed: Path, tmp_path: Path) -> None:
    (installed / ".venv" / "installed.lock").unlink()  # written last
    assert "installing" in run(installed / "bangfu", cwd=tmp_path)[2]
    assert run(installed / "bangfu", cwd=tmp_path) == (0, "[]\n", "")


def test_changed_requirements_are_installed(installed: Path, tmp_path: Path) -> None:
    (installed / "deploy" / "requirements.lock").write_text("# changed\n")
    assert "installing" in run(installed / "bangfu", cwd=tmp_path)[2]


@pytest.mark.parametrize(
    ("programs", "message"),
    [
        ({}, "needs Python 3.11 or later, found none"),
        (
            {"python3": 'case "$*" in --version) echo Python 3.8.1;; *) exit 1;; esac'},
            "needs Python 3.11 or later, found Python 3.8.1",
        ),
        (
            {"python3": "exit 1", "python3.12": 'case "$*" in *ensurepip*) exit 1;; esac'},
            "python3.12 has no module venv; install it",
        ),
    ],
    ids=["none", "too old", "without venv"],
)
def test_no_python_to_use_is_one_line(checkout: Path, tmp_path: Path, programs: dict[str, str], message: str) -> None:
    path = path_with(tmp_path / "path", **programs)
    code, out, err = run(checkout / "bangfu", cwd=tmp_path, env={"BANGFU_PYTHON": "", "PATH": path})
    assert (code, out) == (1, "")
    assert err.startswith(f"bangfu: {message}")
    assert err.count("\n") == 1


SLOW = """case "$*" in
    *perf_counter*) echo 3.11 9000;;
    *version_info*) exit 0;;
    *) echo slow; exit 7;;
esac"""


@pytest.mark.parametrize(
    ("other", "chosen"),
    [("3.11 6000", "quick"), ("3.11 7500", "slow"), ("3.12 6000", "slow")],
    ids=["quicker", "hardly quicker", "of another version"],
)
def test_a_much_quicker_python_of_the_same_version_is_taken(
    checkout: Path, tmp_path: Path, other: str, chosen: str
) -> None:
    quick = SLOW.replace("3.11 9000", other).replace("slow", "quick")
    path = path_with(tmp_path / "path", **{"python3": SLOW, "python3.11": quick})
    code, out, err = run(checkout / "bangfu", cwd=tmp_path, env={"BANGFU_PYTHON": "", "PATH": path})
    assert (code, out, err) == (1, f"{chosen}\n", "")  # which was started to install


def test_failed_installation_is_one_line_and_tried_again(installed: Path, tmp_path: Path) -> None:
    lock = installed / "deploy" / "requirements.lock"
    lock.write_text(f"bangfu-test==1 --hash=sha256:{'0' * 64}\n")
    nowhere = {"PIP_INDEX_URL": "http://127.0.0.1:9/simple", "PIP_RETRIES": "1", "PIP_CONFIG_FILE": os.devnull}
    code, out, err = run(installed / "bangfu", cwd=tmp_path, env=nowhere)
    assert (code, out) == (1, "")
    assert "installing failed: the package index cannot be reached" in err.splitlines()[-1]
    lock.write_text("")
    assert run(installed / "bangfu", cwd=tmp_path)[0] == 0

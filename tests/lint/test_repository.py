"""What must never be committed, and what must be there."""

import re
import subprocess
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
# Spelled in two halves so that this file does not match itself.
_HOSTS = re.compile(r"https?://[a-z0-9.-]*(?:py" r"pi|python" r"hosted|npm" r"js|repo1?\.ma" r"ven|deb" r"ian)\.", re.I)
_MACHINE_PATHS = re.compile(r"(?<![\w/])/(?:wo" r"rk|ro" r"ot)/[a-z.]")


def committed() -> list[Path]:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True).stdout
    return [ROOT / name for name in listed.decode().split("\0") if name and (ROOT / name).is_file()]


def text_of(path: Path) -> str:
    return path.read_bytes().decode("utf-8", "replace")


def test_no_registry_host_is_named() -> None:
    assert not [str(path) for path in committed() if _HOSTS.search(text_of(path))]


def test_no_path_of_a_machine_is_named() -> None:
    assert not [str(path) for path in committed() if path.suffix != ".csv" and _MACHINE_PATHS.search(text_of(path))]


def test_the_checks_above_can_fail() -> None:
    assert _HOSTS.search("https://files.python" + "hosted.org/x")
    assert _MACHINE_PATHS.search("cd /wo" + "rk/main")


def test_every_locked_package_has_hashes_and_no_index() -> None:
    lock = (ROOT / "deploy/requirements.lock").read_text()
    assert "--index" not in lock
    assert "--find-links" not in lock
    blocks = re.split(r"\n(?=[a-z0-9])", lock.strip())
    assert len(blocks) > 50
    assert not [block.split()[0] for block in blocks if "--hash=sha256:" not in block]


def test_every_dependency_is_locked_and_states_its_reason() -> None:
    source = (ROOT / "pyproject.toml").read_text()
    names = [re.split(r"[\[><=]", item)[0] for item in tomllib.loads(source)["project"]["dependencies"]]
    lock = (ROOT / "deploy/requirements.lock").read_text()
    assert not [name for name in names if f"\n{name}==" not in f"\n{lock}"]
    lines = source.split("dependencies = [")[1].split("\n]")[0].splitlines()
    assert not [line for line in lines if line.strip().startswith('"') and "#" not in line]


def test_documents_are_there() -> None:
    for name in ("README.md", "README.zh-CN.md", ".ci/run", "bangfu", "pyproject.toml"):
        assert (ROOT / name).is_file(), name


@pytest.mark.parametrize("readme", ["README.md", "README.zh-CN.md"])
def test_every_demonstration_is_listed(readme: str) -> None:
    scripts = {path.stem for path in (ROOT / "tests/demos").glob("*.py") if "__main__" in path.read_text()}
    assert set(re.findall(r"-m tests\.demos\.(\w+)", (ROOT / readme).read_text())) == scripts

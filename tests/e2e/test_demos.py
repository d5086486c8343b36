"""The demonstrations of product.md on a running stack."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from deploy.local.ports import LOOPBACK, free_port
from tests.demos import history, s02_divisions, s24_vocabulary, s25_relocation
from tests.demos.stage import NEEDS, NotAsExpectedError, Stage, stage
from tests.e2e.city import City

pytestmark = pytest.mark.xdist_group("city")
DEMONSTRATIONS = (
    s02_divisions.demonstrate, s24_vocabulary.demonstrate, s25_relocation.demonstrate, history.demonstrate
)  # fmt: skip


@pytest.mark.parametrize("demonstrate", DEMONSTRATIONS, ids=lambda each: each.__module__.rsplit(".", 1)[1])
def test_a_demonstration_shows_what_it_expects(city: City, demonstrate: Callable[[Stage], None]) -> None:
    city.wait_until_quiet()
    urls = {name: city.url(name) for name in ("registry", "assistance", "ranking")}
    demonstrate(stage(urls, city.stack.api_key))


def test_a_demonstration_fails_where_something_else_shows(city: City) -> None:
    shown = stage({name: city.url(name) for name in ("registry", "assistance", "ranking")}, city.stack.api_key)
    with pytest.raises(NotAsExpectedError, match="expected 2, found 1"):
        shown.shows("cities", 1, 2)


def test_a_demonstration_says_what_it_lacks(tmp_path: Path) -> None:
    assert complaint(tmp_path) == ["bangfu: was never started here; start it with ./bangfu up", NEEDS]
    nowhere = f"http://{LOOPBACK}:{free_port()}"
    given = [f"--{name}={nowhere}" for name in ("registry", "assistance", "ranking")]
    assert complaint(tmp_path, *given, "--key=any") == [NEEDS]


def complaint(state: Path, *options: str) -> list[str]:
    """What a demonstration prints that failed, a line each."""
    run = subprocess.run(
        [sys.executable, "-m", "tests.demos.s24_vocabulary", *options],
        env={**os.environ, "BANGFU_STATE": str(state)},
        capture_output=True,
        text=True,
    )
    assert run.returncode == 1
    return run.stderr.splitlines()

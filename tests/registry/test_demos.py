"""The demonstrations that need a register of their own, or another day than today."""

from datetime import UTC, datetime, timedelta

import pytest

from shared.clock import FixedClock, local_day
from tests.demos import dci, history, s01
from tests.demos.stage import NotAsExpectedError, Stage, stage
from tests.registry.conftest import KEY, app_on
from tests.registry.serving import served


def on(address: str) -> Stage:
    """These demonstrations speak to registry alone."""
    return stage(dict.fromkeys(("registry", "assistance", "ranking"), address), KEY)


def test_the_register_comes_in_as_a_workbook(url: str, secrets: None) -> None:
    with served(app_on(url)) as address:
        s01.demonstrate(on(address), scale=1000)
        with pytest.raises(NotAsExpectedError, match="144 households already"):
            s01.demonstrate(on(address), scale=1000)


def test_what_was_exported_on_a_day_can_be_had_again(url: str, secrets: None) -> None:
    clock = FixedClock(datetime.now(UTC) + timedelta(days=1))
    with served(app_on(url, clock)) as address:
        history.demonstrate(
            on(address),
            today=lambda: local_day(clock.now()).isoformat(),
            next_day=lambda: clock.advance(timedelta(days=1)),
        )


def test_partners_search_subscribe_and_are_notified(url: str, secrets: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BANGFU_REGISTRY_CALLBACK_NETWORKS", "127.0.0.0/8")
    with served(app_on(url)) as address:
        dci.demonstrate(on(address))

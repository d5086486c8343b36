"""Ranking in this process, on a fresh real database."""

from collections.abc import AsyncIterator, Callable

import httpx
import pytest

from services.ranking.app import build
from services.ranking.versions import cache
from shared.clock import FixedClock
from shared.settings import Settings
from tests.ranking.world import NOW, World


@pytest.fixture
async def world(database_url: Callable[[str | None], str], monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[World]:
    """Ranking without its consumers: tests hand batches to the handlers themselves.

    Tables are looked at anew on every reading, not every 20 ms: tests ask for what they just wrote.
    """
    monkeypatch.setattr(cache, "CHECK_SECONDS", 0.0)
    monkeypatch.setattr(cache, "PAUSE_PER_RENDERING", 0.0)
    settings = Settings(service="ranking", database_url=database_url("ranking"), kafka_bootstrap_servers="127.0.0.1:1")
    clock = FixedClock(NOW)
    app, runtime = build(settings, "api", clock)
    transport = httpx.ASGITransport(app)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://ranking.test") as client,
    ):
        yield World(app, runtime, client, clock)

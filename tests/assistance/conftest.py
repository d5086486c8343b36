"""The assistance service in this process, on a real database, with a small register mirrored into it."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import httpx
import pytest
from pydantic import SecretStr

from services.assistance.app import build
from shared.settings import Settings
from tests.assistance.world import World
from tests.stack import SIGNING_SECRET


@asynccontextmanager
async def _running(settings: Settings) -> AsyncIterator[World]:
    app, runtime = build(settings, "api")
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://assistance.test") as client,
    ):
        world = World(app, runtime, client)
        await world.populate()
        yield world


@pytest.fixture
async def world(database_url: Callable[[str | None], str]) -> AsyncIterator[World]:
    settings = Settings(
        service="assistance",
        database_url=database_url("assistance"),
        kafka_bootstrap_servers="127.0.0.1:1",
        signing_secrets=(SecretStr(SIGNING_SECRET),),
    )
    async with _running(settings) as made:
        yield made

"""Registry on a fresh database, spoken to over HTTP; the relay does not run, so events stay in the outbox."""

import base64
import json
import random
from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from services.registry.app import build
from services.registry.households.rules import _CHECK, _WEIGHTS
from shared.settings import Settings

KEY = "bf_test.bootstrap-secret-of-the-tests"
VILLAGE = "411323102217"
"""西峡县西坪镇下营村, where the article begins."""


@pytest.fixture
def app(database_url: Callable[[str | None], str], monkeypatch: pytest.MonkeyPatch) -> FastAPI:
    monkeypatch.setenv("BANGFU_REGISTRY_DATA_KEY", base64.b64encode(bytes(range(32))).decode())
    monkeypatch.setenv("BANGFU_BOOTSTRAP_KEY", KEY)
    settings = Settings(
        service="registry",
        database_url=database_url("registry"),
        kafka_bootstrap_servers="127.0.0.1:1",
        database_pool=8,
    )
    return build(settings, "api")[0]


@pytest.fixture
async def registry(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    headers = {"Authorization": f"Bearer {KEY}", "Accept-Language": "en"}
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://registry", headers=headers) as client,
    ):
        yield client


def id_number(born: str = "19680312", sequence: int = 1, region: str = "411323") -> str:
    """A valid ID number of nobody: region, birth date and a sequence whose last digit gives the sex (odd: male)."""
    body = f"{region}{born}{sequence:03d}"
    return body + _CHECK[sum(int(d) * w for d, w in zip(body, _WEIGHTS, strict=True)) % 11]


def member(relation: str = "head", **more: Any) -> dict[str, Any]:
    return {"name": "测试甲", "relation": relation, "sex": "male", "birth_date": "1968-03-12", **more}


def household(**more: Any) -> dict[str, Any]:
    fields = {"village": VILLAGE, "standing": "poor", "registered_on": "2014-05-01", "cause": "illness"}
    return {**fields, "members": [member()], **more}


async def make(client: httpx.AsyncClient, **more: Any) -> dict[str, Any]:
    response = await client.post("/v1/households", json=household(**more))
    assert response.status_code == 201, response.text
    made: dict[str, Any] = response.json()
    return made


async def outbox(app: FastAPI, topic: str) -> list[dict[str, Any]]:
    """Events written so far on one topic, oldest first."""
    async with app.state.runtime.database.driver() as pg:
        rows = await pg.fetch("SELECT payload FROM outbox WHERE aggregatetype = $1 ORDER BY pos", topic)
    return [json.loads(row["payload"]) for row in rows]


@pytest.fixture
def dice() -> random.Random:
    return random.Random(2018)

"""The demonstration S21 holds, in small."""

from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from tests.demos import s21_exit
from tests.registry.conftest import KEY


async def test_tanghe_exits(
    own_app: FastAPI, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    spoken = httpx.AsyncClient

    def inside(**options: Any) -> httpx.AsyncClient:
        return spoken(transport=httpx.ASGITransport(own_app), **options)

    monkeypatch.setattr("tests.demos.s21_exit.httpx.AsyncClient", inside)
    monkeypatch.setattr(s21_exit, "VILLAGES", 3)
    async with own_app.router.lifespan_context(own_app):
        await s21_exit.exits_and_a_relapse("http://registry", f"Bearer {KEY}", 400)
    told = capsys.readouterr().out
    assert "5 exits with as many certificates" in told
    assert "a relapse makes stock again" in told

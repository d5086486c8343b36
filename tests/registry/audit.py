"""The audit log in tests: sealed when asked, and what it says."""

from typing import Any

import httpx
from fastapi import FastAPI

from services.registry.audit import service
from services.registry.audit.sealing import Sealer


async def seal(app: FastAPI) -> None:
    """Seal everything there is; where the service's own sealer holds the lock, once it has let go."""
    database = app.state.runtime.database
    while True:
        await Sealer(database, app.state.runtime.clock).seal()
        async with database.driver() as pg:
            if await service.unsealed(pg) == 0:
                return


async def entries(client: httpx.AsyncClient, app: FastAPI, **filters: Any) -> list[dict[str, Any]]:
    await seal(app)
    response = await client.get("/v1/audit", params={"limit": 500, **filters})
    assert response.status_code == 200, response.text
    found: list[dict[str, Any]] = response.json()["items"]
    return found


def told(found: list[dict[str, Any]]) -> list[tuple[str, str, int | None]]:
    return [(each["operation"], each["object_id"], each["version"]) for each in found]

"""A service of two routes, to test what every service gets from the app factory."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated
from uuid import UUID, uuid4

import httpx
from fastapi import Depends, FastAPI, Query, Request, Response
from pydantic import BaseModel, ConfigDict
from sqlalchemy import text

from shared import plumbing
from shared.app import Runtime, Transaction, create_app, router
from shared.auth import AnyCaller, Caller, new_secret, requires, upsert_key
from shared.contracts.base import Instant
from shared.contracts.key import KEY, KeyEvent, Role
from shared.db import Database, Pg
from shared.http.body import read_lines
from shared.http.idempotency import IdempotencyKey, idempotency_key, mark_replayed
from shared.ids import uuid7
from shared.relay import Relay
from shared.settings import Settings

routes = router("things")


class Thing(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid")

    name: str
    amount_fen: int
    at: Instant | None = None


@routes.post("/things", status_code=201, operation_id="make_thing")
async def make_thing(
    body: Thing,
    conn: Transaction,
    caller: Annotated[Caller, Depends(requires("recorder"))],
    key: Annotated[IdempotencyKey, Depends(idempotency_key)],
    response: Response,
) -> dict[str, str]:
    earlier = await key.claim(conn)
    if earlier is not None:
        mark_replayed(response)
        return {"id": str(earlier.resource_id)}
    made = uuid4()
    await conn.execute(text("INSERT INTO thing VALUES (:id, :name)"), {"id": made, "name": body.name})
    if body.name == "fault":
        raise RuntimeError("secret text that must stay here")
    await key.complete(conn, made, 1)
    return {"id": str(made)}


@routes.get("/things", operation_id="count_things")
async def count_things(conn: Transaction, _: AnyCaller, size: Annotated[int, Query(ge=1, le=10)] = 1) -> int:
    return int((await conn.execute(text("SELECT count(*) FROM thing"))).scalar_one())


@routes.post("/lines", operation_id="count_lines")
async def count_lines(request: Request, _: AnyCaller) -> int:
    return len(await read_lines(request, limit=3))


async def nothing_to_republish(_: Pg) -> int:
    return 0


async def toy_app(url: str, kafka: str = "127.0.0.1:1", **more: str) -> FastAPI:
    """The toy on an empty database; ``more`` are settings as the environment gives them."""
    given = {"BANGFU_DATABASE_URL": url, "BANGFU_KAFKA_BOOTSTRAP_SERVERS": kafka, "BANGFU_KAFKA_IDEMPOTENCE": "false"}
    settings = Settings.load("registry", given | {f"BANGFU_{name}".upper(): value for name, value in more.items()})
    database = Database(url, pool_size=4)
    async with database.driver() as pg:
        for statement in (plumbing.DDL + plumbing.ORIGIN).split(";\n"):
            if statement.strip():
                await pg.execute(statement)
        await pg.execute("CREATE TABLE thing (id uuid PRIMARY KEY, name text NOT NULL)")
    runtime = Runtime(settings, database, Relay(settings, database, [KEY], republish=nothing_to_republish))
    return create_app(
        runtime, title="Toy", description="A toy.", routers=[routes], publishes=[KEY], reads=[], role="api"
    )


async def give_key(app: FastAPI, *roles: Role, **changes: object) -> tuple[str, KeyEvent]:
    """A key with these roles: its plain text and its public half."""
    prefix, plain, digest = new_secret()
    fields = {
        "id": uuid7(),
        "version": 1,
        "status": "active",
        "prefix": prefix,
        "secret_sha256": digest,
        "name": "test",
    }
    key = KeyEvent.model_validate({**fields, "roles": list(roles), "divisions": ["411300000000"], **changes})
    await store_key(app, key)
    return plain, key


async def store_key(app: FastAPI, key: KeyEvent) -> None:
    async with app.state.runtime.database.driver() as pg:
        await upsert_key(pg, key)


@asynccontextmanager
async def client_of(app: FastAPI, key: str | None) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the app, which is running for as long."""
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://test", headers=headers) as client,
    ):
        yield client


async def things(app: FastAPI) -> list[UUID]:
    async with app.state.runtime.database.driver() as pg:
        return [row["id"] for row in await pg.fetch("SELECT id FROM thing")]

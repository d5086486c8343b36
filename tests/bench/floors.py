"""What the project is held against over HTTP: the least FastAPI code that does the same, and the same with the ORM.

``python -m tests.bench.floors raw|orm|static PORT ARGUMENT`` serves one of them with the services' server settings.
"""

import sys
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import asyncpg
import uvicorn
from fastapi import FastAPI, Request, Response
from pydantic import BaseModel
from sqlalchemy import BigInteger, DateTime, Identity, LargeBinary
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from shared import collector
from shared.db import SESSION_SETTINGS

POOL = 20
SCHEMA = """
CREATE TABLE action (
    id uuid PRIMARY KEY, source_system text NOT NULL, external_id text NOT NULL, programme text NOT NULL,
    kind text NOT NULL, household text NOT NULL, occurred_at timestamptz NOT NULL, quantity bigint NOT NULL,
    amount_fen bigint NOT NULL, recorded_at timestamptz NOT NULL DEFAULT now()
);
CREATE TABLE outbox (
    pos bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, key text NOT NULL, type text NOT NULL, payload bytea NOT NULL
)"""
TYPE = "cn.bangfu.assistance.action.recorded.v1"


class Reference(BaseModel):
    number: str


class ActionIn(BaseModel):
    """The body that the project's endpoint takes."""

    source_system: str
    external_id: str
    programme: str
    kind: str
    household: Reference
    occurred_at: datetime
    quantity: int
    amount_fen: int
    persons: list[Reference]
    details: dict[str, Any]


def raw_app(url: str) -> FastAPI:
    """B1's floor: one statement of asyncpg's that inserts two rows."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with asyncpg.create_pool(
            url, min_size=POOL, max_size=POOL, server_settings=SESSION_SETTINGS, reset=_no_reset
        ) as pool:
            app.state.pool = pool
            yield

    app = FastAPI(lifespan=lifespan)

    @app.post("/v1/actions", status_code=201)
    async def record(action: ActionIn, request: Request) -> dict[str, Any]:
        key = uuid.uuid4()
        await request.app.state.pool.execute(
            "WITH made AS (INSERT INTO action (id, source_system, external_id, programme, kind, household, "
            "occurred_at, quantity, amount_fen) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) RETURNING id) "
            "INSERT INTO outbox (key, type, payload) SELECT id::text, $10, $11 FROM made",
            key, action.source_system, action.external_id, action.programme, action.kind, action.household.number,
            action.occurred_at, action.quantity, action.amount_fen, TYPE, action.model_dump_json().encode(),
        )  # fmt: skip
        return {"id": key, "version": 1}

    return app


async def _no_reset(_: Any) -> None:
    """Returning a connection to the pool costs no round trip: nothing was changed on it."""


class Base(DeclarativeBase):
    pass


class Action(Base):
    __tablename__ = "action"
    id: Mapped[uuid.UUID] = mapped_column(primary_key=True, default=uuid.uuid4)
    source_system: Mapped[str]
    external_id: Mapped[str]
    programme: Mapped[str]
    kind: Mapped[str]
    household: Mapped[str]
    occurred_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    quantity: Mapped[int] = mapped_column(BigInteger)
    amount_fen: Mapped[int] = mapped_column(BigInteger)


class Outbox(Base):
    __tablename__ = "outbox"
    pos: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    key: Mapped[str]
    type: Mapped[str]
    payload: Mapped[bytes] = mapped_column(LargeBinary)


def orm_app(url: str) -> FastAPI:
    """B1's peer: the same two rows with the ORM of SQLAlchemy: add, flush, add, commit."""
    engine = create_async_engine(
        url.replace("postgresql://", "postgresql+asyncpg://", 1),
        pool_size=POOL,
        max_overflow=0,
        connect_args={"server_settings": SESSION_SETTINGS},
    )
    sessions = async_sessionmaker(engine, class_=AsyncSession, expire_on_commit=False)
    app = FastAPI()

    @app.post("/v1/actions", status_code=201)
    async def record(action: ActionIn) -> dict[str, Any]:
        async with sessions() as session:
            made = Action(
                **action.model_dump(exclude={"household", "persons", "details"}), household=action.household.number
            )
            session.add(made)
            await session.flush()
            session.add(Outbox(key=str(made.id), type=TYPE, payload=action.model_dump_json().encode()))
            await session.commit()
            return {"id": made.id, "version": 1}

    return app


def static_app(file: str) -> FastAPI:
    """B6's floor: a file's bytes with an ETag, 304 when the caller has them."""
    body, etag = Path(file).read_bytes(), '"1"'
    app = FastAPI()

    @app.get("/table")
    async def table(request: Request) -> Response:
        if request.headers.get("if-none-match") == etag:
            return Response(status_code=304, headers={"etag": etag})
        return Response(body, headers={"etag": etag}, media_type="application/json")

    return app


APPS: dict[str, Callable[[str], FastAPI]] = {"raw": raw_app, "orm": orm_app, "static": static_app}

if __name__ == "__main__":
    name, port, argument = sys.argv[1:]
    collector.collect_less_often()  # as in every service
    uvicorn.run(APPS[name](argument), port=int(port), http="httptools", loop="uvloop", log_level="warning",
                access_log=False, server_header=False)  # fmt: skip

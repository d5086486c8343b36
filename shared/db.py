"""The database of a service: one pool, two faces.

``transaction()`` gives SQLAlchemy Core for ordinary work; ``driver()`` gives the asyncpg connection below it
for the hot paths, where one set-based statement does the work. No ORM: nothing is flushed behind our back.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TypeAlias

import asyncpg
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.pool import AsyncAdaptedQueuePool

Pg: TypeAlias = "asyncpg.Connection[asyncpg.Record]"
"""The asyncpg connection, as its stubs name it (the class itself takes no parameter)."""

MINIMUM_VERSION = 18
"""``RETURNING old.*, new.*`` appeared in PostgreSQL 18 and the ranking consumer lives on it."""

SESSION_SETTINGS = {
    "statement_timeout": "30s",
    "lock_timeout": "2s",
    "idle_in_transaction_session_timeout": "15s",
    "timezone": "UTC",
    "jit": "off",
}


class DatabaseAwayError(ConnectionError):
    """No connection to the database was to be had in time."""


class DatabaseTooOldError(RuntimeError):
    """The server is older than PostgreSQL 18."""


AWAY = (
    OSError,
    TimeoutError,
    asyncpg.PostgresConnectionError,
    asyncpg.CannotConnectNowError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.TooManyConnectionsError,
    asyncpg.InterfaceError,
    asyncpg.IdleInTransactionSessionTimeoutError,
)
"""What asyncpg raises when the database is away or too busy: answered with 503, retried by consumers."""


class Database:
    """A pool of connections to one service's database."""

    def __init__(self, url: str, *, pool_size: int = 20, application: str = "bangfu") -> None:
        self.engine: AsyncEngine = create_async_engine(
            url.replace("postgresql://", "postgresql+asyncpg://", 1),
            poolclass=AsyncAdaptedQueuePool,
            pool_size=pool_size,
            max_overflow=0,
            pool_timeout=2,
            connect_args={
                "timeout": 5,
                "command_timeout": 60,
                "server_settings": {"application_name": application, **SESSION_SETTINGS},
            },
        )

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[AsyncConnection]:
        """A SQLAlchemy connection in a transaction: committed at the end, rolled back on any exception."""
        async with self._connected() as connection, connection.begin():
            yield connection

    @asynccontextmanager
    async def _connected(self) -> AsyncIterator[AsyncConnection]:
        try:
            connection = await self.engine.connect()
        except (DBAPIError, PoolTimeoutError, asyncpg.PostgresError) as error:
            raise DatabaseAwayError(type(error).__name__) from error
        try:
            yield connection
        finally:
            await connection.close()

    @asynccontextmanager
    async def driver(self) -> AsyncIterator[Pg]:
        """The asyncpg connection of a pooled connection, with no transaction open.

        SQLAlchemy opens its transaction on its own first statement only, so statements sent here commit by
        themselves unless the caller opens ``pg.transaction()``. A connection that died is taken out of the pool.
        """
        async with self._connected() as connection:
            pg = await _driver_connection(connection)
            while pg.is_closed():  # the server went away while it lay in the pool, and maybe its neighbours with it
                await connection.invalidate()
                pg = await _driver_connection(connection)
            try:
                yield pg
            finally:
                if pg.is_closed():
                    await connection.invalidate()

    async def check_version(self) -> None:
        """Raises ``DatabaseTooOldError`` on a server older than PostgreSQL 18."""
        async with self.driver() as pg:
            major = pg.get_server_version().major
        if major < MINIMUM_VERSION:
            raise DatabaseTooOldError(f"PostgreSQL {MINIMUM_VERSION} or later is needed, this is {major}")

    async def close(self) -> None:
        await self.engine.dispose()


async def _driver_connection(connection: AsyncConnection) -> Pg:
    try:
        raw = await connection.get_raw_connection()
    except (DBAPIError, PoolTimeoutError, asyncpg.PostgresError) as error:
        raise DatabaseAwayError(type(error).__name__) from error
    driver = raw.driver_connection
    if driver is None:
        raise DatabaseAwayError("the pooled connection is closed")
    return driver  # type: ignore[no-any-return]

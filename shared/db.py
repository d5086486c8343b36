"""The database of a service, with two faces.

``transaction()`` gives SQLAlchemy Core for ordinary work; ``driver()`` gives the asyncpg connection below it
for the hot paths, where one set-based statement does the work. No ORM: nothing is flushed behind our back.
"""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import TypeAlias

import asyncpg
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.pool import AsyncAdaptedQueuePool

Pg: TypeAlias = "asyncpg.Connection[asyncpg.Record]"
"""The asyncpg connection, as its stubs name it (the class itself takes no parameter)."""

Pool: TypeAlias = "asyncpg.Pool[asyncpg.Record]"
ACQUIRE_SECONDS = 2.0
"""How long work waits for a connection before it is told that the database is too busy (503)."""
DELETED_AT_ONCE = 5000
"""Rows a transaction where many are deleted: a tenth of a second."""
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
    asyncpg.InternalClientError,  # of a connection that broke between two messages of one statement
    asyncpg.IdleInTransactionSessionTimeoutError,
)
"""What asyncpg raises when the database is away or too busy: answered with 503, retried by consumers."""

CONTENDED = (
    asyncpg.DeadlockDetectedError,
    asyncpg.SerializationError,
    asyncpg.LockNotAvailableError,
    asyncpg.QueryCanceledError,
)
"""What asyncpg raises when others are in the way: the same may well succeed a moment later."""


class Database:
    """A service's database through two small pools: SQLAlchemy's, and asyncpg's own for the hot paths.

    Going to asyncpg through SQLAlchemy's pool cost 100 microseconds a statement, a tenth of recording an action.
    """

    def __init__(self, url: str, *, pool_size: int = 20, application: str = "bangfu") -> None:
        server_settings = {"application_name": application, **SESSION_SETTINGS}
        self.engine: AsyncEngine = create_async_engine(
            url.replace("postgresql://", "postgresql+asyncpg://", 1),
            poolclass=AsyncAdaptedQueuePool,
            pool_size=pool_size,
            max_overflow=0,
            pool_timeout=ACQUIRE_SECONDS,
            connect_args={"timeout": 5, "command_timeout": 60, "server_settings": server_settings},
        )
        # Made at first use: asyncpg's pool belongs to the event loop it is made in, and there is none yet.
        self._make_drivers = partial(
            asyncpg.create_pool,
            url,
            min_size=0,
            max_size=pool_size,
            max_inactive_connection_lifetime=0,
            timeout=5,
            command_timeout=60,
            server_settings=server_settings,
            init=_install_codecs,
            reset=_leave_as_it_is,
        )
        self._opening = asyncio.Lock()
        self._drivers: Pool | None = None

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[AsyncConnection]:
        """A SQLAlchemy connection in a transaction: committed at the end, rolled back on any exception."""
        try:
            connection = await self.engine.connect()
        except (DBAPIError, PoolTimeoutError, asyncpg.PostgresError) as error:
            raise DatabaseAwayError(type(error).__name__) from error
        try:
            async with connection.begin():
                yield connection
        finally:
            await connection.close()

    @asynccontextmanager
    async def driver(self) -> AsyncIterator[Pg]:
        """An asyncpg connection with no transaction open: a statement commits by itself unless the caller opens one.

        JSON columns are given as text and come back decoded, as on SQLAlchemy's connections. Raises what ``AWAY``
        names when there is none to be had.
        """
        drivers = self._drivers or await self._open()
        async with drivers.acquire(timeout=ACQUIRE_SECONDS) as connection:
            yield connection  # type: ignore[misc]  # the pool's proxy behaves as the connection it stands for

    async def _open(self) -> Pool:
        async with self._opening:
            if self._drivers is None:
                self._drivers = await self._make_drivers()
            return self._drivers

    async def check_version(self) -> None:
        """Raises ``DatabaseTooOldError`` on a server older than PostgreSQL 18."""
        async with self.driver() as pg:
            major = pg.get_server_version().major
        if major < MINIMUM_VERSION:
            raise DatabaseTooOldError(f"PostgreSQL {MINIMUM_VERSION} or later is needed, this is {major}")

    async def close(self) -> None:
        await self.engine.dispose()
        if self._drivers is not None:
            await self._drivers.close()


async def delete_in_slices(database: Database, table: str, condition: str, *arguments: object) -> None:
    """Delete the rows of a table that meet a condition, some thousands a transaction.

    No lock is held for long, and what was deleted before an interruption is deleted. All are found once: to look for
    the next ones after every slice would walk over those that were just deleted. Raises what ``CONTENDED`` names.
    """
    slice_of_them = f"DELETE FROM {table} WHERE ctid = ANY(${len(arguments) + 1}::tid[]) AND ({condition})"
    async with database.driver() as finding, finding.transaction():
        found = await finding.cursor(f"SELECT ctid FROM {table} WHERE {condition}", *arguments)
        while rows := await found.fetch(DELETED_AT_ONCE):
            async with database.driver() as pg:
                await pg.execute(slice_of_them, *arguments, [row["ctid"] for row in rows])


async def _install_codecs(connection: Pg) -> None:
    for name in ("json", "jsonb"):
        await connection.set_type_codec(name, encoder=str, decoder=json.loads, schema="pg_catalog")


async def _leave_as_it_is(_: Pg) -> None:
    """Our sessions keep no state of their own, so a connection needs no round trip to be used again."""

"""Alembic in a few lines: migrations run under a lock and short timeouts, beside a running service.

A migration must let the previous release go on working: add first, remove a release later. None goes back: a ledger
and a register are not taken down.
"""

import asyncio
from pathlib import Path

from alembic import command, context
from alembic.config import Config
from sqlalchemy import Connection, MetaData, pool, text
from sqlalchemy.ext.asyncio import create_async_engine

LOCK = 0x62616E67  # one migration at a time in a database


def upgrade(service: str, database_url: str) -> None:
    """Bring one service's database to its newest schema; waits for another migration to end."""
    command.upgrade(config_for(service, database_url), "head")


def config_for(service: str, database_url: str) -> Config:
    config = Config()
    root = Path(__file__).resolve().parent.parent
    config.set_main_option("script_location", str(root / "services" / service / "migrations"))
    config.set_main_option("path_separator", "os")
    config.attributes["database_url"] = database_url
    return config


def run(metadata: MetaData) -> None:
    """What a service's ``env.py`` calls."""
    asyncio.run(_migrate(metadata, context.config.attributes["database_url"]))


async def _migrate(metadata: MetaData, database_url: str) -> None:
    engine = create_async_engine(
        database_url.replace("postgresql://", "postgresql+asyncpg://", 1), poolclass=pool.NullPool
    )
    async with engine.connect() as connection:
        await connection.run_sync(_run, metadata)
        await connection.commit()
    await engine.dispose()


def _run(connection: Connection, metadata: MetaData) -> None:
    connection.execute(text("SET LOCAL lock_timeout = '60s'"))
    connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": LOCK})
    connection.execute(text("SET LOCAL lock_timeout = '5s'"))
    context.configure(connection=connection, target_metadata=metadata, transaction_per_migration=False)
    with context.begin_transaction():
        context.run_migrations()

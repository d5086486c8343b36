"""The transaction of a command, with what an ``Idempotency-Key`` needs inside it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import UUID

from shared.app import Runtime
from shared.db import Pg
from shared.http.idempotency import Earlier, IdempotencyKey


class _DryRunOver(Exception):
    """Undoes the transaction of a dry run."""


@asynccontextmanager
async def command(runtime: Runtime, *, dry_run: bool = False) -> AsyncIterator[Pg]:
    """A transaction: committed at the end, undone by any exception, and always in a dry run."""
    async with runtime.database.driver() as pg:
        try:
            async with pg.transaction():
                yield pg
                if dry_run:
                    raise _DryRunOver
        except _DryRunOver:
            return
    runtime.wake_relay()


async def claim(pg: Pg, key: IdempotencyKey) -> Earlier | None:
    """Take the key in this transaction; what an earlier request made if it was taken.

    Raises 422 when the earlier request was another one.
    """
    if key.value is None:
        return None
    claimed = await pg.fetchval(
        "INSERT INTO idempotency (scope, key, fingerprint) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING RETURNING true",
        key.scope,
        key.value,
        key.fingerprint,
    )
    return None if claimed else await find_earlier(pg, key)


async def find_earlier(pg: Pg, key: IdempotencyKey) -> Earlier | None:
    """What an earlier request with this key made. Raises 422 when it was another request."""
    row = await pg.fetchrow(
        "SELECT fingerprint, resource_id, version FROM idempotency WHERE scope = $1 AND key = $2", key.scope, key.value
    )
    return None if row is None else key.match(row["fingerprint"], row["resource_id"], row["version"])


async def complete(pg: Pg, key: IdempotencyKey, resource_id: UUID, version: int) -> None:
    """Say what this request made; in the transaction of ``claim``."""
    if key.value is not None:
        await pg.execute(
            "UPDATE idempotency SET resource_id = $3, version = $4 WHERE scope = $1 AND key = $2",
            key.scope,
            key.value,
            resource_id,
            version,
        )


async def forget(pg: Pg, key: IdempotencyKey) -> None:
    """Give the key back: this request made nothing. In the transaction of ``claim``."""
    if key.value is not None:
        await pg.execute("DELETE FROM idempotency WHERE scope = $1 AND key = $2", key.scope, key.value)

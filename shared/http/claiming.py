"""``Idempotency-Key`` on the driver's face of the database, for commands that are not one statement."""

from uuid import UUID

from shared.db import Database, Pg, delete_in_slices
from shared.http.idempotency import KEPT_DAYS, Earlier, IdempotencyKey


async def claim(pg: Pg, key: IdempotencyKey) -> Earlier | None:
    """Take the key in the open transaction; what an earlier request made if it was taken.

    Waits for a request that is still running. Raises 422 when the earlier request was another one.
    """
    if key.value is None:
        return None
    taken = await pg.fetchval(
        "INSERT INTO idempotency (scope, key, fingerprint) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING RETURNING 1",
        key.scope,
        key.value,
        key.fingerprint,
    )
    return None if taken else await find_earlier(pg, key)


async def find_earlier(pg: Pg, key: IdempotencyKey) -> Earlier | None:
    """What an earlier request with this key made. Raises 422 when it was another request."""
    if key.value is None:
        return None
    found = await pg.fetchrow(
        "SELECT fingerprint, resource_id, version FROM idempotency WHERE scope = $1 AND key = $2", key.scope, key.value
    )
    return None if found is None else key.match(found["fingerprint"], found["resource_id"], found["version"])


async def complete(pg: Pg, key: IdempotencyKey, resource_id: UUID, version: int) -> None:
    """Say what the request made, in the transaction of ``claim``."""
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


async def purge(database: Database) -> None:
    """Forget the keys of requests that may be repeated no longer; after a standstill there may be a week's."""
    await delete_in_slices(database, "idempotency", "created_at < now() - make_interval(days => $1)", KEPT_DAYS)

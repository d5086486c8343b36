"""What the exchange must not keep: texts that name erased persons, and what was asked long ago."""

import os
from datetime import datetime
from typing import Any

from services.registry.exchange import subscriptions, tasks, transactions
from services.registry.identities.traces import Traces
from services.registry.identity import Vault
from shared.db import Database, Pg, delete_in_slices


async def forget(pg: Pg, vault: Vault, traces: Traces, now: datetime) -> None:
    """Star erased persons out of what is sealed: callbacks not delivered yet, consents, filters of subscriptions.

    Each text is opened and read. A callback is still made: a search for somebody erased then finds nobody. A
    subscription that named one ends, since its filter asks for nothing any more; its blind index is overwritten, which
    could confirm a guess.
    """
    await _star(pg, vault, traces, "exchange_task", "id", "sealed", tasks.SEALED)
    await _star(pg, vault, traces, "exchange_request", "id", "consents", transactions.CONSENTS)
    for code in await _star(pg, vault, traces, "exchange_subscription", "code", "filter", subscriptions.SEALED):
        await pg.execute(
            "UPDATE exchange_subscription SET ended_at = coalesce(ended_at, $2), content = $3 WHERE code = $1",
            code,
            now,
            os.urandom(32),
        )


async def _star(pg: Pg, vault: Vault, traces: Traces, table: str, key: str, column: str, bound: str) -> list[Any]:
    """Seal the texts anew that name somebody; the keys of their rows."""
    query = f"SELECT {key} AS key, {column} AS sealed FROM {table} WHERE {column} IS NOT NULL FOR UPDATE"
    changed: list[tuple[Any, bytes]] = []
    async for row in pg.cursor(query, prefetch=500):
        text = vault.open(row["sealed"], bound, row["key"])
        if traces.in_text(text):
            changed.append((row["key"], vault.seal(traces.starred(text), bound, row["key"])))
    await pg.executemany(f"UPDATE {table} SET {column} = $2 WHERE {key} = $1", changed)
    return [name for name, _ in changed]


async def purge(database: Database, before: datetime) -> None:
    """Delete what parties sent before an instant, and subscriptions that ended before it, not all at once.

    A message could be sent again for a day at most (``gateway.OLDEST_SECONDS``): what is deleted here is never taken
    twice. The audit log keeps who asked when, and whom they were told of.
    """
    answered = "NOT EXISTS (SELECT FROM exchange_task WHERE request_id = exchange_request.id)"
    await delete_in_slices(database, "exchange_message", "received_at < $1", before)
    await delete_in_slices(database, "exchange_task", "failed_at < $1", before)
    await delete_in_slices(database, "exchange_request", f"received_at < $1 AND {answered}", before)
    await delete_in_slices(database, "exchange_subscription", "least(ended_at, ends_at) < $1", before)

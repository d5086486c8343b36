"""Raising and reading live versions.

A name is ``<cadence>:<first day>`` for the counters of a period, or ``mirror:<aggregate>`` for what is mirrored.
Rows are raised last in a transaction and in order of name, so that concurrent consumers wait briefly and never
for each other in a circle.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from typing import Literal

import sqlalchemy as sa

from shared.contracts.programme import Cadence
from shared.db import Pg

Mirrored = Literal["division", "household", "programme", "target", "rule_set"]

REBUILD_LOCK = 0x72656275
"""Held shared by whoever adds to what is derived, exclusively by whoever rebuilds it."""

_RAISE = (
    "INSERT INTO live_version AS live (name, version) SELECT name, 1 FROM unnest($1::text[]) AS name "
    "ON CONFLICT (name) DO UPDATE SET version = live.version + 1"
)
RAISE_ONE = sa.text(
    "INSERT INTO live_version AS live (name, version) VALUES (:name, 1) "
    "ON CONFLICT (name) DO UPDATE SET version = live.version + 1"
)
"""For commands, which use the SQLAlchemy face."""

_READ = "SELECT name, version FROM live_version WHERE name = ANY($1)"


def counters(cadence: Cadence, first: date) -> str:
    """The name of a period's counters."""
    return f"{cadence}:{first}"


def mirrored(aggregate: Mirrored) -> str:
    """The name of everything mirrored (or set) of one kind."""
    return f"mirror:{aggregate}"


async def raise_all(pg: Pg, names: Iterable[str]) -> None:
    """Raise versions; call it last in the transaction that changed what they stand for."""
    if ordered := sorted(set(names)):
        await pg.execute(_RAISE, ordered)


async def raise_everything(pg: Pg) -> None:
    """Raise every version there is: all that was rendered is looked at again."""
    await pg.execute("UPDATE live_version SET version = version + 1")


async def read(pg: Pg, names: Sequence[str]) -> Mapping[str, int]:
    """The versions of some names; 0 for what never changed."""
    found = {row["name"]: row["version"] for row in await pg.fetch(_READ, names)}
    return {name: found.get(name, 0) for name in names}


async def keep_rebuild_out(pg: Pg) -> None:
    """Until this transaction ends no rebuild runs; waits for one that does."""
    await pg.execute("SELECT pg_advisory_xact_lock_shared($1)", REBUILD_LOCK)


async def keep_consumers_out(pg: Pg) -> None:
    """Until this transaction ends nobody adds to what is derived; waits for batches in hand."""
    await pg.execute("SELECT pg_advisory_xact_lock($1)", REBUILD_LOCK)

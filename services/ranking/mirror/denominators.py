"""Writes and rebuilds the dated changes that denominators are sums of."""

from collections.abc import Mapping

from services.ranking.mirror.rules import ServedChanges, ServedKey
from shared.contracts.household import HouseholdEvent
from shared.db import Pg

_ADD = (
    "INSERT INTO served_change AS held (level, unit, on_day, served_delta, stock_delta) "
    "SELECT * FROM unnest($1::text[], $2::text[], $3::date[], $4::bigint[], $5::bigint[]) "
    "ON CONFLICT (level, unit, on_day) DO UPDATE SET served_delta = held.served_delta + excluded.served_delta, "
    "stock_delta = held.stock_delta + excluded.stock_delta"
)
_COLUMNS = ("level", "unit", "on_day", "served_delta", "stock_delta")


async def add(pg: Pg, changes: ServedChanges) -> None:
    """Add dated changes, in key order."""
    sums = changes.sums()
    if sums:
        keys = [list(column) for column in zip(*(key for key, _, _ in sums), strict=True)]
        await pg.execute(_ADD, *keys, [served for _, served, _ in sums], [stock for _, _, stock in sums])


async def recompute(pg: Pg) -> dict[ServedKey, tuple[int, int]]:
    """The changes that the mirrored households tell. ``pg`` is in a transaction."""
    changes = ServedChanges()
    async for row in pg.cursor("SELECT body FROM household", prefetch=5000):
        changes.replace(None, HouseholdEvent.model_validate_json(row["body"]))
    return {key: (served, stock) for key, served, stock in changes.sums()}


async def read_all(pg: Pg) -> dict[ServedKey, tuple[int, int]]:
    """The changes as they are stored, without those that cancelled out."""
    rows = await pg.fetch(
        "SELECT level, unit, on_day, served_delta, stock_delta FROM served_change "
        "WHERE served_delta <> 0 OR stock_delta <> 0"
    )
    return {ServedKey(*row[:3]): (row["served_delta"], row["stock_delta"]) for row in rows}


async def replace_all(pg: Pg, changes: Mapping[ServedKey, tuple[int, int]]) -> None:
    """Store these changes and no others. Consumers are kept out by the caller."""
    await pg.execute("DELETE FROM served_change")
    records = [(*key, *deltas) for key, deltas in changes.items()]
    await pg.copy_records_to_table("served_change", records=records, columns=_COLUMNS)

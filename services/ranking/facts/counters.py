"""Writes what a batch adds up to into the cells, in key order, so that consumers never deadlock."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta

from pyroaring import BitMap

from services.ranking.facts.rules import CellKey, Change, Changes, Counted, households_by_cell
from services.ranking.facts.storing import COUNTED, counted
from shared.db import Pg

_KEY = "level, unit, class, cadence, period_start"
_KEYS = "$1::text[], $2::text[], $3::text[], $4::text[], $5::date[]"
_SUMS = ("actions", "persons", "amount_fen", "on_time", "verified")

_UPSERT = (
    f"INSERT INTO cell AS held ({_KEY}, {', '.join(_SUMS)}) SELECT * FROM unnest({_KEYS}, "
    "$6::bigint[], $7::bigint[], $8::bigint[], $9::bigint[], $10::bigint[]) "
    f"ON CONFLICT ({_KEY}) DO UPDATE SET {', '.join(f'{name} = held.{name} + excluded.{name}' for name in _SUMS)}"
)
_LOCK_HOUSEHOLDS = (
    f"SELECT {_KEY}, households FROM unnest({_KEYS}) AS wanted ({_KEY}) "
    f"JOIN cell_households USING ({_KEY}) ORDER BY {_KEY} FOR UPDATE OF cell_households"
)
_STORE_HOUSEHOLDS = (
    f"INSERT INTO cell_households ({_KEY}, households, reached) "
    f"SELECT * FROM unnest({_KEYS}, $6::bytea[], $7::int[]) "
    f"ON CONFLICT ({_KEY}) DO UPDATE SET households = excluded.households, reached = excluded.reached"
)
_STILL_THERE = (
    f"SELECT DISTINCT {COUNTED}, household_seq FROM fact "
    "WHERE household_seq = ANY($1) AND status = 'recorded' AND day BETWEEN $2 AND $3"
)


async def apply(pg: Pg, changes: Changes) -> None:
    """Add a batch's changes to the cells. Facts must have been stored before, in the same transaction.

    The upsert of the sums locks every cell touched, in key order; what follows reads and writes the bitmaps of
    cells that are ours until the end of the transaction.
    """
    by_cell = changes.by_cell()
    if not by_cell:
        return
    await pg.execute(_UPSERT, *_columns(key for key, _ in by_cell), *_sums([change for _, change in by_cell]))
    await _apply_households(pg, [(key, change) for key, change in by_cell if change.reached or change.left])


async def _apply_households(pg: Pg, by_cell: Sequence[tuple[CellKey, Change]]) -> None:
    if not by_cell:
        return
    gone = await _gone(pg, by_cell)
    rows = await pg.fetch(_LOCK_HOUSEHOLDS, *_columns(key for key, _ in by_cell))
    held = {CellKey(*row[:5]): row["households"] for row in rows}
    written: list[tuple[CellKey, BitMap]] = []
    for key, change in by_cell:
        stored = held.get(key)
        households = BitMap() if stored is None else BitMap.deserialize(stored)
        before = len(households)
        households |= BitMap(change.reached)
        grown, lost = len(households) > before, gone.get(key)
        if lost:
            households -= BitMap(lost)
        if grown or lost:
            written.append((key, households))
    if written:
        await pg.execute(
            _STORE_HOUSEHOLDS,
            *_columns(key for key, _ in written),
            [households.serialize() for _, households in written],
            [len(households) for _, households in written],
        )


async def _gone(pg: Pg, by_cell: Sequence[tuple[CellKey, Change]]) -> dict[CellKey, set[int]]:
    """The households that no fact brings to a cell any longer, counted again from facts."""
    in_doubt = {household for _, change in by_cell for household in change.left}
    if not in_doubt:
        return {}
    starts = [key.period_start for key, change in by_cell if change.left]
    last = max(starts) + timedelta(days=92)  # a quarter has at most 92 days
    rows = await pg.fetch(_STILL_THERE, list(in_doubt), min(starts), last)
    present: list[Counted] = [here for row in rows if (here := counted(row)) is not None]
    there = households_by_cell(present)
    return {
        key: {household for household in change.left if (key, household) not in there}
        for key, change in by_cell
        if change.left
    }


def _columns(keys: Iterable[CellKey]) -> list[list[object]]:
    return [list(column) for column in zip(*keys, strict=True)]


def _sums(changes: Sequence[Change]) -> list[list[int]]:
    return [[getattr(change, name) for change in changes] for name in _SUMS]


async def recompute(pg: Pg) -> dict[CellKey, tuple[tuple[int, ...], BitMap]]:
    """Every cell as the facts have it. ``pg`` is in a transaction."""
    changes = Changes()
    async for row in pg.cursor(f"SELECT {COUNTED} FROM fact WHERE status = 'recorded'", prefetch=20_000):
        here = counted(row)
        assert here is not None  # the query leaves revoked ones out
        changes.add(here)
    return {
        key: (tuple(getattr(change, name) for name in _SUMS), BitMap(change.reached))
        for key, change in changes.by_cell()
    }


async def read_all(pg: Pg) -> dict[CellKey, tuple[tuple[int, ...], BitMap]]:
    """Every cell as it is stored, without those that were left again."""
    rows = await pg.fetch(
        f"SELECT {_KEY}, {', '.join(_SUMS)}, households FROM cell LEFT JOIN cell_households USING ({_KEY})"
    )
    return {
        CellKey(*row[:5]): (tuple(row[5:10]), households)
        for row in rows
        if any(row[5:10]) | bool(households := BitMap.deserialize(row["households"]) if row["households"] else BitMap())
    }


async def replace_all(pg: Pg, cells: Mapping[CellKey, tuple[tuple[int, ...], BitMap]]) -> None:
    """Store these cells and no others. Consumers are kept out by the caller."""
    await pg.execute("DELETE FROM cell")
    await pg.execute("DELETE FROM cell_households")
    key = _KEY.split(", ")
    sums = [(*cell, *values) for cell, (values, _) in cells.items()]
    await pg.copy_records_to_table("cell", records=sums, columns=[*key, *_SUMS])
    households = [(*cell, reached.serialize(), len(reached)) for cell, (_, reached) in cells.items() if reached]
    await pg.copy_records_to_table("cell_households", records=households, columns=[*key, "households", "reached"])

"""Computes cells, households reached and denominators anew, and compares them with what is stored.

Uses the very rules of the consumers, on the whole of the facts. Zeros count as absent: a cell that an action left
again stands at zero, and a rebuild does not know it.
"""

import hashlib
import json
from dataclasses import dataclass

from pyroaring import BitMap

from services.ranking.facts import counters
from services.ranking.facts.rules import CellKey
from services.ranking.mirror import denominators
from services.ranking.mirror.rules import ServedKey
from services.ranking.versions import service as versions
from shared.db import Pg

Cells = dict[CellKey, tuple[tuple[int, ...], BitMap]]
Served = dict[ServedKey, tuple[int, int]]


@dataclass(frozen=True, slots=True)
class Derived:
    """All that is derived: cells with their households, and dated changes of denominators."""

    cells: Cells
    served: Served

    def canonical(self) -> str:
        """SHA-256 of everything as canonical JSON: equal exactly when everything is."""
        digest = hashlib.sha256()
        for key, (sums, households) in sorted(self.cells.items(), key=lambda item: item[0]):
            reached = hashlib.sha256(",".join(map(str, households)).encode()).hexdigest()
            digest.update(_line([*key[:4], key.period_start.isoformat(), *sums, len(households), reached]))
        for unit, deltas in sorted(self.served.items()):
            digest.update(_line([unit.level, unit.unit, unit.on_day.isoformat(), *deltas]))
        return digest.hexdigest()


@dataclass(frozen=True, slots=True)
class Comparison:
    """What is stored against what it should be."""

    cells: int
    served_changes: int
    differing_cells: list[CellKey]
    differing_served: list[ServedKey]
    stored: str
    computed: str

    @property
    def equal(self) -> bool:
        return self.stored == self.computed


async def check(pg: Pg) -> Comparison:
    """Compare without writing; consumers wait meanwhile. ``pg`` is in a transaction."""
    await _prepare(pg)
    return _compared(await stored(pg), await computed(pg))


async def rebuild(pg: Pg) -> Comparison:
    """Write everything derived anew; consumers wait meanwhile. Returns how it was before."""
    await _prepare(pg)
    before, after = await stored(pg), await computed(pg)
    await counters.replace_all(pg, after.cells)
    await denominators.replace_all(pg, after.served)
    await versions.raise_everything(pg)
    return _compared(before, after)


async def stored(pg: Pg) -> Derived:
    """What the database holds."""
    return Derived(await counters.read_all(pg), await denominators.read_all(pg))


async def computed(pg: Pg) -> Derived:
    """What facts and mirror say it should hold."""
    return Derived(await counters.recompute(pg), await denominators.recompute(pg))


async def _prepare(pg: Pg) -> None:
    for setting, value in (
        ("statement_timeout", "0"), ("lock_timeout", "120s"), ("idle_in_transaction_session_timeout", "0")
    ):  # fmt: skip
        await pg.execute("SELECT set_config($1, $2, true)", setting, value)
    await versions.keep_consumers_out(pg)


def _compared(before: Derived, after: Derived) -> Comparison:
    return Comparison(
        cells=len(after.cells),
        served_changes=len(after.served),
        differing_cells=sorted(
            key for key in before.cells.keys() | after.cells.keys() if before.cells.get(key) != after.cells.get(key)
        ),
        differing_served=sorted(
            key for key in before.served.keys() | after.served.keys() if before.served.get(key) != after.served.get(key)
        ),
        stored=before.canonical(),
        computed=after.canonical(),
    )


def _line(values: list[object]) -> bytes:
    return json.dumps(values, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"

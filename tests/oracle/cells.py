"""Every counter computed anew from the ledger's own rows: a second opinion that shares no code with ranking.

Invariants I1 to I7 of reliability.md, section 2, as far as they speak of actions, events, facts and cells.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

SHANGHAI = ZoneInfo("Asia/Shanghai")
Key = tuple[str, str, str, str, date]
"""(level, unit, class, cadence, first day)."""


@dataclass
class Cell:
    """What one unit's actions of one class add up to in one period."""

    actions: int = 0
    persons: int = 0
    amount_fen: int = 0
    on_time: int = 0
    verified: int = 0
    households: set[int] = field(default_factory=set)

    def figures(self) -> tuple[int, ...]:
        return self.actions, self.persons, self.amount_fen, self.on_time, self.verified, len(self.households)


def newest(versions: Iterable[str]) -> dict[str, dict[str, Any]]:
    """The highest version of each action, from the bodies of all versions; they must be gapless (I6)."""
    known: dict[str, dict[int, dict[str, Any]]] = {}
    for body in versions:
        action = json.loads(body)
        known.setdefault(action["id"], {})[action["version"]] = action
    for of_action in known.values():
        assert sorted(of_action) == list(range(1, len(of_action) + 1)), "versions are gapless"
    return {action_id: of_action[max(of_action)] for action_id, of_action in known.items()}


def fold(actions: Iterable[Mapping[str, Any]]) -> dict[Key, tuple[int, ...]]:
    """Every cell that counts something."""
    cells: dict[Key, Cell] = {}
    for action in actions:
        if action["status"] != "recorded":
            continue
        occurred = datetime.fromisoformat(action["occurred_at"])
        delay = datetime.fromisoformat(action["first_recorded_at"]) - occurred
        for level, unit in _units(action):
            for cadence, first in _periods(occurred.astimezone(SHANGHAI).date()):
                cell = cells.setdefault((level, unit, action["class"], cadence, first), Cell())
                cell.actions += 1
                cell.persons += len(action["persons"])
                cell.amount_fen += action["amount_fen"]
                cell.on_time += timedelta(0) <= delay <= timedelta(hours=24)
                cell.verified += action["verified_at"] is not None
                if action["household"] is not None:
                    cell.households.add(action["household"]["seq"])
    return {key: cell.figures() for key, cell in cells.items()}


def _units(action: Mapping[str, Any]) -> Iterable[tuple[str, str]]:
    path = action["path"]
    yield "county", path["managing_unit"]
    if path["township"] is not None:
        yield "township", path["township"]
    yield "sector", action["sector"]
    yield "sector_county", f"{action['sector']}/{path['managing_unit']}"


def _periods(day: date) -> Iterable[tuple[str, date]]:
    yield "day", day
    yield "week", day - timedelta(days=day.weekday())
    yield "month", day.replace(day=1)
    yield "quarter", date(day.year, 3 * ((day.month - 1) // 3) + 1, 1)


LEDGER = "SELECT body FROM action_version"
CELLS = """
SELECT level, unit, class, cadence, period_start, actions, persons, amount_fen, on_time, verified,
       coalesce(reached, 0) AS households
FROM cell FULL JOIN cell_households USING (level, unit, class, cadence, period_start)
"""
"""Ranking's cells; those that count nothing any more are as good as absent."""


def stored(rows: Iterable[Mapping[str, Any]]) -> dict[Key, tuple[int, ...]]:
    """Ranking's cells in the shape of ``fold``."""
    cells = {}
    for row in rows:
        *key, actions, persons, amount_fen, on_time, verified, households = row.values()
        if any(figures := (actions, persons, amount_fen, on_time, verified, households)):
            cells[tuple(key)] = figures
    return cells  # type: ignore[return-value]

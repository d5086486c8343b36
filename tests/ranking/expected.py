"""What the counters must be, recomputed without any code of ranking's: plain loops over plain events."""

from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from shared.contracts.action import ActionEvent

Cells = dict[tuple[Any, ...], tuple[Any, ...]]


def newest(delivered: Iterable[ActionEvent]) -> dict[Any, ActionEvent]:
    """The highest version of each action, whatever the order of arrival."""
    found: dict[Any, ActionEvent] = {}
    for event in delivered:
        if event.id not in found or found[event.id].version < event.version:
            found[event.id] = event
    return found


def cells(delivered: Iterable[ActionEvent]) -> Cells:
    """Every counter that is not zero."""
    sums: dict[tuple[Any, ...], list[int]] = {}
    households: dict[tuple[Any, ...], set[int]] = {}
    for event in newest(delivered).values():
        if event.status == "revoked":
            continue
        for key in _keys(event):
            late = event.first_recorded_at - event.occurred_at
            row = sums.setdefault(key, [0, 0, 0, 0, 0])
            row[0] += 1
            row[1] += len(event.persons)
            row[2] += event.amount_fen
            row[3] += 1 if timedelta(0) <= late <= timedelta(days=1) else 0
            row[4] += 1 if event.verified_at else 0
            if event.household_seq is not None:
                households.setdefault(key, set()).add(event.household_seq)
    return {key: (*row, frozenset(households.get(key, ()))) for key, row in sums.items()}


def _keys(event: ActionEvent) -> list[tuple[Any, ...]]:
    day = _day_in_shanghai(event.occurred_at)
    starts = {
        "day": day,
        "week": date.fromisocalendar(day.isocalendar().year, day.isocalendar().week, 1),
        "month": date(day.year, day.month, 1),
        "quarter": date(day.year, {0: 1, 1: 4, 2: 7, 3: 10}[(day.month - 1) // 3], 1),
    }
    units = [("county", event.path.managing_unit), ("sector", event.sector)]
    units.append(("sector_county", event.sector + "/" + event.path.managing_unit))
    if event.path.township:
        units.append(("township", event.path.township))
    return [
        (level, unit, event.programme_class, cadence, start)
        for level, unit in units
        for cadence, start in starts.items()
    ]


def _day_in_shanghai(instant: datetime) -> date:
    return instant.astimezone(UTC).astimezone(ZoneInfo("Asia/Shanghai")).date()

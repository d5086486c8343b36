"""A cell on its way from the reading process to ours, as JSON: text, number, truth, day, or a value that is missing.

A day is ``{"d": "2018-10-05"}``; ``{"f": 1}`` a formula saved without a value, ``{"e": "#REF!"}`` an error value.
"""

from collections.abc import Mapping
from datetime import date, datetime, time, timedelta
from typing import Any, TypeAlias

Cell: TypeAlias = str | int | float | bool | date | Mapping[str, Any]
"""A mapping stands for a formula without a value or for an error value."""

NO_VALUE = {"f": 1}


def wired(value: Any) -> Any:
    """A cell as calamine gives it, for the wire."""
    if isinstance(value, str | bool | dict):
        return value
    if isinstance(value, int | float):
        return int(value) if value == value and abs(value) < 1e15 and value == int(value) else value
    if isinstance(value, datetime | date):
        return {"d": (value.date() if isinstance(value, datetime) else value).isoformat()}
    if isinstance(value, time):
        return value.isoformat("minutes")
    if isinstance(value, timedelta):
        return value / timedelta(days=1)
    return ""


def unwired(value: Any) -> Cell:
    """The cell again."""
    if isinstance(value, dict):
        return date.fromisoformat(value["d"]) if "d" in value else value
    cell: Cell = value
    return cell

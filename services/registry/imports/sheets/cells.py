"""A cell between the reading process and ours: text, number, truth, day, or a value that is missing.

``{"f": 1}`` is a formula saved without a value, ``{"e": "#REF!"}`` an error value. As JSON, where rows wait to be sent
back, a day is ``{"d": "2018-10-05"}``.
"""

import json
from collections.abc import Mapping, Sequence
from datetime import date, datetime, time, timedelta
from typing import Any, TypeAlias

Cell: TypeAlias = str | int | float | bool | date | Mapping[str, Any]
"""A mapping stands for a formula without a value or for an error value."""

LONGEST = 32_767
"""Characters of a text."""
NO_VALUE = {"f": 1}


def cell_of(value: Any) -> Cell:
    """What calamine gives, as a cell."""
    if isinstance(value, (str, bool, dict)):  # tuples: a union would be made anew for every cell
        return value
    if isinstance(value, (int, float)):
        return int(value) if value == value and abs(value) < 1e15 and value == int(value) else value
    if isinstance(value, datetime):
        return value.date()
    if isinstance(value, date):
        return value
    if isinstance(value, time):
        return value.isoformat("minutes")
    if isinstance(value, timedelta):
        return value / timedelta(days=1)
    return ""


def to_json(cells: Sequence[Cell]) -> str:
    """The cells of a row as JSON."""
    return _encode(cells)


def from_json(value: Any) -> Cell:
    """A cell as ``to_json`` wrote it, once its JSON is parsed."""
    if isinstance(value, dict):
        return date.fromisoformat(value["d"]) if "d" in value else value
    cell: Cell = value
    return cell


_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), default=lambda day: {"d": day.isoformat()}).encode

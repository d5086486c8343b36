"""Reads the real divisions of Nanyang from the files beside this one."""

import csv
import tomllib
from collections import defaultdict
from collections.abc import Iterator, Mapping
from datetime import date
from pathlib import Path
from typing import Any

from shared.contracts.division import DivisionEvent

DATA = Path(__file__).parent / "data"


def load_divisions() -> list[DivisionEvent]:
    """Every division of the edition, and the local units, as version 1; parents before children."""
    local = tomllib.loads((DATA / "local.toml").read_text(encoding="utf-8"))
    with (DATA / "divisions_nanyang.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    designations = _designations(local, rows)
    managers = {township: unit["code"] for unit in local["unit"] for township in unit["townships"]}
    coded = [
        _division(local, row, order, designations[row["code"]], managers.get(row["code"]))
        for order, row in enumerate(rows, start=1)
    ]
    city = next(entry for entry in coded if entry.level == "city")
    units = [_local_unit(local, unit, city.code, designations[unit["code"]]) for unit in local["unit"]]
    return coded + units


def _designations(local: Mapping[str, Any], rows: list[dict[str, str]]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = defaultdict(list)
    for kind, codes in local["designations"].items():
        for code in codes:
            found[code].append(kind)
    for row in rows:
        if row["level"] == "county":
            found[row["code"]].append("in_city_ranking")
        elif _is_unranked(local["unranked"], row):
            found[row["code"]].append("unranked")
    for unit in local["unit"]:
        found[unit["code"]].append("in_city_ranking")
    return found


def _is_unranked(unranked: Mapping[str, Any], row: Mapping[str, str]) -> bool:
    if row["level"] == "township":
        return int(row["code"][6:9]) >= int(unranked["township_from"])
    named: str = unranked["village_named"]
    return row["level"] == "village" and named in row["name"]


def _division(
    local: Mapping[str, Any], row: Mapping[str, str], order: int, kinds: list[str], manager: str | None
) -> DivisionEvent:
    return DivisionEvent.model_validate({
        "code": row["code"],
        "version": 1,
        "name": row["name"],
        "level": row["level"],
        "parent": row["parent_code"] or None,
        "valid_from": local["valid_from"],
        "sort_order": order,
        "source": local["edition"],
        "managing_units": [{"unit": manager, "valid_from": local["valid_from"]}] if manager else [],
        "designations": list(_dated(kinds, local["valid_from"])),
    })  # fmt: skip


def _local_unit(local: Mapping[str, Any], unit: Mapping[str, Any], city: str, kinds: list[str]) -> DivisionEvent:
    return DivisionEvent.model_validate({
        "code": unit["code"],
        "version": 1,
        "name": unit["name"],
        "level": "county",
        "parent": city,
        "valid_from": local["valid_from"],
        "sort_order": 1_000_000 + unit["sort_order"],  # after every unit that has a code
        "source": "local",
        "designations": list(_dated(kinds, local["valid_from"])),
    })  # fmt: skip


def _dated(kinds: list[str], valid_from: date) -> Iterator[dict[str, object]]:
    for kind in kinds:
        yield {"kind": kind, "valid_from": valid_from}

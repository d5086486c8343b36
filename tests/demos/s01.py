"""S1: the whole register comes in as a workbook: 144,000 households, 334,200 people, 3.21 % of 10,411,215.

    python -m tests.demos.s01 [--scale 100]

Needs a register without households. The people are invented, and so is how the rural population, of which the article
knows only the whole, is spread over counties: by their villages. At 1:N households, people and rural population are
each divided by N, rounded down; incidence is computed from what that makes.
"""

import json
import tempfile
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path
from typing import NamedTuple

from python_calamine import CalamineWorkbook

from deploy.importing import Importing, ImportRefusedError
from deploy.local.demo.workbook import write_workbook
from tests.demos.stage import Json, NotAsExpectedError, Stage, answered, count, listed, run

CITY = "411300000000"
HOUSEHOLDS, PEOPLE, RURAL_PEOPLE, INCIDENCE = 144_000, 334_200, 10_411_215, "3.21"
"""The article's."""
DAY, YEAR = "2018-10-08", 2017
"""The day that is asked about, and the year of the rural population."""
ILLNESS, LEAST_ILLNESS = "因病", 60
"""Per cent of the households that illness made poor, at least."""


class Figures(NamedTuple):
    """Of a unit."""

    households: int
    people: int
    rural_people: int


@dataclass
class Home:
    """A household of the workbook."""

    unit: str
    """The county or zone that runs its village."""
    cause: str
    people: int = 0


def demonstrate(stage: Stage, scale: int = 1) -> None:
    """Import the register as a workbook and read its figures off the statistics, unit by unit."""
    if held := count(stage.registry, "/v1/households"):
        raise NotAsExpectedError(f"there are {held} households already; start with an empty register")
    whole = Figures(HOUSEHOLDS // scale, PEOPLE // scale, RURAL_PEOPLE // scale)
    stage.say(f"1:{scale} is {whole.households} households with {whole.people} people of {whole.rural_people}")
    rural = _load_rural_people(stage, whole.rural_people)
    with tempfile.TemporaryDirectory() as directory:
        file = Path(directory) / "register.xlsx"
        stage.shows("households and people in the workbook", write_workbook(file, scale), whole[:2])
        homes = _written(stage, file)
        _take_in(stage, file)
    table = answered(stage.registry.get("/v1/statistics/poverty", params={"as_of": DAY}))
    stage.shows("南阳市", _figures(table["division"]), whole)
    incidence = INCIDENCE if scale == 1 else _percent(whole.people, whole.rural_people)
    stage.shows("incidence 贫困发生率, %", table["division"]["incidence_percent"], incidence)
    _units(stage, table["below"], homes, rural)
    causes = answered(stage.registry.get("/v1/statistics/causes", params={"as_of": DAY}))["division"]["parts"]
    [illness] = [part["households"] for part in causes if part["label"] == ILLNESS]
    stage.shows(f"made poor by illness {ILLNESS}", illness, sum(home.cause == ILLNESS for home in homes))
    if scale == 1:
        stage.shows(f"which are {LEAST_ILLNESS} % at least", 100 * illness >= LEAST_ILLNESS * HOUSEHOLDS, True)


def _units(stage: Stage, rows: list[Json], homes: list[Home], rural: Mapping[str, int]) -> None:
    """Counties and zones, in official order, against a count of the workbook."""
    order = [unit["code"] for unit in listed(stage.registry, "/v1/divisions", level="county")]
    stage.shows("units in official order", [row["code"] for row in rows], order)
    households = Counter(home.unit for home in homes)
    people = Counter[str]()
    for home in homes:
        people[home.unit] += home.people
    for row in rows:
        code = row["code"]
        stage.shows(row["name"], _figures(row), Figures(households[code], people[code], rural[code]))
        stage.shows("  incidence, %", row["incidence_percent"], _percent(people[code], rural[code]))
    together = Figures(*map(sum, zip(*map(_figures, rows), strict=True)))
    stage.shows("together", together, Figures(len(homes), people.total(), sum(rural.values())))


def _load_rural_people(stage: Stage, whole: int) -> Mapping[str, int]:
    """Load the city's rural population and those of its units, by their villages; returns the latter."""
    units = answered(stage.registry.get("/v1/statistics/villages", params={"as_of": DAY}))["below"]
    villages, total = 0, sum(unit["villages"] for unit in units)
    rural: dict[str, int] = {}
    for unit in units:
        before, villages = villages, villages + unit["villages"]
        rural[unit["code"]] = whole * villages // total - whole * before // total
    lines = [{"division": code, "year": YEAR, "people": people} for code, people in {CITY: whole, **rural}.items()]
    content, headers = "\n".join(map(json.dumps, lines)), {"Content-Type": "application/jsonl"}
    loaded = answered(stage.registry.put("/v1/statistics/denominators", content=content, headers=headers))
    stage.shows("rural populations that were refused", loaded["counts"]["rejected"], 0)
    return rural


def _written(stage: Stage, file: Path) -> list[Home]:
    """The households of the workbook, read again from the file itself."""
    villages = listed(stage.registry, "/v1/divisions", level="village")
    unit_of = {village["code"]: village["path"]["managing_unit"] for village in villages}
    rows = CalamineWorkbook.from_path(file).get_sheet_by_index(0).iter_rows()
    next(rows)  # the title
    header = next(rows)
    number, village, cause = (header.index(name) for name in ("户编号", "村编码", "主要致贫原因"))
    homes: dict[str, Home] = {}
    for row in rows:
        home = homes.setdefault(str(row[number]), Home(unit_of[str(row[village])], str(row[cause])))
        home.people += 1
    return list(homes.values())


def _take_in(stage: Stage, file: Path) -> None:
    """As ``./bangfu import households`` does."""
    started = time.monotonic()
    try:
        complete = Importing(stage.registry, file).run({"mode": "all"})
    except ImportRefusedError as error:
        raise NotAsExpectedError(str(error)) from error
    stage.shows(f"after {time.monotonic() - started:.0f} s every household was taken in", complete, True)


def _figures(row: Mapping[str, int]) -> Figures:
    return Figures(row["stock_households"], row["stock_people"], row["rural_people"])


def _percent(part: int, whole: int) -> str:
    """Rounded half up to two places."""
    return str((Decimal(100 * part) / whole).quantize(Decimal("0.01"), ROUND_HALF_UP))


if __name__ == "__main__":
    run(demonstrate, scale=1)

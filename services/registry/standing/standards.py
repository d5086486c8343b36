"""The dated lines and thresholds that exits are measured by, as data."""

import tomllib
from collections.abc import Mapping
from datetime import date
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from services.registry.checks.rules import YUAN

_DATA = Path(__file__).parent / "data" / "standards.toml"


class Thresholds(BaseModel):
    """Percentages that hold from a day on."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    valid_from: date
    village_incidence_below: int
    county_incidence_below: int
    missed_below: int
    wrongly_exited_below: int
    approval_at_least: int
    poor_villages_exited_at_least: int


class Standards(BaseModel):
    """Lines by year in fen, thresholds by day."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    lines: Mapping[int, int]
    thresholds: tuple[Thresholds, ...]

    def line_fen(self, year: int) -> int | None:
        """Income per head that an exit must be above; None for a year without a line."""
        return self.lines.get(year)

    def on(self, day: date) -> Thresholds:
        """The thresholds of a day; before the first entry, those of that one."""
        return next((entry for entry in reversed(self.thresholds) if entry.valid_from <= day), self.thresholds[0])


def load_standards(working_lines: Mapping[int, int]) -> Standards:
    """The national lines, raised where the province works with a higher one (yuan by year)."""
    read = tomllib.loads(_DATA.read_text(encoding="utf-8"))
    national = {int(year): yuan for year, yuan in read["line"].items()}
    years = national.keys() | working_lines.keys()
    return Standards(
        lines={year: YUAN * max(national.get(year, 0), working_lines.get(year, 0)) for year in years},
        thresholds=tuple(Thresholds.model_validate(entry) for entry in read["thresholds"]),
    )

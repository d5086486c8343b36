"""The divisions that statistics list, in official order. Pure.

Households count for the managing unit, not for the county in the code (ranking.md, "Units").
"""

from collections.abc import Mapping
from datetime import date
from functools import lru_cache
from typing import Literal

from shared.contracts.division import DivisionEvent, DivisionTree, Level

Place = Literal["city", "managing_unit", "township", "village"]
COLUMNS: dict[Level, Place] = {
    "city": "city", "county": "managing_unit", "township": "township", "village": "village"
}  # fmt: skip
LEVELS: tuple[Level, ...] = ("city", "county", "township", "village")


def next_level(level: Level) -> Level | None:
    """The level below; None below villages."""
    place = LEVELS.index(level) + 1
    return LEVELS[place] if place < len(LEVELS) else None


class Layout:
    """Where every division of a day stands: the unit of each level that it belongs to, and its place in order."""

    def __init__(self, tree: DivisionTree, day: date) -> None:
        self._tree = tree
        self.above: Mapping[str, Mapping[Level, str]] = {
            division.code: places for division in tree if (places := _above(tree, division, day))
        }
        """By division: its unit on every level down to its own, itself included."""
        orders = {division.code: (division.sort_order, division.code) for division in tree}
        found = sorted(self.above, key=lambda code: [orders.get(unit, (0, unit)) for unit in self.above[code].values()])
        divisions = [division for code in found if (division := tree.get(code)) is not None]
        self.parts: dict[str, list[str]] = {}
        """By unit: the divisions one level below that belong to it."""
        for division in divisions:
            *_, unit = [None, *self.above[division.code].values()][:-1]
            if unit is not None:
                self.parts.setdefault(unit, []).append(division.code)
        self.merged = [each for each in tree if each.successor and each.valid_to is not None and each.valid_to <= day]
        """Divisions that went into another one by this day."""
        self.splits: dict[tuple[str, date], list[DivisionEvent]] = {}
        """By what was split and the day of it, this one at the latest: the parts cut out of it."""
        for part in tree:
            if part.origin is not None and part.valid_from <= day:
                self.splits.setdefault((part.origin, part.valid_from), []).append(part)
        self._levels = {level: [each for each in divisions if each.level == level] for level in LEVELS}

    def all_year(self, code: str, year: int) -> bool:
        """Whether a division was there from the first day of a year to the last."""
        division = self._tree.get(code)
        return division is not None and all(division.holds_on(day) for day in (date(year, 1, 1), date(year, 12, 31)))

    def at(self, level: Level) -> list[DivisionEvent]:
        """All divisions of a level, in official order."""
        return self._levels[level]

    def below(self, division: DivisionEvent, level: Level) -> list[DivisionEvent]:
        """The divisions of a level that belong to another one, in official order."""
        return [unit for unit in self._levels[level] if self.above[unit.code].get(division.level) == division.code]


@lru_cache(maxsize=8)
def layout(tree: DivisionTree, day: date) -> Layout:
    """The layout of a tree on a day; the latest ones are kept, for five thousand paths take a while."""
    return Layout(tree, day)


def _above(tree: DivisionTree, division: DivisionEvent, day: date) -> Mapping[Level, str] | None:
    if division.level == "city":
        return {"city": division.code} if division.holds_on(day) else None
    path = tree.path(division.code, day)
    if path is None:
        return None
    found = {level: getattr(path, COLUMNS[level]) for level in LEVELS[: LEVELS.index(division.level) + 1]}
    # A county-level unit is its own managing unit, whatever runs it.
    return found | {division.level: division.code}

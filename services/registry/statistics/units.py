"""The divisions that statistics list, in official order. Pure.

Households count for the managing unit, not for the county in the code (ranking.md, "Units").
"""

from datetime import date

from services.registry.households.known import Place
from shared.contracts.division import DivisionEvent, DivisionTree, Level

COLUMNS: dict[Level, Place] = {
    "city": "city", "county": "managing_unit", "township": "township", "village": "village"
}  # fmt: skip
LEVELS: tuple[Level, ...] = ("city", "county", "township", "village")


def next_level(level: Level) -> Level | None:
    """The level below; None below villages."""
    place = LEVELS.index(level) + 1
    return LEVELS[place] if place < len(LEVELS) else None


def above(tree: DivisionTree, division: DivisionEvent, day: date) -> dict[Level, str] | None:
    """The unit of every level that a division belongs to on a day, itself included; None when it is not valid."""
    if division.level == "city":
        return {"city": division.code} if division.holds_on(day) else None
    path = tree.path(division.code, day)
    if path is None:
        return None
    # A county-level unit is its own managing unit, whatever its code says.
    found = {level: getattr(path, COLUMNS[level]) for level in LEVELS[: LEVELS.index(division.level) + 1]}
    return found | {division.level: division.code}


def below(tree: DivisionTree, division: DivisionEvent, level: Level, day: date) -> list[DivisionEvent]:
    """The divisions of a level run by another one on a day, in official order."""
    found = []
    for unit in tree:
        if unit.level == level and (places := above(tree, unit, day)) and places.get(division.level) == division.code:
            units = (tree.get(code) for code in places.values())
            found.append(([0 if each is None else each.sort_order for each in units], unit.code, unit))
    return [unit for *_, unit in sorted(found, key=lambda entry: entry[:2])]

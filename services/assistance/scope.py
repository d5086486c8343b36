"""Division scope 辖区 of things that belong to any division, the city itself included."""

from dataclasses import dataclass
from datetime import date

from sqlalchemy import Column, Text

from shared.auth import Caller
from shared.contracts.division import DivisionTree

SCOPE_SQL = "(city = ANY({0}) OR managing_unit = ANY({0}) OR township = ANY({0}) OR village = ANY({0}))"
"""Rows within a caller's divisions; ``{0}`` is the parameter that holds them."""


@dataclass(frozen=True, slots=True)
class Seat:
    """The divisions above something, itself included; None below its level."""

    city: str
    managing_unit: str | None
    township: str | None
    village: str | None

    def within(self, caller: Caller) -> bool:
        """Whether the caller's scope names any of them."""
        return not set(caller.divisions).isdisjoint((self.city, self.managing_unit, self.township, self.village))


def seat(tree: DivisionTree, code: str, day: date) -> Seat | None:
    """Where a division sits on a day; None when it is unknown then."""
    division = tree.get(code)
    if division is not None and division.level == "city" and division.holds_on(day):
        return Seat(code, None, None, None)
    path = tree.path(code, day)
    return None if path is None else Seat(path.city, path.managing_unit, path.township, path.village)


def seat_columns() -> tuple[Column[str], Column[str], Column[str], Column[str]]:
    """The columns that hold a seat."""
    return (
        Column("city", Text, nullable=False),
        Column("managing_unit", Text),
        Column("township", Text),
        Column("village", Text),
    )

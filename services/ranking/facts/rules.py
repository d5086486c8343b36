"""What an action counts for, and how a batch of changes adds up. Pure."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from functools import lru_cache
from operator import itemgetter
from typing import Literal, NamedTuple

from services.ranking.periods.rules import period_of
from shared.contracts.programme import Cadence

Level = Literal["county", "township", "sector", "sector_county"]
CELL_CADENCES: tuple[Cadence, ...] = ("day", "week", "month", "quarter")
"""Materialised; a year is the sum of its quarters, and the union of their households."""
TIMELY = timedelta(hours=24)


class Counted(NamedTuple):
    """What a recorded action counts for: one action, its persons, money and household, in its places."""

    programme_class: str
    sector: str
    managing_unit: str
    township: str | None
    day: date
    household_seq: int | None
    persons: int
    amount_fen: int
    on_time: bool
    verified: bool


Place = tuple[Level, str, str, date]
"""Level, unit, programme class and day: the finest sum of a batch."""


class CellKey(NamedTuple):
    """One counter: a unit's actions of one class in one period."""

    level: Level
    unit: str
    programme_class: str
    cadence: Cadence
    period_start: date


@dataclass(frozen=True, slots=True)
class Counters:
    """What a unit's actions of one class add up to in a period."""

    actions: int = 0
    persons: int = 0
    amount_fen: int = 0
    on_time: int = 0
    verified: int = 0
    households: int = 0


@dataclass(slots=True)
class Change:
    """What a batch adds to a unit's day or to a cell. Households that left may still be there: facts decide."""

    actions: int = 0
    persons: int = 0
    amount_fen: int = 0
    on_time: int = 0
    verified: int = 0
    reached: list[int] = field(default_factory=list)
    left: list[int] = field(default_factory=list)

    def add(self, part: "Change") -> None:
        """Add another change to this one."""
        self.actions += part.actions
        self.persons += part.persons
        self.amount_fen += part.amount_fen
        self.on_time += part.on_time
        self.verified += part.verified
        self.reached += part.reached
        self.left += part.left


def is_on_time(occurred_at: datetime, first_recorded_at: datetime) -> bool:
    """Recorded within 24 hours of happening, and not before it (ranking.md, "What counts")."""
    return timedelta(0) <= first_recorded_at - occurred_at <= TIMELY


def sector_in_county(sector: str, managing_unit: str) -> str:
    """The unit of a matrix cell: a department's work in one county."""
    return f"{sector}/{managing_unit}"


def places(counted: Counted) -> list[Place]:
    """Every unit an action counts for, on its day."""
    programme_class, sector, managing_unit, township, day, *_ = counted
    found: list[Place] = [
        ("county", managing_unit, programme_class, day),
        ("sector", sector, programme_class, day),
        ("sector_county", sector_in_county(sector, managing_unit), programme_class, day),
    ]
    if township is not None:
        found.append(("township", township, programme_class, day))
    return found


def cells(place: Place) -> Iterator[CellKey]:
    """The cells of one unit's day: its day, week, month and quarter."""
    level, unit, programme_class, day = place
    for cadence, start in _starts(day):
        yield CellKey(level, unit, programme_class, cadence, start)


@lru_cache(maxsize=10_000)
def _starts(day: date) -> tuple[tuple[Cadence, date], ...]:
    """The first days of the periods that have cells and a day in them."""
    return tuple((cadence, period_of(day, cadence).first) for cadence in CELL_CADENCES)


class Changes:
    """Adds up the changes of a batch: first by unit and day, then into cells."""

    def __init__(self) -> None:
        self._by_place: dict[Place, Change] = {}

    def add(self, counted: Counted) -> None:
        """An action counts from now on."""
        self._sum(counted, 1)

    def take_away(self, counted: Counted) -> None:
        """An action counts no longer, or no longer in this way."""
        self._sum(counted, -1)

    def _sum(self, counted: Counted, sign: int) -> None:
        _, _, _, _, _, household, persons, amount_fen, on_time, verified = counted
        by_place = self._by_place
        for place in places(counted):
            change = by_place.get(place)
            if change is None:
                change = by_place[place] = Change()
            change.actions += sign
            change.persons += sign * persons
            change.amount_fen += sign * amount_fen
            change.on_time += sign * on_time
            change.verified += sign * verified
            if household is not None:
                (change.reached if sign > 0 else change.left).append(household)

    def by_cell(self) -> list[tuple[CellKey, Change]]:
        """The change of every cell, in the order in which cells are locked."""
        by_cell: dict[CellKey, Change] = {}
        for place, part in self._by_place.items():
            for key in cells(place):
                whole = by_cell.get(key)
                if whole is None:
                    whole = by_cell[key] = Change()
                whole.add(part)
        return sorted(by_cell.items(), key=itemgetter(0))

    def days(self) -> set[date]:
        """The days on which something changed."""
        return {day for *_, day in self._by_place}


def households_by_cell(present: Iterable[Counted]) -> set[tuple[CellKey, int]]:
    """Which households the given actions reach, cell by cell."""
    return {
        (key, counted.household_seq)
        for counted in present
        if counted.household_seq is not None
        for place in places(counted)
        for key in cells(place)
    }

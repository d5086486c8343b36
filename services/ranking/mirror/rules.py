"""From a household's dated states to dated changes of the households served. Pure."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from itertools import pairwise
from typing import Literal, NamedTuple

from shared.contracts.household import SERVED, STOCK, HouseholdEvent, HouseholdState

ServedLevel = Literal["county", "township", "village"]


class ServedKey(NamedTuple):
    """One unit on one day; the county level is the managing unit 管理单位."""

    level: ServedLevel
    unit: str
    on_day: date


@dataclass(frozen=True, slots=True)
class Denominator:
    """Households of a unit as of a day: owed help (脱贫不脱政策), and poor."""

    served: int = 0
    stock: int = 0


class ServedChanges:
    """Dated changes of the served 享受政策 and the poor 贫困存量 households of units."""

    def __init__(self) -> None:
        self._served: Counter[ServedKey] = Counter()
        self._stock: Counter[ServedKey] = Counter()

    def replace(self, old: HouseholdEvent | None, new: HouseholdEvent) -> None:
        """A household's past is told anew: take the old telling away, add the new one."""
        if old is not None:
            self._tell(old, -1)
        self._tell(new, 1)

    def sums(self) -> list[tuple[ServedKey, int, int]]:
        """What changes where and when, in the order in which rows are locked."""
        keys = sorted(self._served.keys() | self._stock.keys())
        found = ((key, self._served[key], self._stock[key]) for key in keys)
        return [(key, served, stock) for key, served, stock in found if served or stock]

    def _tell(self, household: HouseholdEvent, sign: int) -> None:
        for state, first, last in stays(household):
            for level, unit in _units(state):
                self._add(ServedKey(level, unit, first), state, sign)
                if last is not None:
                    self._add(ServedKey(level, unit, last), state, -sign)

    def _add(self, key: ServedKey, state: HouseholdState, sign: int) -> None:
        self._served[key] += sign * (state.standing in SERVED)
        self._stock[key] += sign * (state.standing in STOCK)


def stays(household: HouseholdEvent) -> Iterator[tuple[HouseholdState, date, date | None]]:
    """Each state with its first day and the first day it no longer holds, as ``state_on`` reads the timeline."""
    ordered = sorted(household.timeline, key=lambda state: state.valid_from)  # stable: of one day, the last holds
    end = household.valid_to
    for state, following in pairwise([*ordered, None]):
        assert state is not None  # only the appended end is None
        last = following.valid_from if following is not None else end
        if end is not None and (last is None or last > end):
            last = end
        if last is None or state.valid_from < last:
            yield state, state.valid_from, last


def _units(state: HouseholdState) -> Iterator[tuple[ServedLevel, str]]:
    yield "county", state.path.managing_unit
    if state.path.township is not None:
        yield "township", state.path.township
    if state.path.village is not None:
        yield "village", state.path.village

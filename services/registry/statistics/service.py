"""Counting the register: every change of it is added up in dated sums, in the transaction of the change.

What a unit had on a day is the sum of the dated changes up to it, and what happened in a span of days is the sum of
the steps within it. A village's sums carry the divisions above it as they were frozen, so that they serve every
level. What is added is also entered with the instant of its recording: what was known then is what is counted now
less what was entered since.
"""

from collections import Counter
from collections.abc import Iterable
from datetime import date, datetime
from itertools import pairwise
from typing import Any

from services.registry.households.rules import Period
from shared.contracts.division import Path
from shared.db import Pg

Key = tuple[Any, ...]
"""Columns of a table of sums, households and people apart."""


class _Sums:
    """Households and people by key, added up before they are written."""

    def __init__(self) -> None:
        self._households: Counter[Key] = Counter()
        self._people: Counter[Key] = Counter()

    def change(self, key: Key, households: int, people: int) -> None:
        self._households[key] += households
        self._people[key] += people

    def include(self, other: "_Sums") -> None:
        self._households.update(other._households)
        self._people.update(other._people)

    def columns(self) -> list[list[Any]]:
        """What remains, a column each."""
        found = ((*key, count, self._people[key]) for key, count in self._households.items())
        return [list(column) for column in zip(*(row for row in found if row[-1] or row[-2]), strict=True)]


class PopulationChanges:
    """Dated changes of households and people, added up before they are written."""

    def __init__(self) -> None:
        self.population = _Sums()
        self.steps = _Sums()
        self.profiles = _Sums()

    def add(self, periods: Iterable[Period], cause: str | None, recorded_at: datetime) -> None:
        """Count the stretches of a household, and its main cause, from now on."""
        self._sum(list(periods), cause, recorded_at, 1)

    def take_away(self, periods: Iterable[Period], cause: str | None, recorded_at: datetime) -> None:
        """Count the stretches of a household no longer."""
        self._sum(list(periods), cause, recorded_at, -1)

    def include(self, others: "PopulationChanges") -> None:
        """Add what was gathered elsewhere."""
        for own, other in (
            (self.population, others.population),
            (self.steps, others.steps),
            (self.profiles, others.profiles),
        ):
            own.include(other)

    def _sum(self, periods: list[Period], cause: str | None, recorded_at: datetime, sign: int) -> None:
        for period in periods:
            self._change(recorded_at, period.valid_from, period, cause, sign)
            if period.valid_to is not None:
                self._change(recorded_at, period.valid_to, period, cause, -sign)
        for before, after in pairwise([None, *periods]):
            if after is not None and (before is None or before.standing != after.standing):
                self._step(recorded_at, after.valid_from, before and before.standing, after.standing, after, sign)
        last = periods[-1] if periods else None
        if last is not None and last.valid_to is not None:
            self._step(recorded_at, last.valid_to, last.standing, None, last, sign)

    def _change(self, recorded_at: datetime, day: date, period: Period, cause: str | None, sign: int) -> None:
        village, *above = _place(period.path)
        people = sign * period.people
        self.population.change((village, day, period.standing, *above), sign, people)
        key = (recorded_at, village, day, period.standing, cause or "", period.welfare, *above)
        self.profiles.change(key, sign, people)

    def _step(
        self, recorded_at: datetime, day: date, before: str | None, after: str | None, period: Period, sign: int
    ) -> None:
        village, *above = _place(period.path)
        key = (recorded_at, village, day, before or "", after or "", *above)
        self.steps.change(key, sign, sign * period.people)


def _place(path: Path) -> tuple[str, str, str, str]:
    """The village and the divisions above it, in the order of the columns; a registered household has all of them."""
    return path.village or "", path.township or "", path.managing_unit, path.city


def _add(sums: str, entries: str | None = None, **keys: str) -> str:
    """The statement that adds to the sums there are, in key order, and enters what it adds with its instant."""
    dated = {} if entries is None else {"recorded_at": "timestamptz"}
    columns = {**dated, **keys, "households": "int", "people": "int"}
    arrays = ", ".join(f"${place}::{kind}[]" for place, kind in enumerate(columns.values(), start=1))
    names, own = ", ".join(columns), ", ".join(keys)
    entered = "" if entries is None else f", entered AS (INSERT INTO {entries} ({names}) SELECT * FROM given)"
    return (
        f"WITH given AS (SELECT * FROM unnest({arrays}) AS given ({names})){entered} "
        f"INSERT INTO {sums} AS held ({own}, households, people) "
        f"SELECT {own}, sum(households), sum(people) FROM given GROUP BY {own} ORDER BY {own} "
        f"ON CONFLICT ({own}) DO UPDATE SET "
        "households = held.households + excluded.households, people = held.people + excluded.people"
    )


_ABOVE = {"township": "text", "managing_unit": "text", "city": "text"}
_ADD_POPULATION = _add("population_change", village="text", on_day="date", standing="text", **_ABOVE)
_ADD_STEPS = _add(
    "standing_change", "standing_entry", village="text", on_day="date", before="text", after="text", **_ABOVE
)
_ADD_PROFILES = _add(
    "profile_change", "profile_entry", village="text", on_day="date", standing="text", cause="text", welfare="text",
    **_ABOVE,
)  # fmt: skip


async def count(pg: Pg, changes: PopulationChanges) -> None:
    """Write changes, table by table, each in key order: so two writers of one village wait instead of deadlocking."""
    for statement, sums in (
        (_ADD_POPULATION, changes.population), (_ADD_STEPS, changes.steps), (_ADD_PROFILES, changes.profiles)
    ):  # fmt: skip
        columns = sums.columns()
        if columns:
            await pg.execute(statement, *columns)

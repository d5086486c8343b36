"""Decisions about households and persons: relations, dated states, stretches to count. Pure."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from itertools import pairwise
from typing import Literal, NamedTuple

from shared.contracts.division import DivisionTree, Path
from shared.contracts.household import HouseholdState, Standing

Sex = Literal["unknown", "male", "female", "unspecified"]
Relation = Literal[
    "head", "spouse", "son", "daughter", "daughter_in_law", "son_in_law", "grandson", "granddaughter",
    "daughters_son", "daughters_daughter", "father", "mother", "wifes_father", "wifes_mother", "husbands_father",
    "husbands_mother", "grandfather", "grandmother", "mothers_father", "mothers_mother", "other",
]  # fmt: skip
"""与户主关系, national codes 01 to 20 and 99 in this order (domain.md 1.3)."""

MALE: frozenset[Relation] = frozenset(
    {"son", "son_in_law", "grandson", "daughters_son", "father", "wifes_father", "husbands_father", "grandfather",
     "mothers_father"}
)  # fmt: skip
FEMALE: frozenset[Relation] = frozenset(
    {"daughter", "daughter_in_law", "granddaughter", "daughters_daughter", "mother", "wifes_mother",
     "husbands_mother", "grandmother", "mothers_mother"}
)  # fmt: skip


class Since(NamedTuple):
    """Something that holds from a day on: a village, or a standing."""

    valid_from: date
    value: str


def dated(entries: tuple[Since, ...], change: Since) -> tuple[Since, ...]:
    """The entries with a change from its day until the next entry; as they are where it says what holds then."""
    if value_on(entries, change.valid_from) == change.value:
        return entries
    return tuple(sorted([*(entry for entry in entries if entry.valid_from != change.valid_from), change]))


def value_on(entries: Sequence[Since], day: date) -> str:
    """What holds on a day; before the first entry, what that one says."""
    return next((entry.value for entry in reversed(entries) if entry.valid_from <= day), entries[0].value)


class NotValidThenError(ValueError):
    """A village that is not valid on a day on which a household is to live there."""


def timeline(tree: DivisionTree, residences: Sequence[Since], standings: Sequence[Since]) -> list[HouseholdState]:
    """The dated states of a household, each with its path as of its first day.

    A state begins with a move, a change of standing, or the day on which another unit takes over the village or
    its township. Raises ``NotValidThenError``.
    """
    days = {entry.valid_from for entry in (*residences, *standings)}
    ends = [following.valid_from for following in residences[1:]]
    for residence, end in zip(residences, [*ends, date.max], strict=True):
        days |= {day for day in _handovers(tree, residence.value) if residence.valid_from < day < end}
    states: list[HouseholdState] = []
    for day in sorted(days):
        path = tree.path(value_on(residences, day), day)
        if path is None or path.village is None:
            raise NotValidThenError
        standing: Standing = value_on(standings, day)  # type: ignore[assignment]  # entered as one, stored as text
        if not states or (states[-1].standing, states[-1].path) != (standing, path):
            states.append(HouseholdState(valid_from=day, standing=standing, path=path))
    return states


def _handovers(tree: DivisionTree, code: str) -> Iterator[date]:
    """The days on which another unit takes over a division, or one above it."""
    division = tree.get(code)
    while division is not None:
        for entry in division.managing_units:
            yield entry.valid_from
            if entry.valid_to is not None:
                yield entry.valid_to
        division = None if division.parent is None else tree.get(division.parent)


@dataclass(frozen=True, slots=True)
class Membership:
    """When a person belonged to a household; ``left_on`` is the first day of no longer."""

    joined_on: date
    left_on: date | None

    def holds_on(self, day: date) -> bool:
        return self.joined_on <= day and (self.left_on is None or day < self.left_on)


class Period(NamedTuple):
    """A stretch of days in which nothing that statistics count changed."""

    valid_from: date
    valid_to: date | None
    standing: Standing
    path: Path
    people: int


def periods(states: Sequence[HouseholdState], valid_to: date | None, memberships: Iterable[Membership]) -> list[Period]:
    """A household's past as stretches, with how many people it had in each."""
    members = list(memberships)
    start = states[0].valid_from
    cuts = {state.valid_from for state in states}
    cuts |= {m.joined_on for m in members} | {m.left_on for m in members if m.left_on is not None}
    days = sorted(day for day in cuts if day >= start and (valid_to is None or day < valid_to))
    found = []
    for first, end in pairwise([*days, valid_to]):
        assert first is not None  # only the appended end may be
        state = next(entry for entry in reversed(states) if entry.valid_from <= first)
        people = sum(member.holds_on(first) for member in members)
        found.append(Period(first, end, state.standing, state.path, people))
    return found

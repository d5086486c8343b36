"""Decisions about households and persons: relations, dated states, stretches to count. Pure."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from itertools import pairwise
from typing import Generic, Literal, NamedTuple, TypeVar

from services.registry.codes.rules import Welfare
from shared.contracts.division import DivisionTree, Path
from shared.contracts.household import EXITED, STOCK, HouseholdState, Standing

Sex = Literal["unknown", "male", "female", "unspecified"]
Employable = Literal["full", "partial", "lost", "none"]
"""劳动能力."""
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

V = TypeVar("V", bound=str)


class Since(NamedTuple, Generic[V]):
    """Something that holds from a day on."""

    valid_from: date
    value: V


Residences = tuple[Since[str], ...]
"""Villages, oldest first."""
Standings = tuple[Since[Standing], ...]
"""Oldest first."""
Welfares = tuple[Since[Welfare], ...]
"""Welfare categories 社会救助类别, oldest first; the first of them since the first day of the household."""


def dated(entries: tuple[Since[V], ...], change: Since[V]) -> tuple[Since[V], ...]:
    """The entries with a change from its day until the next entry; as they are where it says what holds then."""
    if value_on(entries, change.valid_from) == change.value:
        return entries
    return tuple(sorted([*(entry for entry in entries if entry.valid_from != change.valid_from), change]))


def value_on(entries: Sequence[Since[V]], day: date) -> V:
    """What holds on a day; before the first entry, what that one says."""
    return next((entry.value for entry in reversed(entries) if entry.valid_from <= day), entries[0].value)


def spells(entries: Sequence[Since[V]]) -> Iterator[Since[V]]:
    """The entries without those that say what held before them."""
    held: V | None = None
    for entry in entries:
        if entry.value != held:
            yield entry
        held = entry.value


def inherited(entries: Sequence[Since[V]], day: date) -> tuple[Since[V], ...]:
    """What held on a day, and what came after it."""
    return (Since(day, value_on(entries, day)), *(entry for entry in entries[1:] if entry.valid_from > day))


def needs_decision(before: Standing | None, after: Standing) -> bool:
    """Whether a change of standing is an identification, an exit or a relapse (domain.md 2); from None: registered so.

    That an exited household needs no more help, or that one never belonged on the register 清退, is none of them.
    """
    if after == "relapsed":
        return before != "relapsed"
    return (after in STOCK and before not in STOCK) or (after in EXITED and before not in EXITED)


def age(birth_date: date, day: date) -> int:
    """Full years on a day."""
    return day.year - birth_date.year - ((day.month, day.day) < (birth_date.month, birth_date.day))


class NotValidThenError(ValueError):
    """A village that is not valid on a day on which a household is to live there."""


def timeline(
    tree: DivisionTree, residences: Sequence[Since[str]], standings: Sequence[Since[Standing]]
) -> list[HouseholdState]:
    """The dated states of a household, each with its path as of its first day.

    A state begins with a move, a change of standing, or a change of the divisions above: another unit runs them,
    they lie elsewhere now, or the village went into its successor. Raises ``NotValidThenError``.
    """
    states: list[HouseholdState] = []
    for day, path in whereabouts(tree, residences, [entry.valid_from for entry in standings]):
        standing = value_on(standings, day)
        if not states or (states[-1].standing, states[-1].path) != (standing, path):
            states.append(HouseholdState(valid_from=day, standing=standing, path=path))
    return states


def whereabouts(
    tree: DivisionTree, residences: Sequence[Since[str]], also_on: Iterable[date] = ()
) -> list[tuple[date, Path]]:
    """The path of every day on which it may be another one, and of the days asked for. Raises ``NotValidThenError``."""
    villages = tuple(_succeeded(tree, residences))
    days = {*also_on, *(entry.valid_from for entry in villages)}
    for residence, end in _stretches(villages):
        days |= {day for day in tree.turns(residence.value) if residence.valid_from < day < end}
    found = []
    for day in sorted(days):
        path = tree.path(value_on(villages, day), day)
        if path is None or path.village is None:
            raise NotValidThenError
        found.append((day, path))
    return found


def _stretches(residences: Sequence[Since[str]]) -> Iterator[tuple[Since[str], date]]:
    """Each residence with the day on which the next one begins."""
    ends = [following.valid_from for following in residences[1:]]
    yield from zip(residences, [*ends, date.max], strict=True)


def _succeeded(tree: DivisionTree, residences: Sequence[Since[str]]) -> Iterator[Since[str]]:
    """The residences, and where a village ended meanwhile the village that it went into."""
    for residence, end in _stretches(residences):
        yield residence
        code = residence.value
        while (
            (village := tree.get(code)) is not None and village.successor is not None and village.valid_to is not None
        ):
            if not residence.valid_from < village.valid_to < end:
                break
            code = village.successor
            yield Since(village.valid_to, code)


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
    welfare: Welfare
    path: Path
    people: int


def periods(
    states: Sequence[HouseholdState], welfares: Welfares, valid_to: date | None, memberships: Iterable[Membership]
) -> list[Period]:
    """A household's past as stretches, with how many people it had in each."""
    members = list(memberships)
    start = states[0].valid_from
    cuts = {state.valid_from for state in states}
    cuts |= {spell.valid_from for spell in spells(welfares)}
    cuts |= {m.joined_on for m in members} | {m.left_on for m in members if m.left_on is not None}
    days = sorted(day for day in cuts if day >= start and (valid_to is None or day < valid_to))
    found = []
    for first, end in pairwise([*days, valid_to]):
        assert first is not None  # only the appended end may be
        state = next(entry for entry in reversed(states) if entry.valid_from <= first)
        people = sum(member.holds_on(first) for member in members)
        found.append(Period(first, end, state.standing, value_on(welfares, first), state.path, people))
    return found

"""What the audit log learns of a change of the register: an entry for the household, each member and each income. Pure.

Derived from what was and what is to be, so that no way of changing the register goes around it.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from operator import itemgetter
from typing import Any

from services.registry.audit.rules import Entry, digest_of
from services.registry.households.models import HOUSEHOLD, PERSON
from services.registry.households.records import Household, Individual, Person

_TOLD = {"id", "version", "recorded_at", "changed_by", "reason"}
"""No part of what is digested: the entry says it."""
_DESTROYED = {"content"}
"""Nor this, which erasure destroys: with its key it could confirm a guess, and a digest would stay."""


def _digested(columns: Mapping[str, str]) -> Callable[[Sequence[Any]], Iterable[Any]]:
    """Takes from a row what is digested of it."""
    return itemgetter(*(place for place, name in enumerate(columns) if name not in _TOLD | _DESTROYED))


_of_household = _digested(HOUSEHOLD)
_of_person = _digested(PERSON)


def entries_of(
    old: Household | None, new: Household, row: Sequence[Any], persons: Sequence[tuple[Person, Sequence[Any]]]
) -> Iterator[Entry]:
    """The entries of a household that is written, given the rows that are stored."""
    divisions, identifier = new.latest.path.scopes(), str(new.id)
    yield _entry(new, f"household.{new.verb()}", identifier, divisions, _of_household(row))
    for person, stored in persons:
        yield person_entry(person, divisions, stored)
    known = () if old is None else old.incomes
    for income in new.incomes:
        if income not in known:
            yield _entry(new, "income.reported", f"{identifier}/{income.year}", divisions, [income.model_dump_json()])


def person_entry(person: Individual, divisions: tuple[str, ...], stored: Sequence[Any]) -> Entry:
    """The entry of a person who is written, given the row that is stored."""
    verb = "erased" if person.status == "erased" else person.verb()
    return _entry(person, f"person.{verb}", str(person.id), divisions, _of_person(stored))


def _entry(
    what: Household | Individual, operation: str, object_id: str, divisions: tuple[str, ...], stored: Iterable[Any]
) -> Entry:
    author = what.author
    return Entry(
        author.now, author.key_id, operation, object_id, what.version, author.reason, divisions=divisions,
        digest=digest_of(stored),
    )  # fmt: skip

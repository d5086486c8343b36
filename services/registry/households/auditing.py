"""What the audit log learns of a change of the register: an entry for the household, each member and each income. Pure.

Derived from what was and what is to be, so that no way of changing the register goes around it.
"""

from collections.abc import Iterator, Sequence
from typing import Any

from services.registry.audit.rules import Entry, digest_of
from services.registry.households.models import HOUSEHOLD
from services.registry.households.records import Household, Individual, Person

_CONTENT = list(HOUSEHOLD).index("content")
"""No part of what is digested: erasure destroys it, for with its key it could confirm a guess; a digest would stay."""


def entries_of(
    old: Household | None, new: Household, row: Sequence[Any], persons: Sequence[tuple[Person, Sequence[Any]]]
) -> Iterator[Entry]:
    """The entries of a household that is written, given the rows that are stored."""
    author, divisions = new.author, new.latest.path.scopes()

    def entry(operation: str, object_id: object, version: int, stored: Sequence[Any]) -> Entry:
        return Entry(
            recorded_at=author.now,
            key_id=author.key_id,
            operation=operation,
            object_id=str(object_id),
            version=version,
            reason=author.reason,
            divisions=divisions,
            digest=digest_of(stored),
        )

    yield entry(f"household.{new.verb()}", new.id, new.version, [*row[:_CONTENT], *row[_CONTENT + 1 :]])
    for person, stored in persons:
        yield person_entry(person, divisions, stored)
    known = () if old is None else old.incomes
    for income in new.incomes:
        if income not in known:
            yield entry("income.reported", f"{new.id}/{income.year}", new.version, [income.model_dump_json()])


def person_entry(person: Individual, divisions: tuple[str, ...], stored: Sequence[Any]) -> Entry:
    """The entry of a person who is written, given the row that is stored."""
    verb = "erased" if person.status == "erased" else person.verb()
    return Entry(
        recorded_at=person.author.now,
        key_id=person.author.key_id,
        operation=f"person.{verb}",
        object_id=str(person.id),
        version=person.version,
        reason=person.author.reason,
        divisions=divisions,
        digest=digest_of(stored),
    )

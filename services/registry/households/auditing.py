"""What the audit log learns of a change of the register: an entry for each household, each person and each income.

Made by the database of the rows as it has just stored them, incomes apart, which are part of their household's row.
"""

from collections.abc import Iterator, Mapping, Sequence
from uuid import UUID

from services.registry.audit.rules import Entry, digest_of
from services.registry.households.models import HOUSEHOLD, PERSON
from services.registry.households.records import Household
from shared.db import Pg

_TOLD = frozenset({"id", "version", "recorded_at", "changed_by", "reason"})
"""No part of what is digested: the entry says it."""
_DESTROYED = frozenset({"content"})
"""Nor this, which erasure destroys: with its key it could confirm a guess, and a digest would stay."""


def _digest(columns: Mapping[str, str], row: str) -> str:
    """SQL: SHA-256 of what a row of the register holds."""
    names = (f"{row}.{name}" for name in columns if name not in _TOLD | _DESTROYED)
    return f"sha256(convert_to(ROW({', '.join(names)})::text, 'UTF8'))"


def _divisions(row: str) -> str:
    return f"array_remove(ARRAY[{row}.city, {row}.managing_unit, {row}.township, {row}.village], NULL)"


_VERB = (
    "CASE WHEN {0}.version = 1 THEN 'registered' WHEN {0}.status = 'deregistered' THEN 'deregistered' "
    "ELSE 'changed' END"
)
_INSERT = (
    "INSERT INTO audit_entry (id, recorded_at, key_id, operation, object_id, version, reason, divisions, digest) "
    "SELECT uuidv7(), {0}.recorded_at, {0}.changed_by, {1}, {0}.id::text, {0}.version, {0}.reason, {2}, {3} FROM {0} "
)
NOTE_HOUSEHOLDS = (
    _INSERT.format(
        "household",
        f"'household.' || {_VERB.format('household')}",
        _divisions("household"),
        _digest(HOUSEHOLD, "household"),
    )
    + "WHERE household.id = ANY($1::uuid[])"
)
NOTE_PERSONS = (
    _INSERT.format(
        "person",
        f"'person.' || CASE WHEN person.status = 'erased' THEN 'erased' ELSE {_VERB.format('person')} END",
        f"CASE WHEN household.id IS NULL THEN {_divisions('person')} ELSE {_divisions('household')} END",
        _digest(PERSON, "person"),
    )
    + "LEFT JOIN household ON household.id = person.household_id WHERE person.id = ANY($1::uuid[])"
)


async def note_households(pg: Pg, written: Sequence[UUID]) -> None:
    """Enter households as they have just been written."""
    await pg.execute(NOTE_HOUSEHOLDS, written)


async def note_persons(pg: Pg, written: Sequence[UUID]) -> None:
    """Enter persons as they have just been written, where their household lies, or where they belong."""
    await pg.execute(NOTE_PERSONS, written)


def incomes_reported(old: Household | None, new: Household) -> Iterator[Entry]:
    """The entries of the incomes that a household did not have before."""
    author, known = new.author, () if old is None else old.incomes
    for income in new.incomes:
        if income not in known:
            yield Entry(
                author.now, author.key_id, "income.reported", f"{new.id}/{income.year}", new.version, author.reason,
                divisions=new.latest.path.scopes(), digest=digest_of([income.model_dump_json()]),
            )  # fmt: skip

"""Free text 自由文本 that names erased persons: starred out of the register's own, told of in the audit log.

Sought where it is about them: in reasons of the households they ever belonged to and of the people in these, in notes
and titles of decisions on these households, and in the audit log's entries of all of them. Whoever moves between
households is told of in both, in the same words: these are sought in the other one, too. Why somebody looked at
identities is sought whomever they saw: a relative, nobody, or they were denied. An audit entry is sealed into a chain
and never changed: its reason stays, and the caller is told which entries they are.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import partial, reduce
from typing import Any
from uuid import UUID

from services.registry.audit import service as audit
from services.registry.audit.service import Stated
from services.registry.certificates import service as certificates
from services.registry.households.records import Author
from services.registry.identities.traces import Traces
from services.registry.standing import forgetting as standing
from shared.db import Pg

_STAYS, _MEMBERS = (
    " UNION ".join(
        f"SELECT id, household_id FROM {table} WHERE {column} = ANY($1::uuid[]) AND household_id IS NOT NULL"
        for table in ("person", "person_version")
    )
    for column in ("id", "household_id")
)
_HOUSEHOLD_OF = {
    "household": "id",
    "household_version": "id",
    "person": "household_id",
    "person_version": "household_id",
}
"""Tables whose rows have a reason, and the column that says of which household."""
_NUMBERS = " UNION ALL ".join(
    f"SELECT id, number FROM {table} WHERE id = ANY($1::uuid[])" for table in ("household", "person")
)
_FIRST_YEAR = 2010


@dataclass(frozen=True, slots=True)
class Redacted:
    """What came of it."""

    author: Author
    """Who erases, with a reason that names nobody."""
    entries: list[UUID]
    """Entries of the audit log whose reason names them still."""


async def redact(pg: Pg, persons: Mapping[UUID, Traces], author: Author) -> Redacted:
    """Star persons out of the free text about them; in the transaction that erases them, which holds all locks.

    ``persons``: what gives each of them away.
    """
    everybody = reduce(Traces.and_of, persons.values())
    author = replace(author, reason=author.reason and everybody.starred(author.reason, inside=True))
    households = _joined((stay["household_id"], persons[stay["id"]]) for stay in await pg.fetch(_STAYS, list(persons)))
    stays = await pg.fetch(_MEMBERS, list(households))
    members = _joined((stay["id"], households[stay["household_id"]]) for stay in stays)
    others = _joined((stay["household_id"], members[stay["id"]]) for stay in await pg.fetch(_STAYS, list(members)))
    reasons = {each for table in _HOUSEHOLD_OF for each in await _star_reasons(pg, table, {**persons, **households})}
    for table in _HOUSEHOLD_OF:
        await _star_reasons(pg, table, {**others, **members}, reasons)
    decisions = await standing.forget(pg, households, author)
    named = await _entries(pg, {**persons, **members, **households, **decisions}, author)
    moved = await _entries(pg, {name: others[name] for name in others.keys() - households.keys()}, author)
    looks = await audit.looks(pg, partial(everybody.in_text, inside=True))
    told = [*named, *(entry for entry in moved if entry.reason in reasons), *looks]
    return Redacted(author, await audit.of_one_act(pg, told))


def _joined(pairs: Iterable[tuple[UUID, Traces]]) -> dict[UUID, Traces]:
    found: dict[UUID, Traces] = {}
    for name, traces in pairs:
        found[name] = traces.and_of(found.get(name, traces))
    return found


async def _star_reasons(
    pg: Pg, table: str, about: Mapping[UUID, Traces], among: Iterable[str] | None = None
) -> set[str]:
    """Star out reasons, of all or among some; those that named somebody, as they were.

    Their digests in the audit log stay true: a reason is no part of what is digested.
    """
    household = _HOUSEHOLD_OF[table]
    rows = await pg.fetch(
        f"SELECT id, version, {household} AS household, reason FROM {table} WHERE reason IS NOT NULL "
        f"AND ({household} = ANY($1::uuid[]) OR id = ANY($1::uuid[])) AND (reason = ANY($2::text[]) OR $2 IS NULL)",
        list(about),
        None if among is None else list(among),
    )
    starred = [
        (row["id"], row["version"], about[row["household"] or row["id"]].starred(row["reason"], inside=True))
        for row in rows
    ]
    await pg.execute(
        f"UPDATE {table} SET reason = given.reason FROM unnest($1::uuid[], $2::int[], $3::text[]) "
        f"AS given (id, version, reason) WHERE {table}.id = given.id AND {table}.version = given.version "
        f"AND {table}.reason <> given.reason",
        *_columns(starred),
    )
    return {row["reason"] for row, (*_, left) in zip(rows, starred, strict=True) if left != row["reason"]}


def _columns(rows: Iterable[tuple[Any, ...]]) -> list[list[Any]]:
    return [list(column) for column in zip(*rows, strict=True)] or [[], [], []]


async def _entries(pg: Pg, about: Mapping[UUID, Traces], author: Author) -> list[Stated]:
    """The audit log's entries of these households, persons and decisions whose reason names somebody.

    They stand under ids; under numbers where somebody asked by number and was denied, or printed a certificate.
    """
    numbers = [*await pg.fetch(_NUMBERS, list(about)), *await certificates.numbers(pg, list(about))]
    objects = {str(name): traces for name, traces in about.items()}
    objects |= {row["number"]: about[row["id"]] for row in numbers}
    years = range(_FIRST_YEAR, author.now.year + 2)
    objects |= {f"{name}/{year}": traces for name, traces in about.items() for year in years}  # incomes
    found = await audit.reasons(pg, list(objects))
    return [entry for entry in found if objects[entry.object_id].in_text(entry.reason, inside=True)]

"""Writing the register: state, history, stretches to count, statistics and events in one transaction."""

import asyncio
import json
from collections.abc import AsyncGenerator, Iterable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, fields
from functools import lru_cache
from itertools import chain
from typing import Any
from uuid import UUID

from services.registry.audit import service as audit
from services.registry.audit.rules import Entry
from services.registry.context import Registry
from services.registry.exchange import changes as exchange
from services.registry.households import attributes, auditing, incomes, monitoring
from services.registry.households.models import HOUSEHOLD, PERIOD, PERSON, insert, supersede
from services.registry.households.records import Household, Individual, Person, changed_members, new_members
from services.registry.households.rules import Residences, Standings, Welfares
from services.registry.identity import Vault
from services.registry.statistics import service as statistics
from services.registry.statistics.service import PopulationChanges
from services.registry.turns import in_turns
from shared import outbox
from shared.contracts.household import HOUSEHOLD as HOUSEHOLD_TOPIC
from shared.contracts.household import PERSON as PERSON_TOPIC
from shared.db import Pg
from shared.outbox import Event

PART = 125
"""New households prepared at a time, while those before them are written."""

_INSERT_HOUSEHOLDS = insert("household", HOUSEHOLD)
_INSERT_PERSONS = insert("person", PERSON)
_INSERT_PERIODS = insert("household_period", PERIOD)
_SUPERSEDE_HOUSEHOLDS = supersede("household", HOUSEHOLD)
_SUPERSEDE_PERSONS = supersede("person", PERSON)


class MovedOnError(RuntimeError):
    """A version to be written over is not there: somebody wrote without holding the household's lock."""


@dataclass(slots=True)
class _Rows:
    """Everything a batch of households writes."""

    households: list[tuple[Any, ...]] = field(default_factory=list)
    persons: list[tuple[Person, tuple[Any, ...]]] = field(default_factory=list)
    periods: list[tuple[Any, ...]] = field(default_factory=list)
    events: list[tuple[Any, ...]] = field(default_factory=list)
    incomes: list[Entry] = field(default_factory=list)
    """For the audit log; what else it learns, the database tells it."""

    def include(self, more: "_Rows") -> None:
        """Add what other households write."""
        for each in fields(self):
            getattr(self, each.name).extend(getattr(more, each.name))


async def add(pg: Pg, registry: Registry, households: Sequence[Household], changes: PopulationChanges) -> None:
    """Write new households. Raises ``asyncpg.UniqueViolationError`` when a number or an ID number is taken.

    ``changes`` gathers what statistics must learn: the caller brings it to them at the end of its transaction.
    """
    if not households:
        return
    async with aclosing(_ahead(registry, households)) as parts:
        async for rows in parts:
            await pg.execute(_INSERT_HOUSEHOLDS, *_transposed(HOUSEHOLD, rows.households))
            await _write_rest(pg, rows)
    for household in households:
        changes.add(household.periods, household.cause, household.author.now)
    await exchange.note(pg, exchange.REGISTER, [(h.id, [m.id for m in h.members]) for h in households])


async def _ahead(registry: Registry, households: Sequence[Household]) -> AsyncGenerator[_Rows, None]:
    """What new households write, a part at a time; the next part is prepared while one is written."""
    parts = [households[start : start + PART] for start in range(0, len(households), PART)]

    def begin(part: Sequence[Household]) -> asyncio.Task[_Rows]:
        return asyncio.create_task(_rows(registry, part, {}))

    coming = begin(parts[0])
    try:
        for following in parts[1:]:
            ready, coming = await coming, begin(following)
            yield ready
        yield await coming
    finally:
        coming.cancel()


async def change(
    pg: Pg, registry: Registry, pairs: Sequence[tuple[Household, Household]], changes: PopulationChanges
) -> None:
    """Write the next version of households whose rows are locked; pairs of what was and what is to be."""
    if not pairs:
        return
    households = [new for _, new in pairs]
    rows = await _rows(registry, households, {old.id: old for old, _ in pairs})
    for old, new in pairs:
        changes.take_away(old.periods, old.cause, new.author.now)
        changes.add(new.periods, new.cause, new.author.now)
    if len(await pg.fetch(_SUPERSEDE_HOUSEHOLDS, *_transposed(HOUSEHOLD, rows.households))) != len(pairs):
        raise MovedOnError("household")
    await pg.execute("DELETE FROM household_period WHERE household_id = ANY($1)", [new.id for new in households])
    await _write_rest(pg, rows)
    arrivals = ((new.id, [member.id for member in new_members(old, new)]) for old, new in pairs)
    await exchange.note(pg, exchange.NEW_MEMBER, [(i, joined) for i, joined in arrivals if joined])


async def change_one(pg: Pg, registry: Registry, old: Household, new: Household) -> None:
    """Write the next version of one household, statistics included."""
    changes = PopulationChanges()
    await change(pg, registry, [(old, new)], changes)
    await statistics.count(pg, changes)


async def _write_rest(pg: Pg, rows: _Rows) -> None:
    await auditing.note_households(pg, [row[0] for row in rows.households])
    await write_persons(pg, rows.persons)
    await pg.execute(_INSERT_PERIODS, *_transposed(PERIOD, rows.periods))
    await outbox.write(pg, rows.events)
    await audit.record(pg, rows.incomes)


async def write_persons(pg: Pg, persons: Sequence[tuple[Individual, tuple[Any, ...]]]) -> None:
    """Write persons and their rows: first versions, and later ones over those before; the audit log learns of them.

    Raises ``MovedOnError``, and ``asyncpg.UniqueViolationError`` when a number or an ID number is taken.
    """
    if not persons:
        return
    changed = [row for person, row in persons if person.version > 1]
    if changed and len(await pg.fetch(_SUPERSEDE_PERSONS, *_transposed(PERSON, changed))) != len(changed):
        raise MovedOnError("person")
    await pg.execute(_INSERT_PERSONS, *_transposed(PERSON, (row for person, row in persons if person.version == 1)))
    await auditing.note_persons(pg, [person.id for person, _ in persons])


async def _rows(registry: Registry, households: Sequence[Household], before: Mapping[UUID, Household]) -> _Rows:
    """What households write; ``before`` holds what they were, where they are not new."""
    whole = _Rows()
    for part in await in_turns(households, lambda some: [_rows_of(registry, some, before)]):
        whole.include(part)
    return whole


def _rows_of(registry: Registry, households: Sequence[Household], before: Mapping[UUID, Household]) -> _Rows:
    """One kind of row after the other for all households: a fifth faster than all kinds for one after the other."""
    touched = [_touched(before.get(household.id), household) for household in households]
    events = [event for each, persons in zip(households, touched, strict=True) for event in events_of(each, persons)]
    return _Rows(
        households=list(map(_household_row, households)),
        persons=[(person, _member_row(registry.vault, person)) for persons in touched for person in persons],
        periods=list(chain.from_iterable(map(_period_rows, households))),
        events=outbox.rows(registry.runtime.settings, events),
        incomes=[entry for each in households for entry in auditing.incomes_reported(before.get(each.id), each)],
    )


def _touched(old: Household | None, new: Household) -> Sequence[Person]:
    """The members to write."""
    return new.members if old is None else list(changed_members(old, new))


def events_of(household: Household, persons: Iterable[Person]) -> list[Event]:
    """The events that publish a household and some of its members as they are."""
    now = household.author.now
    key = str(household.id)
    found = [Event(HOUSEHOLD_TOPIC, household.verb(), key, household.event, now, household.version)]
    for person in persons:
        if person.status == "transferred":
            continue  # their new household tells of them
        found.append(
            Event(PERSON_TOPIC, person.verb(), str(person.id), person.event(), person.author.now, person.version)
        )
    return found


def _transposed(columns: Any, rows: Iterable[tuple[Any, ...]]) -> list[Sequence[Any]]:
    """Rows as an array a column; one of nulls alone is left empty, as ``unnest`` fills it up and the driver is slow."""
    arrays = list(zip(*rows, strict=True)) or [()] * len(columns)
    return [() if _all_null(column) else column for column in arrays]


def _all_null(column: Sequence[Any]) -> bool:
    return all(value is None for value in column)


def _household_row(household: Household) -> tuple[Any, ...]:
    path = household.latest.path
    return (
        household.id, household.version, household.seq, household.number, household.status, household.source_system,
        household.external_id, household.content, path.city, path.managing_unit, path.township, path.village,
        household.latest.standing, household.registered_on, household.valid_to, household.cause, household.welfare,
        dated_text(household.welfares) if len(household.welfares) > 1 else None, dated_text(household.residences),
        dated_text(household.standings), household.event.model_dump_json(),
        attributes.stored(household.attributes), incomes.stored(household.incomes),
        monitoring.stored(household.monitoring), " ".join(sorted(household.former_divisions)),
        household.first_recorded_at, household.author.now, household.author.key_id, household.author.reason,
    )  # fmt: skip


@lru_cache(maxsize=1024)  # households that came to one village on one day have the same
def dated_text(entries: Residences | Standings | Welfares) -> str:
    """As dated entries are kept in a column."""
    return json.dumps([[valid_from.isoformat(), value] for valid_from, value in entries])


def _member_row(vault: Vault, person: Person) -> tuple[Any, ...]:
    belongs = (person.household_id, person.household_version, person.position, person.relation)
    return person_row(vault, person, (*belongs, None, None, None, None, None, None))


def person_row(vault: Vault, person: Individual, where: tuple[Any, ...]) -> tuple[Any, ...]:
    """A row of ``person``; ``where`` is its columns from ``household_id`` to ``residences``."""
    number = person.id_number

    def sealed(value: str | None, column: str) -> bytes | None:
        return None if value is None else vault.seal(value, column, person.id)

    return (
        person.id, person.version, *where, person.number, person.status, person.sex, person.birth_date,
        person.employable, person.in_school, person.disability_level, person.joined_on, person.left_on,
        sealed(person.name or None, "name"), sealed(number, "id_number"),
        None if number is None else vault.index(number, "id_number"), sealed(person.phone, "phone"),
        sealed(person.disability_number, "disability_number"), sealed(person.bank_card, "bank_card"),
        attributes.stored(person.attributes), person.author.now, person.author.key_id, person.author.reason,
    )  # fmt: skip


def _period_rows(household: Household) -> Iterable[tuple[Any, ...]]:
    for period in household.periods:
        path = period.path
        yield (
            household.id, period.valid_from, period.valid_to, path.city, path.managing_unit, path.township,
            path.village, period.standing, period.people,
        )  # fmt: skip

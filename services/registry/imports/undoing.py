"""Taking an import back: exactly what it made, where nobody changed it since.

A household that it registered is taken off the register from its first day on, so that it never counted; the same
number can be imported again. One that it changed becomes again what it was before. Both are new versions with their
own events: history is never rewritten. What changed since is left and listed, and so is what would change an income
of a year that was locked meanwhile.
"""

from collections.abc import Sequence
from dataclasses import replace
from uuid import UUID

import asyncpg

from services.registry.commands import command
from services.registry.context import Registry
from services.registry.households import changing, reading, store
from services.registry.households.incomes import Income
from services.registry.households.records import Author, Household, Person, next_version
from services.registry.imports import auditing, journal
from services.registry.imports import store as imports
from services.registry.imports.records import Job
from services.registry.statistics import service as statistics
from services.registry.statistics.service import PopulationChanges
from services.registry.years import service as years
from shared.db import Pg

CHUNK = 200
Effect = tuple[UUID, int, int | None]


async def undo(registry: Registry, job: Job) -> None:
    """Take back what an import made, a chunk a transaction; interrupted, it goes on where it was."""
    size = CHUNK
    while True:
        try:
            if not await _some(registry, job, size):
                return
        except asyncpg.UniqueViolationError:  # somebody else holds an ID number by now: find out who, one by one
            if size == 1:
                await _leave(registry, job)
            size = 1


async def _some(registry: Registry, job: Job, size: int) -> bool:
    async with command(registry.runtime) as pg:
        await imports.load(pg, job.id, lock=True)
        author = Author(job.undo_asked_by or job.recorded_by, registry.runtime.clock.now(), "撤销导入")
        effects = await journal.effects_left(pg, job.id, size)
        if not effects:
            await imports.set_status(pg, job.id, "undone")
            counts = await journal.undone_counts(pg, job.id)
            outcome = " ".join(f"{what}={count}" for what, count in sorted(counts.items()))
            await auditing.note(pg, registry, job.id, "undone", key_id=author.key_id, outcome=outcome)
            return False
        changes = PopulationChanges()
        locked = await years.locked_years(pg)
        held = await reading.several(pg, [effect[0] for effect in effects], registry.vault, lock=True)
        households = {household.id: household for household in held}
        pairs = []
        outcomes: dict[str, list[UUID]] = {}
        for identifier, version, previous in effects:
            old = households[identifier]
            outcome = "changed_since"
            if old.version == version:
                restored = await _restored(pg, registry, old, previous)
                outcome = "year_locked" if _of_years(old, locked) != _of_years(restored, locked) else "undone"
            if outcome == "undone":
                pairs.append((old, next_version(old, restored, author)))
            outcomes.setdefault(outcome, []).append(identifier)
        await store.change(pg, registry, pairs, changes)
        await statistics.count(pg, changes)
        for outcome, those in outcomes.items():
            await journal.note_undone(pg, job.id, those, outcome)
    return True


def _of_years(household: Household, years: frozenset[int]) -> list[Income]:
    return [income for income in household.incomes if income.year in years]


async def _leave(registry: Registry, job: Job) -> None:
    """The next household cannot be restored: another one holds a name of its now."""
    async with command(registry.runtime) as pg:
        await imports.load(pg, job.id, lock=True)
        effects: Sequence[Effect] = await journal.effects_left(pg, job.id, 1)
        await journal.note_undone(pg, job.id, [effect[0] for effect in effects], "name_taken")


async def _restored(pg: Pg, registry: Registry, household: Household, version: int | None) -> Household:
    """As one of its versions had it, without the members that came later; None: off the register from its first day."""
    if version is None:
        return changing.gone(household, household.registered_on)
    before = await reading.at_version(pg, household.id, version, registry.vault)
    known = {member.id: member for member in before.members if member.status != "transferred"}
    members = tuple(
        member if member.status == "transferred" else _member_restored(member, known.get(member.id))
        for member in household.members
    )
    return replace(before, version=household.version, author=household.author, members=members)


def _member_restored(member: Person, before: Person | None) -> Person:
    if before is None:
        return replace(member, status="deregistered", left_on=member.joined_on) if member.present else member
    return replace(before, version=member.version, household_version=member.household_version, author=member.author)

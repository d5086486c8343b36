"""Some households of a file into the register: what becomes of each, and what the report and the clerk are told."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from uuid import UUID

import asyncpg

from services.registry.checks import catalogue
from services.registry.context import Registry
from services.registry.households.collisions import numbers_taken
from services.registry.households.facts import facts_of
from services.registry.households.incoming import Read
from services.registry.households.judging import Judged, Surroundings, judge_all
from services.registry.households.merging import Overwriting
from services.registry.households.records import Household
from services.registry.households.registering import Existing
from services.registry.households.service import author_of
from services.registry.households.upserting import Kept, Updated, Upserted, upsert
from services.registry.imports import journal
from services.registry.imports.grouping import Located
from services.registry.imports.households import HouseholdReader
from services.registry.imports.journal import RejectedRow, Remark
from services.registry.imports.records import Tally
from services.registry.imports.sheets.groups import Group
from services.registry.reports import MAX_ERRORS
from services.registry.statistics.service import PopulationChanges
from services.registry.turns import in_spare_turns, in_turns
from shared.db import Pg
from shared.errors import Fault, Language, fault

_TAKEN = fault("", "taken_meanwhile", "a number in it was just taken by another", "其中编号或身份号码刚被其他记录占用")
_BESIDE = {"en": "another row of this household is wrong", "zh": "同户其他行有误"}
_KEPT = fault("", "kept", "the register holds something else and keeps it", "与登记内容不同,按覆盖规则保留原值")


@dataclass(slots=True)
class ChunkResult:
    """What became of some households."""

    tally: Tally
    effects: list[tuple[UUID, int, int | None]] = field(default_factory=list)
    rejected: list[RejectedRow] = field(default_factory=list)
    remarks: list[Remark] = field(default_factory=list)
    collided: set[bytes] = field(default_factory=set)
    """ID numbers that are told to be taken."""


@dataclass(frozen=True, slots=True)
class Ahead:
    """Some households read, and judged against what held at the time, while those before them are registered."""

    read: list[Read]
    judged: list[Judged | list[Fault]]


@dataclass(frozen=True, slots=True)
class Registering:
    """How the households of a file are registered."""

    registry: Registry
    job: UUID
    around: Surroundings
    """What the households are judged against ahead of their transaction."""
    reader: HouseholdReader
    overwriting: Overwriting
    language: Language

    async def ahead(self, groups: Sequence[Group]) -> Ahead:
        """The households of some rows, or what is wrong with them."""
        read = await in_spare_turns(groups, lambda some: map(self.reader.household, some))
        return Ahead(read, await in_spare_turns(read, lambda some: judge_all(some, self.around)))

    async def run(
        self,
        pg: Pg,
        around: Surroundings,
        groups: Sequence[Group],
        ahead: Ahead,
        before: Tally,
        changes: PopulationChanges,
        *,
        singly: bool = False,
    ) -> ChunkResult:
        """Register these households, read before; the tally goes on from ``before``.

        They are judged again where another thing holds now, in the transaction, than when they were read.

        ``singly``: each by itself, so that one which loses a number to another transaction is refused alone.
        Otherwise raises ``asyncpg.UniqueViolationError`` then. Raises 429 once the quota of look-ups is exceeded.
        """
        judged = ahead.judged
        if around != self.around:
            judged = await in_turns(ahead.read, lambda some: judge_all(some, around))
        outcomes = await (self._one_by_one if singly else self._together)(pg, around, judged, changes)
        told = _Told(self, before)
        told.result.collided = numbers_taken(outcomes)
        await in_turns(list(zip(groups, outcomes, strict=True)), partial(told.households, around))
        return told.result

    async def _together(
        self,
        pg: Pg,
        around: Surroundings,
        judged: Sequence[Judged | list[Fault]],
        changes: PopulationChanges,
        in_chunk: frozenset[UUID] = frozenset(),
    ) -> list[Upserted]:
        async def made(households: Sequence[UUID]) -> frozenset[UUID]:
            return in_chunk | await journal.made(pg, self.job, households)

        author = author_of(self.registry, around.caller, "导入")
        return await upsert(pg, self.registry, around, judged, author, changes, self.overwriting, made)

    async def _one_by_one(
        self, pg: Pg, around: Surroundings, judged: Sequence[Judged | list[Fault]], changes: PopulationChanges
    ) -> list[Upserted]:
        outcomes: list[Upserted] = []
        made: frozenset[UUID] = frozenset()
        for each in judged:
            own = PopulationChanges()
            try:
                async with pg.transaction():
                    outcomes += await self._together(pg, around, [each], own, made)
            except asyncpg.UniqueViolationError:
                outcomes.append([_TAKEN])
                continue
            changes.include(own)
            made |= _made(outcomes[-1])
        return outcomes


def _made(outcome: Upserted) -> frozenset[UUID]:
    match outcome:
        case Household():
            return frozenset({outcome.id})
        case Updated():
            return frozenset({outcome.household.id})
    return frozenset()


_Came = tuple[Group, Upserted]


class _Told:
    """Turns outcomes into what is counted and said."""

    def __init__(self, work: Registering, before: Tally) -> None:
        self._work = work
        self.result = ChunkResult(before.model_copy())

    def households(self, around: Surroundings, some: Iterable[_Came]) -> Iterable[None]:
        """A few of them; nothing, as ``in_turns`` has nothing to gather."""
        for each in some:
            self._household(*each, around)
        return ()

    def _household(
        self,
        group: Group,
        outcome: Upserted,
        around: Surroundings,
    ) -> None:
        tally, effects = self.result.tally, self.result.effects
        tally.received += 1
        tally.rows += len(group.numbers)
        match outcome:
            case Household():
                tally.created += 1
                effects.append((outcome.id, outcome.version, None))
                self._notes(group, outcome, around)
            case Updated():
                tally.updated += 1
                effects.append((outcome.household.id, outcome.household.version, outcome.previous))
                self._kept(group, outcome.kept)
                self._notes(group, outcome, around)
            case Kept():
                tally.unchanged += 1
                self._kept(group, outcome.kept)
            case Existing():
                tally.unchanged += 1
            case _:
                self._reject(group, [self._work.reader.locate(group, each) for each in outcome])

    def _notes(self, group: Group, outcome: Household | Updated, around: Surroundings) -> None:
        if self.result.tally.remarks >= MAX_ERRORS:
            return
        household = outcome.household if isinstance(outcome, Updated) else outcome
        for finding in catalogue.notes(facts_of(household, around.today)):
            found = finding.fault()
            given = outcome.as_given(found) if isinstance(outcome, Updated) else found
            self._remark(self._work.reader.locate(group, given), finding.rule.severity)

    def _kept(self, group: Group, pointers: Sequence[str]) -> None:
        for pointer in pointers:
            held = Fault(pointer, _KEPT.code, _KEPT.message)
            self._remark(self._work.reader.locate(group, held), "warning")

    def _reject(self, group: Group, located: Sequence[Located]) -> None:
        tally, language = self.result.tally, self._work.language
        tally.rejected += 1
        tally.rejected_rows += len(group.numbers)
        for each in located:
            self._remark(each, "error")
        for number, cells in group.rows():
            wrong = [_sentence(each, language) for each in located if each.row == number]
            row = RejectedRow(number, cells, wrong or [_BESIDE[language]])
            self.result.rejected.append(row)

    def _remark(self, located: Located, severity: str) -> None:
        tally = self.result.tally
        counted = tally.errors if severity == "error" else tally.remarks
        if counted >= MAX_ERRORS:
            return
        if severity == "error":
            tally.errors += 1
        else:
            tally.remarks += 1
        text = located.message
        self.result.remarks.append(Remark(located.row, located.column, located.code, text.en, text.zh, severity))


def _sentence(located: Located, language: Language) -> str:
    said = located.message.of(language)
    return f"{located.column}: {said}" if located.column else said

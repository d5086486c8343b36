"""Submissions that may be written, into the register: the same code as over HTTP and from files."""

from collections.abc import Sequence
from dataclasses import dataclass

import asyncpg

from services.registry.context import Registry
from services.registry.households import changing, service
from services.registry.households.collisions import QUOTA_EXCEEDED
from services.registry.households.judging import Surroundings, judge_all
from services.registry.households.merging import Overwriting
from services.registry.households.records import Author, Household
from services.registry.households.registering import Outcome, register
from services.registry.households.schemas import Deregistration
from services.registry.households.upserting import Kept, Updated, upsert
from services.registry.statistics.service import PopulationChanges
from services.registry.submissions.reading import Submission
from services.registry.submissions.rules import Held
from services.registry.turns import in_turns
from shared import errors
from shared.db import Pg
from shared.errors import Fault, Problem, fault

Written = Outcome | Updated | Kept
_TAKEN = fault("", "taken_meanwhile", "a number in it was just taken by another", "其中编号或身份号码刚被其他记录占用")


class _UndoneError(Exception):
    """Leaves a trial without a trace."""

    def __init__(self, outcomes: list[Written]) -> None:
        super().__init__()
        self.outcomes = outcomes


@dataclass(frozen=True, slots=True)
class Writing:
    """How submissions of one source, one kind and one reason are written."""

    registry: Registry
    around: Surroundings
    author: Author
    changes: PopulationChanges
    """What statistics must learn at the end of the transaction."""

    async def run(self, pg: Pg, submissions: Sequence[tuple[Submission, Held | None]], *, trial: bool) -> list[Written]:
        """Write them; an outcome for each, in order. On trial each is written and undone again, by itself.

        All are refused once the source went over its quota of look-ups: nothing stops a consumer.
        """
        try:
            if trial:
                return [outcome for each in submissions for outcome in await self._tried(pg, each)]
            return await self._kept(pg, submissions)
        except Problem as problem:
            if problem.kind is not errors.TOO_MANY:
                raise
            return [[QUOTA_EXCEEDED] for _ in submissions]

    async def _tried(self, pg: Pg, submission: tuple[Submission, Held | None]) -> list[Written]:
        try:
            async with pg.transaction():
                raise _UndoneError(await self._write(pg, [submission], PopulationChanges()))
        except _UndoneError as undone:
            return undone.outcomes
        except asyncpg.UniqueViolationError:
            return [[_TAKEN]]

    async def _kept(self, pg: Pg, submissions: Sequence[tuple[Submission, Held | None]]) -> list[Written]:
        """Together; where one of them loses a number to another writer, each by itself, so that it is refused alone."""
        gathered = PopulationChanges()
        try:
            async with pg.transaction():
                outcomes = await self._write(pg, submissions, gathered)
        except asyncpg.UniqueViolationError:
            if len(submissions) == 1:
                return [[_TAKEN]]
            return [outcome for each in submissions for outcome in await self._kept(pg, [each])]
        self.changes.include(gathered)
        return outcomes

    async def _write(
        self, pg: Pg, submissions: Sequence[tuple[Submission, Held | None]], changes: PopulationChanges
    ) -> list[Written]:
        if submissions[0][0].envelope.op == "revoke":
            return [await self._withdrawn(pg, held) for _, held in submissions if held is not None]
        contents = [submission.content for submission, _ in submissions if submission.content is not None]
        judged = await in_turns(contents, lambda some: judge_all(some, self.around))
        if submissions[0][0].envelope.op == "record":
            return list(await register(pg, self.registry, self.around, judged, self.author, changes))
        return await upsert(pg, self.registry, self.around, judged, self.author, changes, Overwriting("always"))

    async def _withdrawn(self, pg: Pg, held: Held) -> Written:
        """Off the register from its first day on."""

        def decide(old: Household, around: Surroundings) -> Household:
            return changing.deregistered(Deregistration(effective_on=old.registered_on, reason="revoked"))(old, around)

        caller, reason = self.around.caller, self.author.reason
        try:
            gone = await service.change_within(pg, self.registry, caller, str(held.id), None, decide, reason)
        except Problem as problem:
            return list(problem.faults) or [Fault("", problem.kind.code, problem.kind.title)]
        return Updated(gone, held.version, (), {})

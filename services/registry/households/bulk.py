"""Registering many households at once, from JSON lines, a chunk at a time."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from services.registry.checks import catalogue
from services.registry.commands import attempted, claim, command, complete, find_earlier, plan_anew
from services.registry.context import Registry
from services.registry.households.collisions import collisions_noted, numbers_taken
from services.registry.households.facts import facts_of
from services.registry.households.incoming import read_household
from services.registry.households.judging import judge_all
from services.registry.households.records import Household
from services.registry.households.registering import Existing, register
from services.registry.households.service import author_of, surroundings
from services.registry.reports import ImportReport, Mode, Tally, keep, kept
from services.registry.statistics import service as statistics
from services.registry.statistics.service import PopulationChanges
from services.registry.turns import in_turns
from shared.auth import Caller
from shared.db import Pg
from shared.errors import Language
from shared.http.body import parse_line
from shared.http.idempotency import Earlier, IdempotencyKey
from shared.ids import uuid7

MAX_LINES = 100_000
CHUNK = 500


class _RefusedError(Exception):
    """Undoes the transaction of a request of which nothing may be written."""


@dataclass(frozen=True, slots=True)
class BulkRegistration:
    """How a bulk request is to be carried out."""

    registry: Registry
    caller: Caller
    key: IdempotencyKey
    mode: Mode
    language: Language

    async def run(self, lines: Sequence[bytes]) -> tuple[ImportReport, bool]:
        """Register the lines; the report, and whether it is that of an earlier request with the same key.

        ``all``: nothing unless every line is good, in one transaction. ``each``: the good ones, a transaction a
        chunk; sent again after an interruption, what was registered is recognised and left as it is. Raises 429.
        """
        if self.mode == "all" or self.registry.dry_run:
            async with collisions_noted(self.registry, self.caller) as told:
                return await attempted(lambda: self._at_once(lines, told))
        async with self.registry.runtime.database.driver() as pg:
            earlier = await find_earlier(pg, self.key)
            if earlier is not None:
                return await kept(pg, earlier.resource_id), True
        tally = Tally(received=len(lines))
        for first, chunk in _chunks(lines):
            async with collisions_noted(self.registry, self.caller) as told:
                await attempted(lambda first=first, chunk=chunk, told=told: self._chunk(first, chunk, tally, told))  # type: ignore[misc]
        async with command(self.registry.runtime) as pg:
            earlier = await claim(pg, self.key)
            return await self._finished(pg, tally, earlier)

    async def _at_once(self, lines: Sequence[bytes], told: set[bytes]) -> tuple[ImportReport, bool]:
        tally, changes = Tally(received=len(lines)), PopulationChanges()
        try:
            async with command(self.registry.runtime, dry_run=self.registry.dry_run) as pg:
                earlier = await claim(pg, self.key)
                if earlier is None:
                    for first, chunk in _chunks(lines):
                        tally.add(await self._register(pg, first, chunk, changes, told))
                    if self.mode == "all" and tally.rejected:
                        raise _RefusedError
                    await statistics.count(pg, changes)
                return await self._finished(pg, tally, earlier)
        except _RefusedError:
            return self._report(tally), False

    async def _chunk(self, first: int, chunk: Sequence[bytes], tally: Tally, told: set[bytes]) -> None:
        changes = PopulationChanges()
        async with command(self.registry.runtime) as pg:
            part = await self._register(pg, first, chunk, changes, told)
            await statistics.count(pg, changes)
        tally.add(part)

    async def _register(
        self, pg: Pg, first: int, chunk: Sequence[bytes], changes: PopulationChanges, told: set[bytes]
    ) -> Tally:
        contents = await in_turns(chunk, lambda some: [parse_line(raw, read_household) for raw in some])
        await plan_anew(pg)
        around = await surroundings(pg, self.registry, self.caller)
        author = author_of(self.registry, self.caller)
        judged = await in_turns(contents, lambda some: judge_all(some, around))
        outcomes = await register(pg, self.registry, around, judged, author, changes)
        told |= numbers_taken(outcomes)
        tally = Tally()
        for row, outcome in enumerate(outcomes, first):
            match outcome:
                case Household():
                    tally.created += 1
                    tally.remark(row, catalogue.notes(facts_of(outcome, around.today)))
                case Existing():
                    tally.unchanged += 1
                case _:
                    tally.reject(row, outcome)
        return tally

    async def _finished(self, pg: Pg, tally: Tally, earlier: Earlier | None) -> tuple[ImportReport, bool]:
        if earlier is not None:
            return await kept(pg, earlier.resource_id), True
        report = self._report(tally)
        if report.id is not None:
            await keep(pg, report, self.registry.runtime.clock.now(), self.caller.key_id)
            await complete(pg, self.key, report.id, 1)
        return report, False

    def _report(self, tally: Tally) -> ImportReport:
        return tally.report(self.mode, dry_run=self.registry.dry_run, language=self.language, identifier=uuid7())


def _chunks(lines: Sequence[bytes]) -> Iterator[tuple[int, Sequence[bytes]]]:
    """Pieces of the lines with the number of their first line."""
    for start in range(0, len(lines), CHUNK):
        yield start + 1, lines[start : start + CHUNK]

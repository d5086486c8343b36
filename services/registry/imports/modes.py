"""The two ways through a file: a transaction a chunk, or one for all.

In mode ``each`` every chunk commits with its progress, under a lock on the job's row: after a kill, another run goes
on with the next household, and two runs at once cannot both commit a chunk. In mode ``all``, and in a dry run, there
is one transaction; what is said of its rows is written beside it, and forgotten when it starts again. Whom it ran into
elsewhere (``collisions``) is written with that, and stays.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable
from dataclasses import dataclass
from typing import TypeVar
from uuid import UUID

from services.registry.commands import attempted, command, plan_anew
from services.registry.context import Registry
from services.registry.households import collisions
from services.registry.households.service import surroundings
from services.registry.imports import journal, store
from services.registry.imports.journal import Remark
from services.registry.imports.records import Job, Status, Tally
from services.registry.imports.registering import Ahead, ChunkResult, Registering
from services.registry.imports.sheets import sandbox
from services.registry.imports.sheets.groups import Group
from services.registry.statistics import service as statistics
from services.registry.statistics.service import PopulationChanges
from shared import errors
from shared.db import Pg
from shared.errors import Problem, Text

T = TypeVar("T")
CHUNK = 500
"""Households a transaction."""
BEAT_SECONDS = 3.0
"""How often a transaction that waits for the reader of its file says that we are still there."""
_PASSED_OVER = {
    "total_row": Text("a total, passed over", "合计行,已跳过"),
    "footer_row": Text("a note below the table, passed over", "表尾说明,已跳过"),
    "header_again": Text("the header again, passed over", "重复表头,已跳过"),
    "column_numbers": Text("numbers of the columns, passed over", "栏次行,已跳过"),
    "example_row": Text("the template's example, passed over", "模板示例行,已跳过"),
    "nothing_read": Text("nothing in any column that is taken in: passed over", "各录入列均为空,已跳过"),
}


class TakenOverError(RuntimeError):
    """Another process went on with the job: its position is not where we left it."""


class _UndoneError(Exception):
    """Leaves the one transaction of an import without a trace."""

    def __init__(self, tally: Tally) -> None:
        super().__init__()
        self.tally = tally


@dataclass(slots=True)
class Piece:
    """The households of one chunk, and the last row it comes to."""

    groups: list[Group]
    position: int
    ahead: asyncio.Task[Ahead]


async def _pieces(reading: sandbox.Reading, position: int, work: Registering) -> AsyncIterator[Piece]:
    """The file's households beyond a position, a chunk at a time; the next is read while one is registered."""
    pending: Piece | None = None
    try:
        async for groups in _chunks(reading, position):
            piece = Piece(groups, groups[-1].numbers[-1], asyncio.create_task(work.ahead(groups)))
            ready, pending = pending, piece
            if ready is not None:
                yield ready
        if pending is not None:
            yield pending
    finally:
        if pending is not None:
            pending.ahead.cancel()


async def _chunks(reading: sandbox.Reading, position: int) -> AsyncIterator[list[Group]]:
    waiting: list[Group] = []
    async for groups in reading.batches():
        waiting += (group for group in groups if group.numbers[-1] > position)
        while len(waiting) >= CHUNK:
            yield waiting[:CHUNK]
            waiting = waiting[CHUNK:]
    if waiting:
        yield waiting


def _passed_over(reading: sandbox.Reading, after: int, up_to: int | None, tally: Tally) -> list[Remark]:
    """Remarks on rows that are no data, up to a row, and counts them."""
    due = [each for each in reading.passed_over if up_to is None or each[0] <= up_to]
    reading.passed_over = [each for each in reading.passed_over if each not in due]
    due = [each for each in due if each[0] > after]
    tally.passed_over += len(due)
    tally.remarks += len(due)
    return [Remark(row, "", why, _PASSED_OVER[why].en, _PASSED_OVER[why].zh, "warning") for row, why in due]


async def _meanwhile(pg: Pg, waited_for: Awaitable[T]) -> T:
    """What is waited for, as long as that may take.

    The database ends a transaction in which nothing is said for as long as anybody's may be idle, and lets go of its
    locks: so it does where we hang or are gone, but not where a large file takes long to read.
    """
    waiting = asyncio.ensure_future(waited_for)
    try:
        while not (await asyncio.wait({waiting}, timeout=BEAT_SECONDS))[0]:
            await pg.execute("SELECT")
        return waiting.result()
    finally:
        if not waiting.done():
            waiting.cancel()
            await asyncio.gather(waiting, return_exceptions=True)


@dataclass(slots=True)
class InPieces:
    """Mode ``each``: a transaction a chunk."""

    registry: Registry
    job: Job
    work: Registering

    async def run(self, reading: sandbox.Reading, unknown: list[Remark]) -> None:
        position, tally = self.job.position, self.job.tally
        said = unknown if position == 0 else []
        async for piece in _pieces(reading, position, self.work):
            before = tally.model_copy()
            before.remarks += len(said)
            said += _passed_over(reading, position, piece.position, before)
            try:
                tally = await attempted(lambda p=piece, b=before, s=said, at=position: self._commit(p, b, s, at))  # type: ignore[misc]
            except Problem as problem:
                if problem.kind is not errors.CONFLICT:
                    raise
                # It lost a number again and again.
                tally = await self._commit(piece, before, said, position, singly=True)
            position, said = piece.position, []
        async with command(self.registry.runtime) as pg:
            await store.load(pg, self.job.id, lock=True)
            last = tally.model_copy()
            said += _passed_over(reading, position, None, last) + _hidden(reading)
            await journal.remark(pg, self.job.id, tally.errors + tally.remarks, said)
            await store.end(pg, self.registry, self.job.id, "completed", last)

    async def _commit(
        self, piece: Piece, before: Tally, said: list[Remark], position: int, *, singly: bool = False
    ) -> Tally:
        changes = PopulationChanges()
        async with command(self.registry.runtime) as pg:
            held = await store.load(pg, self.job.id, lock=True)
            if held.position != position:
                raise TakenOverError
            await plan_anew(pg)
            around = await surroundings(pg, self.registry, store.caller_of(self.job))
            result = await self.work.run(pg, around, piece.groups, await piece.ahead, before, changes, singly=singly)
            await journal.note_effects(pg, self.job.id, result.effects)
            await _say(pg, self.registry, self.job.id, result, said, before)
            await collisions.note(pg, self.registry, around.caller, result.collided)
            await store.progress(pg, self.job.id, piece.position, result.tally)
            await statistics.count(pg, changes)
        return result.tally


@dataclass(slots=True)
class AtOnce:
    """Mode ``all``, and dry runs: one transaction, undone unless every household is good."""

    registry: Registry
    job: Job
    work: Registering

    async def run(self, reading: sandbox.Reading, unknown: list[Remark]) -> None:
        runtime = self.registry.runtime
        async with runtime.database.driver() as beside:
            await journal.clear(beside, self.job.id)
            await journal.remark(beside, self.job.id, 0, unknown)
            try:
                async with command(runtime, dry_run=self.job.instruction.dry_run) as pg:
                    tally = await self._all(pg, beside, reading, Tally(remarks=len(unknown)))
                    if self.job.instruction.dry_run or tally.rejected:
                        raise _UndoneError(tally)
                    await store.end(pg, self.registry, self.job.id, "completed", tally)
                return
            except _UndoneError as undone:
                tally = undone.tally
            refused = self.job.instruction.mode == "all" and tally.rejected > 0
            status: Status = "rejected" if refused else "completed"
            async with beside.transaction():
                told = tally.unwritten() if refused else tally
                await store.end(beside, self.registry, self.job.id, status, told)

    async def _all(self, pg: Pg, beside: Pg, reading: sandbox.Reading, tally: Tally) -> Tally:
        changes = PopulationChanges()
        around = await surroundings(pg, self.registry, store.caller_of(self.job))
        position = 0
        pieces = _pieces(reading, 0, self.work)
        while (piece := await _meanwhile(pg, anext(pieces, None))) is not None:
            before = tally.model_copy()
            said = _passed_over(reading, position, piece.position, before)
            ahead = await _meanwhile(pg, piece.ahead)
            await plan_anew(pg)
            result = await self.work.run(pg, around, piece.groups, ahead, before, changes)
            await journal.note_effects(pg, self.job.id, result.effects)
            async with beside.transaction():
                await collisions.note(beside, self.registry, around.caller, result.collided)
                await _say(beside, self.registry, self.job.id, result, said, before)
            await store.progress(beside, self.job.id, 0, result.tally)
            tally, position = result.tally, piece.position
        last = tally.model_copy()
        said = _passed_over(reading, position, None, last) + _hidden(reading)
        await journal.remark(beside, self.job.id, tally.errors + tally.remarks, said)
        await statistics.count(pg, changes)
        return last


async def _say(pg: Pg, registry: Registry, job: UUID, result: ChunkResult, said: list[Remark], before: Tally) -> None:
    first = before.errors + before.remarks - len(said)
    await journal.remark(pg, job, first, [*said, *result.remarks])
    await journal.reject(pg, registry.vault, job, result.rejected)


def _hidden(reading: sandbox.Reading) -> list[Remark]:
    if not reading.hidden:
        return []
    told = Text(f"{reading.hidden} hidden rows were read like the others", f"含 {reading.hidden} 行隐藏行,已一并读取")
    return [Remark(0, "", "hidden_rows", told.en, told.zh, "warning")]

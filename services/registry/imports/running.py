"""The job that works through imports: one at a time in a process, each held by an advisory lock.

In mode ``each`` every chunk commits with its progress, under a lock on the job's row: after a kill, another run goes
on with the next household, and two runs at once cannot both commit a chunk. In mode ``all``, and in a dry run, there
is one transaction; what is said of its rows is written beside it, and forgotten when it starts again.
"""

import asyncio
import contextlib
import json
import logging
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import timedelta
from uuid import UUID

import asyncpg

from services.registry.commands import command
from services.registry.context import Registry
from services.registry.households.service import attempted, author_of, surroundings
from services.registry.households.upserting import Overwriting
from services.registry.imports import store, undoing
from services.registry.imports.columns import by_header, by_name
from services.registry.imports.grouping import Group, Grouper, Reader
from services.registry.imports.layout import Layout
from services.registry.imports.lines import LineGrouper, LineReader
from services.registry.imports.records import Job, Tally
from services.registry.imports.records import Layout as Told
from services.registry.imports.refusals import fault_of
from services.registry.imports.registering import Chapter, HouseholdReader, Read, Registering
from services.registry.imports.sheets import sandbox
from services.registry.imports.sheets.headers import plain
from services.registry.imports.sheets.refusals import RefusedFileError
from services.registry.imports.store import Remark
from services.registry.imports.villages import Villages
from services.registry.statistics import service as statistics
from services.registry.statistics.service import PopulationChanges
from shared.db import AWAY, CONTENDED, Pg
from shared.errors import Fault, Problem, Text, fault

logger = logging.getLogger("bangfu.imports")
CHUNK = 500
"""Households a transaction."""
POLL_SECONDS = 1.0
ATTEMPTS = 3
_LOCK = 7_041_201
"""Names our advisory locks among others; the job's id completes it."""
_PASSED_OVER = {
    "total_row": Text("a total, passed over", "合计行,已跳过"),
    "footer_row": Text("a note below the table, passed over", "表尾说明,已跳过"),
    "header_again": Text("the header again, passed over", "重复表头,已跳过"),
}
_FAILED = fault("", "internal_error", "a fault of ours; what was written stays", "系统内部错误,已写入的内容保留")
_CONTENDED = fault("", "conflict", "others kept taking its numbers; try again", "编号反复被其他请求占用,请重试")


class TakenOverError(RuntimeError):
    """Another process went on with the job: its position is not where we left it."""


class _WholeFileRefusedError(Exception):
    """The sheet cannot be read as one of households."""

    def __init__(self, faults: list[Fault]) -> None:
        super().__init__()
        self.faults = faults


class _UndoneError(Exception):
    """Leaves the one transaction of an import without a trace."""

    def __init__(self, tally: Tally) -> None:
        super().__init__()
        self.tally = tally


@dataclass(slots=True)
class Runner:
    """Works through open imports for as long as the service runs."""

    registry: Registry
    max_rows: int
    awake: asyncio.Event = field(default_factory=asyncio.Event)

    def wake(self) -> None:
        """After a commit that left work."""
        self.awake.set()

    async def run(self) -> None:
        """Forever; what a stopped process left open is taken up first."""
        async with self.registry.runtime.database.driver() as pg:
            await store.forget_old(pg, self.registry.runtime.clock.now() - timedelta(days=store.KEPT_DAYS))
        while True:
            self.awake.clear()
            await self.work_once()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self.awake.wait(), POLL_SECONDS)

    async def work_once(self) -> None:
        """Work through everything that is open now."""
        async with self.registry.runtime.database.driver() as pg:
            jobs = await store.open_jobs(pg)
        for job in jobs:
            await self._held(job)

    async def _held(self, job: UUID) -> None:
        """Work on a job unless another process does."""
        name = (_LOCK, job.int & 0x7FFFFFFF)
        async with self.registry.runtime.database.driver() as lock:
            if not await lock.fetchval("SELECT pg_try_advisory_lock($1::int, $2::int)", *name):
                return
            try:
                async with self.registry.runtime.database.driver() as pg:
                    found = await store.load(pg, job)
                await self._work(found)
            finally:
                await lock.execute("SELECT pg_advisory_unlock($1::int, $2::int)", *name)

    async def _work(self, job: Job) -> None:
        try:
            if job.status == "undoing":
                await undoing.undo(self.registry, job)
            elif job.status in ("queued", "running"):
                await _Run(self.registry, job, self.max_rows).whole()
        except (*AWAY, *CONTENDED, TakenOverError):
            raise  # tried again
        except Exception:
            logger.exception("an import failed: %s", job.id)
            async with command(self.registry.runtime) as pg:
                held = await store.load(pg, job.id, lock=True)
                await store.end(pg, job.id, "refused", held.tally, self.registry.runtime.clock.now(), _told([_FAILED]))


@dataclass(slots=True)
class _Run:
    """One job from its position to its end."""

    registry: Registry
    job: Job
    max_rows: int

    async def whole(self) -> None:
        runtime = self.registry.runtime
        async with runtime.database.driver() as pg:
            await store.begin(pg, self.job.id, runtime.clock.now())
        try:
            for _ in range(ATTEMPTS):
                with contextlib.suppress(asyncpg.UniqueViolationError):
                    await self._read()
                    return
            await self._end_refused([_CONTENDED])
        except RefusedFileError as refused:
            await self._end_refused([fault_of(refused)])
        except _WholeFileRefusedError as refused_sheet:
            await self._end_refused(refused_sheet.faults)

    async def _end_refused(self, faults: list[Fault]) -> None:
        async with command(self.registry.runtime) as pg:
            held = await store.load(pg, self.job.id, lock=True)
            await store.end(pg, held.id, "refused", held.tally, self.registry.runtime.clock.now(), _told(faults))

    async def _read(self) -> None:
        instruction, database = self.job.instruction, self.registry.runtime.database
        known = {*by_header(), *map(plain, instruction.columns)}
        content = store.file_of(database, self.registry.vault, self.job.id)
        async with sandbox.reading(content, self.job.size, known, self.max_rows) as reading:
            grouper, reader, remarks = await self._understood(reading)
            work = Registering(
                self.registry, reader, self._overwriting(), author_of(self.registry, store.caller_of(self.job), "导入"),
                instruction.language,
            )  # fmt: skip
            if instruction.mode == "all" or instruction.dry_run:
                await _AtOnce(self.registry, self.job, work).run(reading, grouper, remarks)
            else:
                await _InPieces(self.registry, self.job, work).run(reading, grouper, remarks)

    async def _understood(
        self, reading: sandbox.Reading
    ) -> tuple[Grouper | LineGrouper, HouseholdReader, list[Remark]]:
        instruction, header = self.job.instruction, reading.header
        told = Told(
            format=reading.format,
            header_row=header.row if header else 0,
            names=list(header.names) if header else [],
            expected_rows=reading.expected_rows,
        )
        async with self.registry.runtime.database.driver() as pg:
            await store.set_layout(pg, self.job.id, told)
            async with pg.transaction():
                around = await surroundings(pg, self.registry, store.caller_of(self.job))
        if header is None:
            return LineGrouper(), LineReader(), []
        layout = Layout.of(header, instruction.columns, instruction.ethnicity_codes)
        faults = layout.faults()
        if faults:
            raise _WholeFileRefusedError(faults)
        villages = Villages(around.tree, around.caller.divisions, around.today)
        unknown = [
            Remark(
                header.row, name, "column_unknown", "not taken in: an unknown column", "未识别的列,未导入", "warning"
            )
            for name in layout.unknown
        ]
        return Grouper(layout), Reader(layout, villages, instruction.source), unknown

    def _overwriting(self) -> Overwriting:
        instruction = self.job.instruction
        exceptions = {}
        for name, policy in instruction.overwrite_columns.items():
            column = by_name()[name]
            subject = {"member": ("members",), "income": ("incomes",)}.get(column.subject, ())
            exceptions[(*subject, *column.path) if column.subject != "income" else subject] = policy
        return Overwriting(instruction.overwrite, exceptions)


@dataclass(slots=True)
class _Piece:
    """The households of one chunk, and the last row it comes to."""

    groups: list[Group]
    position: int
    read: asyncio.Task[list[Read]]


async def _pieces(
    reading: sandbox.Reading, grouper: Grouper | LineGrouper, position: int, work: Registering
) -> AsyncIterator[_Piece]:
    """The file's households beyond a position, a chunk at a time; the next is read while one is registered."""
    ahead: _Piece | None = None
    try:
        async for groups in _chunks(reading, grouper, position):
            piece = _Piece(groups, groups[-1].rows[-1][0], asyncio.create_task(work.read(groups)))
            ready, ahead = ahead, piece
            if ready is not None:
                yield ready
        if ahead is not None:
            yield ahead
    finally:
        if ahead is not None:
            ahead.read.cancel()


async def _chunks(
    reading: sandbox.Reading, grouper: Grouper | LineGrouper, position: int
) -> AsyncIterator[list[Group]]:
    waiting: list[Group] = []
    async for rows in reading.batches:
        waiting += (group for group in grouper.add(rows) if group.rows[-1][0] > position)
        while len(waiting) >= CHUNK:
            yield waiting[:CHUNK]
            waiting = waiting[CHUNK:]
    waiting += (group for group in grouper.finish() if group.rows[-1][0] > position)
    if waiting:
        yield waiting


def _passed_over(grouper: Grouper | LineGrouper, after: int, up_to: int | None, tally: Tally) -> list[Remark]:
    """Remarks on rows that are no data, up to a row, and counts them."""
    due = [each for each in grouper.passed if up_to is None or each[0] <= up_to]
    grouper.passed[:] = [each for each in grouper.passed if each not in due]
    due = [each for each in due if each[0] > after]
    tally.passed_over += len(due)
    tally.remarks += len(due)
    return [Remark(row, "", why, _PASSED_OVER[why].en, _PASSED_OVER[why].zh, "warning") for row, why in due]


@dataclass(slots=True)
class _InPieces:
    """Mode ``each``: a transaction a chunk."""

    registry: Registry
    job: Job
    work: Registering

    async def run(self, reading: sandbox.Reading, grouper: Grouper | LineGrouper, unknown: list[Remark]) -> None:
        position, tally = self.job.position, self.job.tally
        said = unknown if position == 0 else []
        async for piece in _pieces(reading, grouper, position, self.work):
            before = tally.model_copy()
            before.remarks += len(said)
            said += _passed_over(grouper, position, piece.position, before)
            try:
                tally = await attempted(lambda p=piece, b=before, s=said, at=position: self._commit(p, b, s, at))  # type: ignore[misc]
            except Problem:  # it lost a number again and again
                tally = await self._commit(piece, before, said, position, singly=True)
            position, said = piece.position, []
        async with command(self.registry.runtime) as pg:
            await store.load(pg, self.job.id, lock=True)
            last = tally.model_copy()
            said += _passed_over(grouper, position, None, last) + _hidden(reading)
            await store.remark(pg, self.job.id, tally.errors + tally.remarks, said)
            await store.end(pg, self.job.id, "completed", last, self.registry.runtime.clock.now())

    async def _commit(
        self, piece: _Piece, before: Tally, said: list[Remark], position: int, *, singly: bool = False
    ) -> Tally:
        changes = PopulationChanges()
        async with command(self.registry.runtime) as pg:
            held = await store.load(pg, self.job.id, lock=True)
            if held.position != position:
                raise TakenOverError
            await _plan_afresh(pg)
            around = await surroundings(pg, self.registry, store.caller_of(self.job))
            chapter = await self.work.run(pg, around, piece.groups, await piece.read, before, changes, singly=singly)
            await store.note_effects(pg, self.job.id, chapter.effects)
            await _say(pg, self.registry, self.job.id, chapter, said, before)
            await store.progress(pg, self.job.id, piece.position, chapter.tally)
            await statistics.count(pg, changes)
        return chapter.tally


@dataclass(slots=True)
class _AtOnce:
    """Mode ``all``, and dry runs: one transaction, undone unless every household is good."""

    registry: Registry
    job: Job
    work: Registering

    async def run(self, reading: sandbox.Reading, grouper: Grouper | LineGrouper, unknown: list[Remark]) -> None:
        runtime = self.registry.runtime
        async with runtime.database.driver() as beside:
            await store.clear(beside, self.job.id)
            await store.remark(beside, self.job.id, 0, unknown)
            try:
                async with command(runtime) as pg:
                    tally = await self._all(pg, beside, reading, grouper, Tally(remarks=len(unknown)))
                    if self.job.instruction.dry_run or tally.rejected:
                        raise _UndoneError(tally)
                    await store.end(pg, self.job.id, "completed", tally, runtime.clock.now())
                return
            except _UndoneError as undone:
                tally = undone.tally
            refused = self.job.instruction.mode == "all" and tally.rejected > 0
            async with beside.transaction():
                await store.end(beside, self.job.id, "rejected" if refused else "completed", tally, runtime.clock.now())

    async def _all(
        self, pg: Pg, beside: Pg, reading: sandbox.Reading, grouper: Grouper | LineGrouper, tally: Tally
    ) -> Tally:
        changes = PopulationChanges()
        await _plan_afresh(pg)
        around = await surroundings(pg, self.registry, store.caller_of(self.job))
        position = 0
        async for piece in _pieces(reading, grouper, 0, self.work):
            before = tally.model_copy()
            said = _passed_over(grouper, position, piece.position, before)
            chapter = await self.work.run(pg, around, piece.groups, await piece.read, before, changes)
            await store.note_effects(pg, self.job.id, chapter.effects)
            await _say(beside, self.registry, self.job.id, chapter, said, before)
            await store.progress(beside, self.job.id, 0, chapter.tally)
            tally, position = chapter.tally, piece.position
        last = tally.model_copy()
        said = _passed_over(grouper, position, None, last) + _hidden(reading)
        await store.remark(beside, self.job.id, tally.errors + tally.remarks, said)
        await statistics.count(pg, changes)
        return last


async def _plan_afresh(pg: Pg) -> None:
    """Plans made while the tables were small must not be kept while they grow under our hands."""
    await pg.execute("SET LOCAL plan_cache_mode = 'force_custom_plan'")


async def _say(pg: Pg, registry: Registry, job: UUID, chapter: Chapter, said: list[Remark], before: Tally) -> None:
    first = before.errors + before.remarks - len(said)
    await store.remark(pg, job, first, [*said, *chapter.remarks])
    await store.reject(pg, registry.vault, job, chapter.rejected)


def _hidden(reading: sandbox.Reading) -> list[Remark]:
    if not reading.hidden:
        return []
    told = Text(f"{reading.hidden} hidden rows were read like the others", f"含 {reading.hidden} 行隐藏行,已一并读取")
    return [Remark(0, "", "hidden_rows", told.en, told.zh, "warning")]


def _told(faults: list[Fault]) -> str:
    """Why a whole file was refused, as it is kept."""
    told = [
        {"column": each.pointer, "code": each.code, "en": each.message.en, "zh": each.message.zh} for each in faults
    ]
    return json.dumps(told, ensure_ascii=False)

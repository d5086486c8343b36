"""The job that works through imports: one at a time in a process, each held by an advisory lock."""

import asyncio
import contextlib
import json
import logging
from dataclasses import dataclass, field
from uuid import UUID

import asyncpg

from services.registry.commands import command
from services.registry.context import Registry
from services.registry.households.collisions import QUOTA_EXCEEDED
from services.registry.households.merging import Overwriting
from services.registry.households.service import surroundings
from services.registry.imports import journal, store, undoing
from services.registry.imports.columns import by_name
from services.registry.imports.households import HouseholdReader
from services.registry.imports.journal import Remark
from services.registry.imports.meaning import meaning_of
from services.registry.imports.modes import AtOnce, InPieces, TakenOverError
from services.registry.imports.records import FileStructure, Job, Tally
from services.registry.imports.refusals import fault_of
from services.registry.imports.registering import Registering
from services.registry.imports.sheets import sandbox
from services.registry.imports.sheets.groups import Meaning
from services.registry.imports.sheets.refusals import RefusedFileError
from shared import errors
from shared.db import AWAY, CONTENDED
from shared.errors import Fault, Problem, fault

logger = logging.getLogger("bangfu.imports")
POLL_SECONDS = 1.0
ATTEMPTS = 3
_LOCK = 7_041_201
"""Names our advisory locks among others; the job's id completes it."""
_FAILED = fault("", "internal_error", "a fault of ours; what was written stays", "系统内部错误,已写入的内容保留")
_FAILED_AT_ONCE = fault("", "internal_error", "a fault of ours; nothing was written", "系统内部错误,未写入任何内容")
_CONTENDED = fault("", "conflict", "others kept taking its numbers; try again", "编号反复被其他请求占用,请重试")


class _WholeFileRefusedError(Exception):
    """The sheet cannot be read as one of households."""

    def __init__(self, faults: list[Fault]) -> None:
        super().__init__()
        self.faults = faults


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
        while True:
            self.awake.clear()
            await self.work_once()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(POLL_SECONDS):  # wait_for of Python 3.11 may swallow a cancellation
                    await self.awake.wait()

    async def work_once(self) -> None:
        """Work through everything that is open now; what could not be ended is tried again after the others."""
        async with self.registry.runtime.database.driver() as pg:
            jobs = await store.open_jobs(pg)
        for job in jobs:
            try:
                await self._held(job)
            except (*AWAY, *CONTENDED, TakenOverError) as error:
                logger.warning("import %s held up by %s", job, type(error).__name__)

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
            else:  # another process has done it
                return
        except (*AWAY, *CONTENDED, TakenOverError):
            raise  # tried again
        except Exception:
            logger.exception("an import failed: %s", job.id)
            nothing = job.instruction.at_once and job.status != "undoing"
            await _end_refused(self.registry, job, [_FAILED_AT_ONCE if nothing else _FAILED])
        else:
            async with self.registry.runtime.database.driver() as pg:
                ended = await store.load(pg, job.id)
            logger.info("import %s %s: %s", ended.id, ended.status, ended.tally.told())


async def _end_refused(registry: Registry, job: Job, faults: list[Fault], *, forgetting: bool = False) -> None:
    """The job ends before its file does. What was written by then stays; with one transaction for all, that is nothing.

    Also taking an import back can fail, which undoes nothing of what the import wrote. ``forgetting``: with what was
    said of the rows of a file of which nothing was written.
    """
    async with command(registry.runtime) as pg:
        held = await store.load(pg, job.id, lock=True)
        tally = held.tally.unwritten() if held.instruction.at_once and held.status == "running" else held.tally
        if forgetting:
            await journal.clear(pg, held.id)
            tally = Tally()
        await store.end(pg, registry, held.id, "refused", tally, _told(faults))


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
            await _end_refused(self.registry, self.job, [_CONTENDED])
        except RefusedFileError as refused:
            await _end_refused(self.registry, self.job, [fault_of(refused)])
        except _WholeFileRefusedError as refused_sheet:
            await _end_refused(self.registry, self.job, refused_sheet.faults)
        except Problem as problem:
            if problem.kind is not errors.TOO_MANY:
                raise
            at_once = self.job.instruction.at_once
            await _end_refused(self.registry, self.job, [QUOTA_EXCEEDED], forgetting=at_once)

    async def _read(self) -> None:
        instruction, database = self.job.instruction, self.registry.runtime.database
        content = store.file_of(database, self.registry.vault, self.job.id)
        async with database.driver() as pg, pg.transaction():
            around = await surroundings(pg, self.registry, store.caller_of(self.job))
        meaning = await asyncio.to_thread(meaning_of, instruction, around)
        async with sandbox.reading(content, self.job.size, meaning, self.max_rows) as reading:
            reader, remarks = await self._understood(reading, meaning)
            work = Registering(self.registry, self.job.id, around, reader, self._overwriting(), instruction.language)
            if instruction.at_once:
                await AtOnce(self.registry, self.job, work).run(reading, remarks)
            else:
                await InPieces(self.registry, self.job, work).run(reading, remarks)

    async def _understood(self, reading: sandbox.Reading, meaning: Meaning) -> tuple[HouseholdReader, list[Remark]]:
        header = reading.header
        told = FileStructure(
            format=reading.format,
            header_row=header.row if header else 0,
            names=list(header.names) if header else [],
            expected_rows=reading.expected_rows,
        )
        async with self.registry.runtime.database.driver() as pg:
            await store.set_layout(pg, self.job.id, told)
        if header is None:
            return HouseholdReader(None), []
        layout = meaning.layout(header)
        faults = layout.faults()
        if faults:
            raise _WholeFileRefusedError(faults)
        unknown = [
            Remark(
                header.row, name, "column_unknown", "not taken in: an unknown column", "未识别的列,未导入", "warning"
            )
            for name in layout.unknown
        ]
        return HouseholdReader(layout), unknown

    def _overwriting(self) -> Overwriting:
        instruction = self.job.instruction
        exceptions = {}
        for name, policy in instruction.overwrite_columns.items():
            column = by_name()[name]
            subject = {"member": ("members",), "income": ("incomes",)}.get(column.subject, ())
            exceptions[(*subject, *column.path) if column.subject != "income" else subject] = policy
        return Overwriting(instruction.overwrite, exceptions)


def _told(faults: list[Fault]) -> str:
    """Why a whole file was refused, as it is kept."""
    told = [
        {"column": each.pointer, "code": each.code, "en": each.message.en, "zh": each.message.zh} for each in faults
    ]
    return json.dumps(told, ensure_ascii=False)

"""Recording many actions at once, from JSON lines: one transaction, all of them or each that may be recorded."""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal
from uuid import UUID

from pydantic import ValidationError

from services.assistance.actions import ledger
from services.assistance.actions.composing import recorded, same_content
from services.assistance.actions.entries import Entry
from services.assistance.actions.recording import NAME_TAKEN, REFERENCE_WAIT_SECONDS, WAIT_STEP
from services.assistance.actions.rules import UNKNOWN, Placed, judge
from services.assistance.actions.schemas import ActionIn, ImportCounts, ImportReport, RowError
from services.assistance.claiming import claim, complete
from services.assistance.context import Assistance
from shared.auth import Caller
from shared.db import Pg
from shared.errors import Fault, Language, Problem
from shared.http.body import parse_json
from shared.http.idempotency import IdempotencyKey
from shared.http.problems import faults_of
from shared.ids import uuid7

MAX_LINES = 100_000
ROWS_AT_ONCE = 500
"""Small enough that other requests are not kept waiting, large enough that round trips do not count."""
FAULTS_A_ROW = 20

Mode = Literal["all", "each"]


@dataclass(frozen=True, slots=True)
class Order:
    """What the caller wants done with the lines."""

    caller: Caller
    mode: Mode
    dry_run: bool
    key: IdempotencyKey
    language: Language


@dataclass(slots=True)
class _Tally:
    """What became of the rows so far."""

    created: int = 0
    unchanged: int = 0
    rejected: int = 0
    errors: list[tuple[int, Fault]] = field(default_factory=list)
    waited: float = 0.0

    def reject(self, row: int, faults: Sequence[Fault]) -> None:
        self.rejected += 1
        self.errors += [(row, each) for each in faults[:FAULTS_A_ROW]]


class _UndoneError(Exception):
    """Leaves the transaction without a trace: a dry run, or all-or-nothing and not all."""


async def record_lines(assistance: Assistance, lines: Sequence[bytes], order: Order) -> tuple[str, bool]:
    """Record actions from JSON lines. Returns the report as JSON, and whether it was given before."""
    tally = _Tally()
    report_id = uuid7()
    async with assistance.runtime.database.driver() as pg:
        try:
            async with pg.transaction():
                if not order.dry_run and (earlier := await claim(pg, order.key)) is not None:
                    return await _report(pg, earlier.resource_id), True
                for start in range(0, len(lines), ROWS_AT_ONCE):
                    await _record_rows(assistance, pg, lines[start : start + ROWS_AT_ONCE], start + 1, order, tally)
                if order.dry_run or (order.mode == "all" and tally.rejected):
                    raise _UndoneError
                report = _rendered(report_id, len(lines), order, tally)
                await _keep(pg, assistance, report_id, order, report)
        except _UndoneError:
            return _rendered(None, len(lines), order, tally), False
    assistance.runtime.wake_relay()
    return report, False


async def _record_rows(
    assistance: Assistance, pg: Pg, lines: Sequence[bytes], first_row: int, order: Order, tally: _Tally
) -> None:
    rows: list[tuple[int, ActionIn]] = []
    for row, line in enumerate(lines, start=first_row):
        content = _read(line)
        if isinstance(content, ActionIn):
            rows.append((row, content))
        else:
            tally.reject(row, content)
    entries = await _judged(assistance, pg, rows, order, tally)
    written = await ledger.insert(pg, assistance.runtime.settings, [entry for _, entry in entries])
    tally.created += len(written)
    await _settle_known(pg, [(row, entry) for row, entry in entries if entry.state.id not in written], tally)


def _read(line: bytes) -> ActionIn | list[Fault]:
    try:
        return ActionIn.model_validate(parse_json(line))
    except ValidationError as error:
        return faults_of(error.errors(include_url=False, include_input=False))
    except Problem as problem:
        return list(problem.faults) or [Fault("", problem.kind.code, problem.detail or problem.kind.title)]


async def _judged(
    assistance: Assistance, pg: Pg, rows: Sequence[tuple[int, ActionIn]], order: Order, tally: _Tally
) -> list[tuple[int, Entry]]:
    """Entries of the rows that may be recorded; rows with unknown references are awaited for two seconds in all."""
    entries: list[tuple[int, Entry]] = []
    waiting = rows
    while waiting:
        world = await assistance.world(pg, (content for _, content in waiting))
        unknown: list[tuple[int, ActionIn]] = []
        may_wait = tally.waited < REFERENCE_WAIT_SECONDS
        for row, content in waiting:
            placed = judge(content, world, order.caller)
            if isinstance(placed, Placed):
                entries.append((row, recorded(content, placed, now=world.now, by=order.caller.key_id)))
            elif may_wait and all(each.code == UNKNOWN for each in placed):
                unknown.append((row, content))
            else:
                tally.reject(row, placed)
        waiting = unknown
        if waiting:
            started = time.monotonic()
            await asyncio.sleep(WAIT_STEP)
            tally.waited += time.monotonic() - started
    return entries


async def _settle_known(pg: Pg, rows: Sequence[tuple[int, Entry]], tally: _Tally) -> None:
    """Rows whose external name was taken: unchanged when they say the same, rejected otherwise."""
    stored = await ledger.load_by_names(pg, sorted({entry.name for _, entry in rows}))
    for row, entry in rows:
        if entry.name in stored and same_content(stored[entry.name].state, entry.state):
            tally.unchanged += 1
        else:
            tally.reject(row, [Fault("/external_id", NAME_TAKEN.code, NAME_TAKEN.title)])


def _rendered(report_id: UUID | None, received: int, order: Order, tally: _Tally) -> str:
    undone = order.mode == "all" and tally.rejected > 0
    report = ImportReport(
        id=report_id,
        status="rejected" if undone else "completed",
        mode=order.mode,
        dry_run=order.dry_run,
        counts=ImportCounts(
            received=received,
            created=0 if undone else tally.created,
            updated=0,
            unchanged=tally.unchanged,
            rejected=tally.rejected,
        ),
        errors=[
            RowError(
                row=row, column=each.pointer, code=each.code, message=each.message.of(order.language), severity="error"
            )
            for row, each in sorted(tally.errors, key=lambda error: error[0])
        ],
    )
    return report.model_dump_json()


async def _keep(pg: Pg, assistance: Assistance, report_id: UUID, order: Order, report: str) -> None:
    await pg.execute(
        "INSERT INTO action_import (id, received_at, received_by, report) VALUES ($1, $2, $3, $4)",
        report_id,
        assistance.runtime.clock.now(),
        order.caller.key_id,
        report,
    )
    await complete(pg, order.key, report_id, 1)


async def _report(pg: Pg, report_id: UUID) -> str:
    report: str = await pg.fetchval("SELECT report FROM action_import WHERE id = $1", report_id)
    return report

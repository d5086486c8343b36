"""Recording many actions at once, from JSON lines: one transaction, all of them or each that may be recorded."""

import asyncio
import time
from collections.abc import Sequence

from services.assistance.actions import ledger
from services.assistance.actions.composing import recorded, same_content
from services.assistance.actions.entries import Entry
from services.assistance.actions.recording import NAME_TAKEN, REFERENCE_WAIT_SECONDS, WAIT_STEP
from services.assistance.actions.rules import UNKNOWN, Placed, judge
from services.assistance.actions.schemas import ActionIn
from services.assistance.context import Assistance
from services.assistance.importing import Order, Tally, UndoneError, keep_report, kept_report
from shared.db import Pg
from shared.errors import Fault
from shared.http.body import parse_line
from shared.http.claiming import claim
from shared.ids import uuid7

ROWS_AT_ONCE = 200
"""Small enough that other requests are not kept waiting, large enough that round trips do not count."""


async def record_lines(assistance: Assistance, lines: Sequence[bytes], order: Order) -> tuple[str, bool]:
    """Record actions from JSON lines. Returns the report as JSON, and whether it was given before."""
    tally, patience = Tally(), _Patience()
    report_id = uuid7()
    async with assistance.runtime.database.driver() as pg:
        try:
            async with pg.transaction():
                if (earlier := await claim(pg, order.key)) is not None:
                    return await kept_report(pg, earlier.resource_id), True
                for start in range(0, len(lines), ROWS_AT_ONCE):
                    rows = _read(lines[start : start + ROWS_AT_ONCE], start + 1, tally)
                    await _record_rows(assistance, pg, rows, order, tally, patience)
                if tally.undoes(order):
                    raise UndoneError
                report = tally.report(report_id, len(lines), order).model_dump_json()
                await keep_report(pg, report_id, order, report, assistance.runtime.clock.now())
        except UndoneError:
            return tally.report(None, len(lines), order).model_dump_json(), False
    assistance.runtime.wake_relay()
    return report, False


def _read(lines: Sequence[bytes], first_row: int, tally: Tally) -> list[tuple[int, ActionIn]]:
    rows: list[tuple[int, ActionIn]] = []
    for row, line in enumerate(lines, start=first_row):
        content = parse_line(line, ActionIn.model_validate)
        if isinstance(content, ActionIn):
            rows.append((row, content))
        else:
            tally.reject(row, content)
    return rows


async def _record_rows(
    assistance: Assistance,
    pg: Pg,
    rows: Sequence[tuple[int, ActionIn]],
    order: Order,
    tally: Tally,
    patience: "_Patience",
) -> None:
    entries = await _judged(assistance, pg, rows, order, tally, patience)
    written = await ledger.insert(pg, assistance.runtime.settings, [entry for _, entry in entries])
    tally.created += len(written)
    await _settle_known(pg, [(row, entry) for row, entry in entries if entry.state.id not in written], tally)


async def _judged(
    assistance: Assistance,
    pg: Pg,
    rows: Sequence[tuple[int, ActionIn]],
    order: Order,
    tally: Tally,
    patience: "_Patience",
) -> list[tuple[int, Entry]]:
    """Entries of the rows that may be recorded; rows with unknown references are awaited for two seconds in all."""
    entries: list[tuple[int, Entry]] = []
    waiting = rows
    while waiting:
        world = await assistance.world(pg, (content for _, content in waiting))
        unknown: list[tuple[int, ActionIn]] = []
        may_wait = patience.lasts()
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
            await patience.wait()
    return entries


class _Patience:
    """Two seconds for unknown references, shared by all rows of one import."""

    def __init__(self) -> None:
        self._left = REFERENCE_WAIT_SECONDS

    def lasts(self) -> bool:
        return self._left > 0

    async def wait(self) -> None:
        started = time.monotonic()
        await asyncio.sleep(WAIT_STEP)
        self._left -= time.monotonic() - started


async def _settle_known(pg: Pg, rows: Sequence[tuple[int, Entry]], tally: Tally) -> None:
    """Rows whose external name was taken: unchanged when they say the same, rejected otherwise."""
    stored = await ledger.load_by_names(pg, sorted({entry.name for _, entry in rows}))
    for row, entry in rows:
        if entry.name in stored and same_content(stored[entry.name].state, entry.state):
            tally.unchanged += 1
        else:
            tally.reject(row, [Fault("/external_id", NAME_TAKEN.code, NAME_TAKEN.title)])

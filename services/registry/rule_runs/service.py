"""Use cases of rule runs. A run goes on where it was: its progress is written with its findings."""

import asyncio
import csv
import io
from collections.abc import AsyncIterator, Iterator, Sequence
from datetime import datetime
from itertools import chain
from typing import Any
from uuid import UUID

from services.registry.audit import service as audit
from services.registry.audit.rules import Entry
from services.registry.checks import catalogue, failing
from services.registry.checks.rules import Finding
from services.registry.context import Registry, today
from services.registry.households import reading
from services.registry.households.facts import facts_alone, facts_of
from services.registry.households.persons import reading as persons
from services.registry.households.persons.records import Unattached
from services.registry.households.reading import Unreadable
from services.registry.households.records import Household
from services.registry.rule_runs.schemas import FindingRow, RuleCount, RuleRunOut
from services.registry.turns import in_spare_turns
from shared import errors
from shared.auth import Caller
from shared.db import Pg
from shared.errors import Language, Problem
from shared.ids import uuid7

CHUNK = 500
"""Households looked at in one transaction."""
POLL_SECONDS = 1.0
STREAM_ROWS = 1000
_Found = tuple[str, str | None, Finding]
"""Something about the household, or person, of a number in a village."""
_RULES = {rule.code: rule for rule in catalogue.CATALOGUE}
_SHOWN = (
    "SELECT run.*, (SELECT jsonb_object_agg(rule, count) FROM (SELECT split_part(rule, '/', 1) AS rule, count(*) "
    "FROM rule_finding WHERE run_id = run.id GROUP BY 1) AS counted) AS found FROM rule_run AS run "
)
_FINDINGS = (
    "SELECT seq, number, alone, village, rule, pointer FROM rule_finding WHERE run_id = $1 AND seq > $2 ORDER BY seq"
)


async def ask(pg: Pg, caller: Caller, division: str, divisions: tuple[str, ...], now: datetime) -> UUID:
    """Ask for a run; a worker takes it up. ``divisions``: whose admins the audit log tells."""
    run_id = uuid7()
    await pg.execute(
        "INSERT INTO rule_run (id, division, requested_at, requested_by) VALUES ($1, $2, $3, $4)",
        run_id,
        division,
        now,
        caller.key_id,
    )
    await _note(pg, caller, "rule_run.started", run_id, divisions, now)
    return run_id


async def note_download(pg: Pg, caller: Caller, run_id: UUID, divisions: tuple[str, ...], now: datetime) -> None:
    """Tell the audit log that somebody takes every finding of a run away."""
    await _note(pg, caller, "rule_run.downloaded", run_id, divisions, now)


async def _note(
    pg: Pg, caller: Caller, operation: str, run_id: UUID, divisions: tuple[str, ...], now: datetime
) -> None:
    entry = Entry(
        recorded_at=now, key_id=caller.key_id, operation=operation, object_id=str(run_id), divisions=divisions
    )
    await audit.record(pg, [entry])


async def find(pg: Pg, run_id: UUID) -> RuleRunOut:
    """A run with what was found so far. Raises 404."""
    row = await pg.fetchrow(f"{_SHOWN} WHERE run.id = $1", run_id)
    if row is None:
        raise Problem(errors.NOT_FOUND)
    return _shown(row)


async def listed(pg: Pg, divisions: Sequence[str], after: UUID | None, limit: int) -> list[RuleRunOut]:
    """The runs over these divisions, newest first."""
    rows = await pg.fetch(
        f"{_SHOWN} WHERE run.division = ANY($1) AND (run.id < $2 OR $2 IS NULL) ORDER BY run.id DESC LIMIT $3",
        list(divisions),
        after,
        limit,
    )
    return [_shown(row) for row in rows]


async def count(pg: Pg, divisions: Sequence[str]) -> int:
    """How many runs there are over these divisions."""
    return int(await pg.fetchval("SELECT count(*) FROM rule_run WHERE division = ANY($1)", list(divisions)))


def _shown(row: Any) -> RuleRunOut:
    found: dict[str, int] = row["found"] or {}
    return RuleRunOut(
        id=row["id"],
        division=row["division"],
        state=row["state"],
        requested_at=row["requested_at"],
        requested_by=row["requested_by"],
        finished_at=row["finished_at"],
        households=row["households"],
        persons=row["persons"],
        rules=[
            RuleCount(rule=rule.code, severity=rule.severity, findings=found[rule.code])
            for rule in catalogue.CATALOGUE
            if rule.code in found
        ],
    )


# Findings


async def findings(pg: Pg, run_id: UUID, after: int, limit: int, language: Language) -> list[tuple[int, FindingRow]]:
    """Findings of a run in the order they were made, each with its place in that order."""
    rows = await pg.fetch(f"{_FINDINGS} LIMIT $3", run_id, after, limit)
    return [(row["seq"], _finding(row, language)) for row in rows]


async def as_csv(registry: Registry, run_id: UUID, language: Language) -> AsyncIterator[bytes]:
    """Every finding of a run as CSV in UTF-8 with a byte order mark, as spreadsheets expect it."""
    header = ["户编号", "无户人员编号", "责任村", "规则", "级别", "位置", "提示"]
    yield "\ufeff".encode() + _lines([header])
    async with registry.runtime.database.driver() as pg, pg.transaction(isolation="repeatable_read", readonly=True):
        await pg.execute("SET LOCAL idle_in_transaction_session_timeout = '5min'")  # a reader may pause
        lines: list[list[str]] = []
        async for row in pg.cursor(_FINDINGS, run_id, 0, prefetch=STREAM_ROWS):
            lines.append(
                [value or "" for value in _finding(row, language).model_dump(exclude={"failed_rule"}).values()]
            )
            if len(lines) == STREAM_ROWS:
                yield _lines(lines)
                lines = []
        yield _lines(lines)


def _finding(row: Any, language: Language) -> FindingRow:
    code, _, failed = row["rule"].partition("/")
    found = Finding(_RULES[code], row["pointer"], _RULES[failed] if failed else None)
    return FindingRow(
        household_number=None if row["alone"] else row["number"],
        person_number=row["number"] if row["alone"] else None,
        village=row["village"],
        rule=found.rule.code,
        severity=found.rule.severity,
        pointer=found.pointer,
        message=found.message.of(language),
        failed_rule=failed or None,
    )


def _lines(rows: Sequence[Sequence[str]]) -> bytes:
    text = io.StringIO()
    csv.writer(text).writerows(rows)
    return text.getvalue().encode()


# The work


async def work(registry: Registry) -> None:
    """Take up what was asked for, a piece at a time, until cancelled; several processes share the work."""
    while True:
        if not await advance(registry):
            await asyncio.sleep(POLL_SECONDS)


async def advance(registry: Registry) -> bool:
    """Look at what comes next in the oldest run that nobody works on; whether there was one."""
    async with registry.runtime.database.driver() as pg, pg.transaction():
        run = await pg.fetchrow(
            "SELECT * FROM rule_run WHERE state <> 'completed' ORDER BY id LIMIT 1 FOR UPDATE SKIP LOCKED"
        )
        if run is None:
            return False
        if not await _households(pg, registry, run) and not await _persons(pg, registry, run):
            await pg.execute(
                "UPDATE rule_run SET state = 'completed', finished_at = $2 WHERE id = $1",
                run["id"],
                registry.runtime.clock.now(),
            )
    return True


async def _households(pg: Pg, registry: Registry, run: Any) -> int:
    """Look at the next households; how many there were."""
    identifiers = await reading.active_in(pg, run["division"], after=run["last_id"], limit=CHUNK)
    households = await reading.several_or_why(pg, identifiers, registry.vault)
    day = today(registry)

    def found_about(each: Household | Unreadable) -> Iterator[_Found]:
        if isinstance(each, Unreadable):
            yield each.number, each.village, failing.not_readable(each.error)
            return
        for finding in catalogue.all_findings(facts_of(each, day)):
            yield each.number, each.latest.path.village, finding

    found = await in_spare_turns(households, lambda some: chain.from_iterable(map(found_about, some)))
    await _keep(pg, run["id"], found, alone=False)
    if identifiers:
        await pg.execute(
            "UPDATE rule_run SET state = 'running', last_id = $2, households = households + $3 WHERE id = $1",
            run["id"],
            identifiers[-1],
            len(households),
        )
    return len(identifiers)


async def _persons(pg: Pg, registry: Registry, run: Any) -> int:
    """Look at the next persons without a household; how many there were."""
    people = await persons.present_in(pg, run["division"], registry.vault, after=run["last_person"], limit=CHUNK)
    day = today(registry)

    def found_about(each: Unattached | Unreadable) -> Iterator[_Found]:
        if isinstance(each, Unreadable):
            yield each.number, each.village, failing.not_readable(each.error)
            return
        for finding in catalogue.all_findings_alone(facts_alone(each, day)):
            yield each.number, each.path.village, finding

    found = await in_spare_turns(people, lambda some: chain.from_iterable(map(found_about, some)))
    await _keep(pg, run["id"], found, alone=True)
    if people:
        await pg.execute(
            "UPDATE rule_run SET state = 'running', last_person = $2, persons = persons + $3 WHERE id = $1",
            run["id"],
            people[-1].id,
            len(people),
        )
    return len(people)


async def _keep(pg: Pg, run_id: UUID, found: Sequence[_Found], *, alone: bool) -> None:
    """Write findings about households, or about persons who have none, by number.

    Beside that a rule failed stands which, behind a slash.
    """
    await pg.execute(
        "INSERT INTO rule_finding (run_id, alone, number, village, rule, pointer) "
        "SELECT $1, $2, * FROM unnest($3::text[], $4::text[], $5::text[], $6::text[])",
        run_id,
        alone,
        [number for number, _, _ in found],
        [village for _, village, _ in found],
        ["/".join(rule.code for rule in (each.rule, each.failed) if rule) for _, _, each in found],
        [finding.pointer for _, _, finding in found],
    )

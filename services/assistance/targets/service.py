"""Use cases of targets."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

import asyncpg

from services.assistance.catalogue.rules import Catalogue
from services.assistance.context import Assistance
from services.assistance.importing import Order, Tally, UndoneError, keep_report, kept_report
from services.assistance.scope import SCOPE_SQL, Seat, seat
from services.assistance.targets.rules import target_faults
from services.assistance.targets.schemas import TargetChange, TargetIn
from shared import errors, outbox
from shared.auth import Caller
from shared.clock import local_day
from shared.contracts.division import DivisionTree
from shared.contracts.programme import TARGET, TargetEvent
from shared.db import Pg
from shared.errors import Fault, Problem, Text, fault, invalid
from shared.http.body import parse_line
from shared.http.claiming import claim
from shared.http.etag import check_version
from shared.ids import uuid7
from shared.outbox import Event
from shared.settings import Settings

_COLUMNS = "id, version, status, unit, programme, cadence, period, metric, due, deadline"
_WITHIN = SCOPE_SQL.format("$1::text[]")
_IDENTITY = "(unit, programme, cadence, period, metric)"

TAKEN = errors.kind(
    "target_exists", 409, "Such a target stands already", "任务已存在",
    "One unit has one target a programme, period and metric; change that one.",
    "同一单位、项目、期次、指标只有一项任务,请修改该任务。",
)  # fmt: skip


def judge(
    target: TargetIn, caller: Caller, catalogue: Catalogue, tree: DivisionTree, now: datetime
) -> Seat | list[Fault]:
    """Where a target's unit sits, or everything that speaks against setting it."""
    found = target_faults(target, programmes=catalogue.programmes.keys())
    place = seat(tree, target.unit, local_day(now))
    if place is None or not place.within(caller):
        found.append(
            fault("/unit", "unknown_reference", "not known, or outside your divisions", "不存在,或不在您的辖区内")
        )
        return found
    return found or place


async def set_one(pg: Pg, assistance: Assistance, target: TargetIn, caller: Caller) -> TargetEvent:
    """Set a target, in the open transaction of ``pg``. Raises 409 when such a target stands, 422."""
    now = assistance.runtime.clock.now()
    place = judge(target, caller, await assistance.catalogue.get(pg), await assistance.divisions.get(pg), now)
    if not isinstance(place, Seat):
        raise invalid(*place)
    made = await _insert(pg, assistance.runtime.settings, [(target, place)], caller, now)
    if not made:
        raise Problem(TAKEN)
    return made[0]


async def set_lines(assistance: Assistance, lines: Sequence[bytes], order: Order) -> tuple[str, bool]:
    """Set targets from JSON lines. Returns the report as JSON, and whether it was given before."""
    tally, report_id = Tally(), uuid7()
    async with assistance.runtime.database.driver() as pg:
        try:
            async with pg.transaction():
                if (earlier := await claim(pg, order.key)) is not None:
                    return await kept_report(pg, earlier.resource_id), True
                await _set_rows(pg, assistance, lines, order, tally)
                if tally.undoes(order):
                    raise UndoneError
                report = tally.report(report_id, len(lines), order).model_dump_json()
                await keep_report(pg, report_id, order, report, assistance.runtime.clock.now())
        except UndoneError:
            return tally.report(None, len(lines), order).model_dump_json(), False
    assistance.runtime.wake_relay()
    return report, False


async def _set_rows(pg: Pg, assistance: Assistance, lines: Sequence[bytes], order: Order, tally: Tally) -> None:
    now = assistance.runtime.clock.now()
    catalogue, tree = await assistance.catalogue.get(pg), await assistance.divisions.get(pg)
    rows: dict[tuple[str, ...], tuple[int, TargetIn, Seat]] = {}
    for row, line in enumerate(lines, start=1):
        target = parse_line(line, TargetIn.model_validate)
        place = judge(target, order.caller, catalogue, tree, now) if isinstance(target, TargetIn) else target
        if not isinstance(target, TargetIn) or not isinstance(place, Seat):
            tally.reject(row, place if isinstance(place, list) else [])
        elif _identity(target) in rows:
            tally.reject(row, [fault("/period", "repeated", "given twice", "任务重复")])
        else:
            rows[_identity(target)] = (row, target, place)
    standing = await _standing(pg, list(rows))
    new = [(target, place) for key, (_, target, place) in rows.items() if key not in standing]
    tally.created += len(await _insert(pg, assistance.runtime.settings, new, order.caller, now))
    for key in standing:
        row, target, _ = rows[key]
        if (target.due, target.deadline) == (standing[key].due, standing[key].deadline):
            tally.unchanged += 1
        else:
            tally.reject(row, [Fault("/due", TAKEN.code, TAKEN.title)])


def _identity(target: TargetIn | TargetEvent) -> tuple[str, ...]:
    return target.unit, target.programme, target.cadence, target.period, target.metric


async def _standing(pg: Pg, keys: Sequence[tuple[str, ...]]) -> dict[tuple[str, ...], TargetEvent]:
    if not keys:
        return {}
    rows = await pg.fetch(
        f"SELECT {_COLUMNS} FROM target JOIN unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[]) "
        f"AS wanted {_IDENTITY} USING {_IDENTITY} WHERE status = 'active'",
        *zip(*keys, strict=True),
    )
    found = [_event(row) for row in rows]
    return {_identity(each): each for each in found}


async def _insert(
    pg: Pg, settings: Settings, targets: Sequence[tuple[TargetIn, Seat]], caller: Caller, now: datetime
) -> list[TargetEvent]:
    """Write new targets; those of which one stands already are left out."""
    if not targets:
        return []
    values = [
        (
            uuid7(), target.unit, target.programme, target.cadence, target.period, target.metric, target.due,
            target.deadline, place.city, place.managing_unit, place.township, place.village,
        )
        for target, place in sorted(targets, key=lambda each: _identity(each[0]))
    ]  # fmt: skip
    rows = await pg.fetch(
        "INSERT INTO target (id, version, status, unit, programme, cadence, period, metric, due, deadline, city, "
        "managing_unit, township, village, changed_by, changed_at) "
        "SELECT id, 1, 'active', unit, programme, cadence, period, metric, due, deadline, city, managing_unit, "
        "township, village, $1, $2 FROM unnest($3::uuid[], $4::text[], $5::text[], $6::text[], $7::text[], "
        "$8::text[], $9::bigint[], $10::date[], $11::text[], $12::text[], $13::text[], $14::text[]) AS given "
        "(id, unit, programme, cadence, period, metric, due, deadline, city, managing_unit, township, village) "
        f"ON CONFLICT {_IDENTITY} WHERE status = 'active' DO NOTHING RETURNING {_COLUMNS}",
        caller.key_id,
        now,
        *zip(*values, strict=True),
    )
    made = [_event(row) for row in rows]
    await _emit(pg, settings, "set", made, now)
    return made


async def find(pg: Pg, target_id: UUID, caller: Caller) -> TargetEvent:
    """One target. Raises 404, also outside the caller's divisions."""
    row = await pg.fetchrow(
        f"SELECT {_COLUMNS} FROM target WHERE {_WITHIN} AND id = $2", list(caller.divisions), target_id
    )
    if row is None:
        raise Problem(errors.NOT_FOUND)
    return _event(row)


async def change(
    pg: Pg, assistance: Assistance, target_id: UUID, wanted: TargetChange, *, expected: int, caller: Caller
) -> TargetEvent:
    """Another amount or deadline, in the open transaction of ``pg``. Raises 404, 409, 412, 422."""
    current = await find(pg, target_id, caller)
    unchanged = current.model_dump(include={"unit", "programme", "cadence", "period", "metric"})
    found = target_faults(TargetIn(**unchanged, **wanted.model_dump()), programmes=[current.programme])
    if found:
        raise invalid(*found)
    return await _update(
        pg, assistance, current, expected, caller, "changed", due=wanted.due, deadline=wanted.deadline, status="active"
    )


async def withdraw(pg: Pg, assistance: Assistance, target_id: UUID, *, expected: int, caller: Caller) -> TargetEvent:
    """Take a target back, in the open transaction of ``pg``. Raises 404, 409, 412."""
    current = await find(pg, target_id, caller)
    return await _update(
        pg, assistance, current, expected, caller, "withdrawn",
        due=current.due, deadline=current.deadline, status="withdrawn",
    )  # fmt: skip


async def _update(
    pg: Pg,
    assistance: Assistance,
    current: TargetEvent,
    expected: int,
    caller: Caller,
    verb: str,
    *,
    due: int,
    deadline: object,
    status: str,
) -> TargetEvent:
    check_version(current.version, expected)
    if current.status == "withdrawn":
        raise Problem(errors.CONFLICT, Text("the target was withdrawn", "任务已撤销"))
    now = assistance.runtime.clock.now()
    row = await pg.fetchrow(
        "UPDATE target SET version = version + 1, due = $3, deadline = $4, status = $5, changed_by = $6, "
        f"changed_at = $7 WHERE id = $1 AND version = $2 RETURNING {_COLUMNS}",
        current.id, expected, due, deadline, status, caller.key_id, now,
    )  # fmt: skip
    if row is None:
        raise Problem(errors.PRECONDITION_FAILED)
    changed = _event(row)
    await _emit(pg, assistance.runtime.settings, verb, [changed], now)
    return changed


async def listed(
    pg: Pg, caller: Caller, filters: dict[str, str | None], *, after: UUID | None, limit: int
) -> list[TargetEvent]:
    """Targets within the caller's divisions, in order of setting."""
    condition, arguments = _conditions(caller, filters)
    rows = await pg.fetch(
        f"SELECT {_COLUMNS} FROM target WHERE {condition} AND (${len(arguments) + 1}::uuid IS NULL OR "
        f"id > ${len(arguments) + 1}) ORDER BY id LIMIT ${len(arguments) + 2}",
        *arguments,
        after,
        limit,
    )
    return [_event(row) for row in rows]


async def count(pg: Pg, caller: Caller, filters: dict[str, str | None]) -> int:
    """How many targets there are."""
    condition, arguments = _conditions(caller, filters)
    return int(await pg.fetchval(f"SELECT count(*) FROM target WHERE {condition}", *arguments))


def _conditions(caller: Caller, filters: dict[str, str | None]) -> tuple[str, list[object]]:
    conditions: list[str] = [_WITHIN]
    arguments: list[object] = [list(caller.divisions)]
    for column in ("unit", "programme", "cadence", "period", "metric", "status"):
        if (value := filters.get(column)) is not None:
            arguments.append(value)
            conditions.append(f"{column} = ${len(arguments)}")
    return " AND ".join(conditions), arguments


async def republish(pg: Pg, settings: Settings, now: datetime) -> int:
    """Write every target's present state to the outbox again."""
    targets = [_event(row) for row in await pg.fetch(f"SELECT {_COLUMNS} FROM target ORDER BY id")]
    await _emit(pg, settings, "changed", targets, now)
    return len(targets)


async def _emit(pg: Pg, settings: Settings, verb: str, targets: Sequence[TargetEvent], now: datetime) -> None:
    if targets:
        events = [Event(TARGET, verb, str(each.id), each, now, each.version) for each in targets]
        await outbox.write(pg, outbox.rows(settings, events))


def _event(row: asyncpg.Record) -> TargetEvent:
    return TargetEvent.model_validate(dict(row))

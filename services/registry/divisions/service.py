"""Use cases of divisions: load, look up, designate, hand over; every change with its event."""

from collections.abc import Sequence
from datetime import date, datetime
from typing import Any

from sqlalchemy import insert, text, update
from sqlalchemy.ext.asyncio import AsyncConnection

from services.registry.divisions import rules
from services.registry.divisions.loading import load_divisions
from services.registry.divisions.models import division, division_version
from shared import errors
from shared.contracts.division import DIVISION, DesignationKind, DivisionEvent, DivisionTree
from shared.db import Pg
from shared.errors import Problem
from shared.http.etag import check_version
from shared.outbox import Event, emit
from shared.settings import Settings
from shared.watched import RAISE_REVISION, Watched

REVISION = "division"
_RAISE = text(RAISE_REVISION.replace("$1", ":name"))
_LOCK = text("SELECT body FROM division WHERE code = :code FOR UPDATE")


def watched_divisions() -> Watched[DivisionTree]:
    """The tree in memory, at most a second old."""
    return Watched(REVISION, load_tree)


async def load_tree(pg: Pg) -> DivisionTree:
    rows = await pg.fetch("SELECT body::text FROM division")
    return DivisionTree(DivisionEvent.model_validate_json(row["body"]) for row in rows)


async def seed(conn: AsyncConnection, settings: Settings, now: datetime) -> int:
    """Load the real divisions into an empty table; returns how many were loaded, 0 if there were any."""
    await conn.execute(text("LOCK TABLE division IN SHARE ROW EXCLUSIVE MODE"))
    if (await conn.execute(text("SELECT EXISTS (SELECT FROM division)"))).scalar_one():
        return 0
    loaded = load_divisions()
    await _store(conn, settings, loaded, now, changed_by="edition", verb="registered")
    return len(loaded)


async def republish(pg: Pg, settings: Settings, now: datetime) -> list[Event]:
    rows = await pg.fetch("SELECT body::text FROM division ORDER BY code")
    return [_event(DivisionEvent.model_validate_json(row["body"]), now, "changed") for row in rows]


async def register(
    conn: AsyncConnection, settings: Settings, made: DivisionEvent, parent: DivisionEvent | None, now: datetime, by: str
) -> DivisionEvent:
    """Add a division below another. Raises 409 for a code in use, 422 where it does not fit below ``parent``."""
    if parent is None or rules.BELOW.get(parent.level) != made.level:
        raise errors.invalid(errors.fault("/parent", "parent_level", "not one level above", "上级行政区划级别不符"))
    taken = await conn.execute(text("SELECT 1 FROM division WHERE code = :code"), {"code": made.code})
    if taken.first() is not None:
        raise Problem(rules.CODE_TAKEN)
    await _store(conn, settings, [made], now, changed_by=by, verb="registered")
    return made


async def designate(
    conn: AsyncConnection,
    settings: Settings,
    code: str,
    kind: DesignationKind,
    valid_from: date,
    *,
    expected: int | None,
    now: datetime,
    by: str,
) -> DivisionEvent:
    """Give a designation from a day on. Raises 404, 412, 422."""
    return await _change(
        conn, settings, code, expected, now, by, lambda found: rules.designated(found, kind, valid_from)
    )


async def end_designation(
    conn: AsyncConnection,
    settings: Settings,
    code: str,
    kind: DesignationKind,
    valid_to: date,
    *,
    expected: int,
    now: datetime,
    by: str,
) -> DivisionEvent:
    """End a designation; ``valid_to`` is the first day it no longer holds. Raises 404, 412, 422."""
    return await _change(
        conn, settings, code, expected, now, by, lambda found: rules.undesignated(found, kind, valid_to)
    )


async def hand_over(
    conn: AsyncConnection,
    settings: Settings,
    code: str,
    unit: str | None,
    valid_from: date,
    *,
    expected: int,
    now: datetime,
    by: str,
) -> DivisionEvent:
    """Let another county-level unit run a division from a day on. Raises 404, 412, 422."""
    return await _change(
        conn, settings, code, expected, now, by, lambda found: rules.managed_by(found, unit, valid_from)
    )


async def _change(
    conn: AsyncConnection, settings: Settings, code: str, expected: int | None, now: datetime, by: str, decide: Any
) -> DivisionEvent:
    row = (await conn.execute(_LOCK, {"code": code})).first()
    if row is None:
        raise Problem(errors.NOT_FOUND)
    found = DivisionEvent.model_validate(row.body, strict=False)
    if expected is not None:
        check_version(found.version, expected)
    changed: DivisionEvent = decide(found)
    await _store(conn, settings, [changed], now, changed_by=by, verb="changed")
    return changed


async def _store(
    conn: AsyncConnection,
    settings: Settings,
    made: Sequence[DivisionEvent],
    now: datetime,
    *,
    changed_by: str,
    verb: str,
) -> None:
    rows = [{"code": d.code, "version": d.version, "body": d.model_dump(mode="json")} for d in made]
    if verb == "registered":
        await conn.execute(insert(division), rows)
    else:
        for row in rows:
            await conn.execute(update(division).where(division.c.code == row["code"]).values(row))
    history = [{**row, "recorded_at": now, "changed_by": changed_by} for row in rows]
    await conn.execute(insert(division_version), history)
    await conn.execute(_RAISE, {"name": REVISION})
    await emit(conn, settings, [_event(d, now, verb) for d in made])


def _event(made: DivisionEvent, now: datetime, verb: str) -> Event:
    return Event(DIVISION, verb, made.code, made, now, version=made.version)

"""Reading the ledger: filters, pages, the whole as a stream. All of it within the caller's divisions."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Literal
from uuid import UUID

from sqlalchemy import ColumnElement, Select, and_, false, func, or_, select
from sqlalchemy.dialects import postgresql

from services.assistance.actions.models import action, action_version
from shared.auth import Caller
from shared.db import Database, Pg

STREAM_ROWS = 1000


@dataclass(frozen=True, slots=True)
class Filters:
    """What to list; None does not restrict."""

    programmes: Sequence[str] | None = None
    programme_class: str | None = None
    sector: str | None = None
    kind: str | None = None
    household_id: UUID | None = None
    household_number: str | None = None
    actor_id: UUID | None = None
    division: str | None = None
    occurred_from: date | None = None
    occurred_to: date | None = None
    status: Literal["recorded", "revoked"] | None = None
    verified: bool | None = None
    updated_since: datetime | None = None
    source_system: str | None = None
    external_id: str | None = None


def _column_of(division: str) -> str:
    """The column that may hold a division's code: the zeros at its end tell the level (domain.md 1.4)."""
    for zeros, column in ((8, "city"), (6, "managing_unit"), (3, "township")):
        if division.endswith("0" * zeros):
            return column
    return "division"


def within(caller: Caller) -> ColumnElement[bool]:
    """The caller's division scope as SQL: the path leads through one of its codes."""
    scope: dict[str, list[str]] = {}
    for code in caller.divisions:
        scope.setdefault(_column_of(code), []).append(code)
    return or_(false(), *(action.c[column].in_(codes) for column, codes in scope.items()))


def _conditions(filters: Filters, caller: Caller) -> list[ColumnElement[bool]]:
    a = action.c
    equal = (
        (a["class"], filters.programme_class), (a.sector, filters.sector), (a.kind, filters.kind),
        (a.actor_id, filters.actor_id), (a.status, filters.status), (a.source_system, filters.source_system),
        (a.external_id, filters.external_id), (a.household_id, filters.household_id),
    )  # fmt: skip
    conditions = [within(caller), *(column == value for column, value in equal if value is not None)]
    if filters.programmes is not None:
        conditions.append(a.programme.in_(filters.programmes))
    if filters.division is not None:
        conditions.append(_below(filters.division))
    if filters.occurred_from is not None:
        conditions.append(a.occurred_on >= filters.occurred_from)
    if filters.occurred_to is not None:
        conditions.append(a.occurred_on <= filters.occurred_to)
    if filters.verified is not None:
        conditions.append(a.verified_at.is_not(None) if filters.verified else a.verified_at.is_(None))
    if filters.updated_since is not None:
        conditions.append(a.recorded_at >= filters.updated_since)
    return conditions


def _below(division: str) -> ColumnElement[bool]:
    """A whole code means that division, a county by who manages it; a shorter one is a prefix of codes."""
    if len(division) == 12:
        return action.c[_column_of(division)] == division
    return action.c.division.between(division.ljust(12, "0"), division.ljust(12, "9"))


def _statement(filters: Filters, caller: Caller) -> Select[Any]:
    version = action_version.c
    current = and_(version.action_id == action.c.id, version.version == action.c.version)
    return (
        select(action.c.id, version.body)
        .join(action_version, current)
        .where(*_conditions(filters, caller))
        .order_by(action.c.id)
    )


async def page(
    pg: Pg, filters: Filters, caller: Caller, *, after: UUID | None, limit: int
) -> Sequence[tuple[UUID, str]]:
    """Up to ``limit`` actions in order of id, from after one."""
    statement = _statement(filters, caller).limit(limit)
    if after is not None:
        statement = statement.where(action.c.id > after)
    return [(row["id"], row["body"]) for row in await pg.fetch(*_compiled(statement))]


async def count(pg: Pg, filters: Filters, caller: Caller) -> int:
    """How many actions there are."""
    statement = select(func.count()).select_from(action).where(*_conditions(filters, caller))
    return int(await pg.fetchval(*_compiled(statement)))


async def stream(database: Database, filters: Filters, caller: Caller) -> AsyncIterator[bytes]:
    """Every action as JSON lines, all as of one moment."""
    statement, *arguments = _compiled(_statement(filters, caller))
    async with database.driver() as pg, pg.transaction(isolation="repeatable_read", readonly=True):
        # A slow reader may pause for longer than our own transactions ever do.
        await pg.execute("SET LOCAL idle_in_transaction_session_timeout = '5min'")
        lines: list[str] = []
        async for row in pg.cursor(statement, *arguments, prefetch=STREAM_ROWS):
            lines.append(row["body"])
            if len(lines) == STREAM_ROWS:
                yield _joined(lines)
                lines = []
        yield _joined(lines)


def _compiled(statement: Select[Any]) -> tuple[Any, ...]:
    """The text and the arguments of a statement, for asyncpg."""
    compiled = statement.compile(dialect=_DIALECT, compile_kwargs={"render_postcompile": True})
    return str(compiled), *(compiled.params[name] for name in compiled.positiontup or ())


_DIALECT = postgresql.asyncpg.dialect()  # type: ignore[no-untyped-call]


def _joined(lines: Sequence[str]) -> bytes:
    return "".join(f"{line}\n" for line in lines).encode()


async def versions(pg: Pg, action_id: UUID) -> list[Any]:
    """Every version of one action, oldest first."""
    return list(
        await pg.fetch(
            "SELECT version, verb, recorded_at, changed_by, reason, body FROM action_version "
            "WHERE action_id = $1 ORDER BY version",
            action_id,
        )
    )

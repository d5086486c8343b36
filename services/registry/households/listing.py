"""Lists of households: filters, pages, the whole as a stream; all of it within the caller's divisions.

As of a day, by where households lay on that day (architecture rule 9), as known at an instant, by where that had them.
"""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any
from uuid import UUID

from services.registry.households import known
from services.registry.households.presenting import shown
from services.registry.households.reading import once_in_scope, scope
from services.registry.identity import Vault
from services.registry.rowsecurity import scoped
from shared.app import Runtime
from shared.auth import Caller
from shared.contracts.household import Standing
from shared.db import Pg

STREAM_ROWS = 1000


@dataclass(frozen=True, slots=True)
class Filters:
    """What a list of households narrows by; None does not restrict."""

    division: str | None = None
    standings: tuple[Standing, ...] = ()
    """Any of them; none restricts nothing."""
    as_of: date | None = None
    known_at: datetime | None = None
    number: str | None = None
    updated_since: datetime | None = None
    source_system: str | None = None
    external_id: str | None = None


_MEMBERS_NOW = "(SELECT * FROM person WHERE household_id = household.id)"
_MEMBERS_EVER = """(
    SELECT * FROM person WHERE household_id = household.id
    UNION ALL SELECT * FROM person_version WHERE household_id = household.id AND status = 'transferred'
)"""
_PERIOD = """(
    SELECT * FROM household_period WHERE household_id = household.id
    AND valid_from <= {day} AND (valid_to IS NULL OR valid_to > {day}) LIMIT 1
)"""
"""Laterally to a household: its stretch of a day. There is one at most; to say so keeps a page from joining all."""
_STATE_KNOWN = """(
    SELECT standing, path ->> 'city' AS city, path ->> 'managing_unit' AS managing_unit,
        path ->> 'township' AS township, path ->> 'village' AS village
    FROM jsonb_to_recordset(household.event::jsonb -> 'timeline') AS state (valid_from date, standing text, path jsonb)
    WHERE valid_from <= {day} AND (household.valid_to IS NULL OR household.valid_to > {day})
    ORDER BY valid_from DESC LIMIT 1
)"""
"""Laterally to a version of a household: its state on a day, as that version had it."""


class _Query:
    """Conditions and their arguments."""

    def __init__(self, filters: Filters, caller: Caller) -> None:
        self.arguments: list[Any] = [list(caller.divisions)]
        self.conditions = [scope(1)]
        self.source, state, place, held = "household", _PERIOD, "household", "household"
        self._id, self._members, self._present = "household.id", _MEMBERS_NOW, "member.left_on IS NULL"
        if filters.known_at is not None:
            newest = known.NEWEST.format(instant=self._argument(filters.known_at, "timestamptz"))
            self.source, state = f"household AS current CROSS JOIN LATERAL {newest} AS household", _STATE_KNOWN
            held, self._id = "current", "current.id"
            self.conditions = [once_in_scope(1, held), scope(1)]
            self._members = known.MEMBERS.format(household="household.id", version="household.version")
        if filters.as_of is not None:
            place, day = "period", self._argument(filters.as_of, "date")
            self.conditions = [once_in_scope(1, held), scope(1, place)]
            self.source += f" CROSS JOIN LATERAL {state.format(day=day)} AS period"
            if filters.known_at is None:
                self._members = _MEMBERS_EVER
            self._present = f"member.joined_on <= {day} AND (member.left_on IS NULL OR member.left_on > {day})"
        elif filters.standings:
            self.conditions.append("household.status = 'active'")
        if filters.standings:
            self.conditions.append(f"{place}.standing = ANY({self._argument(list(filters.standings), 'text[]')})")
        if filters.division is not None:
            self._divisions(filters.division, place, held)
        for column, value in (
            ("number", filters.number),
            ("source_system", filters.source_system),
            ("external_id", filters.external_id),
        ):
            if value is not None:
                self.conditions.append(f"household.{column} = {self._argument(value, 'text')}")
        if filters.updated_since is not None:
            self.conditions.append(f"household.recorded_at >= {self._argument(filters.updated_since, 'timestamptz')}")

    def _divisions(self, code: str, place: str, held: str) -> None:
        """Where it is, now or on the day asked for.

        Those that lie elsewhere now and never moved are passed over without a look at their past.
        """
        argument, columns = self._argument(code, "text"), _columns_of(code)
        # Not LIKE: it is not leakproof, and behind row-level security it would look at every row.
        operator = "=" if len(code) == 12 else "^@"

        def within(table: str) -> str:
            return " OR ".join(f"{table}.{column} {operator} {argument}" for column in columns)

        self.conditions.append(f"({within(place)})")
        if (place, held) != ("household", "household"):
            self.conditions.append(f"({within(held)} OR {held}.former_divisions <> '')")

    def _argument(self, value: Any, kind: str) -> str:
        self.arguments.append(value)
        return f"${len(self.arguments)}::{kind}"

    def rows(self, after: UUID | None = None, limit: int | None = None) -> str:
        """The statement that selects the rows, oldest registration first."""
        conditions = list(self.conditions)
        if after is not None:
            conditions.append(f"{self._id} > {self._argument(after, 'uuid')}")
        tail = "" if limit is None else f" LIMIT {self._argument(limit, 'int')}"
        return (
            f"SELECT household.*, members.* FROM (SELECT household.* FROM {self.source} "
            f"WHERE {' AND '.join(conditions)} ORDER BY {self._id}{tail}) AS household CROSS JOIN LATERAL ("
            "SELECT count(*) AS people, "
            "(array_agg(member.id) FILTER (WHERE member.relation = 'head'))[1] AS head_id, "
            "(array_agg(member.name) FILTER (WHERE member.relation = 'head'))[1] AS head_name "
            f"FROM {self._members} AS member WHERE {self._present}) AS members ORDER BY household.id"
        )

    def count(self) -> str:
        return f"SELECT count(*) FROM {self.source} WHERE {' AND '.join(self.conditions)}"


def _columns_of(code: str) -> tuple[str, ...]:
    """Where the code of a division may stand: its form tells its level (`divisions/rules.placement_faults`)."""
    if len(code) < 12 or not code.endswith("000"):
        return ("village",)
    return ("city", "managing_unit") if code.endswith("000000") else ("township",)


async def page(pg: Pg, filters: Filters, caller: Caller, *, after: UUID | None, limit: int) -> Sequence[Any]:
    """Rows in order of registration, ``limit`` at most."""
    query = _Query(filters, caller)
    return await pg.fetch(query.rows(after, limit), *query.arguments)


async def count(pg: Pg, filters: Filters, caller: Caller) -> int:
    """How many there are."""
    query = _Query(filters, caller)
    return int(await pg.fetchval(query.count(), *query.arguments))


async def stream(runtime: Runtime, filters: Filters, caller: Caller, vault: Vault) -> AsyncIterator[bytes]:
    """Every household as JSON lines, all as of one moment; ends early when the process is told to stop."""
    query = _Query(filters, caller)
    async with scoped(runtime, caller) as pg:
        # A slow reader may pause for longer than our own transactions ever do.
        await pg.execute("SET LOCAL idle_in_transaction_session_timeout = '5min'")
        lines: list[str] = []
        async for row in pg.cursor(query.rows(), *query.arguments, prefetch=STREAM_ROWS):
            lines.append(shown(row, vault, filters.as_of).model_dump_json() + "\n")
            if len(lines) == STREAM_ROWS:
                yield "".join(lines).encode()
                lines = []
                if runtime.stopping:
                    return
        yield "".join(lines).encode()

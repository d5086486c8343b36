"""Sealing anew, a batch at a time. What is sealed says under which key: going on after a stop needs no notes."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from services.registry.audit import service as audit
from services.registry.audit.rules import Entry
from services.registry.identity import Vault
from shared.db import Database, Pg

BATCH = 500
PAUSE_SECONDS = 0.1
"""Before rows are tried again that others hold."""


@dataclass(frozen=True, slots=True)
class Place:
    """A table with sealed columns."""

    table: str
    key: Mapping[str, str]
    """The columns that name a row, with their types."""
    row: str
    """The one of them that values are bound to."""
    columns: Mapping[str, str]
    """The sealed columns, with what their values are bound to; ``{part}`` stands for the row's ``part``."""

    def other(self) -> str:
        """Rows with a value that is not sealed as ``$1`` says."""
        return "(" + " OR ".join(f"substring({column} FOR 5) <> $1" for column in self.columns) + ")"


_IDENTITY = {column: column for column in ("name", "id_number", "phone", "disability_number", "bank_card")}
PLACES = (
    Place("person", {"id": "uuid", "version": "int"}, "id", _IDENTITY),
    Place("person_version", {"id": "uuid", "version": "int"}, "id", _IDENTITY),
    Place("import_file", {"job_id": "uuid", "part": "int"}, "job_id", {"sealed": "import_file.{part}"}),
    Place(
        "import_rejected", {"job_id": "uuid", "row_number": "int"}, "job_id", {"sealed": "import_rejected.{row_number}"}
    ),
    Place("exchange_key", {"id": "uuid"}, "id", {"sealed": "exchange_key"}),
    Place("submission_key", {"id": "uuid"}, "id", {"sealed": "submission_key"}),
    Place("exchange_task", {"id": "uuid"}, "id", {"sealed": "exchange_task"}),
    Place("exchange_subscription", {"code": "uuid"}, "code", {"filter": "exchange_filter"}),
    Place("exchange_request", {"id": "uuid"}, "id", {"consents": "exchange_consents"}),
)
"""Persons' rows move from the first to the second, never back."""


async def rotate(database: Database, vault: Vault, now: datetime) -> int:
    """Seal everything anew that is not sealed under the present key and cipher; returns how many rows.

    Then the other keys are forgotten: a service that is started with one of them as its key refuses to. Raises
    ``UnreadableError`` for a value whose key is not given, ``UnlistedError``; what was done so far stays done.
    """
    count = 0
    while await _left(database, vault):
        before = count
        for place in PLACES:
            count += await _sweep(database, vault, place)
        if count == before:
            await asyncio.sleep(PAUSE_SECONDS)
    async with database.driver() as pg, pg.transaction():
        await _check_nothing_else(pg, vault)
        await pg.execute("UPDATE data_key SET index_keys = $2 WHERE id = $1", vault.key_id, vault.sealed_index_keys())
        forgotten = await pg.fetch("DELETE FROM data_key WHERE id <> $1 RETURNING id", vault.key_id)
        if count or forgotten:
            entry = Entry(recorded_at=now, key_id=None, operation="data_key.rotated", object_id=vault.key_id.hex())
            await audit.record(pg, [entry])
    return count


class UnlistedError(RuntimeError):
    """Something is sealed under an older key in a place that ``PLACES`` does not list."""


async def _check_nothing_else(pg: Pg, vault: Vault) -> None:
    """Raises ``UnlistedError``. Every byte column is looked at: forgetting a key that is still needed loses data."""
    columns = await pg.fetch(
        "SELECT table_name, column_name FROM information_schema.columns WHERE table_schema = 'public' "
        "AND data_type = 'bytea' AND table_name <> 'data_key'"
    )
    for table, column in columns:
        query = f'SELECT EXISTS (SELECT FROM "{table}" WHERE substring("{column}" FOR 5) = ANY($1::bytea[]))'
        if await pg.fetchval(query, vault.other_heads()):
            raise UnlistedError(f"{table}.{column} holds values sealed under an older key")


async def _left(database: Database, vault: Vault) -> bool:
    async with database.driver() as pg:
        for place in PLACES:
            if await pg.fetchval(f"SELECT EXISTS (SELECT FROM {place.table} WHERE {place.other()})", vault.head):
                return True
    return False


async def _sweep(database: Database, vault: Vault, place: Place) -> int:
    """One pass over a table. Rows that somebody holds at the moment are left to the next: nobody waits for us."""
    names = ", ".join(place.key)
    last = ", ".join(f"${i}::{kind}" for i, kind in enumerate(place.key.values(), start=2))
    query = f"SELECT * FROM {place.table} WHERE {place.other()} "
    ordered = f"ORDER BY {names} LIMIT {BATCH} FOR UPDATE SKIP LOCKED"
    count, after = 0, ""
    arguments: Sequence[Any] = ()
    while True:
        async with database.driver() as pg, pg.transaction():
            rows = await pg.fetch(query + after + ordered, vault.head, *arguments)
            if not rows:
                return count
            await _seal_anew(pg, vault, place, rows)
        count += len(rows)
        after, arguments = f"AND ({names}) > ({last}) ", [rows[-1][name] for name in place.key]


async def _seal_anew(pg: Pg, vault: Vault, place: Place, rows: Sequence[Any]) -> None:
    types = [*place.key.values(), *("bytea" for _ in place.columns)]
    given = ", ".join(f"${i}::{kind}[]" for i, kind in enumerate(types, start=1))
    names = [*place.key, *place.columns]
    await pg.execute(
        f"UPDATE {place.table} SET {', '.join(f'{c} = given.{c}' for c in place.columns)} "
        f"FROM unnest({given}) AS given ({', '.join(names)}) "
        f"WHERE {' AND '.join(f'{place.table}.{name} = given.{name}' for name in place.key)}",
        *([row[name] for row in rows] for name in place.key),
        *([_anew(vault, place, row, column) for row in rows] for column in place.columns),
    )


def _anew(vault: Vault, place: Place, row: Any, column: str) -> bytes | None:
    if row[column] is None:
        return None
    bound = place.columns[column].format_map(row)
    return vault.seal(vault.open(row[column], bound, row[place.row]), bound, row[place.row])

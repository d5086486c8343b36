"""What came of an import, row by row and household by household: every statement on these tables.

Rejected rows are sealed, for they hold identity data.
"""

import json
from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from services.registry.identity import Vault
from shared.db import Pg


@dataclass(frozen=True, slots=True)
class RejectedRow:
    """A row that was not taken in: its cells as they were read, and what is wrong with it."""

    row: int
    cells: Sequence[Any]
    errors: Sequence[str]


@dataclass(frozen=True, slots=True)
class Remark:
    """What the report says of a row."""

    row: int
    column: str
    code: str
    en: str
    zh: str
    severity: str


async def reject(pg: Pg, vault: Vault, job: UUID, rows: Iterable[RejectedRow]) -> None:
    """Keep rows that were not taken in."""
    numbers, sealed = [], []
    for row in rows:
        plain = json.dumps([row.cells, row.errors], ensure_ascii=False, separators=(",", ":"))
        numbers.append(row.row)
        sealed.append(vault.seal(plain, f"import_rejected.{row.row}", job))
    if numbers:
        await pg.execute(
            "INSERT INTO import_rejected (job_id, row_number, sealed) SELECT $1, * FROM unnest($2::int[], $3::bytea[])",
            job,
            numbers,
            sealed,
        )


async def rejected(pg: Pg, vault: Vault, job: UUID) -> AsyncIterator[RejectedRow]:
    """The rows that were not taken in, in their order; read in a transaction."""
    query = "SELECT row_number, sealed FROM import_rejected WHERE job_id = $1 ORDER BY row_number"
    async for row in pg.cursor(query, job, prefetch=500):
        cells, wrong = json.loads(vault.open(row["sealed"], f"import_rejected.{row['row_number']}", job))
        yield RejectedRow(row["row_number"], cells, wrong)


async def remark(pg: Pg, job: UUID, first: int, remarks: Sequence[Remark]) -> None:
    """Keep what the report says; ``first`` is how many it says already."""
    if remarks:
        columns = zip(*((r.row, r.column, r.code, r.en, r.zh, r.severity) for r in remarks), strict=True)
        await pg.execute(
            "INSERT INTO import_finding (job_id, place, row_number, column_name, code, en, zh, severity) "
            "SELECT $1, $2::int + place, row_number, column_name, code, en, zh, severity "
            "FROM unnest($3::int[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[]) WITH ORDINALITY "
            "AS given (row_number, column_name, code, en, zh, severity, place)",
            job,
            first,
            *map(list, columns),
        )


async def remarks(pg: Pg, job: UUID) -> list[Remark]:
    """What the report says, errors first, each in the order of rows."""
    rows = await pg.fetch(
        "SELECT * FROM import_finding WHERE job_id = $1 ORDER BY severity <> 'error', row_number, place", job
    )
    return [Remark(r["row_number"], r["column_name"], r["code"], r["en"], r["zh"], r["severity"]) for r in rows]


async def clear(pg: Pg, job: UUID) -> None:
    """Forget what an attempt that wrote nothing said of its rows."""
    await pg.execute("DELETE FROM import_finding WHERE job_id = $1", job)
    await pg.execute("DELETE FROM import_rejected WHERE job_id = $1", job)


# What was made


async def note_effects(pg: Pg, job: UUID, effects: Sequence[tuple[UUID, int, int | None]]) -> None:
    """Households, the versions they came to, and those they had before."""
    if effects:
        await pg.execute(
            "INSERT INTO import_effect (job_id, household_id, version, previous) "
            "SELECT $1, * FROM unnest($2::uuid[], $3::int[], $4::int[])",
            job,
            *(list(column) for column in zip(*effects, strict=True)),
        )


async def made(pg: Pg, job: UUID, households: Sequence[UUID]) -> frozenset[UUID]:
    """Those of some households that the import registered or changed so far."""
    rows = await pg.fetch(
        "SELECT household_id FROM import_effect WHERE job_id = $1 AND household_id = ANY($2)", job, list(households)
    )
    return frozenset(row["household_id"] for row in rows)


async def effects_left(pg: Pg, job: UUID, limit: int) -> list[tuple[UUID, int, int | None]]:
    """What an undoing has not come to yet."""
    rows = await pg.fetch(
        "SELECT household_id, version, previous FROM import_effect WHERE job_id = $1 AND undone IS NULL "
        "ORDER BY household_id LIMIT $2",
        job,
        limit,
    )
    return [(row["household_id"], row["version"], row["previous"]) for row in rows]


async def note_undone(pg: Pg, job: UUID, households: Sequence[UUID], outcome: str) -> None:
    await pg.execute(
        "UPDATE import_effect SET undone = $3 WHERE job_id = $1 AND household_id = ANY($2)",
        job,
        list(households),
        outcome,
    )


async def undone_counts(pg: Pg, job: UUID) -> dict[str, int]:
    rows = await pg.fetch(
        "SELECT undone, count(*) AS count FROM import_effect WHERE job_id = $1 AND undone IS NOT NULL GROUP BY undone",
        job,
    )
    return {row["undone"]: row["count"] for row in rows}


async def left_standing(pg: Pg, job: UUID, limit: int) -> list[tuple[UUID, str]]:
    """Households that an undoing could not take back, and why."""
    rows = await pg.fetch(
        "SELECT household_id, undone FROM import_effect WHERE job_id = $1 AND undone <> 'undone' "
        "ORDER BY household_id LIMIT $2",
        job,
        limit,
    )
    return [(row["household_id"], row["undone"]) for row in rows]

"""Imports: JSON lines in, one report out, in the shape of interfaces.md ("Import report")."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal
from uuid import UUID

from pydantic import BaseModel, Field
from sqlalchemy import Column, DateTime, Table, Text, Uuid

from services.assistance.metadata import metadata
from shared.auth import Caller
from shared.db import Pg
from shared.errors import Fault, Language
from shared.http.claiming import complete
from shared.http.idempotency import IdempotencyKey

MAX_LINES = 100_000
FAULTS_A_ROW = 20
JSONL = "application/jsonl"

Mode = Literal["all", "each"]

import_report = Table(
    "import_report",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("received_at", DateTime(timezone=True), nullable=False),
    Column("received_by", Uuid, nullable=False),
    Column("report", Text, nullable=False, comment="ImportReport as JSON"),
)


class RowError(BaseModel):
    """What is wrong with one row of an import."""

    row: int = Field(description="Line number 行号, from 1.")
    column: str = Field(description="Field, as a JSON pointer 字段.")
    code: str = Field(description="Stable code.")
    message: str = Field(description="What is wrong, in the language asked for.")
    severity: Literal["error", "warning"]


class ImportCounts(BaseModel):
    """Rows by outcome."""

    received: int
    created: int
    updated: int
    unchanged: int
    rejected: int


class ImportReport(BaseModel):
    """What became of an import 导入报告; the same shape for files, bulk and Kafka."""

    id: UUID | None = Field(description="Names the stored report; null where nothing was written.")
    status: Literal["completed", "rejected"] = Field(description="rejected: nothing was written.")
    mode: Mode
    dry_run: bool
    counts: ImportCounts
    errors: list[RowError]


@dataclass(frozen=True, slots=True)
class Order:
    """What the caller wants done with the lines."""

    caller: Caller
    mode: Mode
    dry_run: bool
    key: IdempotencyKey
    language: Language


@dataclass(slots=True)
class Tally:
    """What became of the rows so far."""

    created: int = 0
    updated: int = 0
    unchanged: int = 0
    rejected: int = 0
    errors: list[tuple[int, Fault]] = field(default_factory=list)

    def reject(self, row: int, faults: Sequence[Fault]) -> None:
        self.rejected += 1
        self.errors += [(row, each) for each in faults[:FAULTS_A_ROW]]

    def undoes(self, order: Order) -> bool:
        """Whether nothing may stay written: a dry run, or all-or-nothing and not all."""
        return order.dry_run or (order.mode == "all" and self.rejected > 0)

    def report(self, report_id: UUID | None, received: int, order: Order) -> ImportReport:
        rejected = order.mode == "all" and self.rejected > 0
        return ImportReport(
            id=report_id,
            status="rejected" if rejected else "completed",
            mode=order.mode,
            dry_run=order.dry_run,
            counts=ImportCounts(
                received=received,
                created=0 if rejected else self.created,
                updated=0 if rejected else self.updated,
                unchanged=self.unchanged,
                rejected=self.rejected,
            ),
            errors=[_row_error(row, each, order.language) for row, each in sorted(self.errors, key=_row)],
        )


class UndoneError(Exception):
    """Leaves a transaction without a trace."""


async def keep_report(pg: Pg, report_id: UUID, order: Order, report: str, now: datetime) -> None:
    """Keep a report, in the transaction of its import, for whoever asks again with the same key."""
    await pg.execute(
        "INSERT INTO import_report (id, received_at, received_by, report) VALUES ($1, $2, $3, $4)",
        report_id,
        now,
        order.caller.key_id,
        report,
    )
    await complete(pg, order.key, report_id, 1)


async def kept_report(pg: Pg, report_id: UUID) -> str:
    """A report as it was given first."""
    report: str = await pg.fetchval("SELECT report FROM import_report WHERE id = $1", report_id)
    return report


def _row(error: tuple[int, Fault]) -> int:
    return error[0]


def _row_error(row: int, found: Fault, language: Language) -> RowError:
    return RowError(
        row=row, column=found.pointer, code=found.code, message=found.message.of(language), severity="error"
    )

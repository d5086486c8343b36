"""The import report 导入报告: one shape for everything taken in by the many (interfaces.md)."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from services.registry.checks.rules import Finding, Severity
from shared.db import Pg
from shared.errors import Fault, Language

Mode = Literal["all", "each"]
MAX_ERRORS = 1000


class RowError(BaseModel):
    """What is wrong with one row."""

    row: int = Field(description="Line number 行号, from 1; empty lines do not count.")
    column: str = Field(description="Field, as a JSON pointer 字段.")
    code: str = Field(description="Stable code.")
    message: str = Field(description="What is wrong, in the language asked for.")
    severity: Severity = Field(description="error: not taken in; warning, exit_blocker: taken in, but look at it.")


class Counts(BaseModel):
    """Rows by outcome."""

    received: int
    created: int
    updated: int
    unchanged: int = Field(description="Taken in before with the same content 未变化.")
    rejected: int


class ImportReport(BaseModel):
    """What became of an import 导入报告."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "id": "01932c5e-4b3a-7c11-8f7a-3f4f6f2f9a10",
                    "status": "completed",
                    "mode": "each",
                    "dry_run": False,
                    "counts": {"received": 3, "created": 2, "updated": 0, "unchanged": 0, "rejected": 1},
                    "errors": [
                        {"row": 2, "column": "/standing", "code": "literal_error", "message": "须为 … 之一",
                         "severity": "error"}
                    ],
                }
            ]
        }
    )  # fmt: skip

    id: UUID | None = Field(description="Names the stored report; null when nothing was written.")
    status: Literal["completed", "rejected"] = Field(description="rejected: nothing was written.")
    mode: Mode
    dry_run: bool
    counts: Counts
    errors: list[RowError] = Field(description=f"The first {MAX_ERRORS} errors, then as many remarks of the rules.")


@dataclass(slots=True)
class Tally:
    """A report in the making."""

    received: int = 0
    created: int = 0
    updated: int = 0
    unchanged: int = 0
    rejected: int = 0
    errors: list[tuple[int, Fault]] = field(default_factory=list)
    remarks: list[tuple[int, Finding]] = field(default_factory=list)
    """What the rules find in rows that were taken in."""

    def reject(self, row: int, faults: Sequence[Fault]) -> None:
        self.rejected += 1
        self.errors += ((row, each) for each in faults[: max(0, MAX_ERRORS - len(self.errors))])

    def remark(self, row: int, findings: Sequence[Finding]) -> None:
        self.remarks += ((row, each) for each in findings[: max(0, MAX_ERRORS - len(self.remarks))])

    def add(self, part: "Tally") -> None:
        """Take in what became of some more rows."""
        self.created += part.created
        self.updated += part.updated
        self.unchanged += part.unchanged
        self.rejected += part.rejected
        self.errors += part.errors[: max(0, MAX_ERRORS - len(self.errors))]
        self.remarks += part.remarks[: max(0, MAX_ERRORS - len(self.remarks))]

    def report(self, mode: Mode, *, dry_run: bool, language: Language, identifier: UUID | None) -> ImportReport:
        """The report. In mode ``all`` one rejected row means that nothing was written."""
        refused = mode == "all" and self.rejected > 0
        counts = Counts(
            received=self.received,
            created=0 if refused else self.created,
            updated=0 if refused else self.updated,
            unchanged=0 if refused else self.unchanged,
            rejected=self.rejected,
        )
        return ImportReport(
            id=None if refused or dry_run else identifier,
            status="rejected" if refused else "completed",
            mode=mode,
            dry_run=dry_run,
            counts=counts,
            errors=[
                *(_row_error(row, fault, "error", language) for row, fault in self.errors),
                *(_row_error(row, each.fault(), each.rule.severity, language) for row, each in self.remarks),
            ],
        )


def _row_error(row: int, fault: Fault, severity: Severity, language: Language) -> RowError:
    return RowError(
        row=row, column=fault.pointer, code=fault.code, message=fault.message.of(language), severity=severity
    )


async def keep(pg: Pg, report: ImportReport, recorded_at: datetime, recorded_by: UUID) -> None:
    """Store a report, so that the same request sent again gets it again."""
    await pg.execute(
        "INSERT INTO import_report (id, body, recorded_at, recorded_by) VALUES ($1, $2, $3, $4)",
        report.id,
        report.model_dump_json(),
        recorded_at,
        recorded_by,
    )


async def kept(pg: Pg, identifier: UUID) -> ImportReport:
    """A report stored before."""
    body = await pg.fetchval("SELECT body FROM import_report WHERE id = $1", identifier)
    return ImportReport.model_validate_json(body)

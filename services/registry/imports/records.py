"""An import as the database holds it: what was asked, how far it is, what came of it so far."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict

from services.registry.households.merging import Policy
from services.registry.imports.values import EthnicityCodes
from services.registry.reports import Mode
from shared.errors import Language

Status = Literal["queued", "running", "completed", "rejected", "refused", "undoing", "undone"]
OPEN: tuple[Status, ...] = ("queued", "running", "undoing")


class Instruction(BaseModel):
    """What is to be done with a file; as it was when the file came, whatever is saved later."""

    model_config = ConfigDict(frozen=True)

    kind: Literal["households"] = "households"
    mode: Mode
    dry_run: bool
    source: str | None
    overwrite: Policy
    overwrite_columns: Mapping[str, Policy] = {}
    columns: Mapping[str, str] = {}
    ethnicity_codes: EthnicityCodes | None = None
    language: Language = "zh"

    @property
    def at_once(self) -> bool:
        """Whether there is one transaction for the whole file, which an end before the end of the file undoes."""
        return self.mode == "all" or self.dry_run


class FileStructure(BaseModel):
    """What the file turned out to be."""

    format: str
    header_row: int
    names: list[str]
    expected_rows: int | None


class Tally(BaseModel):
    """Outcomes so far: households, and rows of the sheet."""

    rows: int = 0
    passed_over: int = 0
    received: int = 0
    created: int = 0
    updated: int = 0
    unchanged: int = 0
    rejected: int = 0
    rejected_rows: int = 0
    errors: int = 0
    remarks: int = 0

    @property
    def wrote(self) -> bool:
        """Whether anything is in the register that was not there before."""
        return self.created + self.updated > 0

    def unwritten(self) -> "Tally":
        """The same where everything was undone: what came of the households that were good came to nothing."""
        return self.model_copy(update={"created": 0, "updated": 0, "unchanged": 0})

    def told(self) -> str:
        """The households' outcomes in a line, as the audit log keeps them."""
        names = ("received", "created", "updated", "unchanged", "rejected")
        return " ".join(f"{name}={getattr(self, name)}" for name in names)


@dataclass(frozen=True, slots=True)
class Job:
    """An import."""

    id: UUID
    status: Status
    instruction: Instruction
    caller: str
    size: int
    position: int
    tally: Tally
    layout: FileStructure | None
    refusal: str | None
    recorded_at: datetime
    recorded_by: UUID
    undo_asked_by: UUID | None
    started_at: datetime | None
    ended_at: datetime | None

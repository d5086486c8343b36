"""What the ledger is given and gives back: plain values."""

from dataclasses import dataclass
from functools import cached_property
from uuid import UUID

from services.assistance.actions.schemas import ActionOut


@dataclass(frozen=True, slots=True)
class Provenance:
    """Where an action comes from; not part of its public state."""

    recorded_by: UUID
    changed_by: UUID
    """Who wrote its present content."""
    submitted_by: str | None = None
    source_version: int | None = None


@dataclass(frozen=True)
class Entry:
    """One version to write: the whole state, how it came about, and by whom."""

    verb: str
    state: ActionOut
    provenance: Provenance
    by: UUID
    reason: str | None = None
    traceparent: str | None = None
    """The request it comes from, where that is not the work in hand."""

    @cached_property
    def body(self) -> str:
        """What the ledger keeps and answers with."""
        return self.state.model_dump_json(by_alias=True)

    @property
    def name(self) -> tuple[str, str]:
        """The external name; two empty texts where there is none."""
        return self.state.source_system or "", self.state.external_id or ""


@dataclass(frozen=True, slots=True)
class Stored:
    """An action as the ledger holds it."""

    state: ActionOut
    provenance: Provenance

"""The action event: the contract that ranking lives on (architecture.md)."""

from typing import Literal
from uuid import UUID

from pydantic import Field

from shared.contracts.base import Contract, DivisionCode, Fen, Instant, topic
from shared.contracts.division import Path
from shared.contracts.programme import ProgrammeClass


class ActionEvent(Contract):
    """The whole public state of one aid action 帮扶行动. Path and sector are as of the day it happened."""

    id: UUID
    version: int = Field(ge=1)
    status: Literal["recorded", "revoked"]
    first_recorded_at: Instant
    recorded_at: Instant = Field(description="When this version was recorded.")
    occurred_at: Instant = Field(description="When it happened; its day is taken in Asia/Shanghai.")
    programme: str
    programme_class: ProgrammeClass = Field(alias="class")
    sector: str
    kind: str
    household_id: UUID | None = None
    household_seq: int | None = Field(default=None, ge=1, lt=2**32)
    persons: list[UUID] = Field(default=[], max_length=500)
    actor_id: UUID | None = None
    division: DivisionCode = Field(description="Division it counts for: the responsible village, or the place.")
    path: Path
    place: DivisionCode | None = Field(default=None, description="Where it took place, if elsewhere.")
    quantity: int = Field(ge=0, description="In the unit of the programme's kind.")
    amount_fen: Fen
    verified_at: Instant | None = None


ACTION = topic(
    "assistance.action",
    ActionEvent,
    ("recorded", "corrected", "revoked", "verified"),
    "Aid actions 帮扶行动: every version, whole state.",
    readers=("ranking-facts",),
)

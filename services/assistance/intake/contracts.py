"""Contracts with importers: what they publish, and the receipt they get for every record (interfaces.md)."""

from typing import Annotated, Literal
from uuid import UUID

from pydantic import Field, RootModel

from services.assistance.actions.schemas import ActionContent
from shared.contracts.base import topic
from shared.intake.contracts import READ, Envelope, Receipt


class SubmittedContent(ActionContent):
    """The content of a record; fields we do not know are ignored, those of ``details`` never are."""

    model_config = READ


class Recording(Envelope, SubmittedContent):
    """A new record, or the whole content of a known one as it should have been."""

    op: Literal["record", "correct"]


class Revocation(Envelope):
    """A record that never was."""

    op: Literal["revoke"]


class ActionSubmission(RootModel[Annotated[Recording | Revocation, Field(discriminator="op")]]):
    """One submission of an aid action 帮扶行动报送."""


class ActionOutcome(Receipt):
    """The receipt of one submission 回执."""

    action_id: UUID | None = None
    version: int | None = Field(default=None, description="Version of the action after this submission.")


ACTION_SUBMISSIONS = topic(
    "assistance.action-submissions",
    ActionSubmission,
    ("submitted",),
    "Submissions of aid actions 帮扶行动报送: one CloudEvent a record, published by other systems.",
    readers=("assistance-intake",),
)
ACTION_OUTCOMES = topic(
    "assistance.action-outcomes",
    ActionOutcome,
    ("accepted", "unchanged", "rejected"),
    "Receipts 回执: one for every submission; at least once, with the same id.",
)

"""Contracts with importers: what they publish, and the receipt they get for every record (interfaces.md)."""

from typing import Annotated, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, RootModel

from services.assistance.actions.schemas import ActionContent
from shared.contracts.base import Contract, Instant, topic
from shared.http.fields import ExternalName, ShortText

Op = Literal["record", "correct", "revoke"]
_READ = ConfigDict(strict=True, extra="ignore", frozen=True)


class Envelope(BaseModel):
    """Which record a submission is about, and what is to become of it."""

    model_config = _READ

    op: Op = Field(description="record 登记, correct 更正, revoke 撤销.")
    source_system: ExternalName = Field(description="System that knows the record 来源系统.")
    external_id: ExternalName = Field(description="The record's name there 来源编号.")
    source_version: int | None = Field(
        default=None,
        ge=0,
        le=2**53,
        description="Orders your own changes of a record 版本序号; older ones are ignored.",
    )
    reason: ShortText | None = Field(default=None, description="Why, for corrections and revocations 原因.")


class SubmittedContent(ActionContent):
    """The content of a record; fields we do not know are ignored, those of ``details`` never are."""

    model_config = _READ


class Recording(Envelope, SubmittedContent):
    """A new record, or the whole content of a known one as it should have been."""

    op: Literal["record", "correct"]


class Revocation(Envelope):
    """A record that never was."""

    op: Literal["revoke"]


class ActionSubmission(RootModel[Annotated[Recording | Revocation, Field(discriminator="op")]]):
    """One submission of an aid action 帮扶行动报送."""


class OutcomeError(Contract):
    """One fault, as the HTTP API names it."""

    pointer: str
    code: str
    message: str = Field(description="What is wrong, in Chinese.")
    message_en: str


class ActionOutcome(Contract):
    """The receipt of one submission 回执."""

    source: str = Field(description="`ce_source` of the submission.")
    submission: str = Field(description="`ce_id` of the submission.")
    op: Op
    source_system: str
    external_id: str
    outcome: Literal["accepted", "unchanged", "rejected"] = Field(
        description="accepted 已受理, unchanged 无变化 (said before, or superseded), rejected 已拒绝."
    )
    mode: Literal["live", "test"] = Field(description="A test source is checked and never counted.")
    action_id: UUID | None = None
    version: int | None = Field(default=None, description="Version of the action after this submission.")
    errors: list[OutcomeError] = Field(default=[], description="As the HTTP API names them.")
    decided_at: Instant


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

"""What submissions of every kind say, and the receipt each of them gets (interfaces.md, "For batch importers")."""

from collections.abc import Iterable
from itertools import accumulate
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from shared.contracts.base import Contract, Instant
from shared.errors import Fault
from shared.http.fields import ExternalName, ShortText

Op = Literal["record", "correct", "revoke"]
Verdict = Literal["accepted", "unchanged", "rejected"]
READ = ConfigDict(strict=True, extra="ignore", frozen=True)


class Envelope(BaseModel):
    """Which record a submission is about, and what is to become of it."""

    model_config = READ

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


class OutcomeError(Contract):
    """One fault, as the HTTP API names it."""

    pointer: str
    code: str
    message: str = Field(description="What is wrong, in Chinese.")
    message_en: str

    @classmethod
    def of(cls, found: Fault) -> "OutcomeError":
        return cls(pointer=found.pointer, code=found.code, message=found.message.zh, message_en=found.message.en)


_ROOM = 48 * 1024
"""Bytes that the errors of a receipt may take, so that its event is not too large to send."""


def told(faults: Iterable[Fault]) -> tuple[list[OutcomeError], int]:
    """Faults as a receipt names them, as many as it has room for; and how many it leaves out."""
    found = [OutcomeError.of(each) for each in faults]
    taken = accumulate(len(each.to_json()) + 1 for each in found)
    kept = sum(1 for size in taken if size <= _ROOM)
    return found[:kept], len(found) - kept


class Receipt(Contract):
    """What every receipt 回执 says."""

    source: str = Field(description="`ce_source` of the submission.")
    submission: str = Field(description="`ce_id` of the submission.")
    op: Op
    source_system: str
    external_id: str
    outcome: Verdict = Field(
        description="accepted 已受理, unchanged 无变化 (said before, or superseded), rejected 已拒绝."
    )
    mode: Literal["live", "test"] = Field(description="A test source is checked and never counted.")
    errors: list[OutcomeError] = Field(default=[], description="As the HTTP API names them.")
    errors_left_out: int = Field(default=0, description="Further errors, for which a receipt has no room.")
    decided_at: Instant

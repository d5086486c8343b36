"""What becomes of a submission, as far as that can be said before the register is written. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from services.registry.submissions.reading import Submission
from shared.errors import Fault, fault

NAME_TAKEN = fault("/external_id", "external_id_taken", "the record is another one's", "来源编号已被占用")
REVOKED = fault("/external_id", "household_deregistered", "the household is off the register", "该户已注销")
VERSION_USED = fault("/source_version", "source_version_used", "it named another change", "版本序号已用于其他内容")
UNKNOWN_RECORD = fault("/external_id", "unknown_record", "no such record of yours", "来源编号未登记")


@dataclass(frozen=True, slots=True)
class Held:
    """The household that holds the name of a record."""

    id: UUID
    number: str
    version: int
    active: bool
    divisions: frozenset[str]
    """Those above it."""
    source: str | None
    """Whose record it is; None when it was registered otherwise and no source has spoken of it."""
    source_version: int | None


@dataclass(frozen=True, slots=True)
class Write:
    """To be written; on trial when a test source sent it, or nothing may change any more under its version."""

    held: Held | None
    trial: bool


@dataclass(frozen=True, slots=True)
class Accept:
    """What a test source says of a record that was never kept: there is nothing it could be held against."""


@dataclass(frozen=True, slots=True)
class Unchanged:
    """Nothing to write: said before, or superseded by a later change."""

    held: Held


@dataclass(frozen=True, slots=True)
class Reject:
    """Can never be written as it is."""

    faults: Sequence[Fault]
    held: Held | None = None


@dataclass(frozen=True, slots=True)
class Wait:
    """Refers to a record not known yet."""


Decision = Write | Accept | Unchanged | Reject | Wait


def decide(submission: Submission, held: Held | None, now: datetime) -> Decision:
    """What becomes of a submission, given the household that holds its record's name, if any."""
    if submission.faults:
        return Reject(submission.faults)
    own = held if held is not None and _may_change(submission, held) else None
    if own is not None and _order(submission, own) < 0:
        return Unchanged(own)
    test, op = submission.source.test, submission.envelope.op
    if op == "record":
        return Reject([NAME_TAKEN]) if own is None and held is not None else Write(own, test)
    if own is None:
        return _of_unknown_record(submission, now)
    if not own.active:
        return Unchanged(own) if op == "revoke" else Reject([REVOKED], own)
    if op == "revoke" and _order(submission, own) == 0:
        return Reject([VERSION_USED], own)
    return Write(own, test or _order(submission, own) == 0)


def _may_change(submission: Submission, held: Held) -> bool:
    """A record is changed by the source that sent it; one registered otherwise by any source that reaches it."""
    reached = not held.divisions.isdisjoint(submission.source.caller.divisions)
    return held.source in (None, submission.source.name) and reached


def _order(submission: Submission, held: Held) -> int:
    """Below 0 when a later change of the source is in the register already, 0 for the same, else above."""
    mine, known = submission.envelope.source_version, held.source_version
    return 1 if mine is None or known is None else mine - known


def _of_unknown_record(submission: Submission, now: datetime) -> Decision:
    """The record may be on its way; a test source's was never kept, so only the content is judged."""
    if submission.source.test:
        return Accept() if submission.content is None else Write(None, trial=True)
    return Wait() if submission.received.may_wait(now) else Reject([UNKNOWN_RECORD])

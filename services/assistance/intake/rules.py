"""What becomes of a submission: pure decisions."""

from collections.abc import Sequence
from dataclasses import dataclass

from services.assistance.actions.composing import corrected, recorded, revoked, same_content
from services.assistance.actions.entries import Entry, Stored
from services.assistance.actions.rules import UNKNOWN, Placed, World, judge
from services.assistance.actions.schemas import ActionIn
from services.assistance.intake.contracts import SubmittedContent
from shared.errors import Fault, fault
from shared.intake.contracts import Envelope
from shared.intake.receiving import Received
from shared.intake.sources import Source


@dataclass(frozen=True, slots=True)
class Submission:
    """A submission of an action, with its content."""

    received: Received
    digest: bytes
    content: SubmittedContent | None
    """None for a revocation, or where ``faults`` says why."""
    faults: Sequence[Fault]

    @property
    def source(self) -> Source:
        return self.received.source

    @property
    def envelope(self) -> Envelope:
        return self.received.envelope


@dataclass(frozen=True, slots=True)
class Accept:
    """May be written; ``entry`` is None where a test source speaks of a record that was never kept."""

    entry: Entry | None


@dataclass(frozen=True, slots=True)
class Unchanged:
    """Nothing to write: said before, or superseded by a later change."""

    stored: Stored


@dataclass(frozen=True, slots=True)
class Reject:
    """Can never be written as it is."""

    faults: Sequence[Fault]
    stored: Stored | None = None


@dataclass(frozen=True, slots=True)
class Wait:
    """Refers to something not known yet."""

    reason: str


Decision = Accept | Unchanged | Reject | Wait

NAME_TAKEN = fault("/external_id", "external_id_taken", "the record holds other content", "来源编号已登记其他内容")
REVOKED = fault("/external_id", "action_revoked", "the action was revoked", "该行动已撤销")
VERSION_USED = fault("/source_version", "source_version_used", "it named another change", "版本序号已用于其他内容")
UNKNOWN_RECORD = fault("/external_id", "unknown_record", "no such record of yours", "来源编号未登记")


def decide(submission: Submission, stored: Stored | None, world: World) -> Decision:
    """What becomes of a submission, given the action that holds its record's name, if any."""
    if submission.faults:
        return Reject(submission.faults)
    own = stored if stored is not None and _may_change(submission, stored) else None
    if own is not None and _order(submission, own) < 0:
        return Unchanged(own)
    if submission.envelope.op == "record":
        return _record(submission, stored, own, world)
    if own is None:
        return _unknown_record(submission, world)
    return _correct(submission, own, world) if submission.envelope.op == "correct" else _revoke(submission, own, world)


def _may_change(submission: Submission, stored: Stored) -> bool:
    """A record is changed by the source that sent it; one recorded over HTTP by any source that reaches it."""
    owner = stored.provenance.submitted_by
    return owner in (None, submission.source.name) and submission.source.caller.reaches(stored.state.path)


def _order(submission: Submission, stored: Stored) -> int:
    """Below 0 when a later change of the source is in the ledger already, 0 for the same, else above."""
    mine, known = submission.envelope.source_version, stored.provenance.source_version
    return 1 if mine is None or known is None else mine - known


def _record(submission: Submission, stored: Stored | None, own: Stored | None, world: World) -> Decision:
    if submission.content is None or (stored is not None and own is None):
        return Reject([NAME_TAKEN])
    placed = _judge(submission, submission.content, world)
    if not isinstance(placed, Placed):
        return placed
    envelope = submission.envelope
    content = ActionIn.model_construct(
        **dict(submission.content), source_system=envelope.source_system, external_id=envelope.external_id
    )
    entry = recorded(
        content, placed, now=world.now, by=submission.source.id, submitted_by=submission.source.name,
        source_version=envelope.source_version,
    )  # fmt: skip
    if own is None:
        return Accept(entry)
    said_before = own.state.status == "recorded" and same_content(entry.state, own.state)
    return Unchanged(own) if said_before else Reject([NAME_TAKEN], own)


def _correct(submission: Submission, own: Stored, world: World) -> Decision:
    if own.state.status == "revoked" or submission.content is None:
        return Reject([REVOKED], own)
    placed = _judge(submission, submission.content, world)
    if not isinstance(placed, Placed):
        return placed
    envelope = submission.envelope
    entry = corrected(
        own, submission.content, placed, now=world.now, by=submission.source.id, reason=envelope.reason,
        source_version=envelope.source_version,
    )  # fmt: skip
    if same_content(entry.state, own.state):
        return Unchanged(own)
    return Reject([VERSION_USED], own) if _order(submission, own) == 0 else Accept(entry)


def _revoke(submission: Submission, own: Stored, world: World) -> Decision:
    if own.state.status == "revoked":
        return Unchanged(own)
    if _order(submission, own) == 0:
        return Reject([VERSION_USED], own)
    envelope = submission.envelope
    return Accept(
        revoked(
            own, now=world.now, by=submission.source.id, reason=envelope.reason, source_version=envelope.source_version
        )
    )


def _unknown_record(submission: Submission, world: World) -> Decision:
    """The record may be on its way; a test source's was never kept, so only the content is judged."""
    if not submission.source.test:
        return _wait(submission, [UNKNOWN_RECORD], world)
    if submission.content is None:
        return Accept(None)
    placed = _judge(submission, submission.content, world)
    return Accept(None) if isinstance(placed, Placed) else placed


def _judge(submission: Submission, content: SubmittedContent, world: World) -> Placed | Wait | Reject:
    placed = judge(content, world, submission.source.caller)
    if isinstance(placed, Placed):
        return placed
    if all(each.code == UNKNOWN for each in placed):
        return _wait(submission, placed, world)
    return Reject(placed)


def _wait(submission: Submission, faults: Sequence[Fault], world: World) -> Wait | Reject:
    if submission.received.may_wait(world.now):
        return Wait(faults[0].code)
    return Reject(faults)

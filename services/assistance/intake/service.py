"""Submissions of actions: read, decided against the ledger, and written to it."""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

import asyncpg
from pydantic import ValidationError

from services.assistance.actions import ledger
from services.assistance.actions.entries import Entry
from services.assistance.actions.schemas import ActionOut
from services.assistance.context import Assistance
from services.assistance.intake.contracts import ACTION_OUTCOMES, ACTION_SUBMISSIONS, ActionOutcome, SubmittedContent
from services.assistance.intake.rules import Accept, Decision, Reject, Submission, Unchanged, Wait, decide
from shared.db import Pg
from shared.errors import Fault
from shared.http.problems import faults_of
from shared.intake.contracts import Verdict, told
from shared.intake.receiving import Received
from shared.record import Park

GROUP = "assistance-intake"
MAX_RECORDS = 1000


class ActionDesk:
    """Where submissions of actions are decided."""

    submissions = ACTION_SUBMISSIONS
    outcomes = ACTION_OUTCOMES
    receipt = ActionOutcome

    def __init__(self, assistance: Assistance) -> None:
        self._assistance = assistance

    async def read(self, pg: Pg, received: Sequence[Received]) -> list[Submission]:
        """The content of submissions; a fault in one is kept in it."""
        return [_read(each) for each in received]

    async def decide(self, pg: Pg, wave: Sequence[Submission]) -> list[ActionOutcome | Park]:
        """Decide and write. Raises ``SerializationError`` when another writer was faster."""
        stored = await ledger.load_by_names(pg, [each.received.name for each in wave])
        world = await self._assistance.world(pg, (each.content for each in wave if each.content is not None))
        decided = [(each, decide(each, stored.get(each.received.name), world)) for each in wave]
        await self._write(pg, decided)
        return [
            Park(decision.reason) if isinstance(decision, Wait) else _outcome(submission, decision, world.now)
            for submission, decision in decided
        ]

    async def _write(self, pg: Pg, decided: Iterable[tuple[Submission, Decision]]) -> None:
        entries = [
            decision.entry
            for submission, decision in decided
            if isinstance(decision, Accept) and decision.entry is not None and not submission.source.test
        ]
        settings = self._assistance.runtime.settings
        new, changed = _split(entries)
        written = await ledger.insert(pg, settings, new) | await ledger.update(pg, settings, changed)
        if len(written) < len(entries):
            raise asyncpg.SerializationError("another writer was faster")


def _read(received: Received) -> Submission:
    content, faults = (None, []) if received.envelope.op == "revoke" else _content(received.data)
    return Submission(received, _digest(received.data), content, faults)


def _content(data: Mapping[str, Any]) -> tuple[SubmittedContent | None, list[Fault]]:
    try:
        return SubmittedContent.model_validate(data), []
    except ValidationError as error:
        return None, faults_of(error.errors(include_url=False, include_input=False))


def _digest(data: Mapping[str, Any]) -> bytes:
    """Both modes of CloudEvents give the same."""
    return hashlib.sha256(json.dumps(data, sort_keys=True, separators=(",", ":")).encode()).digest()


def _split(entries: Iterable[Entry]) -> tuple[list[Entry], list[Entry]]:
    new: list[Entry] = []
    changed: list[Entry] = []
    for entry in entries:
        (new if entry.state.version == 1 else changed).append(entry)
    return new, changed


def _outcome(submission: Submission, decision: Accept | Unchanged | Reject, now: datetime) -> ActionOutcome:
    envelope = submission.envelope
    state: ActionOut | None = None
    found: Sequence[Fault] = ()
    verdict: Verdict
    match decision:
        case Accept(entry=entry):
            verdict = "accepted"
            state = entry.state if entry is not None and not submission.source.test else None
        case Unchanged(stored=stored):
            verdict = "unchanged"
            state = stored.state
        case Reject(faults=faults, stored=existing):
            verdict = "rejected"
            state = None if existing is None else existing.state
            found = faults
    errors, left_out = told(found)
    return ActionOutcome(
        source=submission.source.name,
        submission=submission.received.ce_id,
        op=envelope.op,
        source_system=envelope.source_system,
        external_id=envelope.external_id,
        outcome=verdict,
        mode="test" if submission.source.test else "live",
        action_id=None if state is None else state.id,
        version=None if state is None else state.version,
        errors=errors,
        errors_left_out=left_out,
        decided_at=now,
    )

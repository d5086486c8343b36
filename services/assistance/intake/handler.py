"""Takes submissions in, a batch in one transaction: decided, written and receipted together."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Literal
from uuid import NAMESPACE_URL, uuid5

import asyncpg

from services.assistance.actions import ledger
from services.assistance.actions.entries import Entry
from services.assistance.actions.schemas import ActionOut
from services.assistance.context import Assistance
from services.assistance.intake import service
from services.assistance.intake.contracts import ACTION_OUTCOMES, ACTION_SUBMISSIONS, ActionOutcome, OutcomeError
from services.assistance.intake.decoding import UNREGISTERED, read_submission
from services.assistance.intake.rules import Accept, Decision, Reject, Source, Submission, Unchanged, Wait, decide
from shared.db import Pg
from shared.outbox import INSERT_BATCH, Event, columns
from shared.record import Park, Poison, Record, Verdict
from shared.telemetry import BODY_CLASHES
from shared.watched import Watched

GROUP = "assistance-intake"
MAX_RECORDS = 1000


class Intake:
    """The handler of the intake's consumer."""

    def __init__(self, assistance: Assistance, sources: Watched[Mapping[str, Source]]) -> None:
        self._assistance = assistance
        self._sources = sources

    async def __call__(self, pg: Pg, records: Sequence[Record]) -> Mapping[int, Verdict]:
        """Decide every record. Raises ``SerializationError``, to be tried again, when another batch was faster."""
        read, verdicts = await self._read(pg, records)
        leaders, followers = _first_of_each(read, verdicts)
        fresh = await self._known_before(pg, leaders, verdicts)
        for wave in _waves(fresh):
            await self._decide(pg, wave, verdicts)
        for follower, leader in followers.items():
            if isinstance(verdict := verdicts.get(leader), Park):
                verdicts[follower] = verdict
        return verdicts

    async def _read(self, pg: Pg, records: Sequence[Record]) -> tuple[list[Submission], dict[int, Verdict]]:
        """Submissions, and the verdicts on what is none. A source may have been registered a moment ago."""
        sources = await self._sources.get(pg)
        read, verdicts = _read_all(records, sources)
        if any(poison.code == UNREGISTERED for poison in verdicts.values()):
            self._sources.expire()
            present = await self._sources.get(pg)
            if present is not sources:
                read, verdicts = _read_all(records, present)
        return read, dict(verdicts)

    async def _known_before(
        self, pg: Pg, submissions: Sequence[Submission], verdicts: dict[int, Verdict]
    ) -> list[Submission]:
        """Messages that were decided before get their receipt again; returns the others."""
        inbox = await service.decided(pg, [each.message for each in submissions])
        again: list[ActionOutcome] = []
        fresh: list[Submission] = []
        for each in submissions:
            before = inbox.get(each.message)
            if before is None:
                fresh.append(each)
            elif before.digest == each.digest:
                again.append(before.outcome)
            else:
                verdicts[each.index] = _clash(each)
        await self._emit(pg, [(outcome, None) for outcome in again])
        return fresh

    async def _decide(self, pg: Pg, wave: Sequence[Submission], verdicts: dict[int, Verdict]) -> None:
        """Decide submissions that concern different records, and write them together."""
        stored = await ledger.load_by_names(pg, [each.name for each in wave])
        world = await self._assistance.world(pg, (each.content for each in wave if each.content is not None))
        decided = [(each, decide(each, stored.get(each.name), world)) for each in wave]
        await self._write(pg, decided)
        outcomes = []
        for submission, decision in decided:
            if isinstance(decision, Wait):
                verdicts[submission.index] = Park(decision.reason)
            else:
                outcomes.append((submission, _outcome(submission, decision, world.now)))
        if not await service.store(pg, outcomes):
            raise asyncpg.SerializationError("another batch decided one of these messages")
        await self._emit(pg, [(outcome, submission.correlation) for submission, outcome in outcomes])

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

    async def _emit(self, pg: Pg, outcomes: Sequence[tuple[ActionOutcome, str | None]]) -> None:
        events = [_receipt(outcome, correlation) for outcome, correlation in outcomes]
        if events:
            await pg.execute(INSERT_BATCH, *columns(self._assistance.runtime.settings, events))


def _read_all(records: Sequence[Record], sources: Mapping[str, Source]) -> tuple[list[Submission], dict[int, Poison]]:
    read: list[Submission] = []
    poisoned: dict[int, Poison] = {}
    for index, record in enumerate(records):
        try:
            read.append(read_submission(index, record, sources))
        except Poison as poison:
            poisoned[index] = poison
    return read, poisoned


def _split(entries: Iterable[Entry]) -> tuple[list[Entry], list[Entry]]:
    new: list[Entry] = []
    changed: list[Entry] = []
    for entry in entries:
        (new if entry.state.version == 1 else changed).append(entry)
    return new, changed


def _first_of_each(
    submissions: Iterable[Submission], verdicts: dict[int, Verdict]
) -> tuple[list[Submission], dict[int, int]]:
    """The first submission of each message, and the index of the first for every repetition."""
    first: dict[tuple[str, str], Submission] = {}
    followers: dict[int, int] = {}
    for each in submissions:
        leader = first.setdefault(each.message, each)
        if leader is each:
            continue
        if leader.digest == each.digest:
            followers[each.index] = leader.index
        else:
            verdicts[each.index] = _clash(each)
    return list(first.values()), followers


def _clash(submission: Submission) -> Poison:
    BODY_CLASHES.labels(ACTION_SUBMISSIONS.name).inc()
    return Poison("id_reused", submission.source.name)


def _waves(submissions: Iterable[Submission]) -> list[list[Submission]]:
    """Submissions in rounds that hold each record once, so that changes of one record keep their order."""
    waves: list[list[Submission]] = []
    seen: dict[tuple[str, str], int] = {}
    for each in submissions:
        turn = seen.get(each.name, 0)
        seen[each.name] = turn + 1
        if turn == len(waves):
            waves.append([])
        waves[turn].append(each)
    return waves


def _outcome(submission: Submission, decision: Accept | Unchanged | Reject, now: datetime) -> ActionOutcome:
    envelope = submission.envelope
    state: ActionOut | None = None
    errors: list[OutcomeError] = []
    verdict: Literal["accepted", "unchanged", "rejected"]
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
            errors = [
                OutcomeError(pointer=each.pointer, code=each.code, message=each.message.zh, message_en=each.message.en)
                for each in faults
            ]
    return ActionOutcome(
        source=submission.source.name,
        submission=submission.ce_id,
        op=envelope.op,
        source_system=envelope.source_system,
        external_id=envelope.external_id,
        outcome=verdict,
        mode="test" if submission.source.test else "live",
        action_id=None if state is None else state.id,
        version=None if state is None else state.version,
        errors=errors,
        decided_at=now,
    )


def _receipt(outcome: ActionOutcome, correlation: str | None) -> Event:
    """The same submission gets the same ``ce_id``, however often its receipt is sent."""
    key = f"{outcome.source}/{outcome.submission}"
    return Event(
        ACTION_OUTCOMES,
        outcome.outcome,
        key,
        outcome,
        outcome.decided_at,
        id=str(uuid5(NAMESPACE_URL, key)),
        correlation=correlation,
        causation=outcome.submission,
    )

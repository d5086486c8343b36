"""Takes submissions in, a batch in one transaction: decided, written and receipted together."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Generic, Protocol, TypeVar
from uuid import NAMESPACE_URL, uuid5

import asyncpg

from shared import outbox
from shared.contracts.base import Topic
from shared.db import Pg
from shared.intake import inbox
from shared.intake.contracts import Receipt
from shared.intake.receiving import UNREGISTERED, Received, receive_all
from shared.intake.signing import BAD_SIGNATURE, UNSIGNED, count_failures
from shared.intake.sources import Source
from shared.outbox import Event
from shared.record import Park, Poison, Record, Verdict
from shared.settings import Settings
from shared.telemetry import BODY_CLASHES
from shared.watched import Watched

_BY_SOURCE = frozenset({UNREGISTERED, UNSIGNED, BAD_SIGNATURE})
"""What is no submission by what we know of its source."""


class Submission(Protocol):
    """A submission whose content was read; a fault in that is kept in it, for its receipt."""

    @property
    def received(self) -> Received: ...

    @property
    def digest(self) -> bytes:
        """Of what was said, not of how it was written."""
        ...


S = TypeVar("S", bound=Submission)
R = TypeVar("R", bound=Receipt)
R_co = TypeVar("R_co", bound=Receipt, covariant=True)


class Desk(Protocol[S, R_co]):
    """Where submissions of one kind are read and decided."""

    @property
    def submissions(self) -> Topic: ...

    @property
    def outcomes(self) -> Topic: ...

    @property
    def receipt(self) -> type[R_co]: ...

    async def read(self, pg: Pg, received: Sequence[Received], /) -> Sequence[S]:
        """The content of submissions, in their order."""
        ...

    async def decide(self, pg: Pg, wave: Sequence[S], /) -> Sequence[R_co | Park]:
        """Decide submissions about different records and write what follows; a receipt for each, or what it waits for.

        Raises ``SerializationError`` where another writer was faster.
        """
        ...


class Intake(Generic[S, R]):
    """The handler of an intake's consumer."""

    def __init__(self, settings: Settings, sources: Watched[Mapping[str, Source]], desk: Desk[S, R]) -> None:
        self._settings = settings
        self._sources = sources
        self._desk = desk

    async def __call__(self, pg: Pg, records: Sequence[Record]) -> Mapping[int, Verdict]:
        """Decide every record. Raises ``SerializationError``, to be tried again, when another batch was faster."""
        received, verdicts = await self._receive(pg, records)
        read = await self._desk.read(pg, received)
        leaders, followers = self._first_of_each(read, verdicts)
        fresh = await self._known_before(pg, leaders, verdicts)
        for wave in _waves(fresh):
            await self._decide(pg, wave, verdicts)
        for follower, leader in followers.items():
            if isinstance(verdict := verdicts.get(leader), Park):
                verdicts[follower] = verdict
        return verdicts

    async def _receive(self, pg: Pg, records: Sequence[Record]) -> tuple[list[Received], dict[int, Verdict]]:
        """Submissions, and the verdicts on what is none. A source may have been changed a moment ago."""
        sources = await self._sources.get(pg)
        received, poisoned = receive_all(records, sources)
        if any(poison.code in _BY_SOURCE for poison in poisoned.values()):
            present = await self._sources.latest(pg)
            if present is not sources:
                received, poisoned = receive_all(records, present)
        count_failures(list(poisoned.values()), self._desk.submissions.name)
        return received, dict(poisoned)

    def _first_of_each(self, submissions: Iterable[S], verdicts: dict[int, Verdict]) -> tuple[list[S], dict[int, int]]:
        """The first submission of each message, and the index of the first for every repetition."""
        first: dict[tuple[str, str], S] = {}
        followers: dict[int, int] = {}
        for each in submissions:
            leader = first.setdefault(each.received.message, each)
            if leader is each:
                continue
            if leader.digest == each.digest:
                followers[each.received.index] = leader.received.index
            else:
                verdicts[each.received.index] = self._clash(each)
        return list(first.values()), followers

    async def _known_before(self, pg: Pg, submissions: Sequence[S], verdicts: dict[int, Verdict]) -> list[S]:
        """Messages that were decided before get their receipt again; returns the others."""
        decided = await inbox.decided(pg, [each.received.message for each in submissions], self._desk.receipt)
        again: list[R] = []
        fresh: list[S] = []
        for each in submissions:
            before = decided.get(each.received.message)
            if before is None:
                fresh.append(each)
            elif before.digest == each.digest:
                again.append(before.receipt)
            else:
                verdicts[each.received.index] = self._clash(each)
        await self._emit(pg, [(receipt, None) for receipt in again])
        return fresh

    def _clash(self, submission: S) -> Poison:
        BODY_CLASHES.labels(self._desk.submissions.name).inc()
        return Poison("id_reused", submission.received.source.name)

    async def _decide(self, pg: Pg, wave: Sequence[S], verdicts: dict[int, Verdict]) -> None:
        """Decide submissions that concern different records, and write them together."""
        receipts: list[tuple[S, R]] = []
        for submission, decision in zip(wave, await self._desk.decide(pg, wave), strict=True):
            if isinstance(decision, Park):
                verdicts[submission.received.index] = decision
            else:
                receipts.append((submission, decision))
        if not await inbox.store(pg, [(submission.digest, receipt) for submission, receipt in receipts]):
            raise asyncpg.SerializationError("another batch decided one of these messages")
        await self._emit(pg, [(receipt, submission.received.correlation) for submission, receipt in receipts])

    async def _emit(self, pg: Pg, receipts: Sequence[tuple[R, str | None]]) -> None:
        events = [self._event(receipt, correlation) for receipt, correlation in receipts]
        if events:
            await outbox.write(pg, outbox.rows(self._settings, events))

    def _event(self, receipt: R, correlation: str | None) -> Event:
        """The same submission gets the same ``ce_id``, however often its receipt is sent."""
        key = f"{receipt.source}/{receipt.submission}"
        return Event(
            self._desk.outcomes,
            receipt.outcome,
            key,
            receipt,
            receipt.decided_at,
            id=str(uuid5(NAMESPACE_URL, key)),
            correlation=correlation,
            causation=receipt.submission,
        )


def _waves(submissions: Iterable[S]) -> list[list[S]]:
    """Submissions in rounds that hold each record once, so that changes of one record keep their order."""
    waves: list[list[S]] = []
    seen: dict[tuple[str, str], int] = {}
    for each in submissions:
        turn = seen.get(each.received.name, 0)
        seen[each.received.name] = turn + 1
        if turn == len(waves):
            waves.append([])
        waves[turn].append(each)
    return waves

"""Taking records in: batches, offsets after the database, pauses, rebalances, dead letters, parked records.

One transaction takes a batch in, together with its dead letters and parked records; then, and only then, its
offsets are committed, for partitions that are still ours (architecture rule 4). A batch that fails because a
dependency is away is tried again while partitions are paused and the group is kept alive by polling.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

import asyncpg
from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, TopicPartition
from aiokafka.errors import CommitFailedError, IllegalStateError, KafkaError

from shared import broker, deadletter, telemetry
from shared.clock import Clock
from shared.contracts.base import Topic
from shared.db import AWAY, CONTENDED, Database, Pg
from shared.deadletter import DeadLetterLimit, DeadLetterLimitError
from shared.ids import uuid7
from shared.log import LogWatch
from shared.record import Park, Poison, Record, Verdict
from shared.settings import Settings

logger = logging.getLogger("bangfu.consumer")
RETRY_SECONDS = 0.5
BUSY_SECONDS = 5.0
"""How long after a record the next one is looked for closely."""
COMMIT_LIMIT = 5.0
"""Seconds the broker may take over an offset."""
PARKED_POLL_SECONDS = 0.25
LONGEST_PARK_STEP = timedelta(seconds=30)
_TRANSIENT = (*AWAY, *CONTENDED)


class Handler(Protocol):
    """What a service does with a batch."""

    async def __call__(self, pg: Pg, records: Sequence[Record]) -> Mapping[int, Verdict]:
        """Take records in within the open transaction of ``pg``.

        Returns a verdict by index for each record that was not taken in. Whatever it raises undoes the batch.
        """
        ...


class _RebalancedError(Exception):
    """Partitions changed hands while a batch was waiting to be tried again: it is dropped and redelivered."""


class Consumer(ConsumerRebalanceListener):  # type: ignore[misc]
    """One member of one group."""

    def __init__(
        self,
        *,
        settings: Settings,
        database: Database,
        clock: Clock,
        group: str,
        topics: Sequence[Topic],
        handle: Handler,
        limit: DeadLetterLimit | None,
        max_records: int = 2000,
        after_batch: Callable[[], None] = lambda: None,
    ) -> None:
        self.group = group
        self.topics = topics
        self.stopped: str | None = None
        """Why it stopped for good; None while it works."""
        self.failing_since: float | None = None
        """``time.monotonic()`` of the first of a row of failures; for health."""
        self.log = LogWatch(settings, topics)
        self._settings = settings
        self._database = database
        self._clock = clock
        self._handle = handle
        self._limit = limit
        self._max_records = max_records
        self._after_batch = after_batch
        self._attempt = asyncio.Lock()
        self._generation = 0

    async def run(self) -> None:
        """Consume until cancelled, or until the dead-letter limit stops it."""
        async with asyncio.TaskGroup() as beside:
            helpers = [beside.create_task(self.log.run()), beside.create_task(self._run_parked())]
            while self.stopped is None:
                try:
                    await self._session()
                except DeadLetterLimitError as error:
                    self._stop(str(error))
                except (KafkaError, *_TRANSIENT) as error:
                    self._failed(error)
                    await asyncio.sleep(RETRY_SECONDS)
            for helper in helpers:
                helper.cancel()

    def _stop(self, reason: str) -> None:
        self.stopped = reason
        telemetry.CONSUMER_STOPPED.labels(self.group).set(1)
        logger.critical("consumer stopped: %s", reason)

    def _failed(self, error: Exception) -> None:
        self.failing_since = self.failing_since or time.monotonic()
        detail = error if isinstance(error, KafkaError) else ""  # a database error may quote a row
        logger.warning("%s held up by %s %.200s", self.group, type(error).__name__, detail)

    async def _session(self) -> None:
        """Read one log as a member of the group, until the broker holds another one.

        A member would read on by itself, but on the embedded broker it may keep, for good, the few partitions that
        its topics had for a moment when it first met the new log.
        """
        self.failing_since = self.failing_since or time.monotonic()  # until it reads
        log = await self.log.known()  # and with it the topics, which must be there before they are mentioned
        client = broker.consumer(self._settings, self.group)
        client.subscribe([self._settings.topic(topic.name) for topic in self.topics], listener=self)
        try:
            async with asyncio.timeout(broker.SEND_LIMIT):
                await client.start()
            adopted, busy_until = False, 0.0
            while self.log.incarnation in (None, log):
                adopted = adopted or await self._adopt_log(client, log)
                broker.attend(client, self._settings, closely=time.monotonic() < busy_until)
                fetched = await client.getmany(timeout_ms=200, max_records=self._max_records)
                self.failing_since = None
                if fetched:
                    await self._take_in(client, fetched)
                    busy_until = time.monotonic() + BUSY_SECONDS
        finally:
            await broker.close(client)

    async def _take_in(self, client: AIOKafkaConsumer, fetched: Mapping[TopicPartition, Sequence[Any]]) -> None:
        now = self._clock.now()
        records = [_record(message, now) for messages in fetched.values() for message in messages]
        offsets = {partition: messages[-1].offset + 1 for partition, messages in fetched.items()}
        generation = self._generation
        while True:
            try:
                async with self._attempt:
                    if generation != self._generation:
                        raise _RebalancedError
                    started = time.monotonic()
                    await self._in_transaction(records, offsets)
                    await self._commit(client, offsets)
                break
            except _RebalancedError:
                return
            except _TRANSIENT as error:
                self._failed(error)
                await self._hold(client)
        telemetry.BATCH_SECONDS.labels(self.group).observe(time.monotonic() - started)
        self._after_batch()

    async def _hold(self, client: AIOKafkaConsumer) -> None:
        """Wait without leaving the group: paused partitions return nothing, but polling keeps us a member."""
        assigned = client.assignment()
        client.pause(*assigned)
        await asyncio.sleep(RETRY_SECONDS)
        for partition, messages in (await client.getmany(timeout_ms=0)).items():
            client.seek(partition, messages[0].offset)  # came with a rebalance, not paused: to be read again
        client.resume(*(assigned & client.assignment()))

    async def _in_transaction(self, records: Sequence[Record], offsets: Mapping[TopicPartition, int]) -> None:
        async with self._database.driver() as pg, pg.transaction():
            verdicts = await self._handle(pg, records)
            await self._settle(pg, records, verdicts)
            if offsets:
                await pg.execute(
                    _POSITION,
                    self.group,
                    *zip(*((t, p, o) for (t, p), o in sorted(offsets.items())), strict=True),
                )

    async def _settle(self, pg: Pg, records: Sequence[Record], verdicts: Mapping[int, Verdict]) -> None:
        poisoned = [(records[i], v.code) for i, v in verdicts.items() if isinstance(v, Poison)]
        parked = [(records[i], v.reason) for i, v in verdicts.items() if isinstance(v, Park)]
        if poisoned:
            if self._limit is not None:
                await deadletter.check_limit(pg, self.group, len(poisoned), self._limit)
            await deadletter.store(pg, self._settings, self.group, poisoned)
        for record, reason in parked:
            await pg.execute(_PARK, uuid7(), self.group, *_stored(record), reason, record.first_seen, self._clock.now())
        for outcome, count in (
            ("dead_letter", len(poisoned)), ("parked", len(parked)), ("taken_in", len(records) - len(verdicts))
        ):  # fmt: skip
            if count:
                telemetry.RECORDS.labels(self.group, records[0].topic, outcome).inc(count)

    async def _commit(self, client: AIOKafkaConsumer, offsets: Mapping[TopicPartition, int]) -> None:
        ours = client.assignment()
        try:
            async with asyncio.timeout(COMMIT_LIMIT):
                await client.commit({partition: offset for partition, offset in offsets.items() if partition in ours})
        except (CommitFailedError, IllegalStateError, TimeoutError, KafkaError) as error:
            # The database has the batch; whoever reads it again ignores it.
            logger.info("%s could not commit offsets: %s", self.group, type(error).__name__)

    # Rebalances: aiokafka calls these from a background task

    async def on_partitions_revoked(self, revoked: Sequence[TopicPartition]) -> None:
        """Wait for the batch in hand, then let go."""
        async with self._attempt:
            self._generation += 1

    async def on_partitions_assigned(self, assigned: Sequence[TopicPartition]) -> None:
        """Nothing to prepare: the position is the group's committed offset."""

    # A replaced log

    async def _adopt_log(self, client: AIOKafkaConsumer, incarnation: str) -> bool:
        """Read a replaced log from its start, even where a committed offset happens to lie within it.

        False when that must wait, for partitions or for the database.
        """
        if not client.assignment():
            return False
        try:
            async with self._database.driver() as pg:
                known = await pg.fetchval("SELECT incarnation FROM log_state WHERE reader = $1", self.group)
                if known not in (None, incarnation):
                    logger.warning("%s reads the new log from its start", self.group)
                    async with asyncio.timeout(COMMIT_LIMIT):
                        await client.seek_to_beginning(*client.assignment())
                    await self._commit(client, dict.fromkeys(client.assignment(), 0))  # holds after a rebalance, too
                    await pg.execute("DELETE FROM consumed_position WHERE group_name = $1", self.group)
                await pg.execute(
                    "INSERT INTO log_state (reader, incarnation) VALUES ($1, $2) "
                    "ON CONFLICT (reader) DO UPDATE SET incarnation = excluded.incarnation",
                    self.group,
                    incarnation,
                )
        except _TRANSIENT as error:
            self._failed(error)
            await self._hold(client)
            return False
        return True

    # Parked records

    async def _run_parked(self) -> None:
        while True:
            try:
                tried = await self.retry_parked()
            except (*_TRANSIENT, DeadLetterLimitError) as error:
                logger.info("%s parked records wait: %s", self.group, type(error).__name__)
                tried = 0
            if tried == 0:
                await asyncio.sleep(PARKED_POLL_SECONDS)

    async def retry_parked(self) -> int:
        """Try parked records that are due once more; returns how many were tried."""
        now = self._clock.now()
        async with self._database.driver() as pg, pg.transaction():
            rows = await pg.fetch(_DUE, self.group, now)
            if not rows:
                return 0
            records = [_parked(row) for row in rows]
            verdicts = await self._handle(pg, records)
            again = {i: v for i, v in verdicts.items() if isinstance(v, Park)}
            await self._settle(pg, records, {i: v for i, v in verdicts.items() if i not in again})
            await pg.execute(_UNPARK, [row["id"] for i, row in enumerate(rows) if i not in again])
            for i in again:
                step = min(timedelta(seconds=0.25 * 2 ** min(rows[i]["tries"], 10)), LONGEST_PARK_STEP)
                await pg.execute(_PARK_AGAIN, rows[i]["id"], now + step)
        self._after_batch()
        return len(rows) - len(again)


_POSITION = (
    "INSERT INTO consumed_position (group_name, topic, partition, next_offset) "
    "SELECT $1, * FROM unnest($2::text[], $3::int[], $4::bigint[]) "
    "ON CONFLICT (group_name, topic, partition) DO UPDATE SET next_offset = excluded.next_offset"
)
_PARK = (
    'INSERT INTO parked_record (id, group_name, topic, partition, "offset", key, value, headers, timestamp_ms, '
    "reason, first_seen, next_try_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)"
)
_DUE = (
    "SELECT * FROM parked_record WHERE group_name = $1 AND next_try_at <= $2 "
    "ORDER BY next_try_at LIMIT 500 FOR UPDATE SKIP LOCKED"
)
_UNPARK = "DELETE FROM parked_record WHERE id = ANY($1)"
_PARK_AGAIN = "UPDATE parked_record SET tries = tries + 1, next_try_at = $2 WHERE id = $1"


def _record(message: Any, now: datetime) -> Record:
    return Record(
        message.topic, message.partition, message.offset, message.key, message.value, message.headers,
        message.timestamp, now,
    )  # fmt: skip


def _stored(record: Record) -> tuple[Any, ...]:
    return (
        record.topic, record.partition, record.offset, record.key, record.value,
        deadletter.headers_to_json(record.headers), record.timestamp_ms,
    )  # fmt: skip


def _parked(row: asyncpg.Record) -> Record:
    return Record(
        row["topic"], row["partition"], row["offset"], row["key"], row["value"],
        deadletter.headers_from_json(row["headers"]), row["timestamp_ms"], row["first_seen"].astimezone(UTC),
    )  # fmt: skip

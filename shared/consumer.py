"""Taking records in: batches, offsets after the database, pauses, rebalances, dead letters, parked records.

One transaction takes a batch in, together with its dead letters and parked records; then, and only then, its
offsets are committed, for partitions that are still ours (architecture rule 4). A batch that fails because a
dependency is away is tried again while partitions are paused and the group is kept alive by polling.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, TopicPartition
from aiokafka.errors import CommitFailedError, IllegalStateError, KafkaError

from shared import broker, deadletter, parked, telemetry
from shared.clock import Clock
from shared.contracts.base import Topic
from shared.db import AWAY, CONTENDED, Database, Pg
from shared.deadletter import Allowance, DeadLetterLimitError
from shared.fetching import Fetched, Fetching, UnreadableError, polled
from shared.handling import Handler, Read, UnprocessableError, one_by_one, together
from shared.log import LogWatch
from shared.record import Park, Poison, Record, Verdict
from shared.settings import Settings

logger = logging.getLogger("bangfu.consumer")
RETRY_SECONDS = 0.5
SMALL = 200
"""Batches up to this size are read at once."""
COMMIT_LIMIT = 5.0
"""Seconds the broker may take over an offset."""
PARKED_POLL_SECONDS = 0.25
_TRANSIENT = (*AWAY, *CONTENDED)


def as_they_are(records: Sequence[Record]) -> Sequence[Record]:
    """The records themselves: for handlers that read them on their own."""
    return records


@dataclass(frozen=True, slots=True)
class _Batch:
    """What was fetched at once, and read."""

    records: Sequence[Record]
    read: Any
    offsets: Mapping[TopicPartition, int]
    generation: int
    """Partitions have changed hands since if the consumer's is another one by now."""
    unreadable: Mapping[int, Poison]
    """Those that could not even be fetched, by index."""


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
        allowance: Allowance,
        read: Read = as_they_are,
        max_records: int = 2000,
        after_batch: Callable[[], None] = lambda: None,
        keeps_content: bool = True,
    ) -> None:
        """``keeps_content``: False keeps of dead letters place and cause alone; what they say may name people."""
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
        self._read = read
        self._handle = handle
        self._allowance = allowance
        self._after_batch = after_batch
        self._keeps_content = keeps_content
        self._attempt = asyncio.Lock()
        self._generation = 0
        self._fetching = Fetching(max_records)

    async def run(self) -> None:
        """Consume until cancelled, or until the dead-letter limit stops it."""
        async with asyncio.TaskGroup() as beside:
            helpers = [beside.create_task(self.log.run()), beside.create_task(self._run_parked())]
            while self.stopped is None:
                try:
                    await self._session()
                except DeadLetterLimitError as error:
                    self._stop(str(error))
                except UnreadableError as error:
                    logger.warning("%s fetched what cannot be read (%s): looks for it", self.group, error)
                    self._fetching.look_closely()
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
            await self._consume(client, log)
        finally:
            await broker.close(client)

    async def _consume(self, client: AIOKafkaConsumer, log: str) -> None:
        adopted, last_record = False, time.monotonic()  # as if one had just come
        storing = asyncio.create_task(_nothing())
        try:
            while self.log.incarnation in (None, log):
                adopted = adopted or await self._adopt_log(client, log)
                broker.attend(client, self._settings, time.monotonic() - last_record)
                fetched, passed_over = await self._fetching.fetch(client)
                self.failing_since = None
                if fetched:
                    batch = await self._batch(fetched, passed_over)
                    await asyncio.shield(storing)
                    storing = asyncio.create_task(self._take_in(client, batch))
                    last_record = time.monotonic()
                elif storing.done():
                    storing.result()  # raises what stops us
            await asyncio.shield(storing)
        except UnreadableError:
            await asyncio.shield(storing)  # or the next session would begin where this one did
            raise
        finally:
            storing.cancel()
            await asyncio.gather(storing, return_exceptions=True)

    async def _batch(self, fetched: Fetched, passed_over: Collection[TopicPartition]) -> _Batch:
        now = self._clock.now()
        records = [_record(message, now) for messages in fetched.values() for message in messages]
        unreadable = {
            i: Poison("unreadable")
            for i, record in enumerate(records if passed_over else ())
            if (record.topic, record.partition) in passed_over
        }
        offsets = {partition: messages[-1].offset + 1 for partition, messages in fetched.items()}
        generation = self._generation
        # Beside the event loop, which goes on with the batch before.
        read = await asyncio.to_thread(self._read, records) if len(records) > SMALL else self._read(records)
        return _Batch(records, read, offsets, generation, unreadable)

    async def _take_in(self, client: AIOKafkaConsumer, batch: _Batch) -> None:
        singly = False
        while True:
            try:
                async with self._attempt:
                    if batch.generation != self._generation:
                        raise _RebalancedError
                    started = time.monotonic()
                    await self._in_transaction(batch, singly)
                    await self._commit(client, batch.offsets)
                break
            except _RebalancedError:
                return
            except UnprocessableError:
                singly = True
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
        for partition, messages in (await polled(client, timeout_ms=0)).items():
            client.seek(partition, messages[0].offset)  # came with a rebalance, not paused: to be read again
        client.resume(*(assigned & client.assignment()))

    async def _in_transaction(self, batch: _Batch, singly: bool) -> None:
        async with self._database.driver() as pg, pg.transaction():
            verdicts = await self._verdicts(pg, batch.records, batch.read, singly)
            await self._settle(pg, batch.records, {**verdicts, **batch.unreadable})
            places = [(topic, partition, offset) for (topic, partition), offset in sorted(batch.offsets.items())]
            await pg.execute(_POSITION, self.group, *zip(*places, strict=True))

    async def _verdicts(self, pg: Pg, records: Sequence[Record], read: Any, singly: bool) -> Mapping[int, Verdict]:
        """What is to become of records that are not taken in. Raises ``UnprocessableError`` unless ``singly``."""
        if singly:
            return await one_by_one(self._handle, self._read, pg, records)
        return await together(self._handle, pg, read)

    async def _settle(self, pg: Pg, records: Sequence[Record], verdicts: Mapping[int, Verdict]) -> None:
        poisoned = [(records[i], v) for i, v in verdicts.items() if isinstance(v, Poison)]
        parkable = records if self._keeps_content else [record._replace(key=None) for record in records]
        waiting = [(parkable[i], v.reason) for i, v in verdicts.items() if isinstance(v, Park)]
        admitted = await self._allowance.admit(pg, self.group, poisoned) if poisoned else []
        if admitted:
            await deadletter.store(pg, self._settings, self.group, admitted, with_content=self._keeps_content)
        await parked.park(pg, self.group, waiting, self._clock.now())
        for outcome, count in (
            ("dead_letter", len(admitted)), ("over_quota", len(poisoned) - len(admitted)), ("parked", len(waiting)),
            ("taken_in", len(records) - len(verdicts)),
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
        singly, most = False, parked.AT_ONCE
        while True:
            try:
                tried = await self.retry_parked(singly=singly, most=most)
                singly, most = False, parked.AT_ONCE
            except UnprocessableError:
                singly = True
                continue
            except DeadLetterLimitError as error:
                # Where many fail at once, as after a replay, fewer fit: the others must not wait behind them for good.
                most = max(most // 2, 1)
                logger.info("%s parked records wait: %s", self.group, error)
                tried = 0
            except _TRANSIENT as error:
                logger.info("%s parked records wait: %s", self.group, type(error).__name__)
                tried = 0
            if tried == 0:
                await asyncio.sleep(PARKED_POLL_SECONDS)

    async def retry_parked(self, *, singly: bool = False, most: int = parked.AT_ONCE) -> int:
        """Try parked records that are due once more, ``most`` of them; returns how many were settled.

        Raises ``UnprocessableError`` unless ``singly``, and ``DeadLetterLimitError``; nothing is settled then.
        """
        now = self._clock.now()
        async with self._database.driver() as pg, pg.transaction():
            tried = await parked.due(pg, self.group, now, most)
            if not tried:
                return 0
            records = [each.record for each in tried]
            verdicts = await self._verdicts(pg, records, self._read(records), singly)
            again = {i for i, verdict in verdicts.items() if isinstance(verdict, Park)}
            await self._settle(pg, records, {i: verdict for i, verdict in verdicts.items() if i not in again})
            settled = [each for i, each in enumerate(tried) if i not in again]
            await parked.unpark(pg, settled)
            await parked.postpone(pg, [tried[i] for i in sorted(again)], now)
        self._after_batch()
        return len(settled)


async def _nothing() -> None:
    """What is being stored before the first batch."""


_POSITION = (
    "INSERT INTO consumed_position (group_name, topic, partition, next_offset) "
    "SELECT $1, * FROM unnest($2::text[], $3::int[], $4::bigint[]) "
    "ON CONFLICT (group_name, topic, partition) DO UPDATE SET next_offset = excluded.next_offset"
)


def _record(message: Any, now: datetime) -> Record:
    return Record(
        message.topic, message.partition, message.offset, message.key, message.value, message.headers,
        message.timestamp, now,
    )  # fmt: skip

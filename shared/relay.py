"""The relay: brings the outbox to Kafka, one relay at a time, and refills a log that was replaced.

Never a cursor over a sequence: rows are selected in order of ``pos``, sent, and moved to ``outbox_sent`` when the
broker has acknowledged them, in one transaction that holds an advisory lock. A relay frozen in between loses its
lock to ``idle_in_transaction_session_timeout``; what it sent late is a duplicate, which readers ignore.
"""

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, date, datetime, timedelta

import asyncpg
from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.errors import KafkaError
from aiokafka.structs import RecordMetadata

from shared import broker, telemetry
from shared.contracts.base import Topic
from shared.db import AWAY, CONTENDED, Database, Pg
from shared.events import CloudEvent, encode
from shared.http import claiming
from shared.log import LogWatch, log_incarnation
from shared.outbox import COLUMNS
from shared.settings import Settings

logger = logging.getLogger("bangfu.relay")
BATCH = 2000
POLL_SECONDS = 0.02
LONGEST_POLL_SECONDS = 0.25
"""Events of this process wake the relay; those of other processes are found by looking, less often after a while."""
REST = 20
REST_SECONDS = 10.0
"""Times as long as a look took that found nothing, until the next, but not longer than this. A look walks over every
event of a large import that is not committed yet: half a second for those of a whole register."""
GATHER_SECONDS = 0.01
"""A batch begins no sooner after the one before: a batch costs a millisecond however small it is, and a busy service
wakes the relay with every commit. An event that comes alone still leaves at once."""
CLEAN_CHECK_SECONDS = 5.0
KEPT_DAYS = 7
LOCK = 0x72656C61  # the one active relay of a database
READER = "relay"

Republish = Callable[[Pg], Awaitable[int]]
"""Writes every aggregate's present state to the outbox, in the transaction given; returns how many."""

_SELECT = f"SELECT pos, created_at, {COLUMNS} FROM outbox ORDER BY pos LIMIT {BATCH}"
_MOVE = (
    f"WITH moved AS (DELETE FROM outbox WHERE pos = ANY($1) RETURNING pos, {COLUMNS}, created_at) "
    f"INSERT INTO outbox_sent (pos, {COLUMNS}, created_at) SELECT pos, {COLUMNS}, created_at FROM moved"
)
_REFILL = (
    f"WITH back AS (DELETE FROM outbox_sent WHERE sent_at >= $1 RETURNING pos, {COLUMNS}, created_at) "
    f"INSERT INTO outbox (pos, {COLUMNS}, created_at) OVERRIDING SYSTEM VALUE "
    f"SELECT pos, {COLUMNS}, created_at FROM back ON CONFLICT DO NOTHING"
)
_POSITIONS = (
    "INSERT INTO published_position (topic, partition, next_offset) "
    "SELECT * FROM unnest($1::text[], $2::int[], $3::bigint[]) "
    "ON CONFLICT (topic, partition) DO UPDATE SET next_offset = excluded.next_offset"
)


class Relay:
    """Publishes one service's events."""

    def __init__(
        self, settings: Settings, database: Database, topics: Sequence[Topic], *, republish: Republish
    ) -> None:
        self._settings = settings
        self._database = database
        self._topics = topics
        self._readers = {settings.topic(t.name): t.readers for t in topics}
        self._republish = republish
        self._signal = asyncio.Event()
        self._producer: AIOKafkaProducer | None = None
        self._incarnation: str | None = None
        self._poll = POLL_SECONDS
        self.log = LogWatch(settings, topics)

    def wake(self) -> None:
        """Say that an event was committed; it is sent without waiting for the next poll."""
        self._signal.set()

    async def run(self) -> None:
        """Relay until cancelled; survives the broker and the database going away."""
        async with asyncio.TaskGroup() as beside:
            beside.create_task(self.log.run())
            try:
                await self._run()
            finally:
                await self._drop_producer()

    async def _run(self) -> None:
        woken = True
        while True:
            incarnation = await self.log.known()
            started = time.monotonic()
            try:
                if incarnation != self._incarnation:
                    await self._adopt_log(incarnation)
                sent = await self._send_batch() if woken or await self._has_events() else 0
            except (*AWAY, *CONTENDED, KafkaError) as error:
                detail = error if isinstance(error, KafkaError) else ""
                logger.warning("relay held up by %s %.200s", type(error).__name__, detail)
                await self._drop_producer()
                self.log.doubt()
                await asyncio.sleep(0.5)
                continue
            except asyncpg.CheckViolationError:
                logger.warning("the day has no partition yet: the machine slept, or its clock leapt")
                await self._prepare_day()
                await asyncio.sleep(0.5)
                continue
            rest = min(REST * (time.monotonic() - started), REST_SECONDS)
            idle = max(min(2 * self._poll, LONGEST_POLL_SECONDS), rest)
            self._poll = POLL_SECONDS if sent else idle
            woken = sent == BATCH or await self._wait(started)

    async def _wait(self, started: float) -> bool:
        """Until the next batch may begin and somebody asks for it, or it is time to look; whether somebody asked."""
        await asyncio.sleep(started + GATHER_SECONDS - time.monotonic())
        try:
            async with asyncio.timeout(self._poll):
                await self._signal.wait()
        except TimeoutError:
            return False
        self._signal.clear()
        return True

    async def _has_events(self) -> bool:
        async with self._database.driver() as pg:
            return bool(await pg.fetchval("SELECT EXISTS (SELECT FROM outbox)"))

    async def _send_batch(self) -> int:
        async with self._database.driver() as pg, pg.transaction():
            if not await pg.fetchval("SELECT pg_try_advisory_xact_lock($1)", LOCK):
                return 0
            rows = await pg.fetch(_SELECT)
            if rows:
                acknowledged = await self._send(rows)
                await pg.execute(_MOVE, [row["pos"] for row in rows])
                await pg.execute(_POSITIONS, *_positions(acknowledged))
            return len(rows)

    async def _send(self, rows: Sequence[asyncpg.Record]) -> list[RecordMetadata]:
        async with asyncio.timeout(broker.SEND_LIMIT):
            producer = await self._started_producer()
            waiting = []
            for row in rows:
                value, headers = encode(_event(row))
                topic = self._settings.topic(row["aggregatetype"])
                waiting.append(await producer.send(topic, value, key=row["aggregateid"].encode(), headers=headers))
            acknowledged: list[RecordMetadata] = await asyncio.gather(*waiting)
        for topic, count in Counter(row["aggregatetype"] for row in rows).items():
            telemetry.EVENTS_SENT.labels(self._settings.service, topic).inc(count)
        return acknowledged

    async def _started_producer(self) -> AIOKafkaProducer:
        if self._producer is None:
            fresh = broker.producer(self._settings)
            self._producer = fresh
            await fresh.start()
        return self._producer

    async def _drop_producer(self) -> None:
        producer, self._producer = self._producer, None
        if producer is None:
            return
        try:
            async with asyncio.timeout(2):
                await producer.stop()
        except (TimeoutError, KafkaError, OSError) as error:
            logger.info("the old producer did not stop cleanly: %s", type(error).__name__)

    # The log's identity (architecture rule 3)

    async def _adopt_log(self, incarnation: str) -> None:
        """Compare the broker's log with the one we knew; send again what the new one may lack."""
        # A producer knows the partitions of the log it met first, and would send to some that a new one lacks: the
        # embedded broker acknowledges that, and nobody ever reads it.
        await self._drop_producer()
        async with self._database.driver() as pg, pg.transaction():
            await self._catch_up(pg, incarnation)
        self._incarnation = incarnation

    async def _catch_up(self, pg: Pg, incarnation: str) -> None:
        known = await pg.fetchrow("SELECT incarnation, clean_at FROM log_state WHERE reader = $1", READER)
        if known is not None and known["incarnation"] == incarnation:
            return
        await pg.execute("SELECT pg_advisory_xact_lock($1)", LOCK)
        if known is not None:
            count = await self._refill(pg, known["clean_at"])
            telemetry.LOG_REFILLS.labels(self._settings.service).inc()
            logger.warning("the broker's log was replaced: sending %d events again", count)
        await pg.execute("DELETE FROM published_position")
        await pg.execute(
            "INSERT INTO log_state (reader, incarnation) VALUES ($1, $2) "
            "ON CONFLICT (reader) DO UPDATE SET incarnation = excluded.incarnation",
            READER,
            incarnation,
        )

    async def _refill(self, pg: Pg, clean_at: datetime) -> int:
        if clean_at < datetime.now(UTC) - timedelta(days=KEPT_DAYS):
            return await self._republish(pg)
        status: str = await pg.execute(_REFILL, clean_at)
        return int(status.split()[-1])

    async def republish(self) -> int:
        """Write every aggregate's present state to the outbox again; returns how many."""
        async with self._database.driver() as pg, pg.transaction():
            return await self._republish(pg)

    async def mark_clean(self) -> bool:
        """Note the present moment as clean if all that was sent has been consumed by every reader.

        Returns whether it was. Raises what the broker or database raise when away.
        """
        async with self._database.driver() as pg:
            moment = await pg.fetchval("SELECT clock_timestamp()")
            known = await pg.fetchval("SELECT incarnation FROM log_state WHERE reader = $1", READER)
            if await pg.fetchval("SELECT EXISTS (SELECT FROM outbox)"):
                return False
            positions = await pg.fetch("SELECT topic, partition, next_offset FROM published_position")
        published: dict[str, dict[TopicPartition, int]] = {}
        for topic, partition, next_offset in positions:
            for group in self._readers.get(topic, ()):
                published.setdefault(group, {})[TopicPartition(topic, partition)] = next_offset
        if not await broker.have_read(self._settings, published):
            return False
        if known is None or await log_incarnation(self._settings) != known:
            return False  # a new log, not yet refilled: what the old one held may never have been read
        async with self._database.driver() as pg:
            await pg.execute(
                "UPDATE log_state SET clean_at = $2 WHERE reader = $1 AND incarnation = $3", READER, moment, known
            )
        return True

    async def keep_house(self) -> None:
        """Every few seconds: mark clean; every hour: day partitions and old idempotency rows. Until cancelled."""
        next_cleaning = 0.0
        while True:
            try:
                if time.monotonic() >= next_cleaning:
                    await self.clean_up(datetime.now(UTC).date())
                    await claiming.purge(self._database)
                    next_cleaning = time.monotonic() + 3600
                if self._poll > POLL_SECONDS:  # nothing was found to send
                    await self.mark_clean()
            except (*AWAY, *CONTENDED, KafkaError) as error:
                logger.info("housekeeping waits: %s", type(error).__name__)
            await asyncio.sleep(CLEAN_CHECK_SECONDS)

    async def _prepare_day(self) -> None:
        """Make the partition of the day that it is by the database's clock, which says when an event was sent."""
        async with self._database.driver() as pg:
            today = await pg.fetchval("SELECT current_date")
        await self.clean_up(today)

    async def clean_up(self, today: date) -> None:
        """Partitions of ``outbox_sent`` for today and tomorrow; those older than a week go."""
        async with self._database.driver() as pg, pg.transaction():
            await pg.execute("SELECT pg_advisory_xact_lock($1)", LOCK + 1)
            for day in (today, today + timedelta(days=1)):
                await pg.execute(
                    f"CREATE TABLE IF NOT EXISTS outbox_sent_{day:%Y%m%d} PARTITION OF outbox_sent "
                    f"FOR VALUES FROM ('{day} 00:00+00') TO ('{day + timedelta(days=1)} 00:00+00')"
                )
            oldest = f"outbox_sent_{today - timedelta(days=KEPT_DAYS):%Y%m%d}"
            for row in await pg.fetch(
                "SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid "
                "WHERE i.inhparent = 'outbox_sent'::regclass AND c.relname < $1",
                oldest,
            ):
                await pg.execute(f"DROP TABLE {row['relname']}")


def _positions(acknowledged: Sequence[RecordMetadata]) -> tuple[list[str], list[int], list[int]]:
    reached: dict[tuple[str, int], int] = {}
    for record in acknowledged:
        place = (record.topic, record.partition)
        reached[place] = max(reached.get(place, 0), record.offset + 1)
    places = sorted(reached)
    return [t for t, _ in places], [p for _, p in places], [reached[place] for place in places]


def _event(row: asyncpg.Record) -> CloudEvent:
    extensions = [("partitionkey", row["aggregateid"])]
    for name in ("aggregateversion", "correlationid", "causationid", "traceparent"):
        if row[name] is not None:
            extensions.append((name, row[name]))
    return CloudEvent(
        id=row["id"],
        source=row["source"],
        type=row["type"],
        data=row["payload"],
        time=row["time"],
        subject=row["aggregateid"],
        dataschema=row["dataschema"],
        extensions=tuple(extensions),
    )

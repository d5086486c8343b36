"""A service cut down to its plumbing: one aggregate, one topic, one reader; all of it real otherwise."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from uuid import UUID, uuid4

import asyncpg
from aiokafka import AIOKafkaConsumer, TopicPartition

from deploy.local.broker import EmbeddedBroker
from shared import outbox, plumbing
from shared.broker import ensure_topics
from shared.clock import SystemClock
from shared.consumer import Consumer
from shared.contracts.base import Contract, Topic
from shared.db import Database, Pg
from shared.deadletter import Allowance, DeadLetterLimit
from shared.outbox import Event
from shared.record import Park, Poison, Record, Verdict, read_event
from shared.relay import Relay
from shared.settings import Settings
from tests.stack import Broker

GROUP = "sample-reader"
LIMIT = DeadLetterLimit()


class Thing(Contract):
    """The sample aggregate; ``needs`` names another one that must be known first."""

    id: UUID
    version: int
    needs: UUID | None = None


THING = Topic("bangfu.sample.thing.v1", Thing, ("cn.bangfu.sample.thing.changed.v1",), "things", readers=(GROUP,))
SCHEMA = (
    "CREATE TABLE thing (id uuid PRIMARY KEY, version int NOT NULL)",  # the publisher's state
    "CREATE TABLE known (id uuid PRIMARY KEY, version int NOT NULL)",  # the reader's
    "CREATE TABLE taken (id uuid, version int, PRIMARY KEY (id, version))",  # the reader's inbox
    "CREATE TABLE tally (counted bigint NOT NULL)",  # what must count every version once
    "INSERT INTO tally VALUES (0)",
)


async def create_schema(url: str) -> None:
    pg = await asyncpg.connect(url)
    try:
        for statement in (*(plumbing.DDL + plumbing.ORIGIN).split(";\n"), *SCHEMA):
            if statement.strip():
                await pg.execute(statement)
    finally:
        await pg.close()


def settings_for(url: str, broker: Broker, prefix: str) -> Settings:
    return Settings(
        service="assistance",
        database_url=url,
        kafka_bootstrap_servers=broker.bootstrap_servers,
        kafka_idempotence=not isinstance(broker, EmbeddedBroker),
        kafka_fetch_wait_ms=20 if isinstance(broker, EmbeddedBroker) else 500,
        kafka_prefix=prefix,
    )


async def republish(pg: Pg) -> int:
    """Write every thing's present state to the outbox."""
    status: str = await pg.execute(
        "INSERT INTO outbox (id, aggregatetype, aggregateid, type, source, time, aggregateversion, payload) "
        "SELECT id || ':' || version, $1, id::text, $2, 'sample', '2018-10-08T00:00:00Z', version::text, "
        "convert_to(json_build_object('id', id, 'version', version)::text, 'UTF8') FROM thing",
        THING.name,
        THING.type("changed"),
    )
    return int(status.split()[-1])


def relay(settings: Settings, database: Database) -> Relay:
    return Relay(settings, database, [THING], republish=republish)


async def change(pg: Pg, settings: Settings, thing: UUID, needs: UUID | None = None) -> int:
    """The sample command: raise a thing's version under its row lock and say so; in the transaction given."""
    version: int = await pg.fetchval(_CHANGE, thing)
    body = Thing(id=thing, version=version, needs=needs)
    event = Event(THING, "changed", str(thing), body, datetime.now(UTC), version)
    await outbox.write(pg, outbox.rows(settings, [event]))
    return version


_CHANGE = (
    "INSERT INTO thing AS held (id, version) VALUES ($1, 1) "
    "ON CONFLICT (id) DO UPDATE SET version = held.version + 1 RETURNING version"
)


async def change_many(database: Database, settings: Settings, count: int, things: Sequence[UUID] = ()) -> None:
    """Committed changes, one transaction each: of new things, or of the given ones in turn."""
    for i in range(count):
        async with database.driver() as pg, pg.transaction():
            await change(pg, settings, things[i % len(things)] if things else uuid4())


async def take_in(pg: Pg, records: Sequence[Record]) -> Mapping[int, Verdict]:
    """The sample handler: every version of every thing counts once, the highest is kept."""
    verdicts: dict[int, Verdict] = {}
    for index, record in enumerate(records):
        try:
            _, thing = read_event(record, Thing)
        except Poison as poison:
            verdicts[index] = poison
            continue
        if thing.needs is not None and not await pg.fetchval("SELECT true FROM known WHERE id = $1", thing.needs):
            verdicts[index] = Park("unknown thing")
            continue
        await pg.execute(
            "WITH new AS (INSERT INTO taken VALUES ($1, $2) ON CONFLICT DO NOTHING RETURNING 1) "
            "UPDATE tally SET counted = counted + (SELECT count(*) FROM new)",
            thing.id,
            thing.version,
        )
        await pg.execute(
            "INSERT INTO known AS held VALUES ($1, $2) ON CONFLICT (id) DO UPDATE SET version = excluded.version "
            "WHERE held.version < excluded.version",
            thing.id,
            thing.version,
        )
    return verdicts


@dataclass
class Recording:
    """The sample handler, remembering how often each record was handed over."""

    deliveries: Counter[tuple[str, int, int]] = field(default_factory=Counter)

    async def __call__(self, pg: Pg, records: Sequence[Record]) -> Mapping[int, Verdict]:
        self.deliveries.update((r.topic, r.partition, r.offset) for r in records)
        return await take_in(pg, records)


def consumer(
    settings: Settings,
    database: Database,
    handle: Recording | None = None,
    *,
    allowance: Allowance = LIMIT,
) -> Consumer:
    return Consumer(
        settings=settings,
        database=database,
        clock=SystemClock(),
        group=GROUP,
        topics=[THING],
        handle=handle or Recording(),
        allowance=allowance,
    )


class Reader:
    """Reads a whole topic as an outsider would: every partition from its start, no group."""

    def __init__(self, settings: Settings, topic: str = THING.name, partitions: int = THING.partitions) -> None:
        self._settings = settings
        self._places = [TopicPartition(settings.topic(topic), p) for p in range(partitions)]
        self._client = AIOKafkaConsumer(
            bootstrap_servers=settings.kafka_bootstrap_servers, auto_offset_reset="earliest", fetch_max_wait_ms=20
        )
        self.things: list[tuple[str, int]] = []
        """(id, version) in the order of their partitions, duplicates included."""
        self.values: list[bytes | None] = []

    async def __aenter__(self) -> "Reader":
        await ensure_topics(self._settings, [THING])  # a topic that is merely mentioned gets too few partitions
        await self._client.start()
        self._client.assign(self._places)
        await self._client.seek_to_beginning(*self._places)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._client.stop()

    async def read(self) -> set[tuple[str, int]]:
        """Read what has come; the set of all versions read so far."""
        for messages in (await self._client.getmany(timeout_ms=50)).values():
            for message in messages:
                headers = dict(message.headers)
                self.values.append(message.value)
                if "ce_aggregateversion" in headers:
                    self.things.append((message.key.decode(), int(headers["ce_aggregateversion"])))
        return set(self.things)

    def first_occurrences(self) -> dict[str, list[int]]:
        """Versions by thing in the order in which each was first seen."""
        order: dict[str, list[int]] = {}
        for thing, version in dict.fromkeys(self.things):
            order.setdefault(thing, []).append(version)
        return order


class Mention:
    """An outsider's client that names the topic without making it; the broker then makes it as it likes."""

    def __init__(self, settings: Settings) -> None:
        self._client = AIOKafkaConsumer(
            settings.topic(THING.name), bootstrap_servers=settings.kafka_bootstrap_servers, fetch_max_wait_ms=20
        )

    async def __aenter__(self) -> None:
        await self._client.start()

    async def __aexit__(self, *_: object) -> None:
        await self._client.stop()


async def committed(database: Database) -> set[tuple[str, int]]:
    """Every version the publisher ever committed."""
    async with database.driver() as pg:
        rows = await pg.fetch("SELECT id, generate_series(1, version) AS version FROM thing")
    return {(str(row["id"]), row["version"]) for row in rows}


async def counted(database: Database) -> int:
    async with database.driver() as pg:
        number: int = await pg.fetchval("SELECT counted FROM tally")
    return number


async def outbox_rows(database: Database) -> int:
    async with database.driver() as pg:
        number: int = await pg.fetchval("SELECT count(*) FROM outbox")
    return number

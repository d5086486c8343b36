"""Records that the client or a handler fails on: they are written off, and hold nobody up (architecture rule 4)."""

from collections.abc import Mapping, Sequence
from uuid import uuid4

import asyncpg
import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.errors import ConsumerStoppedError, KafkaError
from aiokafka.record.default_records import _DefaultRecordBatchBuilderPy

from deploy.local.broker import EmbeddedBroker
from shared import broker, deadletter
from shared.db import Pg
from shared.events import CloudEvent, encode
from shared.fetching import polled
from shared.handling import together
from shared.record import Record, Verdict
from shared.settings import Settings
from tests.faults import sample
from tests.faults.conftest import Plumbing
from tests.faults.sample import Thing, change_many, counted
from tests.faults.test_consumer import dead_letters
from tests.faults.waiting import running, until_equal

Headers = Sequence[tuple[str, bytes | None]]
ZSTD = 4


class Latin1Name(str):
    """A header's name as a client may write it that does not care for UTF-8."""

    def encode(self, *_: str) -> bytes:
        return super().encode("latin-1")


class Damaged(_DefaultRecordBatchBuilderPy):  # type: ignore[misc]
    """Makes a batch whose checksum is right and whose codec cannot unpack it."""

    def _maybe_compress(self) -> bool:
        compressed: bool = super()._maybe_compress()
        for place in range(self.HEADER_STRUCT.size + 6, len(self._buffer)):
            self._buffer[place] ^= 0x5A
        return compressed


def batch_builder(make: type = _DefaultRecordBatchBuilderPy, codec: int = 0) -> object:
    """In Python: the one in C takes no strange names."""
    return make(2, codec, 0, -1, -1, -1, 2**16)


async def send(settings: Settings, *more: Headers, builder: object = None, version: int = 1) -> None:
    """Put new things on the sample topic in one batch, one for each of these further headers."""
    producer = AIOKafkaProducer(bootstrap_servers=settings.kafka_bootstrap_servers)
    await producer.start()
    try:
        batch = producer.create_batch()
        batch._builder = builder or batch_builder()
        for further in more:
            thing = Thing(id=uuid4(), version=version)
            event = CloudEvent(
                f"{thing.id}:{version}", "sample", sample.THING.types[0], thing.to_json(), subject=str(thing.id)
            )
            value, headers = encode(event)
            assert batch.append(timestamp=None, key=str(thing.id).encode(), value=value, headers=[*headers, *further])
        await (await producer.send_batch(batch, settings.topic(sample.THING.name), partition=0))
    finally:
        await producer.stop()


async def test_a_header_whose_name_is_no_utf8(plumbing: Plumbing) -> None:
    """Its record is written off, and what its sender put behind it into the same batch; all else is counted once.

    A header without value says nothing.
    """
    settings, database = plumbing.settings, plumbing.database
    await broker.ensure_topics(settings, [sample.THING])
    strange = [(Latin1Name("größe"), b"1")]
    async with running(sample.relay(settings, database).run()):
        await change_many(database, settings, 10)
        await send(settings, [], [("ce_nothing", None)], [], strange, strange, [], [], [])
        await send(settings, [], [], [], [])
        async with running(sample.consumer(settings, database).run()):
            await until_equal(lambda: counted(database), 10 + 3 + 4, what="all others are counted")
            await change_many(database, settings, 1)
            await until_equal(lambda: counted(database), 18, what="and what follows")
    assert await dead_letters(plumbing) == ["unreadable"] * 5


async def test_a_batch_that_cannot_be_unpacked(plumbing: Plumbing) -> None:
    """Apache Kafka refuses it, the embedded broker does not."""
    settings, database = plumbing.settings, plumbing.database
    await broker.ensure_topics(settings, [sample.THING])
    await send(settings, [], [])
    damaged = send(settings, [], [], [], builder=batch_builder(Damaged, ZSTD))
    if not isinstance(plumbing.broker, EmbeddedBroker):
        with pytest.raises(KafkaError):
            await damaged
        return
    await damaged
    await send(settings, [])
    async with running(sample.consumer(settings, database).run()):
        await until_equal(lambda: counted(database), 3, what="all others are counted")
    assert await dead_letters(plumbing) == ["unreadable"] * 3


async def test_what_no_record_is_to_blame_for_writes_none_off() -> None:
    class Stopped:
        async def getmany(self, **_: int) -> None:
            raise ConsumerStoppedError

    with pytest.raises(ConsumerStoppedError):
        await polled(Stopped(), timeout_ms=0)


async def test_what_a_handler_fails_on_is_found_and_written_off(plumbing: Plumbing) -> None:
    """A number that the database has no room for, among many records and alone; also where a person replays it."""
    settings, database = plumbing.settings, plumbing.database
    await broker.ensure_topics(settings, [sample.THING])
    await send(settings, [], [])
    await send(settings, [], [], version=2**31)
    await send(settings, [])
    async with running(sample.relay(settings, database).run(), sample.consumer(settings, database).run()):
        await until_equal(lambda: counted(database), 3, what="all others are counted")
        await send(settings, [], version=2**31)
        await change_many(database, settings, 1)
        await until_equal(lambda: counted(database), 4, what="and what follows")
        async with database.driver() as pg:
            letters = await pg.fetch("SELECT id FROM dead_letter")
            assert await deadletter.replay(pg, [row["id"] for row in letters]) == 3
        await until_equal(lambda: parked(plumbing), 0, what="those replayed are decided again")
        await change_many(database, settings, 1)
        await until_equal(lambda: counted(database), 5, what="and the consumer works on")
    async with database.driver() as pg:
        again = await pg.fetch("SELECT cause, status FROM dead_letter")
    assert [tuple(row) for row in again] == [("unprocessable", "open")] * 3


async def test_what_the_database_refuses_beside_what_it_has_is_written_off(plumbing: Plumbing) -> None:
    """A mirrored key whose prefix is another key's already: no constraint of ours may stop a reader for good."""
    settings, database = plumbing.settings, plumbing.database
    await broker.ensure_topics(settings, [sample.THING])

    class OnePrefix(sample.Recording):
        async def __call__(self, pg: Pg, records: Sequence[Record]) -> Mapping[int, Verdict]:
            for record in records:
                thing = Thing.model_validate_json(record.value or b"")
                prefix = "taken" if thing.version > 1 else str(thing.id)
                await pg.execute(
                    "INSERT INTO api_key VALUES ($1, $2, 1, '') ON CONFLICT (id) DO NOTHING", thing.id, prefix
                )
            return await super().__call__(pg, records)

    async with database.driver() as pg:
        await pg.execute("INSERT INTO api_key VALUES ($1, 'taken', 1, '')", uuid4())
    await send(settings, [])
    await send(settings, [], version=2)
    await send(settings, [])
    async with running(sample.consumer(settings, database, OnePrefix()).run()):
        await until_equal(lambda: counted(database), 2, what="all others are counted")
    assert await dead_letters(plumbing) == ["unprocessable"]


async def parked(plumbing: Plumbing) -> int:
    async with plumbing.database.driver() as pg:
        number: int = await pg.fetchval("SELECT count(*) FROM parked_record")
    return number


async def test_our_own_faults_are_written_off_on_no_record(plumbing: Plumbing) -> None:
    async def broken(pg: Pg, _: Sequence[Record]) -> Mapping[int, Verdict]:
        await pg.execute("SELECT no_such_column FROM thing")
        return {}

    async with plumbing.database.driver() as pg:
        with pytest.raises(asyncpg.UndefinedColumnError):
            await together(broken, pg, [])

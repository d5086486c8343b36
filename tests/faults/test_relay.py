"""The relay alone: nothing lost, order kept, whatever the transactions and the broker do (F3, F5, F13)."""

import asyncio
import random
from uuid import uuid4

from aiokafka import TopicPartition

from shared import broker
from tests.faults import sample
from tests.faults.conftest import Plumbing
from tests.faults.sample import Reader, change, change_many, committed, outbox_rows
from tests.faults.waiting import running, until, until_equal

WRITERS = 16
CHANGES = 25


async def test_nothing_is_lost_and_versions_keep_their_order_under_16_writers(plumbing: Plumbing) -> None:
    """Transactions end out of order: a later position commits first, which a cursor would step over."""
    settings, database, _ = plumbing.settings, plumbing.database, plumbing.broker
    things = [uuid4() for _ in range(WRITERS * 2)]

    async def write(seed: int) -> None:
        chance = random.Random(seed)
        for _ in range(CHANGES):
            async with database.driver() as pg, pg.transaction():
                await change(pg, settings, things[seed * 2 + chance.randrange(2)])
                await asyncio.sleep(chance.random() / 100)

    async with running(sample.relay(settings, database).run()):
        await asyncio.gather(*(write(seed) for seed in range(WRITERS)))
        everything = await committed(database)
        async with Reader(settings) as reader:
            await until_equal(reader.read, everything, what="every committed version is on the topic")
    assert len(everything) == WRITERS * CHANGES
    assert all(versions == sorted(versions) for versions in reader.first_occurrences().values())


async def test_a_position_committed_late_is_sent(plumbing: Plumbing) -> None:
    """F5: two long transactions hold the lowest positions while later ones are sent, and the relay is restarted."""
    settings, database = plumbing.settings, plumbing.database
    late, later = uuid4(), uuid4()
    async with Reader(settings) as reader, database.driver() as held_longer:
        ends = held_longer.transaction()
        await ends.start()
        async with running(sample.relay(settings, database).run()):
            async with database.driver() as held, held.transaction():
                await change(held, settings, late)
                await change(held_longer, settings, later)
                await change_many(database, settings, 5)
                everything = await committed(database)
                await until_equal(reader.read, everything, what="the others did not wait")
            await until_equal(reader.read, everything | {(str(late), 1)}, what="the late one came")
        await ends.commit()
        async with running(sample.relay(settings, database).run()):
            await until_equal(reader.read, await committed(database), what="so did the one before a restart")
    assert len(set(reader.things)) == 7  # ended between the sending and its commit, a relay's successor sends again


async def test_two_relays_take_turns_and_lose_nothing(plumbing: Plumbing) -> None:
    settings, database, _ = plumbing.settings, plumbing.database, plumbing.broker
    things = [uuid4() for _ in range(5)]
    async with running(sample.relay(settings, database).run(), sample.relay(settings, database).run()):
        await change_many(database, settings, 100, things)
        everything = await committed(database)
        async with Reader(settings) as reader:
            await until_equal(reader.read, everything, what="every committed version is on the topic")
    assert all(versions == sorted(versions) for versions in reader.first_occurrences().values())
    assert len(reader.things) == len(everything), "without faults nothing is sent twice"


async def test_a_day_that_nobody_prepared_stops_nothing(plumbing: Plumbing) -> None:
    """The machine slept for days, or its clock leapt: what is sent today has no partition to be kept in."""
    settings, database = plumbing.settings, plumbing.database
    async with running(sample.relay(settings, database).run()):
        await change_many(database, settings, 1)
        await until_equal(lambda: outbox_rows(database), 0, what="sent")
        async with database.driver() as pg:
            for row in await pg.fetch(
                "SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = $1::regclass", "outbox_sent"
            ):
                await pg.execute(f"DROP TABLE {row['inhrelid']}")
        await change_many(database, settings, 3)
        await until_equal(lambda: outbox_rows(database), 0, what="sent on such a day")


async def test_the_outbox_grows_while_the_broker_is_away_and_empties_when_it_is_back(plumbing: Plumbing) -> None:
    settings, database, server = plumbing.settings, plumbing.database, plumbing.broker
    async with running(sample.relay(settings, database).run()):
        await change_many(database, settings, 3)
        await until_equal(lambda: outbox_rows(database), 0, what="sent")
        server.kill()
        await change_many(database, settings, 20)
        assert await outbox_rows(database) >= 20
        server.start()
        await until_equal(lambda: outbox_rows(database), 0, what="emptied")
        async with Reader(settings) as reader:
            await until_equal(reader.read, await committed(database), what="every version is on the topic")


async def test_a_replaced_log_gets_again_what_was_sent_since_the_clean_mark(plumbing: Plumbing) -> None:
    """Architecture rule 3: what all readers had is not sent again, everything later is."""
    settings, database, server = plumbing.settings, plumbing.database, plumbing.broker
    relay = sample.relay(settings, database)
    async with running(relay.run(), sample.consumer(settings, database).run()):
        await change_many(database, settings, 10)
        before = await committed(database)
        await until_equal(lambda: sample.counted(database), 10, what="read")
        await until_equal(relay.mark_clean, True, what="marked clean")
    async with running(relay.run()):
        await change_many(database, settings, 7)
        after = await committed(database) - before
        await until_equal(lambda: outbox_rows(database), 0, what="sent")
        server.kill()
        server.wipe()
        server.start()
        async with Reader(settings) as reader:
            await until_equal(reader.read, after, what="sent again")


async def test_a_log_replaced_after_a_week_gets_the_present_state_of_everything(plumbing: Plumbing) -> None:
    """What was sent is kept seven days; a clean mark older than that says nothing."""
    settings, database, server = plumbing.settings, plumbing.database, plumbing.broker
    thing = uuid4()
    async with running(sample.relay(settings, database).run()):
        await change_many(database, settings, 3, [thing])
        await change_many(database, settings, 3)
        await until_equal(lambda: outbox_rows(database), 0, what="sent")
        async with database.driver() as pg:
            await pg.execute("UPDATE log_state SET clean_at = clean_at - interval '8 days'")
            await pg.execute("TRUNCATE outbox_sent")
            present = {(str(row["id"]), row["version"]) for row in await pg.fetch("SELECT * FROM thing")}
        server.kill()
        server.wipe()
        server.start()
        async with Reader(settings) as reader:
            await until_equal(reader.read, present, what="present states")


async def test_a_new_log_is_not_marked_clean_by_what_the_old_one_held(plumbing: Plumbing) -> None:
    """The broker is wiped and one more event is sent and read before the relay looks at the log again.

    Were that moment marked clean, the events that went down with the old log would never be sent again.
    """
    settings, database, server = plumbing.settings, plumbing.database, plumbing.broker
    thing = uuid4()
    relay = sample.relay(settings, database)
    async with running(relay.run()):
        await change_many(database, settings, 3, [thing])
        await until_equal(lambda: outbox_rows(database), 0, what="sent")
    server.kill()
    server.wipe()
    server.start()
    await broker.ensure_topics(settings, [sample.THING])
    await change_many(database, settings, 1, [thing])
    await relay._send_batch()  # what a running relay does before its next look at the log
    async with running(sample.consumer(settings, database).run()):
        await until_equal(lambda: sample.counted(database), 1, what="the new event is read")
        await until(lambda: _has_read(plumbing), what="its offset is committed")
        await relay.mark_clean()
        async with running(relay.run()):
            await until_equal(lambda: sample.counted(database), 4, what="the old ones are sent again")


async def _has_read(plumbing: Plumbing) -> bool:
    """Whether the reader has committed what the relay believes to have published."""
    async with plumbing.database.driver() as pg:
        rows = await pg.fetch("SELECT topic, partition, next_offset FROM published_position")
    positions = {TopicPartition(topic, partition): offset for topic, partition, offset in rows}
    return await broker.have_read(plumbing.settings, {sample.GROUP: positions})

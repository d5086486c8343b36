"""The consumer alone: every version counts once whatever dies or comes twice (F6, F7, F21, F22, F23)."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from shared import broker, deadletter
from shared.consumer import Consumer
from shared.db import Pg
from shared.deadletter import DeadLetterLimit, OriginQuota
from shared.record import Poison, Record, Verdict
from shared.settings import Settings
from tests.faults import sample
from tests.faults.conftest import Plumbing
from tests.faults.process import Armed
from tests.faults.sample import Recording, change, change_many, counted, outbox_rows
from tests.faults.waiting import PATIENCE, WITHIN_SECONDS, running, until, until_equal


async def send(settings: Settings, *records: tuple[bytes | None, bytes | None]) -> None:
    """Put raw records (key, value) on the sample topic, as an outsider would."""
    producer: AIOKafkaProducer = broker.producer(settings)
    await producer.start()
    try:
        for key, value in records:
            await producer.send_and_wait(settings.topic(sample.THING.name), value, key=key, partition=0)
    finally:
        await producer.stop()


async def dead_letters(plumbing: Plumbing) -> list[str]:
    async with plumbing.database.driver() as pg:
        rows = await pg.fetch('SELECT cause FROM dead_letter ORDER BY "offset"')
    return [row["cause"] for row in rows]


POINTS = ("consumer.before_commit", "consumer.after_commit", "consumer.before_offsets", "consumer.after_offsets")


async def test_a_killed_consumer_counts_everything_once(
    plumbings: Callable[[], Awaitable[Plumbing]], run_directory: Path
) -> None:
    """F6: killed before and after the database's commit, and before and after that of the offsets."""

    async def kill_at(point: str) -> None:
        plumbing = await plumbings()
        settings, database = plumbing.settings, plumbing.database
        log = run_directory / "faults" / f"{point}.log"
        command = ("tests.faults.sample_process", "consumer")
        async with running(sample.relay(settings, database).run()):
            await change_many(database, settings, 30)
            with Armed(*command, settings=settings, log=log, failpoint=f"{point}@1=KILL") as consumer:
                await until(consumer.killed, what=f"{point} is reached")
            await change_many(database, settings, 5)
            async with running(sample.consumer(settings, database).run()):
                await until_equal(lambda: counted(database), 35, what=f"{point}: every version counts once")

    async with asyncio.TaskGroup() as group:
        for point in POINTS:
            group.create_task(kill_at(point))


async def test_offsets_follow_the_database(plumbing: Plumbing, monkeypatch: pytest.MonkeyPatch) -> None:
    """Architecture rule 4: whenever offsets are committed, another connection already sees what they stand for."""
    settings, database = plumbing.settings, plumbing.database
    seen: list[bool] = []
    commit = Consumer._commit

    async def watched(self: Consumer, client: Any, offsets: Mapping[TopicPartition, int]) -> None:
        seen.append(await counted(database) >= await _handed_over(handle))
        await commit(self, client, offsets)

    monkeypatch.setattr(Consumer, "_commit", watched)
    handle = Recording()
    async with running(sample.relay(settings, database).run(), sample.consumer(settings, database, handle).run()):
        await change_many(database, settings, 30)
        await until_equal(lambda: counted(database), 30, what="read")
        await until(lambda: _has_committed(seen), what="an offset commit")
    assert all(seen)


async def _handed_over(recording: Recording) -> int:
    return max(1, len(recording.deliveries))


async def _has_committed(seen: list[bool]) -> bool:
    return bool(seen)


async def test_what_is_delivered_again_counts_once(plumbing: Plumbing) -> None:
    """F21: a second group from offset 0 is handed everything again, and changes nothing."""
    settings, database = plumbing.settings, plumbing.database
    things = [uuid4() for _ in range(4)]
    async with running(sample.relay(settings, database).run()):
        await change_many(database, settings, 40, things)
        async with running(sample.consumer(settings, database).run()):
            await until_equal(lambda: counted(database), 40, what="read")
        again = Recording()
        second = sample.consumer(settings, database, again)
        second.group = f"{sample.GROUP}-again"
        async with running(second.run()):
            await until(lambda: _as_many(again, 40), what="all was handed over again")
            await until_equal(lambda: _commits(plumbing, second.group), 40, what="and settled")
    assert await counted(database) == 40


async def _as_many(recording: Recording, count: int) -> bool:
    return len(recording.deliveries) >= count


async def _commits(plumbing: Plumbing, group: str) -> int:
    async with plumbing.database.driver() as pg:
        taken: int = await pg.fetchval(
            "SELECT coalesce(sum(next_offset), 0)::bigint FROM consumed_position WHERE group_name = $1", group
        )
    return taken


async def test_members_that_come_and_go_count_everything_once(plumbing: Plumbing) -> None:
    """F7 in small: a second member joins and leaves while records arrive."""
    settings, database = plumbing.settings, plumbing.database
    async with running(sample.relay(settings, database).run(), sample.consumer(settings, database).run()):
        await change_many(database, settings, 10)
        await until_equal(lambda: counted(database), 10, what="read by the first")
        joined = Recording()
        async with running(sample.consumer(settings, database, joined).run()):
            await until(lambda: _change_until(plumbing, joined), what="the second member is handed something")
        total = len(await sample.committed(database))
        await until_equal(lambda: counted(database), total, what="every version counts once")


async def _change_until(plumbing: Plumbing, joined: Recording) -> bool:
    await change_many(plumbing.database, plumbing.settings, 5)
    return bool(joined.deliveries)


async def test_a_broken_database_holds_the_consumer_up_and_loses_nothing(plumbing: Plumbing) -> None:
    """Transient trouble is tried again for as long as it takes; it is never a dead letter."""
    settings, database = plumbing.settings, plumbing.database
    async with running(sample.relay(settings, database).run(), sample.consumer(settings, database).run()):
        async with database.driver() as pg:
            await pg.execute("ALTER TABLE tally RENAME TO gone")
            await pg.execute("CREATE VIEW tally AS SELECT counted FROM gone")
            async with pg.transaction():
                await pg.execute("LOCK TABLE gone IN ACCESS EXCLUSIVE MODE")
                await change_many(database, settings, 5)
                await until_equal(lambda: outbox_rows(database), 0, what="sent")
                await until(lambda: _waits_for_a_lock(plumbing), what="a batch has waited for the lock")
        await until_equal(lambda: counted(database), 5, what="taken in when the lock is gone")
    assert await dead_letters(plumbing) == []


async def test_what_arrives_while_a_batch_waits_is_not_passed_over(
    plumbing: Plumbing, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Partitions that come with a rebalance are not paused: what polling returns of them must be read again."""
    settings = plumbing.settings
    await broker.ensure_topics(settings, [sample.THING])
    await send(settings, *[(b"key", b"%d" % number) for number in range(5)])
    member = broker.consumer(settings, sample.GROUP)
    member.subscribe([settings.topic(sample.THING.name)])
    await member.start()
    try:
        await until(lambda: _fetched(member), what="records are at hand")
        monkeypatch.setattr(member, "pause", lambda *_: None)  # as if the partitions had come after pausing
        await sample.consumer(settings, plumbing.database)._hold(member)
        [records] = (await member.getmany(timeout_ms=60_000)).values()
        assert [record.value for record in records] == [b"%d" % number for number in range(5)]
    finally:
        await broker.close(member)


async def _fetched(member: AIOKafkaConsumer) -> bool:
    return bool(member.assignment()) and member.highwater(sorted(member.assignment())[0]) == 5


async def _waits_for_a_lock(plumbing: Plumbing) -> bool:
    """Whether a batch does: its transaction shows in the server's view of waiters."""
    async with plumbing.database.driver() as pg:
        return bool(await pg.fetchval("SELECT count(*) FROM pg_locks WHERE NOT granted"))


async def test_poison_is_a_dead_letter_once_and_stops_nothing(plumbing: Plumbing) -> None:
    """F22: written off with its cause, once, also when it is delivered again; what follows flows."""
    settings, database = plumbing.settings, plumbing.database
    await broker.ensure_topics(settings, [sample.THING])
    await send(settings, (b"a", None), (b"b", b""), (None, b"\x80\x81\xff"), (b"c", b"{}"))
    async with running(sample.relay(settings, database).run()):
        handle = Recording()
        async with running(sample.consumer(settings, database, handle).run()):
            await change_many(database, settings, 10)
            await until_equal(lambda: counted(database), 10, what="what follows is read")
            await until_equal(lambda: _count(plumbing, "dead_letter"), 4, what="dead letters")
        async with database.driver() as pg:  # the next one takes the log for a new one and reads it again
            await pg.execute("UPDATE log_state SET incarnation = 'another' WHERE reader = $1", sample.GROUP)
        async with running(sample.consumer(settings, database, handle).run()):
            await until(lambda: _all_twice(handle), what="everything was handed over again")
            await change_many(database, settings, 1)
            await until_equal(lambda: counted(database), 11, what="and settled")
            await until_equal(lambda: outbox_rows(database), 0, what="copies sent")
    assert await dead_letters(plumbing) == ["not_a_cloudevent:specversion"] * 4
    async with sample.Reader(settings, sample.THING.dead_letters, partitions=1) as copies:
        await until_equal(lambda: _values(copies), 4, what="a copy of each on the dead-letter topic")


async def _all_twice(handle: Recording) -> bool:
    return len(handle.deliveries) >= 14 and all(times >= 2 for times in handle.deliveries.values())


async def _values(reader: sample.Reader) -> int:
    await reader.read()
    return len(reader.values)


async def _count(plumbing: Plumbing, table: str) -> int:
    async with plumbing.database.driver() as pg:
        number: int = await pg.fetchval(f"SELECT count(*) FROM {table}")
    return number


async def _waiting(plumbing: Plumbing) -> int:
    async with plumbing.database.driver() as pg:
        number: int = await pg.fetchval("SELECT count(*) FROM parked_record WHERE reason <> 'replay'")
    return number


async def test_too_much_poison_stops_the_consumer_and_drains_nothing(plumbing: Plumbing) -> None:
    """F23: after a bad release the topic must not end up in the dead letters."""
    settings, database = plumbing.settings, plumbing.database
    await broker.ensure_topics(settings, [sample.THING])
    consumer = sample.consumer(settings, database, allowance=DeadLetterLimit(count=10, window=timedelta(minutes=1)))
    await send(settings, *[(b"a", b"poison") for _ in range(11)])
    async with asyncio.timeout(WITHIN_SECONDS * PATIENCE):
        await consumer.run()
    assert consumer.stopped is not None
    assert await dead_letters(plumbing) == [], "the batch that would have passed the limit left nothing behind"
    assert await _commits(plumbing, sample.GROUP) == 0
    nothing_read = {sample.GROUP: {TopicPartition(settings.topic(sample.THING.name), 0): 1}}
    assert not await broker.have_read(settings, nothing_read), "no offset was committed"


async def test_more_replayed_than_may_fail_at_once_holds_up_no_other_parked_record(plumbing: Plumbing) -> None:
    """F23: replayed before their cause is mended, they are decided again a few at a time; what waits goes on."""
    settings, database = plumbing.settings, plumbing.database
    needed, waiting = uuid4(), uuid4()
    await broker.ensure_topics(settings, [sample.THING])
    await send(settings, *[(b"a", b"poison") for _ in range(11)])
    async with running(sample.consumer(settings, database).run()):
        await until_equal(lambda: _count(plumbing, "dead_letter"), 11, what="dead letters")
    async with database.driver() as pg:
        await pg.execute("UPDATE dead_letter SET created_at = created_at - interval '1 hour'")
        letters = await pg.fetch("SELECT id FROM dead_letter")
        assert await deadletter.replay(pg, [row["id"] for row in letters]) == 11
    few = sample.consumer(settings, database, allowance=DeadLetterLimit(count=10, window=timedelta(minutes=1)))
    async with running(sample.relay(settings, database).run()), running(few.run()):
        async with database.driver() as pg, pg.transaction():
            await change(pg, settings, waiting, needs=needed)
        await until_equal(lambda: _waiting(plumbing), 1, what="one waits among them")
        async with database.driver() as pg, pg.transaction():
            await change(pg, settings, needed)
        await until_equal(lambda: counted(database), 2, what="who waited is counted")
        await until_equal(lambda: _count(plumbing, "parked_record"), 0, what="nothing is parked any more")
    assert few.stopped is None
    assert await dead_letters(plumbing) == ["not_a_cloudevent:specversion"] * 11


async def test_outsiders_fill_their_own_quota_and_nobody_elses(plumbing: Plumbing) -> None:
    """Architecture rule 4: rubbish past the quota of its origin is let go; what others send badly is still kept."""
    settings, database = plumbing.settings, plumbing.database
    await broker.ensure_topics(settings, [sample.THING])

    class FromTwoOrigins(Recording):
        async def __call__(self, pg: Pg, records: Sequence[Record]) -> Mapping[int, Verdict]:
            await super().__call__(pg, records)
            return {i: Poison("rubbish", (each.value or b"").decode()) for i, each in enumerate(records)}

    consumer = sample.consumer(settings, database, FromTwoOrigins(), allowance=OriginQuota(count=3))
    async with running(consumer.run()):
        for sent in (4, 8):  # within a batch, and from one batch to the next
            await send(settings, *[(b"a", b"county office")] * 4)
            await until_equal(lambda: _commits(plumbing, sample.GROUP), sent, what="read")
        await send(settings, (b"a", b"hospital"))
        await until_equal(lambda: _commits(plumbing, sample.GROUP), 9, what="read")
    assert consumer.stopped is None
    async with database.driver() as pg:
        kept = await pg.fetch("SELECT origin, count(*) AS n FROM dead_letter GROUP BY origin ORDER BY origin")
    assert [tuple(row) for row in kept] == [("county office", 3), ("hospital", 1)]


async def test_what_refers_to_something_unknown_waits_for_it(plumbing: Plumbing) -> None:
    """Topics have no order among each other: the reference may come later."""
    settings, database = plumbing.settings, plumbing.database
    needed, waiting = uuid4(), uuid4()
    async with running(sample.relay(settings, database).run()), running(sample.consumer(settings, database).run()):
        async with database.driver() as pg, pg.transaction():
            await change(pg, settings, waiting, needs=needed)
        await change_many(database, settings, 3)
        await until_equal(lambda: _count(plumbing, "parked_record"), 1, what="parked")
        await until_equal(lambda: counted(database), 3, what="what follows is read")
        async with database.driver() as pg, pg.transaction():
            await change(pg, settings, needed)
        await until_equal(lambda: counted(database), 5, what="both are read")
        await until_equal(lambda: _count(plumbing, "parked_record"), 0, what="nothing is parked any more")
    assert await dead_letters(plumbing) == []


async def test_what_was_parked_by_a_clock_that_was_ahead_does_not_wait_for_that_hour(plumbing: Plumbing) -> None:
    settings, database = plumbing.settings, plumbing.database
    needed, waiting = uuid4(), uuid4()
    async with running(sample.relay(settings, database).run(), sample.consumer(settings, database).run()):
        async with database.driver() as pg, pg.transaction():
            await change(pg, settings, waiting, needs=needed)
        await until_equal(lambda: _count(plumbing, "parked_record"), 1, what="parked")
        async with database.driver() as pg:
            await pg.execute("UPDATE parked_record SET next_try_at = now() + interval '1 day'")
            async with pg.transaction():
                await change(pg, settings, needed)
        await until_equal(lambda: counted(database), 2, what="both are read")


async def test_a_new_log_is_read_from_its_start(plumbing: Plumbing) -> None:
    """F13: the broker forgets everything in mid-flow; all is counted, nothing twice."""
    settings, database, server = plumbing.settings, plumbing.database, plumbing.broker
    async with running(sample.relay(settings, database).run(), sample.consumer(settings, database).run()):
        await change_many(database, settings, 20)
        await until_equal(lambda: counted(database), 20, what="read")
        server.kill()
        await change_many(database, settings, 5)
        server.wipe()
        server.start()
        await change_many(database, settings, 5)
        await until_equal(lambda: counted(database), 30, what="every version counts once")


async def test_a_new_log_with_other_partitions_is_read_whole(plumbing: Plumbing) -> None:
    """The broker is replaced twice; the first time somebody mentions the topic before it is made.

    A client that was there before knows the partitions of the log it met first: whatever it sends to, or is assigned
    of, a partition that is no more, or does not know of, must not be lost.
    """
    settings, database, server = plumbing.settings, plumbing.database, plumbing.broker
    async with running(sample.relay(settings, database).run(), sample.consumer(settings, database).run()):
        await change_many(database, settings, 20)
        await until_equal(lambda: counted(database), 20, what="read")
        for mentioned in (True, False):
            server.kill()
            server.wipe()
            server.start()
            if mentioned:
                async with sample.Mention(settings):
                    await change_many(database, settings, 20)
            await change_many(database, settings, 20)
        await until_equal(lambda: counted(database), 80, what="every version counts once")

"""Relays that die or freeze at exact points (F3, F4): nothing is lost; what is sent twice is the same event."""

from collections.abc import Callable
from pathlib import Path
from uuid import uuid4

import pytest

from tests.faults.conftest import Plumbing
from tests.faults.process import Armed
from tests.faults.sample import Reader, change_many, committed, outbox_rows
from tests.faults.waiting import until, until_equal

Relays = Callable[..., Armed]


@pytest.fixture
def relay_process(plumbing: Plumbing, run_directory: Path) -> Relays:
    """`relay_process(failpoint=..., idle=...)`: a relay of the sample service as a process."""

    def start(**faults: str) -> Armed:
        log = run_directory / "faults" / "relay.log"
        return Armed("tests.faults.sample_process", "relay", settings=plumbing.settings, log=log, **faults)

    return start


@pytest.mark.parametrize(
    ("point", "repeated"),
    [
        ("relay.before_send", False),
        ("relay.after_ack", True),
        ("relay.before_commit", True),
        ("relay.after_commit", False),
    ],
)
async def test_a_killed_relay_loses_nothing(
    plumbing: Plumbing, relay_process: Relays, point: str, repeated: bool
) -> None:
    """F3: killed around acknowledgement and move; only what was not yet moved is sent again."""
    settings, database = plumbing.settings, plumbing.database
    things = [uuid4() for _ in range(3)]
    await change_many(database, settings, 20, things)
    with relay_process(failpoint=f"{point}@1=KILL") as relay:
        await until(relay.killed, what="the failpoint is reached")
    everything = await committed(database)
    await change_many(database, settings, 20, things)
    with relay_process():
        async with Reader(settings) as reader:
            everything = await committed(database)
            await until_equal(reader.read, everything, what="every committed version is on the topic")
            await until_equal(lambda: outbox_rows(database), 0, what="all moved")
            await reader.read()
    assert (len(reader.things) > len(everything)) == repeated
    assert all(versions == sorted(versions) for versions in reader.first_occurrences().values())


async def test_a_frozen_relay_is_replaced_and_does_no_harm_when_it_wakes(
    plumbing: Plumbing, relay_process: Relays
) -> None:
    """F4: frozen with its batch acknowledged and its transaction open; the lock goes by the idle timeout."""
    settings, database = plumbing.settings, plumbing.database
    things = [uuid4() for _ in range(3)]
    await change_many(database, settings, 10, things)
    with relay_process(failpoint="relay.after_ack@1=STOP", idle="1s") as zombie:
        await until(zombie.frozen, what="the failpoint is reached")
        with relay_process():
            async with Reader(settings) as reader:
                await change_many(database, settings, 10, things)
                await until_equal(lambda: outbox_rows(database), 0, what="another relay took over")
                zombie.resume()
                await change_many(database, settings, 50, things)
                await until_equal(reader.read, await committed(database), what="every version is on the topic")
                await until_equal(lambda: outbox_rows(database), 0, what="all moved")
        await change_many(database, settings, 5, things)
        await until_equal(lambda: outbox_rows(database), 0, what="the woken one goes on alone")
        assert zombie.alive
    assert all(versions == sorted(versions) for versions in reader.first_occurrences().values())
    async with database.driver() as pg:
        assert await pg.fetchval("SELECT count(*) = count(DISTINCT (aggregateid, aggregateversion)) FROM outbox_sent")

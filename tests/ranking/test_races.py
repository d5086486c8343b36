"""Several consumers at once are the normal case (architecture rule 5)."""

import asyncio
import random
from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

from shared.contracts.action import ActionEvent
from shared.db import Pg
from tests.ranking import expected
from tests.ranking.world import NOW, WAN, WO, XI, World, action, action_record, cells, path


async def test_consumers_race_for_one_action(world: World) -> None:
    """The second consumer must take away what the first one counted, not what was there before both began.

    Fails when the old row is read by a common table expression: it sees the snapshot from before the first
    consumer's commit, so Wan's contribution is taken away twice and Wo's stays for ever.
    """
    first, second, third = (
        action(id=UUID(int=1), version=version, path=path(county)) for version, county in ((1, WAN), (2, WO), (3, XI))
    )
    await world.take_in(first)
    async with world.runtime.database.driver() as one, world.runtime.database.driver() as other:
        begun = one.transaction()
        await begun.start()
        await world.facts(one, [action_record(second)])
        waiting = asyncio.create_task(_take_in(world, other, [third]))
        await _until_blocked(one)
        await begun.commit()
        await waiting
        assert await cells(one) == expected.cells([first, second, third])


async def test_consumers_share_cells_without_deadlock(world: World) -> None:
    """Each gets every event, in an order of its own; cells are locked in key order, so nobody waits in a circle."""
    events = [event for number in range(1, 121) for event in _versions(number)]
    await asyncio.gather(*(_consume(world, _shuffled(events, seed)) for seed in (1, 2, 3)))
    async with world.runtime.database.driver() as pg:
        assert await cells(pg) == expected.cells(events)


def _versions(number: int) -> list[ActionEvent]:
    """An action that is corrected twice, across counties and days, and sometimes revoked."""
    draw = random.Random(number)
    return [
        action(
            id=UUID(int=number),
            version=version,
            path=path(draw.choice((WAN, WO, XI)), draw.randint(1, 3)),
            household_seq=draw.randint(1, 9),
            occurred_at=NOW - timedelta(days=draw.randint(0, 99)),
            first_recorded_at=NOW,
            status="revoked" if version == 3 and draw.random() < 0.3 else "recorded",
        )
        for version in (1, 2, 3)
    ]


def _shuffled(events: Sequence[ActionEvent], seed: int) -> list[ActionEvent]:
    mixed = list(events)
    random.Random(seed).shuffle(mixed)
    return mixed


async def _consume(world: World, events: Sequence[ActionEvent]) -> None:
    async with world.runtime.database.driver() as pg:
        for start in range(0, len(events), 25):
            await _take_in(world, pg, events[start : start + 25])


async def _take_in(world: World, pg: Pg, events: Sequence[ActionEvent]) -> None:
    async with pg.transaction():
        assert not await world.facts(pg, [action_record(event) for event in events])


async def _until_blocked(pg: Pg) -> None:
    """Until some connection waits for a lock."""
    async with asyncio.timeout(60):
        while not await pg.fetchval("SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted)"):
            await asyncio.sleep(0.01)

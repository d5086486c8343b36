"""A rebuild equals what was counted live, and puts right what is wrong."""

import asyncio
import random
from datetime import date, timedelta
from uuid import UUID

from services.ranking.rebuilding import service
from services.ranking.rebuilding.command import rebuild
from tests.ranking.test_tables import WEEK, populate, row_of
from tests.ranking.world import NOW, WAN, WO, XI, World, action, household, path


async def fill(world: World) -> None:
    """A few hundred actions over a year, some corrected, some revoked."""
    await populate(world)
    await world.mirror([household(1, (date(2018, 3, 1), "exited", path(WO)), version=2)])
    draw = random.Random(7)
    for version in (1, 2):
        await world.take_in(
            *(
                action(
                    id=UUID(int=number),
                    version=version,
                    path=path(draw.choice((WAN, WO, XI))),
                    household_seq=draw.randint(1, 40),
                    occurred_at=NOW - timedelta(days=draw.randint(0, 300)),
                    first_recorded_at=NOW,
                    amount_fen=draw.randint(0, 999),
                    status="revoked" if draw.random() < 0.1 else "recorded",
                )
                for number in range(1, 301)
                if version == 1 or draw.random() < 0.3
            )
        )


async def test_rebuild_equals_live(world: World) -> None:
    await fill(world)
    before = (await world.get(WEEK)).json()
    async with world.runtime.database.driver() as pg, pg.transaction():
        found = await service.rebuild(pg)
    assert found.equal
    assert found.cells > 100
    after = (await world.get(WEEK)).json()
    assert after["version"] != before["version"], "whoever holds a copy looks again"
    assert after | {"version": 0} == before | {"version": 0}


async def test_check_finds_and_rebuild_corrects(world: World) -> None:
    await fill(world)
    async with world.runtime.database.driver() as pg:
        await pg.execute("UPDATE cell SET actions = actions + 1 WHERE unit = $1 AND cadence = 'week'", WAN)
        await pg.execute("DELETE FROM cell_households WHERE unit = $1 AND cadence = 'month'", WO)
        await pg.execute("UPDATE served_change SET served_delta = 7 WHERE unit = $1", XI)
        async with pg.transaction():
            found = await service.check(pg)
        assert not found.equal
        assert {key.unit for key in found.differing_cells} == {WAN, WO}
        assert {key.unit for key in found.differing_served} == {XI}
        async with pg.transaction():
            assert not (await service.rebuild(pg)).equal
        async with pg.transaction():
            assert (await service.check(pg)).equal


async def test_command(world: World, capsys: object) -> None:
    await fill(world)
    assert await rebuild(world.runtime.settings, ["--check"]) == 0
    async with world.runtime.database.driver() as pg:
        await pg.execute("UPDATE cell SET verified = 5 WHERE unit = $1 AND cadence = 'day'", WAN)
    assert await rebuild(world.runtime.settings, ["--check"]) == 1
    assert await rebuild(world.runtime.settings, []) == 0
    assert await rebuild(world.runtime.settings, ["--check"]) == 0
    assert row_of((await world.get(WEEK)).json(), WAN)["figures"]["verified"] == 0


async def test_consumers_wait_for_a_rebuild(world: World) -> None:
    """Nothing is counted twice or lost while it runs."""
    await fill(world)
    async with world.runtime.database.driver() as pg:
        running = pg.transaction()
        await running.start()
        await service.rebuild(pg)
        arriving = asyncio.create_task(world.take_in(action(household_seq=3)))
        await asyncio.sleep(0.2)
        assert not arriving.done()
        await running.commit()
        await arriving
        async with pg.transaction():
            assert (await service.check(pg)).equal

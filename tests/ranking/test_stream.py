"""The live stream: what is sent, when, and that it ends with the process."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

from services.ranking.periods.rules import parse
from services.ranking.tables import stream
from services.ranking.tables.assembly import TableKey
from shared.auth import Caller
from tests.ranking.test_tables import WEEK, populate, row_of
from tests.ranking.world import CITY, WAN, World, action

KEY = TableKey("county", parse("week", "2018-W41"))
SOMEBODY = Caller(UUID(int=1), "somebody", frozenset({"reader"}), (CITY,))


def opened(world: World, last_seen: str | None = None) -> AsyncIterator[bytes]:
    """The stream as the route sends it; the test client would wait for its end."""
    return stream._events(world.app.state.ranking, KEY, SOMEBODY, last_seen)


async def next_event(events: AsyncIterator[bytes]) -> tuple[str, dict[str, Any]]:
    """The id and table of the next event; comments are passed over."""
    async with asyncio.timeout(60):
        async for chunk in events:
            if chunk.startswith(b"id: "):
                lines = dict(line.split(": ", 1) for line in chunk.decode().strip().split("\n"))
                assert lines["event"] == "table"
                return lines["id"], json.loads(lines["data"])
    raise AssertionError("the stream ended")


async def test_sends_the_table_and_every_change(world: World) -> None:
    await populate(world)
    events = opened(world)
    first, table = await next_event(events)
    assert row_of(table, WAN)["figures"]["actions"] == 0
    assert first == (await world.get(WEEK)).json()["version"]
    await world.take_in(action())
    second, table = await next_event(events)
    assert row_of(table, WAN)["figures"]["actions"] == 1
    assert second != first


async def test_resumes_with_what_is_new(world: World) -> None:
    """Who holds the present version gets nothing until it changes; who holds an old one gets the present one."""
    await populate(world)
    held, _ = await next_event(opened(world))
    await world.take_in(action())
    version, _ = await next_event(opened(world, last_seen=held))
    events = opened(world, last_seen=version)
    waiting = asyncio.create_task(next_event(events))
    await asyncio.sleep(0.1)
    assert not waiting.done()
    await world.take_in(action())
    assert (await waiting)[0] != version


async def test_ends_when_the_process_stops(world: World) -> None:
    await populate(world)
    events = opened(world)
    await next_event(events)
    world.runtime.stopping = True
    async with asyncio.timeout(10):  # less than a heartbeat
        assert [chunk async for chunk in events] == []

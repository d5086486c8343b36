"""Tables kept in memory: who needs what was just committed gets it, and a change is loaded once for all who ask."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack

import pytest

from shared.db import Database, Pg
from shared.watched import RAISE_REVISION, Watched

NAME = "things"


class Things(Watched[int]):
    """How often the table was changed, loaded as slowly as a test wants."""

    def __init__(self) -> None:
        super().__init__(NAME, self.load)
        self.loads = 0
        self.reading, self.may_end = asyncio.Event(), asyncio.Event()
        self.may_end.set()

    async def load(self, pg: Pg) -> int:
        self.loads += 1
        found: int = await pg.fetchval("SELECT value FROM table_revision WHERE name = $1", NAME) or 0
        self.reading.set()
        await self.may_end.wait()
        return found


@pytest.fixture
async def connections(database_url: Callable[[str | None], str]) -> AsyncIterator[list[Pg]]:
    database = Database(database_url(None))
    async with AsyncExitStack() as stack:
        stack.push_async_callback(database.close)
        made = [await stack.enter_async_context(database.driver()) for _ in range(5)]
        await made[0].execute("CREATE TABLE table_revision (name text PRIMARY KEY, value bigint NOT NULL)")
        yield made


async def test_a_look_that_began_before_a_commit_does_not_count_as_one_after_it(connections: list[Pg]) -> None:
    first, second, writer, *_ = connections
    things = Things()
    things.may_end.clear()
    looking = asyncio.create_task(things.get(first))
    await things.reading.wait()
    await writer.execute(RAISE_REVISION, NAME)
    late = asyncio.create_task(things.latest(second))
    await asyncio.sleep(0)  # it waits for the look that is under way
    things.may_end.set()
    assert (await looking, await late) == (0, 1)


async def test_what_was_wanted_anew_is_waited_for(connections: list[Pg]) -> None:
    """Whoever has told of a change, and reads later, reads it, also while somebody else has only begun to look."""
    first, second, writer, *_ = connections
    things = Things()
    assert await things.get(first) == 0
    await writer.execute(RAISE_REVISION, NAME)
    things.expire()
    things.reading.clear()
    things.may_end.clear()
    looking = asyncio.create_task(things.get(first))
    await things.reading.wait()
    own = asyncio.create_task(things.get(second))
    await asyncio.sleep(0)
    things.may_end.set()
    assert (await looking, await own) == (1, 1)


async def test_a_change_is_loaded_once_for_all_who_ask(connections: list[Pg]) -> None:
    things = Things()
    assert await things.get(connections[0]) == 0
    await connections[0].execute(RAISE_REVISION, NAME)
    assert await asyncio.gather(*(things.latest(pg) for pg in connections)) == [1] * 5
    assert things.loads == 2
    assert await things.latest(connections[0]) == 1  # nothing changed: nothing is loaded
    assert things.loads == 2


async def test_a_look_that_failed_is_no_look(connections: list[Pg], monkeypatch: pytest.MonkeyPatch) -> None:
    things = Things()
    assert await things.get(connections[0]) == 0
    await connections[0].execute(RAISE_REVISION, NAME)

    async def failing(_: Pg) -> int:
        raise ConnectionError

    with monkeypatch.context() as patched:
        patched.setattr(things, "_load", failing)
        with pytest.raises(ConnectionError):
            await things.latest(connections[0])
    assert await things.get(connections[0]) == 1

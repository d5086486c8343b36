"""Work on many households leaves the event loop to others between turns."""

import asyncio
from itertools import groupby

from services.registry.turns import TURN, turns


async def test_others_go_on_between_turns_and_nothing_is_left_out() -> None:
    seen: list[int | str] = []

    async def other() -> None:
        while True:
            seen.append("other")
            await asyncio.sleep(0)

    beside = asyncio.create_task(other())
    async for some in turns(range(2 * TURN + 1)):
        seen.extend(some)
    beside.cancel()
    assert [each for each in seen if each != "other"] == list(range(2 * TURN + 1))
    runs = [len(list(run)) for what, run in groupby(seen, key=lambda each: each == "other") if not what]
    assert runs == [TURN, TURN, 1]


async def test_a_few_are_done_at_once() -> None:
    assert [list(some) async for some in turns("abc")] == [["a", "b", "c"]]

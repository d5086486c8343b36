"""Work on many households leaves the event loop to others between turns."""

import asyncio

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
    places = [place for place, each in enumerate(seen) if each != "other"]
    assert max(after - before for before, after in zip(places, places[1:], strict=False)) > 1
    assert all(len([e for e in seen[i : i + TURN + 1] if e != "other"]) <= TURN for i in range(len(seen) - TURN))


async def test_a_few_are_done_at_once() -> None:
    assert [list(some) async for some in turns("abc")] == [["a", "b", "c"]]

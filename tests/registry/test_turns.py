"""Work on many households leaves the event loop to others between turns, and what is waited for goes first."""

import asyncio
from collections.abc import Sequence
from itertools import groupby

import pytest

from services.registry.turns import TURN, in_spare_turns, in_turns


async def test_others_go_on_between_turns_and_nothing_is_left_out() -> None:
    seen: list[int | str] = []

    async def other() -> None:
        while True:
            seen.append("other")
            await asyncio.sleep(0)

    def noted(some: Sequence[int]) -> Sequence[int]:
        seen.extend(some)
        return some

    beside = asyncio.create_task(other())
    assert await in_turns(range(2 * TURN + 1), noted) == list(range(2 * TURN + 1))
    beside.cancel()
    assert [each for each in seen if each != "other"] == list(range(2 * TURN + 1))
    runs = [len(list(run)) for what, run in groupby(seen, key=lambda each: each == "other") if not what]
    assert runs == [TURN, TURN, 1]


async def test_a_few_are_done_at_once() -> None:
    assert await in_turns("abc", lambda some: [some]) == ["abc"]


async def test_what_is_waited_for_goes_first() -> None:
    seen: list[str] = []

    def noted(what: str) -> list[None]:
        seen.append(what)
        return []

    spare = asyncio.create_task(in_spare_turns("s" * 3 * TURN, lambda some: noted("spare")))
    while not seen:
        await asyncio.sleep(0)  # it has begun
    await in_turns("w" * 3 * TURN, lambda some: noted("waited for"))
    await spare
    assert seen == ["spare", *["waited for"] * 3, *["spare"] * 2]


async def test_spare_turns_come_beside_work_without_an_end() -> None:
    """A transaction may be open meanwhile, and ends when nothing is done in it for too long."""

    async def unending() -> None:
        while True:
            await in_turns(range(2 * TURN), lambda some: some)  # the next begins before anybody else can

    beside = asyncio.create_task(unending())
    assert await asyncio.wait_for(in_spare_turns(range(3 * TURN), lambda some: some), 5) == list(range(3 * TURN))
    beside.cancel()


async def test_work_that_fails_keeps_nobody_waiting() -> None:
    with pytest.raises(ZeroDivisionError):
        await in_turns([1], lambda some: [each / 0 for each in some])
    assert await asyncio.wait_for(in_spare_turns([2], lambda some: some), 5) == [2]

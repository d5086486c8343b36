"""Commands carried out together: who comes while others are under way, who is slow, who fails."""

import asyncio
import json
import logging
from collections.abc import Sequence

import pytest

from services.assistance.actions import gathering
from services.assistance.actions.gathering import AT_ONCE, Gathering
from shared.telemetry import JsonFormatter


class Work:
    """Doubles numbers, batch by batch, each when told to; remembers the batches."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.gates: list[asyncio.Event] = []

    async def __call__(self, items: Sequence[int]) -> list[int]:
        gate = asyncio.Event()
        self.batches.append(list(items))
        self.gates.append(gate)
        await gate.wait()
        if any(item < 0 for item in items):
            raise ValueError("planted")
        return [2 * item for item in items]

    async def has_begun(self, batches: int) -> None:
        async with asyncio.timeout(60):
            while len(self.batches) < batches:
                await asyncio.sleep(0)


async def test_those_who_arrive_together_are_one_batch() -> None:
    work = Work()
    ask: Gathering[int, int] = Gathering(work)
    askers = [asyncio.create_task(ask(number)) for number in range(5)]
    await work.has_begun(1)
    work.gates[0].set()
    assert await asyncio.gather(*askers) == [0, 2, 4, 6, 8]
    assert work.batches == [[0, 1, 2, 3, 4]]


async def test_those_who_come_meanwhile_are_the_next_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gathering, "SLOW_SECONDS", 60)
    work = Work()
    ask: Gathering[int, int] = Gathering(work)
    askers = []
    for number in range(AT_ONCE):
        askers.append(asyncio.create_task(ask(number)))
        await work.has_begun(number + 1)
    askers += [asyncio.create_task(ask(number)) for number in (7, 8, 9)]
    for _ in range(10):
        await asyncio.sleep(0)
    assert len(work.batches) == AT_ONCE
    work.gates[0].set()
    await work.has_begun(AT_ONCE + 1)
    assert work.batches[-1] == [7, 8, 9]
    for gate in work.gates:
        gate.set()
    assert await asyncio.gather(*askers) == [*(2 * number for number in range(AT_ONCE)), 14, 16, 18]


async def test_a_batch_that_waits_for_somebody_does_not_hold_up_later_ones() -> None:
    work = Work()
    ask: Gathering[int, int] = Gathering(work)
    stuck = []
    for number in range(AT_ONCE):
        stuck.append(asyncio.create_task(ask(number)))
        await work.has_begun(number + 1)
    later = asyncio.create_task(ask(9))
    await work.has_begun(AT_ONCE + 1)
    work.gates[-1].set()
    assert await later == 18
    for gate in work.gates:
        gate.set()
    await asyncio.gather(*stuck)
    again = [asyncio.create_task(ask(number)) for number in range(AT_ONCE)]
    await work.has_begun(AT_ONCE + 2)
    work.gates[-1].set()
    assert await asyncio.gather(*again) == [0, 2], "the places are as many as before"


async def test_a_failure_is_told_to_the_whole_batch_and_to_nobody_else() -> None:
    work = Work()
    ask: Gathering[int, int] = Gathering(work)
    together = [asyncio.create_task(ask(number)) for number in (1, -1)]
    await work.has_begun(1)
    alone = asyncio.create_task(ask(3))
    await work.has_begun(2)
    for gate in work.gates:
        gate.set()
    assert [str(each) for each in await asyncio.gather(*together, return_exceptions=True)] == ["planted"] * 2
    assert await alone == 6


async def test_an_asker_who_leaves_changes_nothing_for_the_others() -> None:
    work = Work()
    ask: Gathering[int, int] = Gathering(work)
    leaves, stays = asyncio.create_task(ask(1)), asyncio.create_task(ask(2))
    await work.has_begun(1)
    leaves.cancel()
    work.gates[0].set()
    assert await stays == 4
    await asyncio.wait({leaves})
    assert leaves.cancelled()


async def test_a_failure_that_nobody_waits_for_is_logged_without_its_text(caplog: pytest.LogCaptureFixture) -> None:
    work = Work()
    ask: Gathering[int, int] = Gathering(work)
    leavers = [asyncio.create_task(ask(number)) for number in (1, -1)]
    await work.has_begun(1)
    stays = asyncio.create_task(ask(-2))
    await work.has_begun(2)
    for each in leavers:
        each.cancel()
    await asyncio.wait(leavers)
    for gate in work.gates:
        gate.set()
    assert [str(each) for each in await asyncio.gather(stays, return_exceptions=True)] == ["planted"]
    [record] = [each for each in caplog.records if each.name == "bangfu.assistance.actions"]
    assert (record.levelno, record.getMessage()) == (logging.ERROR, "ValueError of 2 commands that nobody waits for")
    line = JsonFormatter("assistance").format(record)
    assert json.loads(line)["exception"] == "ValueError"
    assert "planted" not in line


async def test_too_few_results_are_a_failure_and_leave_nobody_waiting() -> None:
    async def forgetful(items: Sequence[int]) -> Sequence[int]:
        return items[1:]

    ask: Gathering[int, int] = Gathering(forgetful)
    async with asyncio.timeout(60):
        told = await asyncio.gather(ask(1), ask(2), return_exceptions=True)
    assert [type(each) for each in told] == [ValueError, ValueError]

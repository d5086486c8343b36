"""Waiting on conditions, never on luck: every wait of these tests has a condition and a deadline."""

import asyncio
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any, TypeVar

T = TypeVar("T")
STEP_SECONDS = 0.02
WITHIN_SECONDS = 60.0
"""How long a condition may take where the test promises nothing: longer than it does on a machine that is busy."""
PATIENCE = float(os.environ.get("TEST_PATIENCE", "1"))
"""Scales every deadline: those who expect a test to fail (tests/mutants) need not wait so long for it."""


async def until(condition: Callable[[], Awaitable[T]], *, within: float = WITHIN_SECONDS, what: str = "") -> T:
    """Ask until the answer is true; fails, saying what was last answered, after ``within`` seconds."""
    deadline = time.monotonic() + within * PATIENCE
    while True:
        found = await condition()
        if found:
            return found
        assert time.monotonic() < deadline, f"not within {within:.0f} s: {what or condition}; last: {found!r}"
        await asyncio.sleep(STEP_SECONDS)


async def until_equal(
    actual: Callable[[], Awaitable[T]], expected: T, *, within: float = WITHIN_SECONDS, what: str = ""
) -> None:
    """Ask until the answer is the expected one; the failure shows both."""
    deadline = time.monotonic() + within * PATIENCE
    found = await actual()
    while found != expected and time.monotonic() < deadline:
        await asyncio.sleep(STEP_SECONDS)
        found = await actual()
    assert found == expected, f"{what} within {within:.0f} s"


@asynccontextmanager
async def running(*works: Coroutine[Any, Any, None]) -> AsyncIterator[list[asyncio.Task[None]]]:
    """Run beside the test; cancelled at its end. What fails by itself fails the test."""
    tasks = [asyncio.create_task(work) for work in works]
    try:
        yield tasks
    finally:
        for task in tasks:
            task.cancel()
        ended = await asyncio.gather(*tasks, return_exceptions=True)
    failures = [e for e in ended if isinstance(e, Exception)]
    assert not failures, failures


def eventually(
    condition: Callable[[], T], *, within: float = WITHIN_SECONDS, what: str = "", step: float = STEP_SECONDS
) -> T:
    """`until` for tests that are not coroutines; ``step`` is longer where asking is dear."""
    deadline = time.monotonic() + within * PATIENCE
    while not (found := condition()):
        assert time.monotonic() < deadline, f"not within {within:.0f} s: {what or condition}; last: {found!r}"
        time.sleep(step)
    return found

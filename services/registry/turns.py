"""Work on many households in the event loop, a few at a time, so that no request waits long for its turn.

Not in threads: Python computes in one of them at a time, and for handing the interpreter to and fro an import of the
register took a fifth more of a processor than for doing one thing after the other.
"""

import asyncio
import time
from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")
TURN = 10
"""Households at a time: two to five milliseconds of reading, judging or preparing what is written."""
PATIENCE_SECONDS = 0.02
"""How long a spare turn lets others go first."""


class _Waited:
    """How much work is going on that somebody waits for."""

    count = 0


async def in_turns(items: Sequence[T], work: Callable[[Sequence[T]], Iterable[R]]) -> list[R]:
    """What work makes of the items, a few at a time; between them, whatever else is waiting goes on."""
    found: list[R] = []
    _Waited.count += 1
    try:
        for start in range(0, len(items), TURN):
            if start:
                await asyncio.sleep(0)
            found += work(items[start : start + TURN])
    finally:
        _Waited.count -= 1
    return found


async def in_spare_turns(items: Sequence[T], work: Callable[[Sequence[T]], Iterable[R]]) -> list[R]:
    """The same where nobody waits for it yet: what is done ``in_turns`` goes first, for a while each time.

    So an import has something to compute while the database writes, instead of having done it before. Not for ever:
    in the end somebody does wait, perhaps with a transaction open.
    """
    found: list[R] = []
    for start in range(0, len(items), TURN):
        begun = time.monotonic()
        await asyncio.sleep(0)
        while _Waited.count and time.monotonic() - begun < PATIENCE_SECONDS:  # noqa: ASYNC110 - they take turns
            await asyncio.sleep(0)
        found += work(items[start : start + TURN])
    return found

"""Commands that arrive while others are being carried out are carried out together: one statement for all of them.

A round trip to the database costs about the same for one action as for ten. Nobody waits for company: a command that
comes alone is carried out at once (performance.md, B1).
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

logger = logging.getLogger("bangfu.assistance.actions")
T = TypeVar("T")
R = TypeVar("R")
AT_ONCE = 2
"""Batches under way: while the database works on one, the answers to another are written."""
MOST = 100
SLOW_SECONDS = 0.05
"""A batch that takes longer waits for somebody's lock; those who come later do not wait with it."""


class Gathering(Generic[T, R]):
    """Hands what is asked for to ``work``, several at a time; each asker gets its own result."""

    def __init__(self, work: Callable[[Sequence[T]], Awaitable[Sequence[R]]]) -> None:
        """``work`` returns one result an item, in order. What it raises, every asker of the batch is told.

        Where all of them have left, it is logged.
        """
        self._work = work
        self._waiting: list[tuple[T, asyncio.Future[R]]] = []
        self._under_way = 0
        self._tasks: set[asyncio.Task[None]] = set()

    async def __call__(self, item: T) -> R:
        """The result of one item. Raises what ``work`` raises."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[R] = loop.create_future()
        self._waiting.append((item, future))
        loop.call_soon(self._begin)  # after those that arrive in this very turn of the loop
        return await future

    def _begin(self) -> None:
        while self._waiting and self._under_way < AT_ONCE:
            batch, self._waiting = self._waiting[:MOST], self._waiting[MOST:]
            self._under_way += 1
            task = asyncio.create_task(self._carry_out(batch, _Room(self._make_room)))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _carry_out(self, batch: Sequence[tuple[T, asyncio.Future[R]]], room: "_Room") -> None:
        askers = [future for _, future in batch]
        try:
            answers = list(zip(askers, await self._work([item for item, _ in batch]), strict=True))
        except Exception as error:
            waiting = [asker for asker in askers if not asker.done()]
            for asker in waiting:
                asker.set_exception(error)
            if not waiting:
                kind = type(error).__name__
                logger.error("%s of %d commands that nobody waits for", kind, len(batch), exc_info=error)
        else:
            for asker, result in answers:
                if not asker.done():  # or it was cancelled
                    asker.set_result(result)
        finally:
            room.leave()

    def _make_room(self) -> None:
        self._under_way -= 1
        self._begin()


class _Room:
    """One of the places for batches: left when the batch is done, or after a while."""

    def __init__(self, leave: Callable[[], None]) -> None:
        self._leave: Callable[[], None] | None = leave
        self._timer = asyncio.get_running_loop().call_later(SLOW_SECONDS, self.leave)

    def leave(self) -> None:
        self._timer.cancel()
        leave, self._leave = self._leave, None
        if leave is not None:
            leave()

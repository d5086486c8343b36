"""Faults at exact points, without a word of them in the product: a test's process wraps the function and kills itself.

``TEST_FAILPOINT=relay.after_ack@2=KILL``: at the second time that the relay has its acknowledgements, SIGKILL.
``STOP`` freezes the process instead, until somebody sends SIGCONT.
"""

import os
import signal
from collections.abc import Awaitable, Callable, Coroutine
from contextvars import ContextVar
from typing import Any, ParamSpec, TypeVar

from asyncpg.transaction import Transaction

import shared.db
from shared.consumer import Consumer
from shared.relay import Relay

P = ParamSpec("P")
R = TypeVar("R")
VARIABLE = "TEST_FAILPOINT"
IDLE_VARIABLE = "TEST_IDLE_IN_TRANSACTION"
GROUP_VARIABLE = "TEST_GROUP_SUFFIX"
"""Appended to the names of consumer groups, so that a second reader of everything can be started."""

_inside: ContextVar[str] = ContextVar("inside", default="")


class _Failpoint:
    """One armed point of the process."""

    def __init__(self, specification: str) -> None:
        place, self.signal = specification.split("=")
        self.point, nth = place.split("@")
        self.left = int(nth)

    def pass_by(self, point: str) -> None:
        if point != self.point:
            return
        self.left -= 1
        if self.left == 0:
            os.kill(os.getpid(), signal.Signals[f"SIG{self.signal}"])


def arm() -> None:
    """Wrap the named points, as the environment asks. Called before the service's own ``main``."""
    if idle := os.environ.get(IDLE_VARIABLE):
        shared.db.SESSION_SETTINGS["idle_in_transaction_session_timeout"] = idle
    if suffix := os.environ.get(GROUP_VARIABLE):
        Consumer.__init__ = _renamed(Consumer.__init__, suffix)  # type: ignore[method-assign]
    if specification := os.environ.get(VARIABLE):
        pass_by = _Failpoint(specification).pass_by
        Relay._send = _around(Relay._send, pass_by, "relay.before_send", "relay.after_ack")  # type: ignore[method-assign]
        Relay._send_batch = _within("relay", Relay._send_batch)  # type: ignore[method-assign]
        Consumer._in_transaction = _within("consumer", Consumer._in_transaction)  # type: ignore[method-assign]
        Consumer._commit = _around(Consumer._commit, pass_by, "consumer.before_offsets", "consumer.after_offsets")  # type: ignore[method-assign]
        # What `commit()` and the end of `async with pg.transaction()` both call.
        Transaction._Transaction__commit = _around_commit(Transaction._Transaction__commit, pass_by)  # type: ignore[attr-defined]
        if specification.startswith("api."):
            _arm_ledger(pass_by)


def _renamed(initialise: Callable[..., None], suffix: str) -> Any:
    def wrapped(self: Consumer, *, group: str, **rest: Any) -> None:
        initialise(self, group=group + suffix, **rest)

    return wrapped


def _arm_ledger(pass_by: Callable[[str], None]) -> None:
    """The statement that writes an action is its own transaction: before it, and when it is committed."""
    from services.assistance.actions import ledger

    ledger.insert = _around(ledger.insert, pass_by, "api.before_commit", "api.after_commit")


def _around(
    function: Callable[P, Coroutine[Any, Any, R]], pass_by: Callable[[str], None], before: str, after: str
) -> Callable[P, Coroutine[Any, Any, R]]:
    async def wrapped(*args: P.args, **kwargs: P.kwargs) -> R:
        pass_by(before)
        result = await function(*args, **kwargs)
        pass_by(after)
        return result

    return wrapped


def _within(name: str, function: Callable[P, Coroutine[Any, Any, R]]) -> Callable[P, Coroutine[Any, Any, R]]:
    """Names the commits that the function makes: ``<name>.before_commit``, ``<name>.after_commit``."""

    async def wrapped(*args: P.args, **kwargs: P.kwargs) -> R:
        token = _inside.set(name)
        try:
            return await function(*args, **kwargs)
        finally:
            _inside.reset(token)

    return wrapped


def _around_commit(commit: Callable[[Any], Awaitable[None]], pass_by: Callable[[str], None]) -> Any:
    async def wrapped(transaction: Any) -> None:
        where = _inside.get()
        pass_by(f"{where}.before_commit")
        await commit(transaction)
        pass_by(f"{where}.after_commit")

    return wrapped

"""The load generator: a cheap HTTP/1.1 client on raw sockets, in a process of its own, the same for every side.

``python -m tests.bench.load`` reads an order as JSON from standard input and prints what it saw as JSON. Every
connection sends its next request when the last was answered; the first answers warm the server up and are not
counted. It stops after a fixed time, and at the first answer nobody asked for.
"""

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import cast

import uvloop

HEAD_END = b"\r\n\r\n"
LENGTH = b"content-length: "
PATIENCE = 60.0
"""Seconds to wait for the last answers."""


@dataclass(frozen=True, slots=True)
class Order:
    """What to send. In ``request``, ``%(n)09d`` becomes a number used once, ``%(m)014d`` one of 1 to ``cycle`` in
    turn (bytes formatting: any width will do, as long as it is fixed)."""

    port: int
    request: str
    expect: int
    seconds: float
    warm_up: float = 1.0
    connections: int = 16
    first: int = 0
    cycle: int = 1
    limit: int = 10**9 - 1
    """Requests at most: the number has nine digits, so that all requests are of one length."""


@dataclass(slots=True)
class Seen:
    """What came back. ``answered`` counts every expected answer, ``counted`` those after the warm-up."""

    answered: int = 0
    counted: int = 0
    seconds: float = 0.0
    latencies_ms: list[float] = field(default_factory=list)
    unexpected: str | None = None

    @property
    def rate(self) -> float:
        return self.counted / self.seconds


class Requests:
    """Makes the requests, and keeps the record."""

    def __init__(self, order: Order) -> None:
        self.order = order
        self.seen = Seen()
        self._template = order.request.encode()
        self._next = order.first
        self._last = order.first + order.limit
        self.begin = time.perf_counter() + order.warm_up
        self.end = self.begin + order.seconds

    def next(self, now: float) -> bytes | None:
        if now >= self.end or self._next >= self._last or self.seen.unexpected is not None:
            return None
        number, self._next = self._next, self._next + 1
        return self._template % {b"n": number, b"m": number % self.order.cycle + 1}

    def answer(self, status: int, sent: float, now: float, raw: bytes) -> None:
        if status != self.order.expect:
            self.seen.unexpected = self.seen.unexpected or raw[:1000].decode("utf-8", "replace")
            return
        self.seen.answered += 1
        if self.begin <= now < self.end:
            self.seen.counted += 1
            self.seen.latencies_ms.append((now - sent) * 1000)


class Connection(asyncio.Protocol):
    """One connection with one request under way."""

    def __init__(self, requests: Requests, done: asyncio.Future[None]) -> None:
        self._requests = requests
        self._done = done
        self._buffer = b""
        self._sent = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's are none by class
        self._send(time.perf_counter())

    def _send(self, now: float) -> None:
        request = self._requests.next(now)
        if request is None:
            self._transport.close()
            return
        self._sent = now
        self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        head = self._buffer.find(HEAD_END)
        if head < 0:
            return
        status = int(self._buffer[9:12])
        if len(self._buffer) < head + 4 + (0 if status == 304 else body_length(self._buffer[:head])):
            return
        raw, self._buffer = self._buffer, b""
        now = time.perf_counter()
        self._requests.answer(status, self._sent, now, raw)
        self._send(now)

    def connection_lost(self, exc: Exception | None) -> None:
        if not self._done.done():
            self._done.set_result(None)


def body_length(head: bytes) -> int:
    """The length that the head of an answer announces; uvicorn writes names in lower case."""
    start = head.find(LENGTH)
    return int(head[start + len(LENGTH) :].split(b"\r", 1)[0]) if start >= 0 else 0


async def send(order: Order) -> Seen:
    """Carry the order out."""
    loop = asyncio.get_running_loop()
    requests = Requests(order)
    ends: list[asyncio.Future[None]] = [loop.create_future() for _ in range(order.connections)]
    makers: list[Callable[[], Connection]] = [lambda end=end: Connection(requests, end) for end in ends]  # type: ignore[misc]
    async with asyncio.timeout(order.warm_up + order.seconds + PATIENCE):
        for make in makers:
            await loop.create_connection(make, "127.0.0.1", order.port)
        await asyncio.gather(*ends)
    requests.seen.seconds = min(time.perf_counter(), requests.end) - requests.begin
    return requests.seen


def measure(order: Order) -> Seen:
    """Carry the order out in a process of its own. Raises ``RuntimeError`` at an unexpected answer."""
    result = subprocess.run(
        [sys.executable, "-m", "tests.bench.load"],
        cwd=Path(__file__).parents[2],
        input=json.dumps(asdict(order)),
        capture_output=True,
        text=True,
        timeout=order.warm_up + order.seconds + PATIENCE + 20,
    )
    if result.returncode:
        raise RuntimeError(f"the load generator failed:\n{result.stderr[-2000:]}")
    seen = Seen(**json.loads(result.stdout))
    if seen.unexpected is not None:
        raise RuntimeError(f"port {order.port} answered:\n{seen.unexpected}")
    return seen


def request(method: str, path: str, headers: dict[str, str], body: str = "", *, length: int | None = None) -> str:
    """The text of a request; ``length`` is the body's once its numbers are filled in."""
    lines = [f"{method} {path} HTTP/1.1", "host: 127.0.0.1", *(f"{name}: {value}" for name, value in headers.items())]
    if body:
        lines.append(f"content-length: {length or len(body.encode())}")
    return "\r\n".join(lines) + "\r\n\r\n" + body


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        print(json.dumps(asdict(runner.run(send(Order(**json.load(sys.stdin)))))))

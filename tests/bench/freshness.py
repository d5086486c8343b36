"""B4's measuring programs: each one process with one event loop, so that both ends are timed by one clock.

``python -m tests.bench.freshness project|floor`` reads an order as JSON from standard input and prints the
milliseconds of every action (record) as JSON.
"""

import asyncio
import json
import sys
import time
from collections import defaultdict
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import uvloop

from shared import broker
from shared.contracts.action import ACTION
from shared.settings import Settings
from tests.bench import world
from tests.bench.load import HEAD_END, body_length

PATIENCE = 60.0
"""Seconds the last action may take to become visible."""


@dataclass(frozen=True, slots=True)
class Order:
    """Record so many actions at a steady rate; watch the table they count in. The first ones are not counted."""

    rate: int
    count: int
    warm_up: int
    environment: dict[str, str]
    request: str = ""
    record_port: int = 0
    table_port: int = 0
    table_path: str = ""
    api_key: str = ""
    first: int = 0
    cycle: int = 1
    connections: int = 16


@dataclass
class Watch:
    """When which county's next action was acknowledged and when it was visible.

    The table holds a number for every county. Actions of one county become visible in turn, so its n-th
    acknowledgement belongs to the moment at which its number had grown by n.
    """

    acknowledged: defaultdict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    visible: defaultdict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    before: dict[str, int] = field(default_factory=dict)
    began: asyncio.Event = field(default_factory=asyncio.Event)
    moved: asyncio.Event = field(default_factory=asyncio.Event)

    def table(self, counts: dict[str, int], now: float) -> None:
        """The table as it was received."""
        if not self.began.is_set():
            self.before = counts
            self.began.set()
        for unit, count in counts.items():
            seen = self.visible[unit]
            seen += [now] * (count - self.before.get(unit, 0) - len(seen))
        self.moved.set()

    def complete(self) -> bool:
        return all(len(self.visible[unit]) >= len(times) for unit, times in self.acknowledged.items())

    def milliseconds(self, warm_up: int) -> list[float]:
        """Of every action but the first. One that was visible before its acknowledgement arrived took no time."""
        pairs = sorted(
            (acknowledged, visible)
            for unit, times in self.acknowledged.items()
            for acknowledged, visible in zip(sorted(times), self.visible[unit], strict=False)
        )
        return [max(0.0, (visible - acknowledged) * 1000) for acknowledged, visible in pairs[warm_up:]]


async def project(order: Order) -> list[float]:
    """From the 201 of every action to the table that counts it, as the stream sends it."""
    watch = Watch()
    watching = asyncio.create_task(_watch(order, watch))
    async with asyncio.timeout(PATIENCE):
        await watch.began.wait()
    await _record(order, watch)
    async with asyncio.timeout(PATIENCE):
        while not watch.complete():
            watch.moved.clear()
            await watch.moved.wait()
    watching.cancel()
    return watch.milliseconds(order.warm_up)


async def _watch(order: Order, watch: Watch) -> None:
    async for table in _stream(order):
        now = time.monotonic()
        shown = json.loads(table)
        rows = [*shown["rows"], *shown["not_ranked"]]
        watch.table({row["unit"]["code"]: row["figures"]["actions"] for row in rows}, now)


async def _stream(order: Order) -> AsyncIterator[bytes]:
    """The data of every server-sent event."""
    reader, writer = await asyncio.open_connection("127.0.0.1", order.table_port, limit=2**24)
    head = f"GET {order.table_path} HTTP/1.1\r\nhost: 127.0.0.1\r\nauthorization: Bearer {order.api_key}\r\n\r\n"
    writer.write(head.encode())
    answer = await reader.readuntil(HEAD_END)
    if b" 200 " not in answer.split(b"\r\n", 1)[0]:
        raise RuntimeError(answer.decode() + (await reader.read(1000)).decode())
    text = b""
    while True:
        size = int(await reader.readline(), 16)
        text += (await reader.readexactly(size + 2))[:-2]
        *events, text = text.split(b"\n\n")
        for event in events:
            for line in event.split(b"\n"):
                if line.startswith(b"data: "):
                    yield line[6:]


async def _record(order: Order, watch: Watch) -> None:
    """Send each action at its time, however long the ones before it take; at most so many at once."""
    idle: asyncio.Queue[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = asyncio.Queue()
    for _ in range(order.connections):
        idle.put_nowait(await asyncio.open_connection("127.0.0.1", order.record_port))
    template = order.request.encode()
    start = time.monotonic()

    async def send(number: int) -> None:
        reader, writer = await idle.get()
        household = number % order.cycle + 1
        writer.write(template % {b"n": number, b"m": household})
        head = await reader.readuntil(HEAD_END)
        body = await reader.readexactly(body_length(head))
        if head[9:12] != b"201":
            raise RuntimeError((head + body).decode())
        watch.acknowledged[world.path_of(household * world.STRIDE).managing_unit].append(time.monotonic())
        idle.put_nowait((reader, writer))

    async with asyncio.TaskGroup() as group:
        for step in range(order.warm_up + order.count):
            await asyncio.sleep(start + step / order.rate - time.monotonic())
            group.create_task(send(order.first + step))


async def floor(order: Order) -> list[float]:
    """A record's way through the broker alone, with the services' own client settings."""
    settings = Settings.load("ranking", order.environment)
    topic = settings.topic(ACTION.name)
    await broker.ensure_topics(settings, [ACTION])
    producer, consumer = broker.producer(settings), broker.consumer(settings, "round-trip")
    consumer.subscribe([topic])
    await producer.start()
    await consumer.start()
    sent: list[float] = []
    found: list[float] = []
    payload = b"x" * 900

    async def receive() -> None:
        while len(found) < order.warm_up + order.count:
            fetched = await consumer.getmany(timeout_ms=200)
            now = time.monotonic()
            found.extend((now - sent[int(each.key)]) * 1000 for messages in fetched.values() for each in messages)

    try:
        while not consumer.assignment():
            await asyncio.sleep(0.05)
        receiving = asyncio.create_task(receive())
        start = time.monotonic()
        for step in range(order.warm_up + order.count):
            await asyncio.sleep(start + step / order.rate - time.monotonic())
            sent.append(time.monotonic())
            await producer.send(topic, payload, key=str(step).encode())
        async with asyncio.timeout(PATIENCE):
            await receiving
        return found[order.warm_up :]
    finally:
        await producer.stop()
        await consumer.stop()


if __name__ == "__main__":
    order = Order(**json.load(sys.stdin))
    side = {"floor": floor, "project": project}[sys.argv[1]]
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        print(json.dumps(runner.run(side(order))))

"""The demonstration as a whole: load, then act."""

import asyncio
import random
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Protocol

import httpx
from rich.console import Console
from rich.live import Live

from deploy.local.demo.actions import TOPIC, ActionMaker, Beneficiary, HttpRecorder, KafkaRecorder, Reviewer
from deploy.local.demo.loading import Loader, Say
from deploy.local.demo.screen import Screen

ACTIONS_A_SECOND = 3.0
FIRST_BATCH = 200
SUMMARY_SECONDS = 10.0


@dataclass(frozen=True)
class Addresses:
    """Where the stack is, and the key to it."""

    services: Mapping[str, str]
    bootstrap_servers: str
    kafka_prefix: str
    api_key: str


class Recorder(Protocol):
    """One way to have an action recorded."""

    async def record(self, action: Mapping[str, Any]) -> None: ...


class Demonstration:
    """A running demonstration; `opened` makes one."""

    def __init__(self, clients: Mapping[str, httpx.AsyncClient], kafka: KafkaRecorder, say: Say) -> None:
        self._loader = Loader(clients["registry"], clients["assistance"], say)
        self._screen = Screen(clients["ranking"])
        self._recorders: dict[str, Recorder] = {"HTTP": HttpRecorder(clients["assistance"]), "Kafka": kafka}
        self._reviewer = Reviewer(clients["assistance"])
        self._recorded = dict.fromkeys(self._recorders, 0)

    async def load(self, scale: int) -> Sequence[Beneficiary]:
        """Bring the population in; see Loader.load."""
        return await self._loader.load(scale)

    async def first_batch(self, households: Sequence[Beneficiary]) -> None:
        """Record some actions at once, half over HTTP and half through Kafka."""
        maker = ActionMaker(households, random.Random())  # noqa: S311 - nothing secret
        for _ in range(FIRST_BATCH // 2):
            await asyncio.gather(*(self._record(way, maker) for way in self._recorders))

    async def act(self, households: Sequence[Beneficiary], console: Console) -> None:
        """Record actions at a gentle rate and show what they change, until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._stream(households))
            tasks.create_task(self._show(console) if console.is_terminal else self._summarise(console))

    async def _stream(self, households: Sequence[Beneficiary]) -> None:
        maker = ActionMaker(households, random.Random())  # noqa: S311 - nothing secret
        submitted: dict[str, Any] | None = None
        while True:
            for way in self._recorders:
                action = await self._record(way, maker)
                await asyncio.sleep(1 / ACTIONS_A_SECOND)
            if submitted is not None:
                await self._reviewer.review(submitted)
            submitted = action  # decided by the time of the next review

    async def _record(self, way: str, maker: ActionMaker) -> dict[str, Any]:
        action = maker.make()
        await self._recorders[way].record(action)
        self._recorded[way] += 1
        return action

    async def _show(self, console: Console) -> None:
        with Live(console=console, auto_refresh=False) as live:
            while True:
                live.update(await self._screen.draw(self._recorded), refresh=True)
                await asyncio.sleep(1.0)

    async def _summarise(self, console: Console) -> None:
        while True:
            await asyncio.sleep(SUMMARY_SECONDS)
            console.print(await self._screen.summary(self._recorded))


@asynccontextmanager
async def opened(addresses: Addresses, say: Say) -> AsyncIterator[Demonstration]:
    """A demonstration with its connections, closed at the end."""
    kafka = KafkaRecorder(addresses.bootstrap_servers, addresses.kafka_prefix + TOPIC)
    clients = {name: _client(url, addresses.api_key) for name, url in addresses.services.items()}
    try:
        yield Demonstration(clients, kafka, say)
    finally:
        await kafka.close()
        for client in clients.values():
            await client.aclose()


def _client(url: str, api_key: str) -> httpx.AsyncClient:
    headers = {"Authorization": f"Bearer {api_key}"}
    return httpx.AsyncClient(base_url=url, headers=headers, timeout=120.0, trust_env=False)

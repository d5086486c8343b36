"""The demonstration as a whole: load, then act."""

import asyncio
import random
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, Protocol

import httpx
from rich.console import Console
from rich.live import Live

from deploy.local.demo.actions import TOPIC, ActionMaker, Beneficiary, HttpRecorder, KafkaRecorder, Reviewer
from deploy.local.demo.loading import DemonstrationError, Loader, Say
from deploy.local.demo.screen import Screen
from deploy.local.stack import Stack

ACTIONS_A_SECOND = 3.0
FIRST_BATCH = 200
SUMMARY_SECONDS = 10.0


class Recorder(Protocol):
    """One way to have an action recorded."""

    async def record(self, action: Mapping[str, Any]) -> bool:
        """Have it recorded, however long that takes; False when it was refused."""


class Demonstration:
    """A running demonstration."""

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
        """Record actions at a gentle rate and show what they change, until cancelled.

        Raises DemonstrationError when our key is no longer good for that.
        """
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._stream(households))
                tasks.create_task(self._show(console) if console.is_terminal else self._summarise(console))
        except* httpx.HTTPStatusError as refused:
            raise DemonstrationError(str(refused.exceptions[0])) from None

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
        self._recorded[way] += await self._recorders[way].record(action)
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


async def load(stack: Stack, scale: int, say: Say) -> None:
    """Bring the population in, and a first batch of actions."""
    async with _opened(stack, say) as demonstration:
        await demonstration.first_batch(await demonstration.load(scale))


async def run(stack: Stack, scale: int, say: Say) -> None:
    """Bring the population in, then record actions and show what they change, until cancelled."""
    async with _opened(stack, say) as demonstration:
        households = await demonstration.load(scale)
        say("recording actions; Ctrl-C stops")
        await demonstration.act(households, Console())


@asynccontextmanager
async def _opened(stack: Stack, say: Say) -> AsyncIterator[Demonstration]:
    kafka = KafkaRecorder(stack.bootstrap_servers, stack.configuration.settings.get("BANGFU_KAFKA_PREFIX", "") + TOPIC)
    clients = {name: _client(service.url, stack.api_key) for name, service in stack.services.items()}
    try:
        yield Demonstration(clients, kafka, say)
    finally:
        await kafka.close()
        for client in clients.values():
            await client.aclose()


def _client(url: str, api_key: str) -> httpx.AsyncClient:
    headers = {"Authorization": f"Bearer {api_key}"}
    return httpx.AsyncClient(base_url=url, headers=headers, timeout=120.0, trust_env=False)

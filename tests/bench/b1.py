"""B1: record an action over HTTP, everything on, 16 connections, one worker."""

import asyncio
import json
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field

import asyncpg

from shared.contracts.division import DIVISION
from shared.contracts.household import HOUSEHOLD
from shared.contracts.key import KEY, KeyEvent
from tests.bench import floors, world
from tests.bench.ground import Ground
from tests.bench.load import Order, measure, request
from tests.bench.measure import FLOOR, PEER, PROJECT, Line, Result, Side, VoidRunError, alternate, result

LINE = Line("B1", "record an action over HTTP", "actions/s")
HOUSEHOLDS = 10_000
MIRROR_LIMIT = 60.0


@dataclass
class Recording:
    """The three sides on one PostgreSQL; each is started for its run alone, so that none idles beside another."""

    ground: Ground
    seconds: float
    households: int = HOUSEHOLDS
    prefix: str = field(init=False)
    beside: Callable[[int], AbstractContextManager[None]] = lambda _: nullcontext()
    """What runs beside the load on the project, given the service's process: a profiler, maybe."""

    def __post_init__(self) -> None:
        self.prefix = self.ground.new_prefix()
        self._plain_key, self._key = world.key()
        self._assistance_url: str | None = None
        self._sent = 0

    def project(self, run: int) -> Mapping[str, float]:
        url = self._assistance()
        service = self.ground.service("assistance", url, self.prefix)
        service.start()
        try:
            service.wait_ready(api_key=self._plain_key)
            wait_until(url, _MIRRORED, self.households)  # in the first run
            wait_until(url, "SELECT count(*) = 0 FROM outbox", True)
            before = query(url, _WRITTEN)
            identity = service.daemon.identity
            with self.beside(identity.pid if identity is not None else 0):
                rate, answered = self._load(service.port)
            wait_until(url, "SELECT count(*) = 0 FROM outbox", True)
            check("the ledger", answered, [new - old for new, old in zip(query(url, _WRITTEN), before, strict=True)])
        finally:
            service.kill()
        return {LINE.id: rate}

    def other(self, name: str) -> Side:
        def side(run: int) -> Mapping[str, float]:
            url = self.ground.databases.create(None)
            query(url, *floors.SCHEMA.split(";"))
            with self.ground.floor(name, url) as port:
                rate, answered = self._load(port)
            check(name, answered, query(url, "SELECT (SELECT count(*) FROM action), (SELECT count(*) FROM outbox)"))
            return {LINE.id: rate}

        return side

    def _load(self, port: int) -> tuple[float, int]:
        order = Order(port, action_request(self._plain_key), 201, self.seconds, first=self._sent, cycle=self.households)
        seen = measure(order)
        self._sent += seen.answered
        return seen.rate, seen.answered

    def _assistance(self) -> str:
        """The service's database; its mirror is filled through the broker."""
        if self._assistance_url is None:
            self._assistance_url = self.ground.databases.create("assistance")
            populate(self.ground, self.prefix, self._key, self.households)
        return self._assistance_url


def run(ground: Ground, runs: int, seconds: float, say: Callable[[str], None]) -> list[Result]:
    recording = Recording(ground, seconds)
    sides = {PROJECT: recording.project, FLOOR: recording.other("raw"), PEER: recording.other("orm")}
    return [result(LINE, alternate(sides, runs, say))]


def populate(ground: Ground, prefix: str, key: KeyEvent, households: int) -> None:
    """Publish what registry would: a key, divisions, households."""
    ground.publish(prefix, KEY, "issued", [(str(key.id), key)])
    ground.publish(prefix, DIVISION, "registered", ((each.code, each) for each in world.divisions()))
    ground.publish(prefix, HOUSEHOLD, "registered", ((str(each.id), each) for each in world.households(households)))


def action_request(api_key: str, occurred_at: str = "2018-10-08T09:30:00+08:00") -> str:
    """A request of its own key and external name each; households take turns."""
    body = {
        "source_system": "bench", "external_id": "2018-%(n)09d", "programme": "visit", "kind": "household_visit",
        "household": {"number": "%(m)014d"}, "occurred_at": occurred_at, "quantity": 1, "amount_fen": 0,
        "persons": [], "details": {"purpose": "regular"},
    }  # fmt: skip
    text = json.dumps(body)
    headers = {
        "content-type": "application/json", "authorization": f"Bearer {api_key}", "idempotency-key": "bench-%(n)09d"
    }  # fmt: skip
    return request("POST", "/v1/actions", headers, text, length=len(text.encode() % {b"n": 0, b"m": 0}))


_WRITTEN = (
    "SELECT (SELECT count(*) FROM action), (SELECT count(*) FROM action_version), (SELECT count(*) FROM idempotency), "
    "(SELECT count(*) FROM outbox_sent WHERE aggregatetype LIKE '%.action.v1')"
)
_MIRRORED = "SELECT count(*) FROM mirror_household"


def query(url: str, *statements: str) -> list[int]:
    """The first row of the last statement."""

    async def ask() -> list[int]:
        connection = await asyncpg.connect(url)
        try:
            for statement in statements[:-1]:
                await connection.execute(statement)
            return list(await connection.fetchrow(statements[-1]) or ())
        finally:
            await connection.close()

    return asyncio.run(ask())


def wait_until(url: str, statement: str, value: object) -> None:
    """Wait for a statement to answer a value. Raises ``VoidRunError`` when it does not within a minute."""
    deadline = time.monotonic() + MIRROR_LIMIT
    while (found := query(url, statement)[0]) != value:
        if time.monotonic() > deadline:
            raise VoidRunError(f"{statement} still answers {found}, not {value}")
        time.sleep(0.1)


def check(what: str, answered: int, written: list[int]) -> None:
    if any(count != answered for count in written):
        raise VoidRunError(f"{what}: {answered} actions were answered with 201, written are {written}")

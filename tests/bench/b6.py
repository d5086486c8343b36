"""B6: read the live monthly table with 16 connections, whole and as 304."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

import httpx

from deploy.local.service import Service
from shared.clock import SHANGHAI
from shared.contracts.action import ACTION
from tests.bench import world
from tests.bench.b1 import populate, wait_until
from tests.bench.ground import Ground
from tests.bench.load import Order, measure, request
from tests.bench.measure import FLOOR, PROJECT, Line, Result, VoidRunError, alternate, result

WHOLE = Line("B6", "read the live monthly table", "requests/s")
UNCHANGED = Line("B6.304", "read it unchanged: 304", "requests/s")
ACTIONS = 5_000
HOUSEHOLDS = 5_000
LIMIT = 60.0


@dataclass
class Reading:
    """Ranking with a month's actions, and a floor that answers with the very bytes it gave."""

    ground: Ground
    seconds: float
    actions: int = ACTIONS
    households: int = HOUSEHOLDS
    prefix: str = field(init=False)

    def __post_init__(self) -> None:
        self.prefix = self.ground.new_prefix()
        self._plain_key, key = world.key()
        populate(self.ground, self.prefix, key, self.households)
        today = datetime.now(SHANGHAI).date()
        self._path = f"/v1/league-tables/monthly/{today:%Y-%m}"
        events = world.Actions(self.actions, today.replace(day=1), 1, self.households).events()
        self.ground.publish(self.prefix, ACTION, "recorded", ((str(event.id), event) for event in events))
        self._url = self.ground.databases.create("ranking")
        self._table = self.ground.directory / f"{self.prefix}table.json"

    def project(self, run: int) -> Mapping[str, float]:
        service = self.ground.service("ranking", self._url, self.prefix)
        service.start()
        try:
            service.wait_ready(api_key=self._plain_key)
            wait_until(self._url, "SELECT count(*) FROM household", self.households)
            self._keep_table(service)
            return self._load(service.port, self._path, lambda: self._etag(service))
        finally:
            service.kill()

    def floor(self, run: int) -> Mapping[str, float]:
        with self.ground.floor("static", str(self._table)) as port:
            return self._load(port, "/table", lambda: '"1"')

    def _keep_table(self, service: Service) -> None:
        """Wait until the table counts every action, keep its bytes for the floor."""
        deadline = time.monotonic() + LIMIT
        while True:
            answer = self._read(service)
            shown = answer.json()
            counted = sum(row["figures"]["actions"] for row in (*shown["rows"], *shown["not_ranked"]))
            if counted == self.actions:
                self._table.write_bytes(answer.content)
                return
            if time.monotonic() > deadline or counted > self.actions:
                raise VoidRunError(f"the table counts {counted} actions, not {self.actions}")
            time.sleep(0.2)

    def _etag(self, service: Service) -> str:
        return str(self._read(service).headers["etag"])

    def _read(self, service: Service) -> httpx.Response:
        return httpx.get(service.url + self._path, headers=self._headers, trust_env=False).raise_for_status()

    @property
    def _headers(self) -> dict[str, str]:
        return {"authorization": f"Bearer {self._plain_key}"}

    def _load(self, port: int, path: str, etag: Callable[[], str]) -> Mapping[str, float]:
        """The mirror may still raise a version that the table does not show: the ETag is asked for last."""
        whole = measure(Order(port, request("GET", path, self._headers), 200, self.seconds))
        headers = {**self._headers, "if-none-match": etag()}
        unchanged = measure(Order(port, request("GET", path, headers), 304, self.seconds))
        return {WHOLE.id: whole.rate, UNCHANGED.id: unchanged.rate}


def run(ground: Ground, runs: int, seconds: float, say: Callable[[str], None]) -> list[Result]:
    reading = Reading(ground, seconds)
    sides = {PROJECT: reading.project, FLOOR: reading.floor}
    samples = alternate(sides, runs, say)
    return [result(WHOLE, samples), result(UNCHANGED, samples)]

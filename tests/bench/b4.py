"""B4: freshness, from the 201 of an action to the live table that counts it, at 150 actions a second."""

import json
import sys
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime

from shared.clock import SHANGHAI
from tests.bench import world
from tests.bench.b1 import action_request, populate, wait_until
from tests.bench.freshness import Order
from tests.bench.ground import Ground
from tests.bench.measure import FLOOR, PROJECT, Line, Result, VoidRunError, alternate, percentile, result

MEDIAN = Line("B4.p50", "201 until in live table, p50", "ms")
SLOWEST = Line("B4", "201 until in live table, p99", "ms")
RATE = 150
WARM_UP_SECONDS = 3
"""Connections are opened, statements prepared."""
HOUSEHOLDS = 5_000


@dataclass
class Freshness:
    """Assistance and ranking, one worker each, with a mirrored register."""

    ground: Ground
    seconds: float
    households: int = HOUSEHOLDS
    prefix: str = field(init=False)
    _sent: int = 0

    def __post_init__(self) -> None:
        self.prefix = self.ground.new_prefix()
        self._plain_key, key = world.key()
        populate(self.ground, self.prefix, key, self.households)
        self._urls = {name: self.ground.databases.create(name) for name in ("assistance", "ranking")}
        self._services = {name: self.ground.service(name, url, self.prefix) for name, url in self._urls.items()}

    def start(self) -> None:
        for service in self._services.values():
            service.start()
        for service in self._services.values():
            service.wait_ready(api_key=self._plain_key)
        wait_until(self._urls["assistance"], "SELECT count(*) FROM mirror_household", self.households)
        wait_until(self._urls["ranking"], "SELECT count(*) FROM household", self.households)

    def stop(self) -> None:
        for service in self._services.values():
            service.kill()

    def project(self, run: int) -> Mapping[str, float]:
        year, week, _ = datetime.now(SHANGHAI).isocalendar()
        order = Order(
            rate=RATE,
            count=int(RATE * self.seconds),
            warm_up=RATE * WARM_UP_SECONDS,
            environment={},
            request=action_request(self._plain_key, datetime.now(SHANGHAI).isoformat(timespec="seconds")),
            record_port=self._services["assistance"].port,
            table_port=self._services["ranking"].port,
            table_path=f"/v1/league-tables/weekly/{year}-W{week:02}/stream",
            api_key=self._plain_key,
            first=self._sent,
            cycle=self.households,
        )
        self._sent += order.warm_up + order.count
        return self._measured("project", order)

    def floor(self, run: int) -> Mapping[str, float]:
        environment = self.ground.environment("ranking", "postgresql://nowhere/nothing", self.ground.new_prefix())
        return self._measured("floor", Order(RATE, int(RATE * min(self.seconds, 5.0)), RATE, environment))

    def _measured(self, side: str, order: Order) -> Mapping[str, float]:
        command = [sys.executable, "-m", "tests.bench.freshness", side]
        found = json.loads(self.ground.run(command, stdin=json.dumps(asdict(order))))
        if len(found) != order.count:
            raise VoidRunError(f"{order.count} were sent and {len(found)} became visible")
        return {MEDIAN.id: percentile(found, 0.5), SLOWEST.id: percentile(found, 0.99)}


def run(ground: Ground, runs: int, seconds: float, say: Callable[[str], None]) -> list[Result]:
    freshness = Freshness(ground, seconds)
    freshness.start()
    try:
        samples = alternate({PROJECT: freshness.project, FLOOR: freshness.floor}, runs, say)
    finally:
        freshness.stop()
    return [result(MEDIAN, samples), result(SLOWEST, samples)]

"""B3: ranking consumer, events/s, one worker: facts, four windows of counters, distinct households, durable."""

import asyncio
import json
import sys
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import asyncpg
from pyroaring import BitMap

from shared.contracts.action import ACTION
from tests.bench import peers, world
from tests.bench.consume import Order
from tests.bench.ground import Ground
from tests.bench.measure import FLOOR, PEER, PROJECT, Line, Result, Side, VoidRunError, alternate, result
from tests.bench.world import Cell, Count

LINE = Line("B3", "take events in, count 4 windows", "events/s")
EVENTS = 100_000
PEER_SECONDS = 8.0
"""The peer counts for so long at most: its rate does not hang on how many events there are."""


@dataclass
class Consuming:
    """One topic full of events, read by every side from its start in a group of its own."""

    ground: Ground
    actions: world.Actions
    prefix: str = field(init=False)
    around: list[str] = field(default_factory=list)
    """A program, with its arguments, that runs our sides: a profiler, maybe."""
    database: str = ""
    """Of the project's last run."""

    def __post_init__(self) -> None:
        self.prefix = self.ground.new_prefix()
        bodies = ((str(event.id), event) for event in self.actions.events())
        self.ground.publish(self.prefix, ACTION, "recorded", bodies)

    def floor(self, run: int) -> Mapping[str, float]:
        seconds = self._consume("floor", run, "postgresql://nowhere/nothing")
        return {LINE.id: self.actions.count / seconds}

    def project(self, run: int) -> Mapping[str, float]:
        self.database = self.ground.databases.create("ranking")
        seconds = self._consume("project", run, self.database)
        check(self.actions, asyncio.run(counted(self.database)))
        return {LINE.id: self.actions.count / seconds}

    def peer(self, python: str) -> Side:
        def side(run: int) -> Mapping[str, float]:
            order = {
                "bootstrap_servers": self.ground.kafka.bootstrap_servers, "topic": f"{self.prefix}{ACTION.name}",
                "group": f"{self.prefix}quix-{run}", "events": self.actions.count, "seconds": PEER_SECONDS,
                "state_directory": str(self.ground.directory / f"quix-{run}"),
            }  # fmt: skip
            printed = self.ground.run([python, peers.PROGRAM], stdin=json.dumps(order))
            found = json.loads(printed.splitlines()[-1])
            check(self.actions, _cells(found["cells"]), frozenset(found["events"]))
            return {LINE.id: len(found["events"]) / found["seconds"]}

        return side

    def _consume(self, side: str, run: int, url: str) -> float:
        environment = self.ground.environment("ranking", url, self.prefix)
        order = Order(environment, f"{side}-{run}", self.actions.count)
        command = [*self.around, sys.executable, "-m", "tests.bench.consume", side]
        return float(json.loads(self.ground.run(command, stdin=json.dumps(asdict(order))))["seconds"])


def run(ground: Ground, runs: int, events: int, say: Callable[[str], None]) -> list[Result]:
    consuming = Consuming(ground, world.Actions(events))
    sides: dict[str, Side] = {PROJECT: consuming.project, FLOOR: consuming.floor}
    python = peers.python()
    if python is None:
        say(f"no peer for B3: {peers.HOW_TO}")
    else:
        sides[PEER] = consuming.peer(str(python))
    return [result(LINE, alternate(sides, runs, say))]


def check(actions: world.Actions, found: Mapping[Cell, Count], events: frozenset[str] | None = None) -> None:
    """Compare counters with our own count of these events (of all by default). Raises ``VoidRunError``."""
    expected = actions.expected if events is None else actions.count_of(events)
    wrong = [cell for cell in expected.keys() | found.keys() if expected.get(cell) != found.get(cell)]
    if wrong:
        cell = min(wrong)
        raise VoidRunError(
            f"{len(wrong)} of {len(expected)} counters are wrong; {cell} should be {expected.get(cell)} "
            f"and is {found.get(cell)}"
        )


async def counted(url: str) -> dict[Cell, Count]:
    """The counters of the counties in a database of ranking's, with their households counted from the bitmaps."""
    connection = await asyncpg.connect(url)
    try:
        rows = await connection.fetch(
            "SELECT cadence, period_start, unit, actions, amount_fen, households "
            "FROM cell LEFT JOIN cell_households USING (level, unit, class, cadence, period_start) "
            "WHERE level = 'county'"
        )
        facts = await connection.fetchval("SELECT count(*) FROM fact")
    finally:
        await connection.close()
    found = {
        (row["cadence"], row["period_start"].isoformat(), row["unit"]): Count(
            row["actions"], row["amount_fen"], len(BitMap.deserialize(row["households"] or BitMap().serialize()))
        )
        for row in rows
    }
    total = sum(count.actions for (cadence, _, _), count in found.items() if cadence == "day")
    if facts != total:
        raise VoidRunError(f"{facts} facts, but the counters of the days add up to {total}")
    return found


def _cells(rows: list[list[Any]]) -> dict[Cell, Count]:
    return {(cadence, first, unit): Count(*counted) for cadence, first, unit, *counted in rows}

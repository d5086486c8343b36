"""The benchmark's harness works and tells wrong results from right ones. No test here asserts a time."""

import asyncio
import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import asyncpg
import pytest

from deploy.local.broker import EmbeddedBroker
from deploy.local.postgres import EmbeddedPostgres
from tests.bench import __main__ as command
from tests.bench import b1, b3, b7, profiling, world
from tests.bench.freshness import Watch
from tests.bench.ground import Ground
from tests.bench.load import body_length
from tests.bench.measure import FLOOR, PEER, PROJECT, Line, Result, VoidRunError, alternate, percentile, result
from tests.stack import Databases

LINE = Line("B0", "nothing", "things/s")


@pytest.fixture
def ground(run_directory: Path, postgres: EmbeddedPostgres, databases: Databases, kafka: EmbeddedBroker) -> Ground:
    """The run's servers instead of the benchmark's own."""
    return Ground(run_directory, postgres, kafka, databases)


def test_every_run_begins_with_another_side() -> None:
    order: list[str] = []

    def side(name: str) -> Mapping[str, float]:
        order.append(name)
        return {LINE.id: 1.0}

    alternate({"a": lambda _: side("a"), "b": lambda _: side("b")}, 3, lambda _: None)
    assert "".join(order) == "abbaab"


def test_a_line_holds_medians_ratios_and_spread() -> None:
    samples = {
        PROJECT: [{LINE.id: value} for value in (10.0, 12.0, 20.0)],
        FLOOR: [{LINE.id: value} for value in (24.0, 1.0, 30.0)],
    }
    assert result(LINE, samples).as_json() == {
        "id": "B0", "work": "nothing", "unit": "things/s", "project": 12.0, "floor": 24.0, "peer": None,
        "ratio_floor": 0.5, "ratio_peer": None, "runs": 3, "spread": 0.8333,
    }  # fmt: skip
    assert result(LINE, {**samples, PEER: [{LINE.id: 3.0}]}).ratio_peer == 4.0


def test_percentiles_are_values_that_were_measured() -> None:
    assert percentile([1.0, 2.0, 3.0, 4.0], 0.5) == 2.0
    assert percentile([float(value) for value in range(1, 101)], 0.99) == 99.0
    with pytest.raises(VoidRunError):
        percentile([], 0.5)


def test_an_answers_length_is_read_from_its_head() -> None:
    assert body_length(b"HTTP/1.1 200 OK\r\ncontent-length: 17\r\netag: x") == 17
    assert body_length(b"HTTP/1.1 304 Not Modified\r\netag: x") == 0


def test_actions_are_matched_with_the_tables_that_count_them() -> None:
    watch = Watch()
    watch.table({"a": 5, "b": 0}, 0.0)
    watch.acknowledged["a"] += [1.0, 2.0]
    watch.table({"a": 6, "b": 0}, 1.5)
    assert not watch.complete()
    watch.table({"a": 7, "b": 0}, 4.0)
    assert watch.complete()
    assert watch.milliseconds(0) == [500.0, 2000.0]
    assert watch.milliseconds(1) == [2000.0]


def test_stacks_are_summed_by_function() -> None:
    top = profiling.summary(
        "main (a.py:1);work (a.py:7) 3\nmain (a.py:2);work (a.py:9) 1\nmain (a.py:3) 4"
    ).splitlines()
    assert [line.split() for line in top[1:]] == [
        ["50.0%", "50.0%", "work", "(a.py)"],
        ["50.0%", "100.0%", "main", "(a.py)"],
    ]


def test_the_floor_of_recording_is_measured_and_counted(ground: Ground) -> None:
    recording = b1.Recording(ground, seconds=2.0)
    assert recording.other("raw")(0)[b1.LINE.id] > 0


@pytest.mark.parametrize("difference", [-1, 1])
def test_rows_that_do_not_match_the_answers_void_the_run(difference: int) -> None:
    with pytest.raises(VoidRunError, match="written"):
        b1.check("the ledger", 10, [10, 10 + difference])


def test_consumers_are_measured_and_a_wrong_counter_voids_the_run(ground: Ground) -> None:
    consuming = b3.Consuming(ground, world.Actions(300))
    assert consuming.floor(0)[b3.LINE.id] > 0
    assert consuming.project(0)[b3.LINE.id] > 0

    asyncio.run(_spoil_a_counter(consuming.database))
    with pytest.raises(VoidRunError, match="counters are wrong"):
        b3.check(consuming.actions, asyncio.run(b3.counted(consuming.database)))


def test_a_missing_household_voids_the_run() -> None:
    actions = world.Actions(50)
    cell, count = next(iter(actions.expected.items()))
    b3.check(actions, actions.expected)
    with pytest.raises(VoidRunError, match="1 of"):
        b3.check(actions, {**actions.expected, cell: replace(count, households=count.households - 1)})


def test_an_import_is_measured_beside_a_copy_of_what_it_wrote(ground: Ground) -> None:
    importing = b7.Importing(ground, scale=5_000)
    seen = importing.project(0)
    assert seen[b7.LINE.id] > 0
    assert seen[b7.MEMORY.id] > 50  # MB: no Python with these libraries is smaller
    assert importing.floor(0)[b7.LINE.id] > 0

    importing.people += 1
    with pytest.raises(VoidRunError, match="copied"):
        importing.floor(1)
    with pytest.raises(VoidRunError, match="statistics count"):
        importing.project(1)


def test_results_are_written_as_a_table_and_as_json(ground: Ground, monkeypatch: pytest.MonkeyPatch) -> None:
    samples = {PROJECT: [{LINE.id: 2.0}], FLOOR: [{LINE.id: 4.0}]}

    def fails(*_: object) -> list[Result]:
        raise VoidRunError("planted")

    monkeypatch.setitem(command.BENCHES, "B1", lambda *_: [result(LINE, samples)])
    monkeypatch.setitem(command.BENCHES, "B3", fails)
    results, failures = command.measure(ground, ["B3", "B1"], 1, command.QUICK)
    assert failures == ["B3 is void: planted"]
    assert json.loads(json.dumps([each.as_json() for each in results]))[0]["ratio_floor"] == 0.5
    assert command.table(results).row_count == 1


async def _spoil_a_counter(url: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        await connection.execute("UPDATE cell SET actions = actions + 1 WHERE level = 'county' AND cadence = 'week'")
    finally:
        await connection.close()

"""Facts and counters against an independent recomputation, on real PostgreSQL.

Mutants these tests must catch: days taken in UTC (instants around midnight in Shanghai are among those drawn);
no version check in the upsert (an older version that arrives later would win); an older row read by a common
table expression instead of ``RETURNING old`` (``test_consumers_race_for_one_action`` in test_races.py).
"""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from services.ranking.facts.consumers import FactsHandler
from services.ranking.facts.reading import read_batch
from services.ranking.rebuilding import service as rebuilding
from shared.clock import FixedClock
from shared.contracts.action import ActionEvent
from shared.contracts.division import Path
from shared.db import Pg
from shared.record import Poison
from tests.ranking import expected
from tests.ranking.world import CITY, NOW, WAN, WO, World, action, action_record, cells, path, township

EDGES = [
    datetime(2018, 12, 31, 15, 59, 59, tzinfo=UTC),  # the year's last second in Shanghai
    datetime(2018, 12, 31, 16, 0, tzinfo=UTC),  # the next year's first
    datetime(2018, 9, 30, 15, 59, 59, 999999, tzinfo=UTC),  # quarter, month and week end together
    datetime(2018, 9, 30, 16, 0, tzinfo=UTC),
    datetime(2018, 10, 7, 16, 0, tzinfo=UTC),  # a Monday
    datetime(2018, 10, 8, 0, 30, tzinfo=UTC),
]
DELAYS = [timedelta(seconds=-1), timedelta(0), timedelta(days=1), timedelta(days=1, microseconds=1), timedelta(days=40)]
PATHS = [
    path(WAN),
    path(WAN, 2),
    path(WO),
    path(WAN, 3, unit=WO),
    Path(city=CITY, county=WO, managing_unit=WO),
    Path(city=CITY, county=WAN, township=township(WAN, 2), managing_unit=WAN),
]

contents = st.builds(
    lambda occurred, delay, **fields: fields | {"occurred_at": occurred, "first_recorded_at": occurred + delay},
    st.sampled_from(EDGES),
    st.sampled_from(DELAYS),
    status=st.sampled_from(["recorded", "recorded", "recorded", "revoked"]),
    path=st.sampled_from(PATHS),
    programme_class=st.sampled_from(["help", "benefit"]),
    sector=st.sampled_from(["health", "civil"]),
    household_seq=st.sampled_from([None, 1, 2, 2**32 - 1]),
    persons=st.lists(st.sampled_from([UUID(int=1), UUID(int=2)]), max_size=2),
    amount_fen=st.sampled_from([0, 1, -5, 2**53]),
    verified_at=st.sampled_from([None, NOW]),
)


@st.composite
def deliveries(draw: st.DrawFn) -> list[list[ActionEvent]]:
    """Actions with several versions each, some delivered twice, in any order, cut into batches."""
    sent: list[ActionEvent] = []
    for number in range(1, draw(st.integers(1, 5)) + 1):
        for version, content in enumerate(draw(st.lists(contents, min_size=1, max_size=4)), start=1):
            event = action(**content, id=UUID(int=number), version=version, household_id=None)
            sent += [event] * draw(st.integers(0, 2))
    shuffled = draw(st.permutations(sent))
    batches: list[list[ActionEvent]] = []
    while shuffled:
        size = draw(st.integers(1, 6))
        batches.append(list(shuffled[:size]))
        shuffled = shuffled[size:]
    return batches


class _UndoneError(Exception):
    """Leaves the database as it was before an example."""


def test_counters_equal_recomputation(database_url: Callable[[str | None], str]) -> None:
    """Duplicates, reordering, corrections across units and periods, revocations and late arrivals."""
    with asyncio.Runner() as runner:
        pg: Pg = runner.run(asyncpg.connect(database_url("ranking")))

        @settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
        @given(deliveries())
        def holds(batches: list[list[ActionEvent]]) -> None:
            try:
                runner.run(_delivered(pg, batches))
            except _UndoneError:
                return

        holds()
        runner.run(pg.close())


async def _delivered(pg: Pg, batches: list[list[ActionEvent]]) -> None:
    handler = FactsHandler(FixedClock(NOW))
    delivered: list[ActionEvent] = []
    async with pg.transaction():
        for batch in batches:
            async with pg.transaction():
                verdicts = await handler(pg, read_batch([action_record(event) for event in batch]))
            assert not verdicts
            delivered += batch
            assert await cells(pg) == expected.cells(delivered)
        await _check_history(pg, delivered)
        assert (await rebuilding.check(pg)).equal
        raise _UndoneError


async def _check_history(pg: Pg, delivered: list[ActionEvent]) -> None:
    """Facts hold the newest versions, the history only older ones that were delivered."""
    current = {row["action_id"]: row["version"] for row in await pg.fetch("SELECT action_id, version FROM fact")}
    assert current == {key: event.version for key, event in expected.newest(delivered).items()}
    past = {(row[0], row[1]) for row in await pg.fetch("SELECT action_id, version FROM fact_history")}
    assert past <= {(event.id, event.version) for event in delivered}
    assert all(version < current[action_id] for action_id, version in past)


async def test_late_evening_counts_for_the_day_in_shanghai(world: World) -> None:
    """00:30 on 8 October in Shanghai is still 7 October in UTC. Fails when days are taken in UTC."""
    await world.take_in(action(occurred_at=datetime(2018, 10, 7, 16, 30, tzinfo=UTC)))
    async with world.runtime.database.driver() as pg:
        days = {key[4].isoformat() for key in await cells(pg) if key[3] == "day"}
    assert days == {"2018-10-08"}


async def test_older_version_is_ignored(world: World) -> None:
    """Fails without the version check of the upsert."""
    moved = action(version=2, path=path(WO))
    await world.take_in(moved)
    await world.take_in(action(**{**_fields(moved), "version": 1, "path": path(WAN)}))
    async with world.runtime.database.driver() as pg:
        assert {key[1] for key in await cells(pg) if key[0] == "county"} == {WO}


async def test_same_version_again_changes_nothing(world: World) -> None:
    event = action()
    await world.take_in(event)
    async with world.runtime.database.driver() as pg:
        before = await cells(pg), await pg.fetch("SELECT * FROM live_version ORDER BY name")
    assert not await world.take_in(event, event)
    async with world.runtime.database.driver() as pg:
        assert (await cells(pg), await pg.fetch("SELECT * FROM live_version ORDER BY name")) == before


async def test_same_version_with_other_content_is_poison(world: World) -> None:
    """Across batches and within one; the first to arrive stays."""
    event = action()
    forged = action(**{**_fields(event), "amount_fen": 5})
    first = await world.take_in(event, forged)
    second = await world.take_in(forged)
    assert [_code(v) for v in (*first.values(), *second.values())] == ["version_clash", "version_clash"]
    assert list(first) == [1]
    async with world.runtime.database.driver() as pg:
        assert await pg.fetchval("SELECT amount_fen FROM fact") == 0


async def test_history_is_append_only(world: World) -> None:
    event = action()
    await world.take_in(event)
    await world.take_in(action(**{**_fields(event), "version": 2}))
    async with world.runtime.database.driver() as pg:
        assert await pg.fetchval("SELECT count(*) FROM fact_history") == 1
        for statement in ("DELETE FROM fact_history", "UPDATE fact_history SET quantity = 2", "TRUNCATE fact_history"):
            with pytest.raises(asyncpg.RaiseError, match="append-only"):
                await pg.execute(statement)


def _fields(event: ActionEvent) -> dict[str, Any]:
    return {name: getattr(event, name) for name in type(event).model_fields}


def _code(verdict: object) -> str:
    assert isinstance(verdict, Poison)
    return verdict.code

"""The divisions that every process keeps in memory: what was committed, and nothing else, whoever changes them."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from services.registry import commands
from services.registry.divisions import service
from services.registry.standing import store as decisions
from shared import db, watched
from shared.clock import FixedClock, local_day
from shared.contracts.division import DivisionEvent
from shared.db import Pg
from tests.registry.conftest import (
    A_LITTLE,
    CITY,
    OTHER_VILLAGE,
    VILLAGE,
    XIPING,
    app_on,
    client_of,
    household,
    make,
    matching,
    member,
    until_waited_for,
)
from tests.registry.standing import Office
from tests.registry.test_reorganising import NEIGHBOUR, NEW, YAHE, change, counted, home_of
from tests.registry.test_standing_divisions import READY

NEXT_VILLAGE = "411323102203"
POOR = {"kind": "poor_village", "valid_from": "2014-01-01"}


@dataclass(frozen=True)
class Replica:
    """A process of registry, and a client of it; several share a database."""

    app: FastAPI
    client: httpx.AsyncClient

    async def divisions(self) -> list[DivisionEvent]:
        """What it has in memory."""
        async with self.app.state.runtime.database.driver() as pg:
            return list(await self.app.state.registry.divisions.latest(pg))


@pytest.fixture
def clock() -> FixedClock:
    return FixedClock(datetime.now(UTC) + timedelta(days=1))


@pytest.fixture
async def replicas(
    database_url: Callable[[str | None], str], secrets: None, clock: FixedClock, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[tuple[Replica, Replica]]:
    monkeypatch.setitem(db.SESSION_SETTINGS, "lock_timeout", "30s")  # they are made to wait
    url = database_url("registry")
    async with AsyncExitStack() as stack:
        apps = [app_on(url, clock) for _ in range(2)]
        first, second = [Replica(app, await stack.enter_async_context(client_of(app))) for app in apps]
        yield first, second


def today(clock: FixedClock) -> str:
    return local_day(clock.now()).isoformat()


async def register(client: httpx.AsyncClient, village: str = VILLAGE) -> dict[str, Any]:
    return await make(client, **household(village=village))


async def test_what_is_loaded_bit_by_bit_is_what_is_loaded_whole(
    replicas: tuple[Replica, Replica], clock: FixedClock
) -> None:
    first, second = replicas
    before = await second.divisions()
    day = today(clock)
    part = {"code": NEW, "name": "二村", "sort_order": 9000}
    for client, code, what, version, body in (
        (first.client, VILLAGE, "name", 1, {"name": "新营村"}),
        (second.client, XIPING, "managing-unit", 1, {"unit": YAHE}),
        (first.client, VILLAGE, "split", 2, {"parts": [part], "rest": VILLAGE}),
        (second.client, NEIGHBOUR, "merge", 1, {"into": NEW}),
    ):
        answer = await change(client, code, what, version, valid_from=day, **body)
        assert answer.status_code == 200, answer.text
    async with first.app.state.runtime.database.driver() as pg:
        whole = list(await service.load_tree(pg))
    assert [each.code for each in whole] == sorted(each.code for each in whole)
    assert await first.divisions() == await second.divisions() == whole
    assert len(whole) == len(before) + 1
    touched = {VILLAGE, XIPING, NEIGHBOUR, NEW}
    assert {each.code for each in whole if each not in before} == touched
    kept = {each.code: each for each in before}
    assert all(each is kept[each.code] for each in await second.divisions() if each.code not in touched)


async def waiting_for_paths(pg: Pg) -> int:
    """How many transactions wait for the lock on paths."""
    found: int = await pg.fetchval(
        "SELECT count(*) FROM pg_locks JOIN pg_database ON pg_database.oid = database "
        "WHERE datname = current_database() AND locktype = 'advisory' AND NOT granted"
    )
    return found


async def test_who_waited_for_a_merger_registers_by_what_it_made(
    replicas: tuple[Replica, Replica], clock: FixedClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the process that merged, and in another one, which has just looked."""
    monkeypatch.setattr(watched, "CHECK_SECONDS", 3600.0)
    first, second = replicas
    assert await first.divisions() == await second.divisions()
    day = local_day(clock.now())
    home = await register(first.client)
    async with first.app.state.runtime.database.driver() as pg:
        async with pg.transaction():
            await pg.execute("SELECT FROM household WHERE id = $1 FOR UPDATE", home["id"])
            merger = asyncio.create_task(change(first.client, VILLAGE, "merge", into=NEIGHBOUR, valid_from=str(day)))
            await until_waited_for(pg)  # holding the lock, about to take the household along
            clients = [replica.client for replica in replicas for _ in range(2)]
            made = [asyncio.create_task(register(client)) for client in clients]
            async with asyncio.timeout(60):
                while await waiting_for_paths(pg) < len(made):
                    await asyncio.sleep(0.01)
        assert (await merger).status_code == 200
        homes = [await each for each in made]
    for each in (home, *homes):
        assert (await home_of(second.client, each, day))["village"] == NEIGHBOUR
    assert [state["path"]["village"] for each in homes for state in each["timeline"]] == [VILLAGE, NEIGHBOUR] * 4
    assert await counted(second.client, NEIGHBOUR, day) == 5


async def test_two_mergers_at_once_leave_everybody_where_the_divisions_say(
    replicas: tuple[Replica, Replica], clock: FixedClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A village goes into its neighbour while the neighbour goes into the next, and people register in all three."""
    monkeypatch.setattr(commands, "ATTEMPTS", 20)  # deadlocks are another test's
    first, second = replicas
    day = local_day(clock.now())
    for village in (VILLAGE, NEIGHBOUR):
        await register(first.client, village)
    mergers = [
        change(first.client, VILLAGE, "merge", into=NEIGHBOUR, valid_from=str(day)),
        change(second.client, NEIGHBOUR, "merge", into=NEXT_VILLAGE, valid_from=str(day)),
    ]
    villages = (VILLAGE, NEIGHBOUR, NEXT_VILLAGE)
    registrations = [register(each.client, village) for village in villages for each in replicas]
    merged, homes = await asyncio.gather(asyncio.gather(*mergers), asyncio.gather(*registrations))
    into_neighbour, into_next = merged
    assert into_next.status_code == 200, into_next.text
    assert into_neighbour.status_code in (200, 422), into_neighbour.text  # refused where the neighbour ended first
    stays = [] if into_neighbour.status_code == 200 else [VILLAGE]
    for each, village in zip(homes, (village for village in villages for _ in replicas), strict=True):
        end = village if village in (*stays, NEXT_VILLAGE) else NEXT_VILLAGE
        assert (await home_of(second.client, each, day))["village"] == end
    assert await counted(first.client, NEXT_VILLAGE, day) == (5 if stays else 8)
    assert await counted(first.client, CITY, day) == 8


Change = Callable[[httpx.AsyncClient], Coroutine[Any, Any, httpx.Response]]


def merging(day: str) -> tuple[str, Change]:
    return VILLAGE, lambda client: change(client, VILLAGE, "merge", into=NEIGHBOUR, valid_from=day)


def splitting(day: str) -> tuple[str, Change]:
    part = {"code": NEW, "name": "二村", "sort_order": 9000}
    return VILLAGE, lambda client: change(client, VILLAGE, "split", parts=[part], rest=NEW, valid_from=day)


@pytest.mark.parametrize(("made", "attempts", "status"), [(merging, 3, 200), (splitting, 3, 200), (merging, 1, 409)])
async def test_a_change_of_divisions_that_a_deadlock_undid_is_carried_out_again(
    replicas: tuple[Replica, Replica], clock: FixedClock, monkeypatch: pytest.MonkeyPatch,
    made: Callable[[str], tuple[str, Change]], attempts: int, status: int,
) -> None:  # fmt: skip
    """It waits for a household, and who holds that one waits for the division."""
    monkeypatch.setattr(commands, "ATTEMPTS", attempts)
    first, _ = replicas
    home = await register(first.client)
    code, request = made(today(clock))
    async with first.app.state.runtime.database.driver() as pg:
        async with pg.transaction():
            await pg.execute("SELECT FROM household WHERE id = $1 FOR UPDATE", home["id"])
            waiting = asyncio.create_task(request(first.client))
            await until_waited_for(pg, A_LITTLE)
            await pg.execute("SELECT FROM division WHERE code = $1 FOR UPDATE", code)
        answer = await waiting
    assert answer.status_code == status, answer.text
    [division] = [each for each in await first.divisions() if each.code == VILLAGE]
    assert division.version == (2 if status == 200 else 1)
    versions = (await first.client.get(f"/v1/divisions/{VILLAGE}/versions")).json()["items"]
    assert len(versions) == division.version


async def test_what_was_not_committed_stays_out_of_memory(
    replicas: tuple[Replica, Replica], clock: FixedClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An exit ends one designation after the other and fails at last; the next change has the revision it had."""
    monkeypatch.setattr(watched, "CHECK_SECONDS", 0.0)
    clock.advance(datetime(2018, 12, 20, 4, tzinfo=UTC) - clock.now())
    first, second = replicas
    office = await Office.of(first.client)
    for version, kind in enumerate(("poor_village", "deep_poverty_village"), start=1):
        url = f"/v1/divisions/{VILLAGE}/designations"
        answer = await first.client.post(url, json={**POOR, "kind": kind}, headers=matching(version))
        assert answer.status_code == 200, answer.text
    await make(first.client, members=[member(), *(member("other") for _ in range(18))])
    decision = await office.proposed(kind="village_exit", division=VILLAGE, village=READY)
    while decision["next"] is not None and decision["next"]["step"] != "announcement":
        decision = await office.stepped(decision)

    async def failing(*_: Any) -> None:
        raise RuntimeError

    with monkeypatch.context() as patched:
        patched.setattr(decisions, "change", failing)
        while (answer := await office.step(decision)).status_code == 200:
            decision = answer.json()
    assert answer.status_code == 500
    url = f"/v1/divisions/{OTHER_VILLAGE}/designations"
    assert (await second.client.post(url, json=POOR, headers=matching(1))).status_code == 200
    assert await first.divisions() == await second.divisions()

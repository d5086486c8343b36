"""What was known at an instant is final once it is told, whoever is recording beside it."""

import asyncio
import json
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import httpx
import pytest
from fastapi import FastAPI

from services.registry import instants
from services.registry.commands import command
from services.registry.imports import modes
from services.registry.statistics import service as statistics
from shared.app import Runtime
from shared.clock import Clock, FixedClock, local_day
from tests.registry.conftest import VILLAGE, XIXIA, app_on, client_of, faults, household, make, member
from tests.registry.sheets import counts, ended, head, imported, send, workbook
from tests.registry.test_reorganising import NEIGHBOUR, change

HOME = "41132300000001"
TABLES = ("poverty", "causes", "welfare", "exits", "villages")
ADDRESSES = (
    "/v1/households", f"/v1/households/{HOME}", "/v1/divisions", f"/v1/divisions/{VILLAGE}",
    *(f"/v1/statistics/{table}?division={XIXIA}" for table in TABLES),
)  # fmt: skip
SPAN = f"/v1/statistics/exits?division={XIXIA}&since=2014-01-01"
JSONL = {"Accept": "application/jsonl"}
Ask = Callable[..., Coroutine[Any, Any, httpx.Response]]


def asking(client: httpx.AsyncClient) -> Ask:
    async def ask(address: str, known_at: datetime, headers: dict[str, str] | None = None) -> httpx.Response:
        url = httpx.URL(address).copy_add_param("known_at", known_at.isoformat())
        return await client.get(url, headers=headers)

    return ask


@pytest.fixture
def ask(registry: httpx.AsyncClient) -> Ask:
    return asking(registry)


def now() -> datetime:
    return datetime.now(UTC)


class Ahead(Clock):
    """A clock that is seconds ahead."""

    def now(self) -> datetime:
        return now() + timedelta(seconds=3)


class Held:
    """Holds what registers households: it has read the clock and written, and commits when it may."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.written, self.may_commit = asyncio.Event(), asyncio.Event()
        count = statistics.count

        async def held(pg: Any, changes: Any) -> None:
            await count(pg, changes)
            self.written.set()
            await self.may_commit.wait()

        monkeypatch.setattr(statistics, "count", held)


class Command:
    """A command that has begun and ends when it may."""

    def __init__(self, runtime: Runtime, *, dry_run: bool = False) -> None:
        self.begun, self._may_end = asyncio.Event(), asyncio.Event()
        self._work = asyncio.create_task(self._run(runtime, dry_run))

    async def _run(self, runtime: Runtime, dry_run: bool) -> None:
        async with command(runtime, dry_run=dry_run):
            self.begun.set()
            await self._may_end.wait()

    async def ended(self) -> None:
        self._may_end.set()
        await self._work


async def waits(question: asyncio.Task[Any]) -> bool:
    """Whether it is not answered though it was looked at several times."""
    return not (await asyncio.wait([question], timeout=10 * instants.LOOK_SECONDS))[0]


async def test_an_instant_to_come_is_refused(registry: httpx.AsyncClient, ask: Ask) -> None:
    await make(registry, number=HOME)
    for address in ADDRESSES:
        assert faults(await ask(address, now() + timedelta(seconds=30))) == {("query:known_at", "not_yet")}, address
        assert (await ask(address, now())).status_code == 200, address
    assert faults(await ask("/v1/households", now() + timedelta(days=1), JSONL)) == {("query:known_at", "not_yet")}


async def test_an_instant_by_a_clock_that_is_ahead_is_waited_for(
    registry: httpx.AsyncClient, app: FastAPI, ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another process recorded something and told when; whoever asks here as of then is not told that it is to come."""
    monkeypatch.setattr(instants, "PATIENCE_SECONDS", 20)
    beside = app_on(app.state.runtime.settings.database_url, Ahead())
    async with client_of(beside) as client:
        made = await make(client)
    instant = datetime.fromisoformat(made["changed_at"])
    assert instant > now()
    told = await ask(f"/v1/households/{made['id']}", instant)
    assert (told.status_code, told.json()["id"]) == (200, made["id"])


async def test_what_is_being_recorded_is_waited_for(
    registry: httpx.AsyncClient, ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A writer has read the clock and not committed: no answer until then, and the same one ever after."""
    await make(registry, number=HOME)
    before = now() - timedelta(seconds=2)
    with monkeypatch.context() as patched:
        held = Held(patched)
        writing = asyncio.create_task(make(registry))
        await held.written.wait()
    instant = now()
    monkeypatch.setattr(instants, "PATIENCE_SECONDS", 0.1)
    for address in ADDRESSES:
        answer = await ask(address, instant)
        assert (answer.status_code, answer.json()["code"]) == (503, "not_settled"), address
        assert answer.headers["retry-after"] == "1"
        assert (await ask(address, before)).status_code in (200, 404), address  # it began later
        assert (await registry.get(address)).status_code == 200, address
    lines = await ask("/v1/households", instant, JSONL)
    assert (lines.status_code, lines.json()["code"]) == (503, "not_settled")
    monkeypatch.setattr(instants, "PATIENCE_SECONDS", 20)
    questions = [asyncio.create_task(ask(address, instant)) for address in ADDRESSES]
    assert [await waits(each) for each in questions] == [True] * len(questions)
    held.may_commit.set()
    made, told = await writing, [await each for each in questions]
    assert made["id"] in {each["id"] for each in told[0].json()["items"]}
    assert [each.status_code for each in told] == [200] * len(told)
    await make(registry)
    assert [(await ask(address, instant)).json() for address in ADDRESSES] == [each.json() for each in told]


async def test_who_begins_after_the_question_is_not_waited_for(url: str, secrets: None) -> None:
    """Though in the same second: whatever it records is of a later instant."""
    clock = FixedClock(now() + timedelta(days=1))
    app = app_on(url, clock)
    runtime: Runtime = app.state.runtime
    async with client_of(app) as client:
        first = Command(runtime)
        await first.begun.wait()
        question = asyncio.create_task(asking(client)("/v1/households", clock.now()))
        assert await waits(question)
        second = Command(runtime)
        await second.begun.wait()
        await first.ended()
        assert (await question).status_code == 200
        await second.ended()


async def test_a_dry_run_keeps_nobody_waiting(
    registry: httpx.AsyncClient, app: FastAPI, ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(instants, "PATIENCE_SECONDS", 0.0)
    trial = Command(app.state.runtime, dry_run=True)
    await trial.begun.wait()
    assert (await ask("/v1/households", now())).status_code == 200
    await trial.ended()
    held = Held(monkeypatch)
    job = (await send(registry, workbook([head(HOME)]), dry_run="true")).json()["id"]
    await held.written.wait()
    assert (await ask("/v1/households", now())).status_code == 200
    held.may_commit.set()
    assert (await ended(registry, job))["status"] == "completed"


async def test_an_instant_of_long_ago_or_of_another_century_is_one_too(ask: Ask, app: FastAPI) -> None:
    """Locks are counted in seconds from 2020 on; what lies before may have to wait, and is never wrong."""
    for instant in (datetime(2, 1, 1, tzinfo=UTC), datetime(2014, 1, 1, tzinfo=UTC)):
        assert (await ask("/v1/households", instant)).json()["items"] == []
    async with app.state.runtime.database.driver() as pg:
        await instants.begin(pg, FixedClock(datetime(9998, 1, 1, tzinfo=UTC)))
        await instants.begin(pg, FixedClock(datetime(2, 1, 1, tzinfo=UTC)))


async def test_a_change_of_another_process_is_in_the_answer(own_app: FastAPI, own_registry: httpx.AsyncClient) -> None:
    """Divisions are kept in memory for a second: too long for an answer that is to stay."""
    beside = app_on(own_app.state.runtime.settings.database_url)
    address = f"/v1/divisions/{VILLAGE}"
    async with client_of(beside) as client:
        assert (await client.get(address)).json()["name"] != "新营村"  # and knows for a second what divisions are like
        today = local_day(now()).isoformat()
        renamed = await change(own_registry, VILLAGE, "name", name="新营村", valid_from=today)
        assert renamed.status_code == 200, renamed.text
        instant = now()
        told = await asking(client)(address, instant)
        assert told.json()["name"] == "新营村"
        assert (await asking(own_registry)(address, instant)).json() == told.json()


async def test_an_answer_is_of_the_day_of_its_instant(database_url: Callable[[str | None], str], secrets: None) -> None:
    """Asked again in another year, without naming a day: names dated ahead, ages and figures are as they were."""
    clock = FixedClock(now())
    day, today = timedelta(days=1), local_day(now())
    async with client_of(app_on(database_url("registry"), clock)) as client:
        of_age = today + 200 * day
        able_soon = {"birth_date": f"{of_age.year - 16}-{of_age:%m}-01", "attributes": {"health": ["healthy"]}}
        await make(client, number=HOME, members=[member(), member("son", **able_soon)])
        ahead = (today + day).isoformat()
        assert (await change(client, VILLAGE, "name", name="新营村", valid_from=ahead)).status_code == 200
        ask, instant = asking(client), clock.now() + day / 24
        clock.advance(day / 12)
        told = [(await ask(address, instant)).json() for address in (*ADDRESSES, SPAN)]
        clock.advance(400 * day)
        assert [(await ask(address, instant)).json() for address in (*ADDRESSES, SPAN)] == told
        now_found = (await client.get(f"/v1/households/{HOME}")).json()["findings"]
        assert now_found != told[1]["findings"]


async def test_every_answer_during_a_bulk_stays(
    registry: httpx.AsyncClient, ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Some thousand households in several requests, and questions beside them, asked again when all is quiet."""
    monkeypatch.setattr(instants, "PATIENCE_SECONDS", 60)
    numbers = [f"{41132399000000 + n}" for n in range(3000)]
    figures = f"/v1/statistics/poverty?division={XIXIA}"
    told: list[tuple[str, datetime, Any]] = []
    working, begun = True, now()

    async def register(some: list[str], mode: str) -> None:
        lines = "\n".join(json.dumps(household(number=number)) for number in some)
        headers = {"Content-Type": "application/jsonl"}
        answer = await registry.post(f"/v1/households/bulk?mode={mode}", content=lines, headers=headers)
        assert answer.json()["counts"]["created"] == len(some)

    async def ask_on(address: str, back: timedelta) -> None:
        while working:
            instant = max(begun, now() - back)
            answer = await ask(address, instant)
            if answer.status_code == 503:
                assert answer.json()["code"] == "not_settled"
            else:
                told.append((address, instant, answer.json()))

    addresses = [figures, f"/v1/households?count=true&limit=1&division={XIXIA}"]
    addresses += [f"/v1/households/{numbers[place]}" for place in (700, 2400)]
    askers = [asyncio.create_task(ask_on(address, timedelta(seconds=back))) for address in addresses for back in (0, 1)]
    for start in range(0, 3000, 1000):
        await register(numbers[start : start + 500], "all")
        await asyncio.gather(
            register(numbers[start + 500 : start + 800], "each"), register(numbers[start + 800 : start + 1000], "all")
        )
    working = False
    await asyncio.gather(*askers)
    again = [(await ask(address, instant)).json() for address, instant, _ in told]
    assert [said for *_, said in told] == again
    counted = {said["division"]["registered_households"] for address, _, said in told if address == figures}
    assert len(counted) > 2, "some were told while it went on"


# Who records, and says so


async def record(runtime: Runtime, announced: datetime | None, instant: datetime | None = None) -> None:
    """Write a version of an instant, now by default, in a transaction that says so as of another instant."""
    async with runtime.database.driver() as pg, pg.transaction():
        if announced is not None:
            await instants.begin(pg, FixedClock(announced))
        await pg.execute("UPDATE household SET recorded_at = $1", instant or now())


async def test_what_is_recorded_unannounced_is_refused_by_the_databases_of_these_tests(
    registry: httpx.AsyncClient, app: FastAPI
) -> None:
    await make(registry)
    runtime: Runtime = app.state.runtime
    await record(runtime, now())
    with pytest.raises(asyncpg.RaiseError, match="nobody was told"):
        await record(runtime, None)
    with pytest.raises(asyncpg.RaiseError, match="nobody was told"):
        await record(runtime, now() + timedelta(minutes=1))
    begun = now().replace(microsecond=500_000)
    with pytest.raises(asyncpg.RaiseError, match="before others were told"):
        await record(runtime, begun, begun - timedelta(microseconds=1))


@pytest.mark.parametrize("mode", ["all", "each"])
async def test_each_chunk_of_an_import_is_recorded_when_it_is(
    registry: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch, mode: str
) -> None:
    """The database refuses them otherwise; so it does what takes the import back."""
    monkeypatch.setattr(modes, "CHUNK", 1)
    numbers = [f"{int(HOME) + n}" for n in range(3)]
    job = await imported(registry, workbook([head(each, n) for n, each in enumerate(numbers, 1)]), mode=mode)
    assert counts(job) == {"received": 3, "created": 3}, job
    recorded = [(await registry.get(f"/v1/households/{each}")).json()["changed_at"] for each in numbers]
    assert len(set(recorded)) == 3
    assert recorded == sorted(recorded)
    assert (await registry.post(f"/v1/imports/{job['id']}/undo")).status_code == 202
    assert (await ended(registry, job["id"]))["status"] == "undone"


async def test_households_of_a_merger_are_recorded_when_it_is(own_registry: httpx.AsyncClient) -> None:
    made = await make(own_registry)
    merged = await change(own_registry, VILLAGE, "merge", into=NEIGHBOUR, valid_from=local_day(now()).isoformat())
    assert merged.status_code == 200, merged.text
    assert (await own_registry.get(f"/v1/households/{made['id']}")).json()["village"] == NEIGHBOUR

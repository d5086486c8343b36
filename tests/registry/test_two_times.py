"""As it was on a day, as we knew at an instant: what was exported comes back, and what we learned later does too."""

import random
from datetime import UTC, date, datetime, timedelta
from typing import Any
from urllib.parse import urlencode

import httpx
import pytest
from fastapi import FastAPI

from shared.clock import FixedClock
from tests.registry.conftest import CITY, OTHER_VILLAGE, VILLAGE, XIXIA, app_on, make, matching, member

VILLAGES = (VILLAGE, "411323102202", OTHER_VILLAGE, "411325101201")
STANDINGS = ("poor", "pre_exit", "exited_supported", "exited", "relapsed", "ordinary")
SPAN = "since=2014-01-01&until=2018-12-31"
ASKED = ("poverty?as_of=2018-06-30", "causes?as_of=2018-06-30", "welfare?as_of=2018-06-30&among=registered",
         f"exits?{SPAN}", "villages?as_of=2018-06-30")  # fmt: skip


@pytest.fixture
def clock() -> FixedClock:
    return FixedClock(datetime.now(UTC) + timedelta(days=1))


@pytest.fixture
def app(url: str, secrets: None, clock: FixedClock) -> FastAPI:
    return app_on(url, clock)


async def version_of(client: httpx.AsyncClient, url: str) -> dict[str, str]:
    return matching((await client.get(url)).json()["version"])


async def patch(client: httpx.AsyncClient, url: str, **body: Any) -> None:
    answer = await client.patch(url, json={"reason": "测试", **body}, headers=await version_of(client, url))
    assert answer.status_code == 200, answer.text


async def test_a_version_is_known_later_than_the_one_before(registry: httpx.AsyncClient, clock: FixedClock) -> None:
    """Whoever waited for a lock read the clock before the writer that held it: nobody may leave before coming."""
    made = await make(registry)
    clock.advance(-timedelta(seconds=1))
    await patch(registry, f"/v1/households/{made['id']}", village=OTHER_VILLAGE, effective_on="2018-01-01")
    then = clock.now()
    clock.advance(timedelta(seconds=2))
    for known_at in (then, then + timedelta(microseconds=1), clock.now()):
        figures = await registry.get(
            "/v1/statistics/poverty",
            params={"division": XIXIA, "as_of": "2018-06-30", "known_at": known_at.isoformat()},
        )
        assert figures.json()["division"]["registered_households"] >= 0
    versions = (await registry.get(f"/v1/households/{made['id']}/versions")).json()["items"]
    recorded = [each["recorded_at"] for each in sorted(versions, key=lambda each: each["version"])]
    assert len(recorded) == 2
    assert recorded[0] < recorded[1]


async def test_a_day_as_known_then_and_as_known_now(registry: httpx.AsyncClient, clock: FixedClock) -> None:
    made = await make(registry, members=[member(), member("spouse", sex="female", birth_date="1970-01-01")])
    url = f"/v1/households/{made['id']}"
    exported = (await registry.get(f"{url}?as_of=2018-06-30")).json()
    first_day = clock.now()
    clock.advance(timedelta(days=1))
    await patch(registry, url, standing="exited_supported", village=OTHER_VILLAGE, effective_on="2018-05-01")
    spouse = f"{url}/members/{made['members'][1]['id']}"
    left = {"status": "deceased", "effective_on": "2018-03-01", "reason": "补登"}
    assert (await registry.patch(spouse, json=left, headers=await version_of(registry, url))).status_code == 200
    clock.advance(timedelta(days=1))

    async def asked(**query: str) -> dict[str, Any]:
        answer = await registry.get(url, params=query)
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    then, now = first_day.isoformat(), clock.now().isoformat()
    assert await asked(as_of="2018-06-30", known_at=then) == exported
    assert await asked(as_of="2018-06-30", known_at=now) == await asked(as_of="2018-06-30")
    for query, standing, village, people in (
        ({"as_of": "2018-06-30", "known_at": then}, "poor", VILLAGE, 2),
        ({"as_of": "2018-06-30"}, "exited_supported", OTHER_VILLAGE, 1),
        ({"as_of": "2018-04-30"}, "poor", VILLAGE, 1),
        ({"as_of": "2018-02-28"}, "poor", VILLAGE, 2),
        ({"known_at": then}, "poor", VILLAGE, 2),
    ):
        found = await asked(**query)
        told = (found["standing"], found["village"], found["people"], len(found["members"]))
        assert told == (standing, village, people, people), query
        assert {each["status"] for each in found["members"]} == {"active"}
        listed = (await registry.get("/v1/households", params=query)).json()["items"]
        assert [each.items() <= found.items() for each in listed] == [True], query
    assert (await registry.get(f"{url}?as_of=2014-04-30")).status_code == 404
    before = (first_day - timedelta(days=1)).isoformat()
    assert (await registry.get(url, params={"known_at": before})).status_code == 404
    assert (await registry.get("/v1/households", params={"known_at": before})).json()["items"] == []
    for wrong in ("known_at=2018-01-01", "known_at=2018-01-01T00:00:00", "as_of=2018-02-30"):
        assert (await registry.get(f"{url}?{wrong}")).status_code == 422
        assert (await registry.get(f"/v1/statistics/poverty?{wrong}")).status_code == 422


async def test_the_poverty_attribute_is_that_of_the_day_asked_for(
    registry: httpx.AsyncClient, clock: FixedClock
) -> None:
    """AAC006 by the standing of the day: on a day before the exit, and as known before the exit was entered."""
    made = await make(registry, welfare="dibao_and_tekun")
    url, then = f"/v1/households/{made['id']}", clock.now().isoformat()
    clock.advance(timedelta(days=1))
    await patch(registry, url, standing="exited_supported", effective_on="2018-05-01")
    for query, code in (
        ({}, "08"),
        ({"as_of": "2018-05-01"}, "03"),  # until 2018 五保 came first
        ({"as_of": "2018-04-30"}, "06"),
        ({"as_of": "2017-12-31"}, "06"),
        ({"as_of": "2019-01-01"}, "08"),
        ({"as_of": "2019-01-01", "known_at": then}, "07"),
        ({"known_at": then}, "07"),
    ):
        assert (await registry.get(url, params=query)).json()["poverty_attribute"] == code, query


async def test_changes_are_followed_without_a_gap(registry: httpx.AsyncClient, clock: FixedClock) -> None:
    """From one `known_at` to the next, however often a household changed in between."""
    first, second = [await make(registry) for _ in range(2)]
    clock.advance(timedelta(minutes=1))
    seen, followed = clock.now().isoformat(), []
    for household in (second, first, None):
        clock.advance(timedelta(minutes=1))
        if household is not None:
            await patch(registry, f"/v1/households/{household['id']}", cause="disability")
            await patch(registry, f"/v1/households/{household['id']}", cause="disaster")
        clock.advance(timedelta(minutes=1))
        since, seen = seen, clock.now().isoformat()
        page = await registry.get("/v1/households", params={"updated_since": since, "known_at": seen})
        followed.append([(each["number"], each["version"]) for each in page.json()["items"]])
    assert followed == [[(second["number"], 3)], [(first["number"], 3)], []]


async def test_lists_narrow_by_what_was_known(registry: httpx.AsyncClient, clock: FixedClock) -> None:
    here, there = [(await make(registry, village=village))["number"] for village in (VILLAGE, OTHER_VILLAGE)]
    then = clock.now().isoformat()
    clock.advance(timedelta(days=1))
    await patch(registry, f"/v1/households/{here}", village=OTHER_VILLAGE, standing="exited", effective_on="2018-01-01")
    await make(registry, village=VILLAGE)

    async def numbers(**query: str) -> set[str]:
        page = (await registry.get("/v1/households", params={**query, "count": "true"})).json()
        assert page["count"] == len(page["items"])
        return {each["number"] for each in page["items"]}

    assert await numbers(known_at=then) == {here, there}
    assert await numbers(known_at=then, division=VILLAGE) == {here}
    assert await numbers(known_at=then, standing="exited") == set()
    assert await numbers(known_at=then, as_of="2018-06-01", standing="poor") == {here, there}
    assert await numbers(as_of="2018-06-01", division=OTHER_VILLAGE) == {here, there}
    assert await numbers(known_at=then, as_of="2018-06-01", division=OTHER_VILLAGE[:6]) == {there}
    first = await registry.get("/v1/households", params={"known_at": then, "limit": "1"})
    rest = await registry.get(first.headers["link"].split(">")[0][1:])
    assert [page.json()["items"][0]["number"] for page in (first, rest)] == [here, there]
    lines = await registry.get("/v1/households", params={"known_at": then}, headers={"Accept": "application/jsonl"})
    assert len(lines.text.splitlines()) == 2


async def _live_on(client: httpx.AsyncClient, dice: random.Random, made: list[dict[str, Any]]) -> None:
    """Anything may be learned, of today or of long ago."""
    for household in dice.sample(made, k=min(5, len(made))):
        url = f"/v1/households/{household['number']}"
        when = (date(2018, 1, 1) + timedelta(days=dice.randrange(300))).isoformat()
        match dice.randrange(4):
            case 0:
                welfare = dice.choice(["none", "dibao", "tekun"])
                cause = dice.choice(["illness", "disaster", None])
                await patch(client, url, cause=cause, welfare=welfare, effective_on=when)
            case 1:
                gone = {"effective_on": when, "reason": "测试"}
                headers = await version_of(client, url)
                await client.post(f"{url}/deregistration", json=gone, headers=headers)
                made.remove(household)
            case 2 if len(household["members"]) > 1:
                left = {"status": "moved_away", "effective_on": when}
                who = f"{url}/members/{household['members'][1]['id']}"
                await client.patch(who, json=left, headers=await version_of(client, url))
            case _:
                await patch(
                    client, url, effective_on=when, standing=dice.choice(STANDINGS), village=dice.choice(VILLAGES)
                )
    for _ in range(3):
        members = [member(), *(member("other") for _ in range(dice.randrange(3)))]
        born = (date(2018, 1, 1) - timedelta(days=dice.randrange(900))).isoformat()
        made.append(
            await make(client, village=dice.choice(VILLAGES), standing=dice.choice(STANDINGS), registered_on=born,
                       members=members)
        )  # fmt: skip


@pytest.mark.parametrize("seed", [1, 2])
async def test_every_export_can_be_had_again(registry: httpx.AsyncClient, clock: FixedClock, seed: int) -> None:
    dice, made = random.Random(seed), list[dict[str, Any]]()
    exported: list[tuple[str, dict[str, dict[str, Any]]]] = []
    population = {"division": XIXIA, "year": 2017, "people": 100_000}

    async def export(**query: str) -> dict[str, dict[str, Any]]:
        found = {}
        for asked in ASKED:
            for division in (CITY, XIXIA):
                also = {"division": division, **query}
                answer = await registry.get(f"/v1/statistics/{asked}&{urlencode(also)}")
                assert answer.status_code == 200, answer.text
                found[f"{asked} {division}"] = {**answer.json(), "known_at": None}
        return found

    for day in range(3):
        await _live_on(registry, dice, made)
        body = {**population, "people": 100_000 + day}
        loaded = await registry.put(
            "/v1/statistics/denominators", json=body, headers={"Content-Type": "application/jsonl"}
        )
        assert loaded.json()["counts"]["rejected"] == 0
        exported.append((clock.now().isoformat(), await export()))
        clock.advance(timedelta(days=1))
    for known_at, figures in exported:
        assert await export(known_at=known_at) == figures, known_at
    assert exported[0][1] != exported[-1][1]


async def test_what_a_division_was_known_as(registry: httpx.AsyncClient, clock: FixedClock) -> None:
    long_ago = "2000-01-01T00:00:00Z"
    assert (await registry.get(f"/v1/divisions/{VILLAGE}?known_at={long_ago}")).status_code == 404
    assert (await registry.get(f"/v1/divisions?known_at={long_ago}")).json()["items"] == []
    assert (await registry.get(f"/v1/statistics/poverty?known_at={long_ago}")).status_code == 404
    now = {"known_at": clock.now().isoformat()}
    assert (await registry.get(f"/v1/divisions/{VILLAGE}", params=now)).json()["code"] == VILLAGE

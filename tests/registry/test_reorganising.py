"""Divisions renamed, moved, handed over, split, merged, ended: on their day, and yesterday stays as it was."""

import asyncio
from collections.abc import AsyncIterator, Callable
from datetime import UTC, date, datetime, timedelta
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from shared.clock import FixedClock, local_day
from tests.registry.conftest import (
    CITY,
    OTHER_VILLAGE,
    VILLAGE,
    XIPING,
    XIXIA,
    app_on,
    client_of,
    events,
    faults,
    issue,
    make,
    matching,
    member,
)

YAHE, NEIXIANG = "411392000000", "411325000000"
NEIGHBOUR, NEW, NEWER = "411323102202", "411323102291", "411323102292"
NEXT_TOWN = "411323103000"


@pytest.fixture
def clock() -> FixedClock:
    return FixedClock(datetime.now(UTC) + timedelta(days=1))


@pytest.fixture
def own_app(database_url: Callable[[str | None], str], secrets: None, clock: FixedClock) -> FastAPI:
    return app_on(database_url("registry"), clock)


@pytest.fixture
async def own_registry(own_app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    async with client_of(own_app) as client:
        yield client


async def change(client: httpx.AsyncClient, code: str, what: str, _version: int = 1, /, **body: Any) -> httpx.Response:
    return await client.post(
        f"/v1/divisions/{code}/{what}", json={"reason": "豫民〔2018〕1号", **body}, headers=matching(_version)
    )


async def counted(client: httpx.AsyncClient, code: str, day: date) -> int:
    answer = await client.get(f"/v1/statistics/poverty?division={code}&as_of={day}")
    found: int = answer.json()["division"]["stock_households"]
    return found


async def home_of(client: httpx.AsyncClient, household: dict[str, Any], day: date) -> dict[str, Any]:
    answer = await client.get(f"/v1/households/{household['id']}?as_of={day}")
    path: dict[str, Any] = answer.json()["path"]
    return path


async def test_a_name_of_the_past_stays(own_registry: httpx.AsyncClient, own_app: FastAPI, clock: FixedClock) -> None:
    today = local_day(clock.now())
    yesterday, tomorrow = today - timedelta(days=1), today + timedelta(days=1)
    late = await change(own_registry, VILLAGE, "name", name="新营村", valid_from=yesterday.isoformat())
    assert faults(late) == {("/valid_from", "backdated")}
    made = await change(own_registry, VILLAGE, "name", name="新营村", valid_from=tomorrow.isoformat())
    assert (made.status_code, made.json()["name"], made.headers["etag"]) == (200, "下营村民委员会", '"2"')
    for day, name, found in ((today, "下营村民委员会", 0), (tomorrow, "新营村", 1)):
        assert (await own_registry.get(f"/v1/divisions/{VILLAGE}?as_of={day}")).json()["name"] == name
        listed = await own_registry.get(f"/v1/divisions?q=新营村&division=411323&as_of={day}&count=true")
        assert listed.json()["count"] == found
    earlier = await change(own_registry, VILLAGE, "name", 2, name="老营村", valid_from=today.isoformat())
    assert faults(earlier) == {("/valid_from", "before_last_change")}
    assert (await events(own_app, "division"))[-1]["former_names"] == [
        {"name": "下营村民委员会", "valid_to": tomorrow.isoformat()}
    ]
    history = (await own_registry.get(f"/v1/divisions/{VILLAGE}/versions")).json()["items"]
    assert [(entry["version"], entry["reason"]) for entry in history] == [(1, None), (2, "豫民〔2018〕1号")]
    assert history[1]["changed_by"] is not None
    assert (await own_registry.get("/v1/divisions/999999999999/versions")).status_code == 404


async def test_a_handover_reaches_the_households_below(
    own_registry: httpx.AsyncClient, own_app: FastAPI, clock: FixedClock
) -> None:
    today = local_day(clock.now())
    here, elsewhere = await make(own_registry), await make(own_registry, village=OTHER_VILLAGE)
    body: dict[str, Any] = {"unit": YAHE, "valid_from": today.isoformat()}
    handed = await change(own_registry, XIPING, "managing-unit", **body)
    assert (handed.status_code, handed.json()["path"]["managing_unit"]) == (200, YAHE)
    now = (await own_registry.get(f"/v1/households/{here['id']}")).json()
    told = [(state["valid_from"], state["path"]["managing_unit"]) for state in now["timeline"]]
    assert told == [("2014-05-01", XIXIA), (today.isoformat(), YAHE)]
    assert now["version"] == 2
    assert (await events(own_app, "household"))[-1]["timeline"] == now["timeline"]
    reasons = (await own_registry.get(f"/v1/households/{here['id']}/versions")).json()["items"]
    assert reasons[-1]["reason"] == "豫民〔2018〕1号"
    assert (await own_registry.get(f"/v1/households/{elsewhere['id']}")).json() == elsewhere
    for day, xixia, yahe in ((today - timedelta(days=1), 1, 0), (today, 0, 1)):
        assert (await counted(own_registry, XIXIA, day), await counted(own_registry, YAHE, day)) == (xixia, yahe)
    back = await change(own_registry, XIPING, "managing-unit", 2, unit=None, valid_from=today.isoformat())
    assert back.status_code == 200
    undone = (await own_registry.get(f"/v1/households/{here['id']}")).json()
    assert undone["timeline"] == here["timeline"]


async def test_a_township_goes_to_another_county(own_registry: httpx.AsyncClient, clock: FixedClock) -> None:
    today = local_day(clock.now())
    household = await make(own_registry)
    moved = await change(own_registry, XIPING, "parent", parent=NEIXIANG, valid_from=today.isoformat())
    assert moved.json()["path"]["county"] == NEIXIANG
    assert (await home_of(own_registry, household, today))["managing_unit"] == NEIXIANG
    assert (await home_of(own_registry, household, today - timedelta(days=1)))["managing_unit"] == XIXIA
    for day, county in ((today - timedelta(days=1), XIXIA), (today, NEIXIANG)):
        assert (await own_registry.get(f"/v1/divisions/{XIPING}?as_of={day}")).json()["parent"] == county
        listed = await own_registry.get(f"/v1/divisions?parent={county}&as_of={day}&limit=500")
        assert XIPING in {each["code"] for each in listed.json()["items"]}
        assert await counted(own_registry, county, day) == 1
    wrong = await change(own_registry, XIPING, "parent", 2, parent=NEXT_TOWN, valid_from=today.isoformat())
    assert faults(wrong) == {("/parent", "parent_level")}
    assert faults(await change(own_registry, XIXIA, "parent", parent=CITY, valid_from=today.isoformat())) == {
        ("", "division_level")
    }


async def test_a_merged_village_takes_its_households_along(own_registry: httpx.AsyncClient, clock: FixedClock) -> None:
    today = local_day(clock.now())
    day = today + timedelta(days=10)
    households = [await make(own_registry), await make(own_registry)]
    clock.advance(timedelta(days=10))
    merged = await change(own_registry, VILLAGE, "merge", into=NEIGHBOUR, valid_from=day.isoformat())
    assert (merged.json()["valid_to"], merged.json()["successor"]) == (day.isoformat(), NEIGHBOUR)
    for each in households:
        assert (await home_of(own_registry, each, day - timedelta(days=1)))["village"] == VILLAGE
        assert (await home_of(own_registry, each, day))["village"] == NEIGHBOUR
    assert await counted(own_registry, NEIGHBOUR, day - timedelta(days=1)) == 0
    assert await counted(own_registry, NEIGHBOUR, day) == 2
    assert (await own_registry.get(f"/v1/divisions/{VILLAGE}")).json()["path"] is None
    before = await own_registry.get(f"/v1/divisions?division={VILLAGE}&as_of={today}&count=true")
    assert before.json()["count"] == 1
    assert faults(await own_registry.post("/v1/households", json={
        "village": VILLAGE, "standing": "poor",
        "members": [{"name": "测试甲", "relation": "head", "sex": "male", "birth_date": "1968-03-12"}],
    })) == {("/village", "division_unknown")}  # fmt: skip
    found_late = await make(own_registry, registered_on=today.isoformat())  # belongs to before the merger
    assert [state["path"]["village"] for state in found_late["timeline"]] == [VILLAGE, NEIGHBOUR]
    assert await counted(own_registry, NEIGHBOUR, day) == 3


async def test_who_leaves_after_a_merger_lives_where_the_household_does(
    own_registry: httpx.AsyncClient, clock: FixedClock
) -> None:
    """Alone or with a household of their own, unless another village is said; before the merger in the old one."""
    day = local_day(clock.now())
    relatives = [member("other", birth_date=born) for born in ("1990-01-01", "1991-01-01", "1992-01-01")]
    home = await make(own_registry, members=[member(), *relatives])
    _, alone, early, own = home["members"]
    merged = await change(own_registry, VILLAGE, "merge", into=NEIGHBOUR, valid_from=day.isoformat())
    assert merged.status_code == 200, merged.text
    url = f"/v1/households/{home['id']}"

    async def split_off(person: dict[str, Any], when: date, version: int) -> list[str]:
        relations = [{"member": person["id"], "relation": "head"}]
        body = {"members": relations, "effective_on": when.isoformat(), "reason": "成家分户"}
        answer = await own_registry.post(f"{url}/split", json=body, headers=matching(version))
        assert answer.status_code == 201, answer.text
        return [state["path"]["village"] for state in answer.json()["joined"]["timeline"]]

    left = await own_registry.post(
        f"{url}/members/{alone['id']}/departure", json={"reason": "离户独居"}, headers=matching(2)
    )
    assert (left.status_code, left.json()["person"]["village"]) == (200, NEIGHBOUR), left.text
    assert await split_off(early, day - timedelta(days=30), 3) == [VILLAGE, NEIGHBOUR]
    assert await split_off(own, day, 4) == [NEIGHBOUR]


async def test_who_registers_during_a_merger_is_taken_along(own_registry: httpx.AsyncClient, clock: FixedClock) -> None:
    """Registrations hold paths as they are until they end; the merger waits for them, and later ones see it."""
    day = local_day(clock.now())
    await make(own_registry)
    merger = change(own_registry, VILLAGE, "merge", into=NEIGHBOUR, valid_from=day.isoformat())

    merged, *made = await asyncio.gather(merger, *(make(own_registry) for _ in range(5)))
    assert merged.status_code == 200
    assert {(await home_of(own_registry, each, day))["village"] for each in made} == {NEIGHBOUR}
    assert await counted(own_registry, NEIGHBOUR, day) == 6


async def test_a_split_says_who_goes_where(
    own_registry: httpx.AsyncClient, own_app: FastAPI, clock: FixedClock
) -> None:
    today = local_day(clock.now())
    first, second, third = [await make(own_registry) for _ in range(3)]
    part = {"code": NEW, "name": "下营二村", "sort_order": 5000, "households": [first["number"]]}
    body: dict[str, Any] = {"parts": [part], "rest": VILLAGE, "valid_from": today.isoformat()}
    stranger = await make(own_registry, village=NEIGHBOUR)
    wrong = {**part, "households": [first["number"], stranger["number"]]}
    assert faults(await change(own_registry, VILLAGE, "split", **{**body, "parts": [wrong]})) == {
        ("/parts/0/households/1", "household_unknown")
    }
    assert (await own_registry.get(f"/v1/divisions/{NEW}")).status_code == 404  # all of it undone
    made = await change(own_registry, VILLAGE, "split", **body)
    assert (made.status_code, made.json()["valid_to"]) == (200, None)
    homes = [(await home_of(own_registry, each, today))["village"] for each in (first, second, third)]
    assert homes == [NEW, VILLAGE, VILLAGE]
    assert (await home_of(own_registry, first, today - timedelta(days=1)))["village"] == VILLAGE
    clock.advance(timedelta(days=1))
    tomorrow = local_day(clock.now())
    parts = [{"code": NEWER, "name": "下营三村", "sort_order": 5001, "households": [second["number"]]},
             {"code": "411323102293", "name": "下营四村", "sort_order": 5002}]  # fmt: skip
    whole: dict[str, Any] = {"parts": parts, "rest": "411323102293", "valid_from": tomorrow.isoformat()}
    assert (await change(own_registry, VILLAGE, "split", **whole)).json()["successor"] == "411323102293"
    homes = [(await home_of(own_registry, each, tomorrow))["village"] for each in (first, second, third)]
    assert homes == [NEW, NEWER, "411323102293"]
    assert await counted(own_registry, XIPING, tomorrow) == await counted(own_registry, XIPING, today) == 4
    published = {event["code"]: event for event in await events(own_app, "division")}
    assert published[NEW]["valid_from"] == today.isoformat()


async def test_a_township_is_split_and_merged_with_its_villages(
    own_registry: httpx.AsyncClient, clock: FixedClock
) -> None:
    today = local_day(clock.now())
    here, there = await make(own_registry), await make(own_registry, village=NEIGHBOUR)
    town = "411323191000"
    part = {"code": town, "name": "西坪新镇", "sort_order": 5000, "divisions": [VILLAGE]}
    body: dict[str, Any] = {"parts": [part], "rest": XIPING, "valid_from": today.isoformat()}
    below = {**part, "divisions": [VILLAGE, OTHER_VILLAGE, VILLAGE]}
    assert faults(await change(own_registry, XIPING, "split", **{**body, "parts": [below]})) == {
        ("/parts/0/divisions/1", "not_below"), ("/parts/0/divisions/2", "repeated")
    }  # fmt: skip
    assert (await change(own_registry, XIPING, "split", **body)).status_code == 200
    assert [(await home_of(own_registry, each, today))["township"] for each in (here, there)] == [town, XIPING]
    assert (
        await change(own_registry, XIPING, "merge", into=NEXT_TOWN, valid_from=today.isoformat())
    ).status_code == 200
    assert (await home_of(own_registry, there, today))["township"] == NEXT_TOWN
    assert (await home_of(own_registry, there, today - timedelta(days=1)))["township"] == XIPING
    assert await counted(own_registry, NEXT_TOWN, today) == 1


async def test_what_was_issued_stays(own_registry: httpx.AsyncClient, clock: FixedClock) -> None:
    for village in (VILLAGE, VILLAGE, NEIGHBOUR, OTHER_VILLAGE):
        await make(own_registry, village=village)
    spans = ("poverty?as_of={day}", "exits?since=2014-01-01&until={day}", "causes?as_of={day}")
    asked = [f"/v1/statistics/{what}&division={code}" for what in spans for code in (CITY, XIXIA, XIPING)]
    asked += ["/v1/divisions?as_of={day}&division=4113231022", "/v1/households?as_of={day}"]
    issued: dict[str, Any] = {}

    def settled(answer: httpx.Response) -> Any:
        body = answer.json()
        if "next_cursor" not in body:
            return body
        kept = ("number", "code", "name", "parent", "village", "path", "standing")  # what holds of the day
        return [{name: item.get(name) for name in kept} for item in body["items"]]

    part = {"code": NEW, "name": "二村", "sort_order": 9000}
    for code, what, version, body in (
        (VILLAGE, "name", 1, {"name": "新营村"}),
        (XIPING, "managing-unit", 1, {"unit": YAHE}),
        (XIPING, "parent", 2, {"parent": NEIXIANG}),
        (VILLAGE, "split", 2, {"parts": [part], "rest": NEW}),
        (NEIGHBOUR, "merge", 1, {"into": NEW}),
        (XIPING, "merge", 3, {"into": NEXT_TOWN}),
    ):
        today = local_day(clock.now())
        for template in asked:
            url = template.format(day=today)
            issued[url] = settled(await own_registry.get(url))
        clock.advance(timedelta(days=1))
        body = {**body, "valid_from": (today + timedelta(days=1)).isoformat()}
        assert (await change(own_registry, code, what, version, **body)).status_code == 200, what
    for url, told in issued.items():
        assert settled(await own_registry.get(url)) == told, url
    stock = (await own_registry.get("/v1/statistics/poverty")).json()["division"]["stock_households"]
    assert stock == await counted(own_registry, NEXT_TOWN, local_day(clock.now())) + 1 == 4


async def test_what_moves_people_is_entered_on_its_day(
    own_registry: httpx.AsyncClient, own_app: FastAPI, clock: FixedClock
) -> None:
    """The scope is that of the day: whoever runs a village from a day on sees and changes nothing before it."""
    household = await make(own_registry)
    url = f"/v1/households/{household['id']}"
    held, coming = [await issue(own_registry, ["reader", "recorder"], [unit]) for unit in (XIXIA, YAHE)]

    async def seen() -> list[int]:
        return [(await own_registry.get(url, headers=headers)).status_code for headers in (held, coming)]

    day = local_day(clock.now()) + timedelta(days=1)
    dated: dict[str, Any] = {"valid_from": day.isoformat()}
    part = {"code": NEW, "name": "二村", "sort_order": 9000, "households": [household["number"]]}
    for code, what, body in (
        (XIPING, "managing-unit", {"unit": YAHE, **dated}),
        (XIPING, "parent", {"parent": NEIXIANG, **dated}),
        (VILLAGE, "merge", {"into": NEIGHBOUR, **dated}),
        (VILLAGE, "split", {"parts": [part], "rest": VILLAGE, **dated}),
        (NEIGHBOUR, "end", {"valid_to": day.isoformat()}),
    ):
        pointer = "/valid_to" if what == "end" else "/valid_from"
        assert faults(await change(own_registry, code, what, **body)) == {(pointer, "dated_ahead")}, what
    assert (await own_registry.get(url)).json() == household
    assert await seen() == [200, 404]
    clock.advance(timedelta(days=1))
    own_app.state.registry.divisions.expire()
    assert (await change(own_registry, XIPING, "managing-unit", unit=YAHE, **dated)).status_code == 200
    assert await seen() == [404, 200]


async def test_what_was_dated_ahead_before_that_was_refused_stands(
    own_registry: httpx.AsyncClient, own_app: FastAPI, clock: FixedClock
) -> None:
    """Reports count it from its day on, and nothing is entered that would come before it."""
    today = local_day(clock.now())
    ahead = today + timedelta(days=400)
    here, there = await make(own_registry), await make(own_registry, village=NEIGHBOUR)
    clock.advance(timedelta(days=400))
    assert (
        await change(own_registry, VILLAGE, "merge", into=NEIGHBOUR, valid_from=ahead.isoformat())
    ).status_code == 200
    clock.advance(timedelta(days=-400))  # as if it had been entered today
    own_app.state.registry.divisions.expire()
    assert [(await home_of(own_registry, here, day))["village"] for day in (today, ahead)] == [VILLAGE, NEIGHBOUR]
    assert [await counted(own_registry, NEIGHBOUR, day) for day in (today, ahead)] == [1, 2]
    earlier: dict[str, Any] = {"valid_from": today.isoformat()}
    next_one = "411323102203"
    early = await change(own_registry, NEIGHBOUR, "merge", into=next_one, **earlier)
    assert faults(early) == {("/valid_from", "before_last_change")}
    part = {"code": NEW, "name": "二村", "sort_order": 9000}
    early = await change(own_registry, NEIGHBOUR, "split", parts=[part], rest=NEW, **earlier)
    assert faults(early) == {("/valid_from", "before_last_change")}
    assert (await home_of(own_registry, there, ahead))["village"] == NEIGHBOUR
    clock.advance(timedelta(days=401))
    own_app.state.registry.divisions.expire()
    after = ahead + timedelta(days=1)
    merged = await change(own_registry, NEIGHBOUR, "merge", into=next_one, valid_from=after.isoformat())
    assert merged.status_code == 200, merged.text
    assert {(await home_of(own_registry, each, after))["village"] for each in (here, there)} == {next_one}


async def test_only_what_is_empty_ends(own_registry: httpx.AsyncClient, clock: FixedClock) -> None:
    today = local_day(clock.now()).isoformat()
    await make(own_registry)
    assert faults(await change(own_registry, VILLAGE, "end", valid_to=today)) == {("", "division_inhabited")}
    assert faults(await change(own_registry, XIPING, "end", valid_to=today)) == {("", "division_in_use")}
    assert faults(await change(own_registry, "411391000000", "end", valid_to=today)) == {("", "division_in_use")}
    assert faults(await change(own_registry, NEIGHBOUR, "end", valid_to="2018-01-01")) == {("/valid_to", "backdated")}
    assert (await change(own_registry, NEIGHBOUR, "end", valid_to=today)).status_code == 200
    assert (await change(own_registry, NEIGHBOUR, "end", 2, valid_to=today)).status_code == 404
    gone = await change(own_registry, VILLAGE, "merge", into=NEIGHBOUR, valid_from=today)
    assert faults(gone) == {("/into", "division_unknown")}


async def test_bad_changes(own_registry: httpx.AsyncClient, clock: FixedClock) -> None:
    today = local_day(clock.now()).isoformat()
    assert (await own_registry.post(f"/v1/divisions/{VILLAGE}/name", json={
        "name": "新", "valid_from": today, "reason": "测试"})).status_code == 428  # fmt: skip
    assert (await change(own_registry, VILLAGE, "name", 7, name="新", valid_from=today)).status_code == 412
    for bad in ({"name": "新", "valid_from": today, "reason": None}, {"name": "", "valid_from": today},
                 {"name": "新"}, {"name": "新", "valid_from": "2099-02-30"}):  # fmt: skip
        assert (await change(own_registry, VILLAGE, "name", **bad)).status_code == 422
    part = {"code": NEW, "name": "二村", "sort_order": 1}
    for body, fault in (
        ({"parts": [part], "rest": NEIGHBOUR}, ("/rest", "rest_unknown")),
        ({"parts": [{**part, "code": "411323103000"}], "rest": VILLAGE}, ("/parts/0/code", "code_level")),
        ({"parts": [part, part], "rest": VILLAGE}, ("/parts/1/code", "repeated")),
        ({"parts": [{**part, "divisions": [NEIGHBOUR]}], "rest": VILLAGE}, ("/parts/0/divisions/0", "not_below")),
    ):
        assert faults(await change(own_registry, VILLAGE, "split", valid_from=today, **body)) == {fault}
    taken = await change(
        own_registry, VILLAGE, "split", parts=[{**part, "code": NEIGHBOUR}], rest=VILLAGE, valid_from=today
    )
    assert (taken.status_code, taken.json()["code"]) == (409, "division_code_taken")
    theirs = await issue(own_registry, ["admin"], [NEIXIANG])
    answer = await own_registry.post(
        f"/v1/divisions/{VILLAGE}/split",
        json={"parts": [part], "rest": VILLAGE, "valid_from": today, "reason": "测试"},
        headers={**theirs, **matching(1)},
    )
    assert answer.status_code == 404
    ours = await issue(own_registry, ["admin"], [XIXIA])
    out = await own_registry.post(
        f"/v1/divisions/{XIPING}/parent",
        json={"parent": NEIXIANG, "valid_from": today, "reason": "测试"},
        headers={**ours, **matching(1)},
    )
    assert faults(out) == {("/parent", "division_unknown")}

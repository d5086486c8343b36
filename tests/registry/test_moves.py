"""People who go from one household to another: transfers, splits, mergers; nobody is lost or counted twice."""

import asyncio
import random
from datetime import date, datetime, timedelta
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from tests.registry.conftest import (
    OTHER_VILLAGE,
    VILLAGE,
    events,
    faults,
    household,
    id_number,
    issue,
    make,
    matching,
    member,
)

CITY = "411300000000"
WIFE = {"relation": "spouse", "sex": "female", "birth_date": "1970-06-01"}
SON = {"relation": "son", "birth_date": "1992-02-03"}


async def family(registry: httpx.AsyncClient, village: str = VILLAGE, **more: Any) -> dict[str, Any]:
    """Head, wife and son."""
    members = [member(), {**member(), **WIFE}, {**member(), **SON, "id_number": more.pop("son", None)}]
    return await make(registry, village=village, members=members, **more)


async def people(registry: httpx.AsyncClient, division: str, day: str) -> int:
    found = await registry.get(f"/v1/statistics/poverty?division={division}&as_of={day}")
    count: int = found.json()["division"]["registered_people"]
    return count


def body(to: dict[str, Any], relation: str = "head", day: str | None = "2018-06-01") -> dict[str, Any]:
    return {"household": {"number": to["number"]}, "relation": relation, "effective_on": day, "reason": "婚嫁"}


async def test_a_member_goes_to_another_household(registry: httpx.AsyncClient, app: FastAPI) -> None:
    number = id_number("19920203")
    here, there = await family(registry, son=number), await family(registry, OTHER_VILLAGE)
    son = here["members"][2]
    url = f"/v1/households/{here['id']}/members/{son['id']}"
    answer = await registry.post(f"{url}/transfer", json=body(there, "son_in_law"), headers=matching(1))
    assert answer.status_code == 200, answer.text
    left, joined = answer.json()["left"], answer.json()["joined"]
    assert (left["version"], left["people"], joined["version"], joined["people"]) == (2, 2, 2, 4)
    ended = next(each for each in left["members"] if each["id"] == son["id"])
    assert (ended["status"], ended["left_on"]) == ("transferred", "2018-06-01")
    arrived = joined["members"][3]
    assert (arrived["id"], arrived["number"], arrived["version"]) == (son["id"], son["number"], 3)
    assert (arrived["joined_on"], arrived["left_on"], arrived["relation"]) == ("2018-06-01", None, "son_in_law")
    assert (await registry.get(f"/v1/households/{here['id']}")).json() == left
    assert (await registry.get(f"/v1/households/{there['id']}")).json() == joined
    assert (await registry.get(url)).status_code == 404  # found where it is now
    published = (await events(app, "person"))[-1]
    assert (published["id"], published["version"], published["household_id"]) == (son["id"], 3, there["id"])
    taken = household(members=[member(id_number=number, birth_date="1992-02-03")])
    assert faults(await registry.post("/v1/households", json=taken), 409)


async def test_each_household_keeps_the_days_it_had_the_member(registry: httpx.AsyncClient) -> None:
    here, there = await family(registry), await family(registry, OTHER_VILLAGE)
    url = f"/v1/households/{here['id']}/members/{here['members'][2]['id']}/transfer"
    assert (await registry.post(url, json=body(there, "other"), headers=matching(1))).status_code == 200
    for day, (one, other) in {"2018-05-31": (3, 3), "2018-06-01": (2, 4)}.items():
        assert await people(registry, VILLAGE, day) == one
        assert await people(registry, OTHER_VILLAGE, day) == other
        assert await people(registry, CITY, day) == 6
        shown = (await registry.get(f"/v1/households/{here['id']}?as_of={day}")).json()
        assert len(shown["members"]) == shown["people"] == one
        listed = (await registry.get(f"/v1/households?as_of={day}&number={here['number']}")).json()["items"]
        assert [each["people"] for each in listed] == [one]
    back = f"/v1/households/{there['id']}/members/{here['members'][2]['id']}/transfer"
    home = await registry.post(back, json=body(here, "son", "2018-07-01"), headers=matching(2))
    assert home.json()["joined"]["people"] == 3
    assert [await people(registry, VILLAGE, day) for day in ("2018-05-31", "2018-06-30", "2018-07-01")] == [3, 2, 3]
    assert len(home.json()["joined"]["members"]) == 4  # two stays of one person


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"household": {"number": "99999999999999"}}, {("/household/number", "household_unknown")}),
        ({"relation": "daughter"}, {("/members/3/relation", "relation_sex")}),
        ({"relation": "head"}, {("/members", "one_head")}),
        ({"effective_on": "2014-04-30"}, {("/effective_on", "day_out_of_range")}),
        ({"effective_on": "2999-01-01"}, {("/effective_on", "day_out_of_range")}),
        ({"reason": ""}, {("/reason", "string_too_short")}),
        ({"status": "active"}, {("/status", "extra_forbidden")}),
    ],
)
async def test_what_a_transfer_may_not_be(
    registry: httpx.AsyncClient, change: dict[str, Any], expected: set[tuple[str, str]]
) -> None:
    here, there = await family(registry), await family(registry, OTHER_VILLAGE)
    url = f"/v1/households/{here['id']}/members/{here['members'][2]['id']}/transfer"
    answer = await registry.post(url, json={**body(there, "other"), **change}, headers=matching(1))
    assert faults(answer) == expected
    assert (await registry.get(f"/v1/households/{here['id']}")).json() == here


async def test_a_head_goes_only_after_another_was_named(registry: httpx.AsyncClient) -> None:
    here, there = await family(registry), await family(registry)
    url = f"/v1/households/{here['id']}/members/{here['members'][0]['id']}/transfer"
    answer = await registry.post(url, json=body(there, "other"), headers=matching(1))
    assert faults(answer) == {("/members", "one_head")}
    alone = await make(registry)
    last = f"/v1/households/{alone['id']}/members/{alone['members'][0]['id']}/transfer"
    assert faults(await registry.post(last, json=body(there, "other"), headers=matching(1))) == {
        ("/member", "last_member")
    }


async def test_a_household_of_others_is_as_unknown(registry: httpx.AsyncClient) -> None:
    here, there = await family(registry), await family(registry, OTHER_VILLAGE)
    clerk = await issue(registry, ["recorder"], ["411323000000"])
    url = f"/v1/households/{here['id']}/members/{here['members'][2]['id']}/transfer"
    foreign = await registry.post(url, json=body(there, "other"), headers={**clerk, **matching(1)})
    assert faults(foreign) == {("/household/number", "household_unknown")}
    other = f"/v1/households/{there['id']}/members/{there['members'][2]['id']}/transfer"
    assert (await registry.post(other, json=body(here, "other"), headers={**clerk, **matching(1)})).status_code == 404


async def test_a_household_splits(registry: httpx.AsyncClient, app: FastAPI) -> None:
    here = await family(registry, welfare="dibao")
    son = here["members"][2]["id"]
    wanted = {
        "members": [{"member": son, "relation": "head"}],
        "village": OTHER_VILLAGE,
        "effective_on": "2018-06-01",
        "reason": "成家分户",
    }
    headers = {**matching(1), "Idempotency-Key": "split-1"}
    url = f"/v1/households/{here['id']}/split"
    answer = await registry.post(url, json=wanted, headers=headers)
    assert answer.status_code == 201, answer.text
    joined = answer.json()["joined"]
    assert joined["number"] not in ("", here["number"])
    assert (joined["standing"], joined["welfare"], joined["cause"], joined["people"]) == ("poor", "dibao", "illness", 1)
    assert (joined["village"], joined["timeline"][0]["valid_from"]) == (OTHER_VILLAGE, "2018-06-01")
    assert (await registry.get(answer.headers["location"])).json() == joined
    again = await registry.post(url, json=wanted, headers=headers)
    assert again.headers["idempotency-replayed"] == "true"
    assert again.json()["joined"] == joined
    assert [await people(registry, CITY, day) for day in ("2018-05-31", "2018-06-01")] == [3, 3]
    assert [await people(registry, OTHER_VILLAGE, day) for day in ("2018-05-31", "2018-06-01")] == [0, 1]
    assert [each["version"] for each in await events(app, "person") if each["id"] == son] == [1, 3]
    async with app.state.runtime.database.driver() as pg:
        told = await pg.fetch("SELECT reason, recorded_at FROM audit_entry WHERE object_id = $1 ORDER BY version", son)
    assert [(each["reason"], each["recorded_at"].isoformat()) for each in told[1:]] == [
        ("成家分户", datetime.fromisoformat(joined["changed_at"]).isoformat())
    ] * 2
    everybody = [{"member": each["id"], "relation": each["relation"]} for each in here["members"][:2]]
    nobody_stays = await registry.post(url, json={"members": everybody, "reason": "测试"}, headers=matching(2))
    assert faults(nobody_stays) == {("/members", "nobody_stays")}
    headless = {"members": [{"member": here["members"][1]["id"], "relation": "spouse"}], "reason": "测试"}
    assert faults(await registry.post(url, json=headless, headers=matching(2))) == {("/members", "one_head")}


async def test_a_household_that_splits_stays_where_it_lived_and_moved(registry: httpx.AsyncClient) -> None:
    """Unless it is told where to live, a split that is entered late moves nobody on any day."""
    here = await family(registry)
    url = f"/v1/households/{here['id']}"
    moved = {"village": OTHER_VILLAGE, "effective_on": "2018-06-01", "reason": "迁居"}
    assert (await registry.patch(url, json=moved, headers=matching(1))).status_code == 200
    counted = [(village, day) for village in (VILLAGE, OTHER_VILLAGE) for day in ("2018-05-01", "2018-06-01")]
    before = [await people(registry, village, day) for village, day in counted]
    relations = [{"member": here["members"][2]["id"], "relation": "head"}]
    wanted = {"members": relations, "effective_on": "2018-03-01", "reason": "成家分户"}
    answer = await registry.post(f"{url}/split", json=wanted, headers=matching(2))
    assert answer.status_code == 201, answer.text
    assert [(each["valid_from"], each["path"]["village"]) for each in answer.json()["joined"]["timeline"]] == [
        ("2018-03-01", VILLAGE), ("2018-06-01", OTHER_VILLAGE)
    ]  # fmt: skip
    assert [await people(registry, village, day) for village, day in counted] == before == [3, 0, 0, 3]


async def test_households_merge(registry: httpx.AsyncClient) -> None:
    here, there = await family(registry, OTHER_VILLAGE), await family(registry)
    relations = [{"member": each["id"], "relation": "other"} for each in here["members"]]
    url = f"/v1/households/{here['id']}/merger"
    wanted = {"into": {"number": there["number"]}, "effective_on": "2018-06-01", "reason": "随子女生活"}
    missing = await registry.post(url, json={**wanted, "relations": relations[:2]}, headers=matching(1))
    assert faults(missing) == {("/relations", "relations_missing")}
    answer = await registry.post(url, json={**wanted, "relations": relations}, headers=matching(1))
    assert answer.status_code == 200, answer.text
    left, joined = answer.json()["left"], answer.json()["joined"]
    assert (left["status"], left["valid_to"], left["people"], joined["people"]) == ("deregistered", "2018-06-01", 0, 6)
    assert [await people(registry, CITY, day) for day in ("2018-05-31", "2018-06-01")] == [6, 6]
    assert [await people(registry, OTHER_VILLAGE, day) for day in ("2018-05-31", "2018-06-01")] == [3, 0]
    same = await registry.post(
        f"/v1/households/{there['id']}/merger",
        json={**wanted, "into": {"number": there["number"]}, "relations": relations},
        headers=matching(2),
    )
    assert faults(same) == {("/into/number", "same_household")}


async def test_moves_that_cross_wait_for_each_other(registry: httpx.AsyncClient) -> None:
    """Each of two households gives the other one a son at once: one waits, both happen or the later one is stale."""
    one, other = await family(registry), await family(registry)

    async def send(source: dict[str, Any], target: dict[str, Any]) -> int:
        url = f"/v1/households/{source['id']}/members/{source['members'][2]['id']}/transfer"
        return (await registry.post(url, json=body(target, "other"), headers=matching(1))).status_code

    assert sorted(await asyncio.gather(send(one, other), send(other, one))) == [200, 412]
    assert await people(registry, CITY, "2018-06-01") == 6


@pytest.mark.parametrize("seed", range(3))
async def test_nobody_is_lost_or_counted_twice(registry: httpx.AsyncClient, seed: int) -> None:
    """After any moves, every day has as many people as were there, and history says what was said then."""
    chance = random.Random(seed)
    homes = [await family(registry, chance.choice([VILLAGE, OTHER_VILLAGE])) for _ in range(4)]
    told: dict[str, dict[str, Any]] = {}
    day = date(2018, 1, 1)
    for _ in range(12):
        day += timedelta(days=chance.randint(0, 20))
        source, target = chance.sample(homes, 2)
        now = (await registry.get(f"/v1/households/{source['id']}")).json()
        movable = [m for m in now["members"] if m["left_on"] is None and m["relation"] != "head"]
        if not movable:
            continue
        goes = chance.choice(movable)
        url = f"/v1/households/{source['id']}/members/{goes['id']}/transfer"
        answer = await registry.post(url, json=body(target, "other", day.isoformat()), headers=matching(now["version"]))
        assert answer.status_code == 200, answer.text
        told[answer.json()["left"]["changed_at"]] = answer.json()["left"]
    for step in range(0, 300, 17):
        asked = (date(2017, 12, 1) + timedelta(days=step)).isoformat()
        assert await people(registry, CITY, asked) == 12, asked
    for instant, left in told.items():
        known = await registry.get(f"/v1/households/{left['id']}", params={"known_at": instant})
        assert known.json() == left

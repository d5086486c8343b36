"""Who leaves and comes back: several stays of one person, none lost, counted twice or erased with another household."""

import asyncio
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from services.registry.audit.command import verify_audit
from tests.registry.conftest import (
    OTHER_VILLAGE,
    VILLAGE,
    events,
    faults,
    household,
    make,
    matching,
    member,
    until_waited_for,
)
from tests.registry.sheets import counts, ended, head, imported, wife, workbook
from tests.registry.test_moves import body as going
from tests.registry.test_persons import NUMBER, people, placement, register

HOME = "41132300000001"
EXPIRED = {"deregistered_before": "2017-01-01", "reason": "保存期届满"}


async def departed(
    client: httpx.AsyncClient, home: str, person: str, version: int, day: str, **more: Any
) -> dict[str, Any]:
    """The person whom a household let go."""
    leaving = {"effective_on": day, "reason": "离户独居", **more}
    url = f"/v1/households/{home}/members/{person}/departure"
    answer = await client.post(url, json=leaving, headers=matching(version))
    assert answer.status_code == 200, answer.text
    left: dict[str, Any] = answer.json()["person"]
    return left


async def back(client: httpx.AsyncClient, alone: dict[str, Any], home: dict[str, Any], day: str) -> httpx.Response:
    joins = placement(home, effective_on=day)
    return await client.post(f"/v1/persons/{alone['id']}/placement", json=joins, headers=matching(alone["version"]))


async def pair(client: httpx.AsyncClient, **more: Any) -> tuple[dict[str, Any], str]:
    """A household of two, and who is to leave it."""
    made = await make(client, members=[member(), member("other", id_number=NUMBER, birth_date=None)], **more)
    return made, made["members"][1]["id"]


async def left_and_back(client: httpx.AsyncClient) -> str:
    """A woman of an imported household who was away in June 2018."""
    await imported(client, workbook([head(HOME), wife()]))
    home = (await client.get(f"/v1/households/{HOME}")).json()
    person: str = home["members"][1]["id"]
    alone = await departed(client, HOME, person, 1, "2018-06-01")
    assert (await back(client, alone, home, "2018-07-01")).status_code == 200
    return person


async def test_two_stays_never_begin_on_one_day(registry: httpx.AsyncClient) -> None:
    home, person = await pair(registry)
    day = home["members"][1]["joined_on"]
    alone = await departed(registry, home["id"], person, 1, day)
    assert faults(await back(registry, alone, home, day)) == {("/effective_on", "day_out_of_range")}
    assert (await back(registry, alone, home, "2018-06-01")).status_code == 200
    other = await make(registry)
    url = f"/v1/households/{home['id']}/members/{person}/transfer"
    there = await registry.post(url, json=going(other, "other"), headers=matching(3))
    assert there.status_code == 200, there.text
    url = f"/v1/households/{other['id']}/members/{person}/transfer"
    again = going(home, "other")
    assert faults(await registry.post(url, json=again, headers=matching(2))) == {("/effective_on", "day_out_of_range")}
    again = going(home, "other", "2018-06-02")
    assert (await registry.post(url, json=again, headers=matching(2))).status_code == 200
    assert [await people(registry, day) for day in ("2018-05-31", "2018-06-01", "2018-06-02")] == [2, 3, 3]


async def test_who_moved_away_and_is_back_was_away_meanwhile(registry: httpx.AsyncClient, app: FastAPI) -> None:
    home, person = await pair(registry, registered_on="2016-01-01")
    url = f"/v1/households/{home['id']}"
    one = f"{url}/members/{person}"

    async def patch(version: int, **body: Any) -> httpx.Response:
        return await registry.patch(one, json={"reason": "核实", **body}, headers=matching(version))

    assert faults(await patch(1, status="active", effective_on="2017-01-01")) == {("/effective_on", "not_away")}
    assert (await patch(1, status="moved_away", effective_on="2018-03-01")).status_code == 200
    for day in ("2018-02-28", "2999-01-01"):
        early = await patch(2, status="active", effective_on=day)
        assert faults(early) == {("/effective_on", "day_out_of_range")}
    second_head = await patch(2, status="active", effective_on="2019-01-01", relation="head")
    assert faults(second_head) == {("/members", "one_head")}
    back = await patch(2, status="active", effective_on="2019-01-01", phone="13800000000")
    assert back.status_code == 200, back.text
    stays = [(each["status"], each["joined_on"], each["left_on"]) for each in back.json()["members"][1:]]
    assert stays == [("transferred", "2016-01-01", "2018-03-01"), ("active", "2019-01-01", None)]
    assert {each["id"] for each in back.json()["members"][1:]} == {person}
    assert (back.json()["version"], back.json()["people"], back.headers["etag"]) == (4, 2, '"4"')
    days = {"2018-02-28": 2, "2018-03-01": 1, "2018-12-31": 1, "2019-01-01": 2}
    assert {day: await people(registry, day) for day in days} == days
    assert {day: (await registry.get(f"{url}?as_of={day}")).json()["people"] for day in days} == days
    published = [(each["version"], each["status"]) for each in await events(app, "person") if each["id"] == person]
    assert published == [(1, "active"), (2, "moved_away"), (4, "active")]
    assert [each["version"] for each in await events(app, "household")] == [1, 2, 3, 4]
    versions = (await registry.get(f"{url}/versions")).json()["items"]
    assert [each["reason"] for each in versions[1:]] == ["核实"] * 3
    assert (await patch(4, status="moved_away", effective_on="2019-06-01")).status_code == 200
    undone = await patch(5, status="active")
    assert (undone.status_code, undone.json()["people"]) == (200, 2)
    assert await people(registry, "2019-07-01") == 2
    assert await verify_audit(app.state.runtime.settings, []) == 0


async def test_who_lives_without_a_household_is_back_in_a_village(registry: httpx.AsyncClient) -> None:
    made = await register(registry)
    url = f"/v1/persons/{made['id']}"
    away = {"status": "moved_away", "effective_on": "2018-06-01"}
    assert (await registry.patch(url, json=away, headers=matching(1))).status_code == 200
    back = {"status": "active", "effective_on": "2018-07-01"}
    refused = await registry.patch(url, json=back, headers=matching(2))
    assert faults(refused) == {("/effective_on", "without_village")}
    answer = await registry.patch(url, json={**back, "village": OTHER_VILLAGE}, headers=matching(2))
    assert (answer.status_code, answer.json()["village"]) == (200, OTHER_VILLAGE)


async def test_an_import_keeps_every_stay_and_so_does_its_undoing(registry: httpx.AsyncClient, app: FastAPI) -> None:
    await left_and_back(registry)
    days = {"2018-05-31": 2, "2018-06-01": 1, "2018-06-30": 1, "2018-07-01": 2}
    assert {day: await people(registry, day) for day in days} == days
    told = (await registry.get(f"/v1/households/{HOME}")).json()["members"]
    job = await imported(registry, workbook([head(HOME, cause="因学"), wife(name="测试新")]), overwrite="always")
    assert counts(job) == {"received": 1, "updated": 1}, job
    assert {day: await people(registry, day) for day in days} == days
    changed = (await registry.get(f"/v1/households/{HOME}")).json()
    stays = [(each["status"], each["joined_on"], each["left_on"]) for each in told]
    assert [(each["status"], each["joined_on"], each["left_on"]) for each in changed["members"]] == stays
    await registry.post(f"/v1/imports/{job['id']}/undo")
    await ended(registry, job["id"])
    restored = (await registry.get(f"/v1/households/{HOME}")).json()
    assert (restored["cause"], restored["version"]) == ("illness", 5)
    assert [(each["status"], each["joined_on"], each["left_on"]) for each in restored["members"]] == stays
    assert [each["name"] for each in restored["members"]] == [each["name"] for each in told]
    assert {day: await people(registry, day) for day in days} == days
    assert await verify_audit(app.state.runtime.settings, []) == 0


async def test_a_household_taken_back_leaves_those_who_went_elsewhere(registry: httpx.AsyncClient) -> None:
    await imported(registry, workbook([head(HOME), wife()]))
    home = (await registry.get(f"/v1/households/{HOME}")).json()
    person = home["members"][1]
    alone = await departed(registry, HOME, person["id"], 1, person["joined_on"])
    off = {"effective_on": person["joined_on"], "reason": "误登记"}
    gone = await registry.post(f"/v1/households/{HOME}/deregistration", json=off, headers=matching(2))
    assert gone.status_code == 200, gone.text
    job = await imported(registry, workbook([head(HOME, cause="因学"), wife()]))
    assert counts(job) == {"received": 1, "rejected": 1}, job
    job = await imported(registry, workbook([head(HOME)]))
    assert counts(job) == {"received": 1, "updated": 1}, job
    members = (await registry.get(f"/v1/households/{HOME}")).json()["members"]
    assert [each["status"] for each in members] == ["active", "transferred"]
    assert (await registry.get(f"/v1/persons/{alone['id']}")).json() == alone


async def test_who_left_a_household_is_not_erased_with_it(registry: httpx.AsyncClient, app: FastAPI) -> None:
    home, person = await pair(registry)
    alone = await departed(registry, home["id"], person, 1, "2015-06-01")
    off = {"effective_on": "2016-01-01", "reason": "整户迁出"}
    url = f"/v1/households/{home['id']}"
    assert (await registry.post(f"{url}/deregistration", json=off, headers=matching(2))).status_code == 200
    erased = await registry.post("/v1/households/erasures", json=EXPIRED)
    assert (erased.status_code, erased.json()) == (
        200, {"households": 1, "persons": 1, "more": False, "audit_entries": []}
    )  # fmt: skip
    statuses = [each["status"] for each in (await registry.get(url)).json()["members"]]
    assert statuses == ["erased", "transferred"]
    assert (await registry.get(f"/v1/persons/{person}")).json() == alone
    assert await verify_audit(app.state.runtime.settings, []) == 0


async def test_an_erasure_reaches_every_stay(registry: httpx.AsyncClient, app: FastAPI) -> None:
    person = await left_and_back(registry)
    url = f"/v1/households/{HOME}/members/{person}/erasure"
    erased = await registry.post(url, json={"reason": "本人申请"}, headers=matching(3))
    assert erased.status_code == 200, erased.text
    mine = [each for each in erased.json()["members"] if each["id"] == person]
    assert [each["status"] for each in mine] == ["transferred", "erased"]
    async with app.state.runtime.database.driver() as pg:
        rows = await pg.fetch(
            "SELECT * FROM person WHERE id = $1 UNION ALL SELECT * FROM person_version WHERE id = $1", person
        )
    assert len(rows) == 6
    assert all(row[name] is None for row in rows for name in ("name", "id_number", "id_number_index", "phone"))
    assert await people(registry, "2018-07-01") == 2
    assert (await events(app, "person"))[-1]["status"] == "erased"


async def test_what_a_household_was_registered_with_is_forgotten_with_who_left_it(registry: httpx.AsyncClient) -> None:
    members = [member(), member("other", id_number=NUMBER, birth_date=None)]
    body = household(members=members, number="41132310221701")
    made = (await registry.post("/v1/households", json=body)).json()
    assert (await registry.post("/v1/households", json=body)).status_code == 200
    alone = await departed(registry, made["id"], made["members"][1]["id"], 1, "2018-06-01")
    assert (await registry.post("/v1/households", json=body)).status_code == 200
    url = f"/v1/persons/{alone['id']}/erasure"
    assert (await registry.post(url, json={"reason": "本人申请"}, headers=matching(3))).status_code == 200
    assert faults(await registry.post("/v1/households", json=body), 409) == {("/number", "number_taken")}


async def moved(client: httpx.AsyncClient) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
    """What a household was registered with, that household, and the one that its second member went to in 2015."""
    members = [member(), member("other", id_number=NUMBER, birth_date=None)]
    body = household(members=members, number="41132310221701")
    left, joined = (await client.post("/v1/households", json=body)).json(), await make(client)
    url = f"/v1/households/{left['id']}/members/{left['members'][1]['id']}/transfer"
    answer = await client.post(url, json=going(joined, "other", "2015-06-01"), headers=matching(1))
    assert answer.status_code == 200, answer.text
    return body, left, joined


async def erase_one(client: httpx.AsyncClient, left: dict[str, Any], joined: dict[str, Any]) -> httpx.Response:
    url = f"/v1/households/{joined['id']}/members/{left['members'][1]['id']}/erasure"
    return await client.post(url, json={"reason": "本人申请"}, headers=matching(2))


async def erase_expired(client: httpx.AsyncClient, _: dict[str, Any], joined: dict[str, Any]) -> httpx.Response:
    off = {"effective_on": "2016-01-01", "reason": "整户迁出"}
    gone = await client.post(f"/v1/households/{joined['id']}/deregistration", json=off, headers=matching(2))
    assert gone.status_code == 200, gone.text
    return await client.post("/v1/households/erasures", json=EXPIRED)


@pytest.mark.parametrize("erase", [erase_one, erase_expired])
async def test_a_household_forgets_what_it_was_registered_with_also_when_who_moved_on_is_erased(
    registry: httpx.AsyncClient, app: FastAPI, erase: Any
) -> None:
    body, left, joined = await moved(registry)
    every = "SELECT id, version, content FROM household UNION ALL SELECT id, version, content FROM household_version"
    async with app.state.runtime.database.driver() as pg:
        before = await pg.fetch(every)
        assert (await registry.post("/v1/households", json=body)).status_code == 200
        assert (await erase(registry, left, joined)).status_code == 200
        after = await pg.fetch(every)
    assert {str(row["id"]) for row in before} == {left["id"], joined["id"]}
    assert len(after) > len(before)
    assert {row["content"] for row in before}.isdisjoint(row["content"] for row in after)
    assert len({row["content"] for row in after}) == 2
    assert faults(await registry.post("/v1/households", json=body), 409) == {("/number", "number_taken")}
    remaining = (await registry.get(f"/v1/households/{left['id']}")).json()
    assert (remaining["version"], remaining["members"][0]["status"]) == (2, "active")


@pytest.mark.parametrize("erase", [erase_one, erase_expired])
async def test_an_erasure_locks_households_in_the_order_in_which_moves_do(
    registry: httpx.AsyncClient, app: FastAPI, erase: Any
) -> None:
    """Else it would hold the household that a move waits for, and wait for the one that the move holds."""
    _, left, joined = await moved(registry)
    assert left["id"] < joined["id"]
    lock = "SELECT FROM household WHERE id = $1 FOR UPDATE"
    async with app.state.runtime.database.driver() as pg:
        async with pg.transaction():
            await pg.execute(lock, left["id"])
            erasing = asyncio.create_task(erase(registry, left, joined))
            await until_waited_for(pg)
            await pg.execute(f"{lock} NOWAIT", joined["id"])
        assert (await erasing).status_code == 200


async def test_who_comes_back_on_the_register_meanwhile_is_not_erased(
    registry: httpx.AsyncClient, app: FastAPI
) -> None:
    home = await make(registry)
    url = f"/v1/households/{home['id']}"
    off = {"effective_on": "2016-01-01", "reason": "整户迁出"}
    assert (await registry.post(f"{url}/deregistration", json=off, headers=matching(1))).status_code == 200
    async with app.state.runtime.database.driver() as pg, pg.transaction():
        await pg.execute("UPDATE household SET status = 'active', valid_to = NULL WHERE id = $1", home["id"])
        erasing = asyncio.create_task(registry.post("/v1/households/erasures", json=EXPIRED))
        await until_waited_for(pg)
    assert (await erasing).json() == {"households": 0, "persons": 0, "more": False, "audit_entries": []}
    assert [each["name"] for each in (await registry.get(f"{url}/members")).json()] == ["测*甲"]


async def test_retention_of_the_dead_counts_from_their_deregistration(registry: httpx.AsyncClient) -> None:
    made = await register(registry, registered_on="2014-05-01")
    url = f"/v1/persons/{made['id']}"
    died = {"status": "deceased", "effective_on": "2015-01-01"}
    assert (await registry.patch(url, json=died, headers=matching(1))).status_code == 200
    early = {"effective_on": "2014-12-31", "reason": "死亡注销"}
    assert faults(await registry.post(f"{url}/deregistration", json=early, headers=matching(2))) == {
        ("/effective_on", "day_out_of_range")
    }
    gone = await registry.post(f"{url}/deregistration", json={"reason": "死亡注销"}, headers=matching(2))
    assert gone.status_code == 200
    assert gone.json()["until"] > "2017-01-01"
    assert (await registry.post("/v1/households/erasures", json=EXPIRED)).json()["persons"] == 0


async def test_who_leaves_belongs_where_the_household_lived_that_day(registry: httpx.AsyncClient) -> None:
    home, person = await pair(registry)
    moved = {"village": OTHER_VILLAGE, "effective_on": "2018-09-01", "reason": "搬迁"}
    answer = await registry.patch(f"/v1/households/{home['id']}", json=moved, headers=matching(1))
    assert answer.status_code == 200, answer.text
    assert (await departed(registry, home["id"], person, 2, "2018-06-01"))["village"] == VILLAGE


async def test_a_deregistered_household_takes_nobody(registry: httpx.AsyncClient) -> None:
    alone, home = await register(registry), await make(registry)
    url, off = f"/v1/households/{home['id']}/deregistration", {"reason": "整户迁出"}
    assert (await registry.post(url, json=off, headers=matching(1))).status_code == 200
    refused = await back(registry, alone, home, "2018-06-01")
    assert (refused.status_code, refused.json()["code"]) == (409, "household_deregistered")

"""A decision goes with its household: to whoever has it in scope now (architecture rule 9)."""

from collections.abc import AsyncIterator

import httpx
import pytest
from fastapi import FastAPI

from shared.app import Runtime
from tests.registry.conftest import (
    CITY,
    OTHER_VILLAGE,
    VILLAGE,
    XIPING,
    XIXIA,
    client_of,
    faults,
    issue,
    matching,
)
from tests.registry.standing import URL, Office, able, app_in_2018

ZONE = "411391000000"
HERE = (XIXIA, XIPING, VILLAGE, VILLAGE[:6])
THERE = (ZONE, f"{OTHER_VILLAGE[:9]}000", OTHER_VILLAGE, OTHER_VILLAGE[:6])


@pytest.fixture
def app(url: str, secrets: None) -> FastAPI:
    return app_in_2018(url)


@pytest.fixture
async def city(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    async with client_of(app) as client:
        yield client


async def office(client: httpx.AsyncClient, division: str) -> Office:
    recorder, reviewer = [await issue(client, [role, "reader"], [division]) for role in ("recorder", "reviewer")]
    return Office(client, recorder, reviewer)


async def move(client: httpx.AsyncClient, household: dict[str, object], day: str) -> None:
    body = {"village": OTHER_VILLAGE, "effective_on": day, "reason": "搬迁"}
    url = f"/v1/households/{household['id']}"
    version = (await client.get(url)).json()["version"]
    answer = await client.patch(url, json=body, headers=matching(version))
    assert answer.status_code == 200, answer.text


async def within(client: httpx.AsyncClient, division: str, key: dict[str, str]) -> int:
    """How many decisions the list of a division has."""
    listed = (await client.get(URL, params={"count": "true", "division": division}, headers=key)).json()
    assert listed["count"] == len(listed["items"])
    return len(listed["items"])


async def test_an_open_decision_is_in_the_hands_of_who_has_the_household(city: httpx.AsyncClient, app: FastAPI) -> None:
    household = await able(city)
    here, there = await office(city, XIXIA), await office(city, ZONE)
    stranger = await office(city, "411325000000")
    proposed = await here.proposed(kind="exit", household=household["number"], year=2018)
    await move(city, household, "2018-10-09")
    assert (await here.step(proposed)).status_code == 404
    for key, status in ((here.recorder, 404), (there.recorder, 200), (stranger.recorder, 404)):
        assert (await city.get(f"{URL}/{proposed['id']}", headers=key)).status_code == status
        listed = (await city.get(URL, params={"count": "true"}, headers=key)).json()
        assert [each["id"] for each in listed["items"]] == [proposed["id"]] * (status == 200)
        assert listed["count"] == len(listed["items"])
    assert [await within(city, code, key) for code in THERE for key in (there.recorder, {})] == [1] * 8
    assert [await within(city, code, key) for code in HERE for key in (there.recorder, {})] == [0] * 8
    decision = await there.concluded(await there.stepped(proposed))
    assert decision["state"] == "concluded"
    assert [await within(city, code, {}) for code in (*THERE, *HERE)] == [1] * 4 + [0] * 4
    assert decision["path"] == proposed["path"]  # as of the day it was proposed
    moved = (await city.get(f"/v1/households/{household['id']}", headers=there.recorder)).json()
    assert (moved["standing"], moved["village"]) == ("exited_supported", OTHER_VILLAGE)
    assert (await city.get(f"{URL}/{proposed['id']}", headers=there.recorder)).status_code == 200
    assert (await city.get(f"{URL}/{proposed['id']}", headers=here.recorder)).status_code == 404
    runtime: Runtime = app.state.runtime
    async with runtime.database.driver() as pg:
        audited = await pg.fetch("SELECT divisions FROM audit_entry WHERE object_id = $1 ORDER BY id", proposed["id"])
    assert [ZONE in each["divisions"] for each in audited] == [False] + [True] * (len(decision["steps"]) - 1)


async def test_no_step_is_taken_for_a_household_that_joined_another(city: httpx.AsyncClient) -> None:
    """The decision is withdrawn; where they live now, another one may be proposed."""
    county = await office(city, XIXIA)
    left, joined = await able(city), await able(city)
    decision = await county.upto(await county.proposed(kind="exit", household=left["id"], year=2018), "public_notice")
    goes = {"into": {"number": joined["number"]}, "reason": "随子女生活", "effective_on": "2018-12-20"}
    relations = [{"member": left["members"][0]["id"], "relation": "father"}]
    merged = await city.post(
        f"/v1/households/{left['id']}/merger", json={**goes, "relations": relations}, headers=matching(1)
    )
    assert merged.status_code == 200, merged.text
    refused = await county.step(decision)
    assert (refused.status_code, refused.json()["code"]) == (409, "household_deregistered")
    objected = await county.act(decision, "objections", note="已并入他户")
    assert objected.status_code == 200, objected.text
    assert (await county.act(objected.json(), "withdrawal", note="并户")).status_code == 200
    anew = await county.propose(kind="exit", household=joined["id"], year=2018, on="2018-12-20")
    assert faults(anew) == {("/household", "income_above_line")}


async def test_an_ended_decision_is_seen_by_who_made_it_and_by_who_has_the_household(city: httpx.AsyncClient) -> None:
    household = await able(city)
    here, there = await office(city, XIXIA), await office(city, ZONE)
    proposed = await here.proposed(kind="exit", household=household["number"], year=2018)
    withdrawn = await here.act(proposed, "withdrawal", note="撤回")
    assert withdrawn.status_code == 200, withdrawn.text
    await move(city, household, "2018-12-01")
    for each in (here, there):
        assert (await city.get(f"{URL}/{proposed['id']}", headers=each.recorder)).status_code == 200
    assert (await there.act(withdrawn.json(), "withdrawal", note="撤回")).status_code == 409


async def test_a_decision_takes_no_effect_on_days_that_were_anothers(city: httpx.AsyncClient) -> None:
    household = await able(city)
    there = await office(city, ZONE)
    office_of_city = await office(city, CITY)
    await move(city, household, "2018-12-10")
    proposed = await office_of_city.proposed(kind="exit", household=household["number"], year=2018)
    last = await office_of_city.upto(proposed, "striking_off")
    refused = await there.step(last, on="2018-12-09")
    assert refused.status_code == 422, refused.text
    assert faults(refused) == {("/on", "not_yours_then")}
    assert (await there.step(last, on="2018-12-10")).status_code == 200

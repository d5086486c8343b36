"""Statistics equal a recount of what was published, on every day, after every kind of change."""

import random
from collections import Counter
from datetime import date, timedelta
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from shared.contracts.household import SERVED, STOCK, HouseholdEvent
from tests.registry.conftest import (
    CITY,
    OTHER_VILLAGE,
    VILLAGE,
    XIPING,
    XIXIA,
    events,
    issue,
    make,
    matching,
    member,
)

VILLAGES = (VILLAGE, "411323102202", OTHER_VILLAGE, "411325101201")
STANDINGS = ("poor", "pre_exit", "exited_supported", "exited", "relapsed", "ordinary")
LEVELS = ("city", "managing_unit", "township", "village")


def day(n: int) -> date:
    return date(2018, 1, 1) + timedelta(days=n)


async def _live(client: httpx.AsyncClient, dice: random.Random) -> None:
    """Some households with a past: registered, moved, exited, grown, shrunk, gone."""
    for _ in range(12):
        born = day(dice.randrange(20))
        made = await make(
            client, village=dice.choice(VILLAGES), standing=dice.choice(STANDINGS), registered_on=born.isoformat(),
            members=[member(), *(member("other") for _ in range(dice.randrange(3)))],
        )  # fmt: skip
        url = f"/v1/households/{made['id']}"
        for version in range(1, dice.randint(1, 5)):
            when = (born + timedelta(days=dice.randrange(40))).isoformat()
            patch: dict[str, Any] = {"effective_on": when, "reason": "测试", "standing": dice.choice(STANDINGS)}
            if dice.random() < 0.4:
                patch["village"] = dice.choice(VILLAGES)
            current = (await client.get(url)).json()["version"]
            assert (await client.patch(url, json=patch, headers=matching(current))).status_code == 200, version
        current = (await client.get(url)).json()["version"]
        if dice.random() < 0.3:
            gone = {"effective_on": (born + timedelta(days=50)).isoformat(), "reason": "测试"}
            assert (await client.post(f"{url}/deregistration", json=gone, headers=matching(current))).status_code == 200
        elif len(made["members"]) > 1 and dice.random() < 0.5:
            left = {"status": "moved_away", "effective_on": (born + timedelta(days=30)).isoformat()}
            who = f"{url}/members/{made['members'][1]['id']}"
            assert (await client.patch(who, json=left, headers=matching(current))).status_code == 200


def _recount(households: list[HouseholdEvent], when: date) -> dict[str, Counter[str]]:
    found: dict[str, Counter[str]] = {}
    for household in households:
        state = household.state_on(when)
        if state is None:
            continue
        for level in LEVELS:
            counted = found.setdefault(getattr(state.path, level), Counter())
            counted["registered_households"] += 1
            counted["served_households"] += state.standing in SERVED
            counted["stock_households"] += state.standing in STOCK
    return found


NAMES = ("registered_households", "served_households", "stock_households")


@pytest.mark.parametrize("seed", [2018, 2019])
async def test_statistics_equal_a_recount_of_the_events(registry: httpx.AsyncClient, app: FastAPI, seed: int) -> None:
    await _live(registry, random.Random(seed))
    newest = {
        event["id"]: HouseholdEvent.model_validate(event, strict=False) for event in await events(app, "household")
    }
    for when in (day(-1), day(5), day(19), day(33), day(60), day(100)):
        expected = _recount(list(newest.values()), when)
        for code in (CITY, XIXIA, XIPING, VILLAGE, "411391000000"):
            answer = await registry.get(f"/v1/statistics/poverty?division={code}&as_of={when}")
            body = answer.json()
            for unit in (body["division"], *body["below"]):
                told = {name: unit[name] for name in NAMES}
                assert told == {name: expected.get(unit["code"], Counter())[name] for name in NAMES}, (when, unit)
            for name in (*NAMES, "registered_people", "served_people", "stock_people"):
                if body["below"]:
                    assert body["division"][name] == sum(unit[name] for unit in body["below"])
    async with app.state.runtime.database.driver() as pg:
        people = "SELECT coalesce(sum(people), 0)::int FROM household_period WHERE valid_to IS NULL"
        now = await pg.fetchval(people)
    city = (await registry.get("/v1/statistics/poverty")).json()["division"]
    assert city["registered_people"] == now


async def test_units_stand_in_official_order_zones_included(registry: httpx.AsyncClient) -> None:
    below = (await registry.get("/v1/statistics/poverty")).json()["below"]
    assert len(below) == 17
    assert [unit["code"] for unit in below][-2:] == ["411391000000", "411392000000"]
    zone = (await registry.get("/v1/statistics/poverty?division=411391000000")).json()["below"]
    assert [unit["name"] for unit in zone] == ["官庄镇"]
    assert (await registry.get(f"/v1/statistics/poverty?division={VILLAGE}")).json()["below"] == []


async def test_aggregates_are_open_to_every_caller(registry: httpx.AsyncClient) -> None:
    await make(registry)
    elsewhere = await issue(registry, ["reader"], ["411325000000"])
    answer = await registry.get(f"/v1/statistics/poverty?division={XIXIA}", headers=elsewhere)
    assert answer.json()["division"]["stock_households"] == 1
    assert (await registry.get("/v1/statistics/poverty?division=999999999999")).status_code == 404
    for query in ("division=4113", "as_of=2018-02-30", "as_of=1.0"):
        assert (await registry.get(f"/v1/statistics/poverty?{query}")).status_code == 422
    assert (await registry.get("/v1/statistics/poverty", headers={"Authorization": ""})).status_code == 401

"""The welfare category 社会救助类别 has days: as it was on a day, as we knew at an instant, in every way it changes."""

import json
import random
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any, get_args

import httpx
import pytest
from fastapi import FastAPI

from services.registry.codes.rules import Welfare
from shared.clock import FixedClock, local_day
from tests.registry.conftest import (
    CITY,
    OTHER_VILLAGE,
    VILLAGE,
    XIXIA,
    app_on,
    faults,
    id_number,
    make,
    matching,
    member,
)
from tests.registry.sheets import HEADER, counts, ended, found, head, imported, workbook

HOME = "41132300000001"
CATEGORIES: Sequence[str] = get_args(Welfare)
STANDINGS = ("poor", "pre_exit", "exited_supported", "exited", "relapsed", "ordinary")
VILLAGES = (VILLAGE, "411323102202", OTHER_VILLAGE, "411325101201")
WITH_WELFARE = (*HEADER, "社会救助类别")


@pytest.fixture
def clock() -> FixedClock:
    return FixedClock(datetime.now(UTC) + timedelta(days=1))


@pytest.fixture
def app(url: str, secrets: None, clock: FixedClock) -> FastAPI:
    return app_on(url, clock)


def today(clock: FixedClock) -> str:
    return local_day(clock.now()).isoformat()


async def household(client: httpx.AsyncClient, number: str = HOME, **query: str) -> dict[str, Any]:
    answer = await client.get(f"/v1/households/{number}", params=query)
    assert answer.status_code == 200, answer.text
    told: dict[str, Any] = answer.json()
    return told


async def changed(client: httpx.AsyncClient, number: str = HOME, **body: Any) -> dict[str, Any]:
    version = (await household(client, number))["version"]
    sent = {"reason": "测试", **body}
    answer = await client.patch(f"/v1/households/{number}", json=sent, headers=matching(version))
    assert answer.status_code == 200, answer.text
    told: dict[str, Any] = answer.json()
    return told


def spells(told: dict[str, Any]) -> list[tuple[str, str]]:
    return [(each["valid_from"], each["welfare"]) for each in told["welfare_timeline"]]


async def counted(client: httpx.AsyncClient, **query: str) -> dict[str, tuple[int, int]]:
    """Households and people of each category among all that are registered."""
    answer = await client.get("/v1/statistics/welfare", params={"among": "registered", **query})
    assert answer.status_code == 200, answer.text
    parts = answer.json()["division"]["parts"]
    return {each["code"]: (each["households"], each["people"]) for each in parts if each["households"]}


async def test_a_day_as_known_then_and_as_known_now(registry: httpx.AsyncClient, clock: FixedClock) -> None:
    await make(registry, number=HOME, members=[member(), member("other")])
    registered = clock.now().isoformat()
    clock.advance(timedelta(days=1))
    assert spells(await changed(registry, welfare="dibao", effective_on="2016-07-01")) == [
        ("2014-05-01", "none"), ("2016-07-01", "dibao")
    ]  # fmt: skip
    entered = clock.now().isoformat()
    clock.advance(timedelta(days=1))
    corrected = await changed(registry, welfare="dibao", effective_on="2015-01-01")
    assert spells(corrected) == [("2014-05-01", "none"), ("2015-01-01", "dibao")], "nothing new on 2016-07-01"
    for query, welfare, begun in (
        ({}, "dibao", 2),
        ({"as_of": "2014-12-31"}, "none", 1),
        ({"as_of": "2015-01-01"}, "dibao", 2),
        ({"as_of": "2015-01-01", "known_at": entered}, "none", 1),
        ({"as_of": "2016-06-30", "known_at": entered}, "none", 1),
        ({"as_of": "2016-07-01", "known_at": entered}, "dibao", 2),
        ({"as_of": "2016-07-01", "known_at": registered}, "none", 1),
        ({"known_at": registered}, "none", 1),
        ({"known_at": entered}, "dibao", 2),
    ):
        told = await household(registry, **query)
        assert (told["welfare"], len(told["welfare_timeline"])) == (welfare, begun), query
        [listed] = (await registry.get("/v1/households", params=query)).json()["items"]
        assert listed.items() <= told.items(), query
        assert await counted(registry, **query) == {welfare: (1, 2)}, query
    versions = (await registry.get(f"/v1/households/{HOME}/versions")).json()["items"]
    assert [(each["welfare"], spells(each)) for each in versions] == [
        ("none", [("2014-05-01", "none")]),
        ("dibao", [("2014-05-01", "none"), ("2016-07-01", "dibao")]),
        ("dibao", [("2014-05-01", "none"), ("2015-01-01", "dibao")]),
    ]


async def test_the_national_attribute_of_every_year(registry: httpx.AsyncClient) -> None:
    """AAC006 by the standing and the welfare of the day, in the terms of its year (domain.md 1.1)."""
    await make(registry, number=HOME)
    await changed(registry, welfare="dibao", effective_on="2016-03-01")
    await changed(registry, standing="exited_supported", effective_on="2017-12-31")
    await changed(registry, welfare="dibao_and_tekun", effective_on="2018-06-01")
    await changed(registry, welfare="none", effective_on="2020-06-01")
    for day, code in (
        ("2014-12-31", "01"),
        ("2016-02-29", "01"),
        ("2016-03-01", "04"),
        ("2016-12-31", "04"),
        ("2017-12-31", "02"),
        ("2018-05-31", "02"),
        ("2018-12-31", "03"),  # until 2018 五保 came first
        ("2019-12-31", "08"),
        ("2020-05-31", "08"),
        ("2020-12-31", "05"),
    ):
        assert (await household(registry, as_of=day))["poverty_attribute"] == code, day
    assert (await household(registry))["poverty_attribute"] == "05"


async def test_from_which_day_a_category_may_hold(registry: httpx.AsyncClient, clock: FixedClock) -> None:
    """From the household's first day to today, which it is unless another is given; locked years lock figures alone."""
    await make(registry, number=HOME)
    locked = await registry.put("/v1/locked-years/2017", json={"reason": "年度数据已上报"})
    assert locked.status_code == 200, locked.text
    url, tomorrow = f"/v1/households/{HOME}", local_day(clock.now()) + timedelta(days=1)
    for day in ("2014-04-30", tomorrow.isoformat()):
        body = {"welfare": "tekun", "effective_on": day, "reason": "测试"}
        refused = await registry.patch(url, json=body, headers=matching(1))
        assert faults(refused) == {("/effective_on", "day_out_of_range")}, day
    assert spells(await changed(registry, welfare="tekun")) == [("2014-05-01", "none"), (today(clock), "tekun")]
    assert spells(await changed(registry, welfare="dibao", effective_on="2017-03-01")) == [
        ("2014-05-01", "none"), ("2017-03-01", "dibao"), (today(clock), "tekun")
    ]  # fmt: skip
    told = await changed(registry, welfare="dibao", effective_on="2014-05-01")
    assert spells(told) == [("2014-05-01", "dibao"), (today(clock), "tekun")]
    assert (await changed(registry, welfare="dibao", effective_on="2018-01-01"))["version"] == told["version"]


async def test_one_change_from_one_day(registry: httpx.AsyncClient) -> None:
    """Village, standing and welfare of one patch; no state begins with a change of welfare alone."""
    await make(registry, number=HOME)
    both = {"village": OTHER_VILLAGE, "standing": "exited", "welfare": "dibao"}
    await changed(registry, **both, effective_on="2017-01-01")
    told = await changed(registry, welfare="none", effective_on="2018-01-01")
    assert [each["valid_from"] for each in told["timeline"]] == ["2014-05-01", "2017-01-01"]
    assert spells(told) == [("2014-05-01", "none"), ("2017-01-01", "dibao"), ("2018-01-01", "none")]
    for day, here, there in (
        ("2016-12-31", {"none": (1, 1)}, {}),
        ("2017-12-31", {}, {"dibao": (1, 1)}),
        ("2018-01-01", {}, {"none": (1, 1)}),
    ):
        assert await counted(registry, division=VILLAGE, as_of=day) == here
        assert await counted(registry, division=OTHER_VILLAGE, as_of=day) == there


async def test_a_look_up_tells_the_latest(registry: httpx.AsyncClient) -> None:
    number = id_number()
    await make(registry, number=HOME, members=[member(id_number=number)])
    await changed(registry, welfare="dibao", effective_on="2016-07-01")
    asked = {"id_numbers": [number], "purpose": "medical", "reason": "核查"}
    answer = await registry.post("/v1/persons/lookup", json=asked)
    assert answer.status_code == 200, answer.text
    assert [each["welfare"] for each in answer.json()["items"]] == ["dibao"]


# Imports


def row(welfare: str, number: str = HOME) -> list[Any]:
    return [*head(number), welfare]


async def test_an_import_changes_it_from_its_day_on_and_is_taken_back(
    registry: httpx.AsyncClient, clock: FixedClock
) -> None:
    await imported(registry, workbook([row("低保")], WITH_WELFARE))
    assert spells(await household(registry)) == [("2014-05-01", "dibao")]
    clock.advance(timedelta(days=1))
    kept = await imported(registry, workbook([row("特困")], WITH_WELFARE), overwrite="if_empty")
    assert (counts(kept)["unchanged"], found(kept, "warning")) == (1, {(2, "社会救助类别", "kept")})
    job = await imported(registry, workbook([row("特困")], WITH_WELFARE), overwrite="always")
    assert counts(job) == {"received": 1, "updated": 1}
    assert spells(await household(registry)) == [("2014-05-01", "dibao"), (today(clock), "tekun")]
    assert await counted(registry) == {"tekun": (1, 1)}
    assert await counted(registry, as_of="2018-06-30") == {"dibao": (1, 1)}
    again = await imported(registry, workbook([row("特困"), head("", 2)], WITH_WELFARE), overwrite="always")
    assert counts(again) == {"received": 2, "created": 1, "unchanged": 1}
    clock.advance(timedelta(days=1))
    await registry.post(f"/v1/imports/{job['id']}/undo")
    assert (await ended(registry, job["id"]))["undoing"]["undone"] == 1
    assert spells(await household(registry)) == [("2014-05-01", "dibao")]
    assert await counted(registry) == {"dibao": (1, 1), "none": (1, 1)}


async def test_an_import_without_the_column_leaves_it(registry: httpx.AsyncClient) -> None:
    await imported(registry, workbook([row("低保")], WITH_WELFARE))
    await imported(registry, workbook([head(HOME, cause="因学")]), overwrite="always")
    assert spells(await household(registry)) == [("2014-05-01", "dibao")]


async def test_what_is_registered_anew_is_of_the_category_given_from_its_first_day(
    registry: httpx.AsyncClient, clock: FixedClock
) -> None:
    job = await imported(registry, workbook([row("低保")], WITH_WELFARE))
    await registry.post(f"/v1/imports/{job['id']}/undo")
    await ended(registry, job["id"])
    assert await counted(registry, as_of="2018-06-30") == {}
    clock.advance(timedelta(days=1))
    assert counts(await imported(registry, workbook([row("特困")], WITH_WELFARE)))["updated"] == 1
    assert spells(await household(registry)) == [("2014-05-01", "tekun")]
    assert await counted(registry, as_of="2018-06-30") == {"tekun": (1, 1)}


# Moves


async def test_who_splits_takes_it_along_and_who_is_joined_keeps_it(registry: httpx.AsyncClient) -> None:
    await make(registry, number=HOME, members=[member(), member("other")])
    await changed(registry, welfare="dibao", effective_on="2016-01-01")
    left = await changed(registry, welfare="tekun", effective_on="2018-01-01")
    url, other = f"/v1/households/{HOME}", left["members"][1]["id"]
    body = {"members": [{"member": other, "relation": "head"}], "effective_on": "2017-01-01", "reason": "分户"}
    answer = await registry.post(f"{url}/split", json=body, headers=matching(left["version"]))
    assert answer.status_code == 201, answer.text
    made = answer.json()["joined"]
    assert spells(made) == [("2017-01-01", "dibao"), ("2018-01-01", "tekun")]
    assert await counted(registry, as_of="2017-06-30") == {"dibao": (2, 2)}
    await changed(registry, made["number"], welfare="none", effective_on="2018-07-01")
    into = {"into": {"number": HOME}, "relations": [{"member": other, "relation": "other"}]}
    merger = {**into, "effective_on": "2019-01-01", "reason": "并户"}
    answer = await registry.post(f"/v1/households/{made['id']}/merger", json=merger, headers=matching(2))
    assert answer.status_code == 200, answer.text
    assert spells(answer.json()["joined"]) == spells(left)
    assert spells(answer.json()["left"]) == [*spells(made), ("2018-07-01", "none")]
    assert await counted(registry, as_of="2018-12-31") == {"tekun": (1, 1), "none": (1, 1)}
    assert await counted(registry, as_of="2019-01-01") == {"tekun": (1, 2)}


async def test_an_erasure_leaves_it(registry: httpx.AsyncClient) -> None:
    await make(registry, number=HOME)
    told = await changed(registry, welfare="dibao", effective_on="2016-01-01")
    erasure = f"/v1/households/{HOME}/members/{told['members'][0]['id']}/erasure"
    answer = await registry.post(erasure, json={"reason": "本人申请"}, headers=matching(told["version"]))
    assert answer.status_code == 200, answer.text
    assert spells(await household(registry)) == spells(told)
    assert await counted(registry, as_of="2015-12-31") == {"none": (1, 1)}
    assert await counted(registry) == {"dibao": (1, 1)}


# Statistics


async def _live_on(client: httpx.AsyncClient, dice: random.Random, homes: list[str]) -> None:
    """Some households come, and whatever there is changes, from any day on."""
    for _ in range(4):
        members = [member(), *(member("other") for _ in range(dice.randrange(3)))]
        born = date(2016, 1, 1) + timedelta(days=dice.randrange(200))
        made = await make(
            client, village=dice.choice(VILLAGES), welfare=dice.choice(CATEGORIES), standing=dice.choice(STANDINGS),
            registered_on=born.isoformat(), members=members,
        )  # fmt: skip
        homes.append(made["number"])
    for number in dice.sample(homes, k=min(8, len(homes))):
        now = await household(client, number)
        day = (date(2016, 8, 1) + timedelta(days=dice.randrange(700))).isoformat()
        day = max(day, now["timeline"][0]["valid_from"])
        url, headers = f"/v1/households/{number}", matching(now["version"])
        away = [each for each in now["members"] if each["relation"] != "head" and each["left_on"] is None]
        match dice.randrange(6):
            case 0 if away:
                body = {"status": "moved_away", "effective_on": day}
                await client.patch(f"{url}/members/{away[0]['id']}", json=body, headers=headers)
            case 1 if away:
                split = {"members": [{"member": away[0]["id"], "relation": "head"}], "reason": "分户"}
                answer = await client.post(f"{url}/split", json={**split, "effective_on": day}, headers=headers)
                homes += [answer.json()["joined"]["number"]] if answer.status_code == 201 else []
            case 2 if dice.random() < 0.3:
                body = {"effective_on": day, "reason": "测试"}
                await client.post(f"{url}/deregistration", json=body, headers=headers)
                homes.remove(number)
            case 3:
                where = {"village": dice.choice(VILLAGES), "standing": dice.choice(STANDINGS)}
                await changed(client, number, **where, welfare=dice.choice(CATEGORIES), effective_on=day)
            case _:
                await changed(client, number, welfare=dice.choice(CATEGORIES), effective_on=day)


async def _listed(client: httpx.AsyncClient, **query: str) -> dict[str, tuple[int, int]]:
    """The same as ``counted``, added up from the list."""
    answer = await client.get("/v1/households", params=query, headers={"Accept": "application/jsonl"})
    assert answer.status_code == 200, answer.text
    households, people = Counter[str](), Counter[str]()
    for told in map(json.loads, answer.text.splitlines()):
        assert told["welfare"] == told["welfare_timeline"][-1]["welfare"]
        households[told["welfare"]] += 1
        people[told["welfare"]] += told["people"]
    return {code: (households[code], people[code]) for code in households}


@pytest.mark.parametrize("seed", range(2))
async def test_the_figures_are_what_the_lists_add_up_to(
    registry: httpx.AsyncClient, clock: FixedClock, seed: int
) -> None:
    """On several days, as known at several instants; and what was counted then is what is counted as known then."""
    dice, homes, instants = random.Random(seed), list[str](), list[str]()
    days = ["2016-03-01", "2016-09-15", "2017-02-01", "2017-12-31", "2018-06-30"]
    exported = []
    for _ in range(3):
        await _live_on(registry, dice, homes)
        clock.advance(timedelta(minutes=1))  # what is changed twice at one instant is recorded a little after it
        instants.append(clock.now().isoformat())
        exported.append([await counted(registry, as_of=day) for day in days])
        clock.advance(timedelta(days=1))
    for instant, figures in zip(instants, exported, strict=True):
        assert [await counted(registry, as_of=day, known_at=instant) for day in days] == figures
    assert len({str(figures) for figures in exported[-1]}) == len(days)
    for day in days:
        for known in ({}, *({"known_at": instant} for instant in instants)):
            for division in (CITY, XIXIA, OTHER_VILLAGE):
                query = {"as_of": day, "division": division, **known}
                assert await counted(registry, **query) == await _listed(registry, **query), query


async def test_the_sums_cancel_where_nothing_changes(registry: httpx.AsyncClient, app: FastAPI) -> None:
    """A change of welfare moves households between categories, and neither adds to the population nor to the steps."""
    await make(registry, number=HOME)
    async with app.state.runtime.database.driver() as pg:

        async def held(table: str) -> list[Any]:
            return list(await pg.fetch(f"SELECT * FROM {table} WHERE households <> 0 ORDER BY on_day"))

        before = [await held(table) for table in ("population_change", "standing_change", "standing_entry")]
        await changed(registry, welfare="dibao", effective_on="2016-07-01")
        assert [await held(table) for table in ("population_change", "standing_change", "standing_entry")] == before
        moved = [(row["on_day"].isoformat(), row["welfare"], row["households"]) for row in await held("profile_change")]
        assert sorted(moved) == [("2014-05-01", "none", 1), ("2016-07-01", "dibao", 1), ("2016-07-01", "none", -1)]
        await changed(registry, welfare="none", effective_on="2016-07-01")
        [row] = await held("profile_change")
        assert (row["on_day"].isoformat(), row["welfare"], row["households"]) == ("2014-05-01", "none", 1)

"""Incidence of poverty: rural populations by division and year, and what is divided by them."""

import json
from datetime import date, timedelta
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from services.registry.statistics import rules
from shared.clock import local_day
from tests.registry.conftest import (
    CITY,
    OTHER_VILLAGE,
    VILLAGE,
    XIPING,
    XIXIA,
    faults,
    issue,
    make,
    matching,
    member,
)

LINES = {"Content-Type": "application/jsonl"}


def lines(*rows: dict[str, Any]) -> bytes:
    return "\n".join(json.dumps(row) for row in rows).encode()


async def load(client: httpx.AsyncClient, *rows: dict[str, Any], query: str = "", **headers: str) -> httpx.Response:
    url = f"/v1/statistics/denominators{query}"
    return await client.put(url, content=lines(*rows), headers={**LINES, **headers})


@pytest.mark.parametrize(
    ("part", "whole", "told"),
    [(334_200, 10_411_215, "3.21"), (0, 5, "0.00"), (5, 5, "100.00"), (1, 200, "0.50"), (3205, 100_000, "3.21"),
     (1, 0, None), (1, None, None), (2, 3, "66.67"), (10_005, 1_000_000, "1.00"), (1_001, 99_999, "1.00")],
)  # fmt: skip
def test_ratios_are_rounded_half_up(part: int, whole: int | None, told: str | None) -> None:
    assert rules.percent(part, whole) == told
    if whole:
        exact = Decimal(100 * part) / Decimal(whole)
        assert told == str(exact.quantize(Decimal("0.01"), rounding=ROUND_HALF_UP))


async def test_incidence_divides_by_the_rural_population_of_the_year(registry: httpx.AsyncClient) -> None:
    await make(registry, members=[member(), member("other")])
    rows = [{"division": unit, "year": 2017, "people": 40} for unit in (XIXIA, OTHER_VILLAGE)]
    report = (await load(registry, *rows)).json()
    assert report["counts"] == {"received": 2, "created": 2, "updated": 0, "unchanged": 0, "rejected": 0}

    async def incidence(code: str, day: str) -> tuple[int | None, str | None, int | None]:
        answer = (await registry.get(f"/v1/statistics/poverty?division={code}&as_of={day}")).json()
        row = answer["division"]
        return row["rural_people"], row["incidence_percent"], answer["rural_year"]

    assert await incidence(XIXIA, "2017-12-31") == (40, "5.00", 2017)
    assert await incidence(XIXIA, "2019-06-30") == (40, "5.00", 2017)
    assert await incidence(XIXIA, "2016-12-31") == (None, None, None)
    assert await incidence(XIPING, "2017-12-31") == (None, None, None)
    report = (await load(registry, {**rows[0], "people": 50}, rows[1])).json()
    assert (report["counts"]["updated"], report["counts"]["unchanged"]) == (1, 1)
    assert await incidence(XIXIA, "2017-12-31") == (50, "4.00", 2017)


async def test_a_division_without_a_figure_has_the_sum_of_those_below(registry: httpx.AsyncClient) -> None:
    await make(registry)
    counties = [unit["code"] for unit in (await registry.get("/v1/statistics/poverty")).json()["below"]]
    given = [{"division": code, "year": 2017, "people": 10 * n} for n, code in enumerate(counties, start=1)]
    await load(registry, *given[:-1])
    assert (await registry.get("/v1/statistics/poverty?as_of=2017-12-31")).json()["rural_year"] is None
    await load(registry, given[-1])
    answer = (await registry.get("/v1/statistics/poverty?as_of=2017-12-31")).json()
    assert answer["division"]["rural_people"] == sum(row["people"] for row in given)
    assert [unit["rural_people"] for unit in answer["below"]] == [row["people"] for row in given]
    page = (await registry.get("/v1/statistics/denominators?limit=5&count=true&year=2017")).json()
    assert (len(page["items"]), page["count"]) == (5, 17)
    rest = await registry.get(f"/v1/statistics/denominators?limit=500&year=2017&cursor={page['next_cursor']}")
    assert len(rest.json()["items"]) == 12


async def _reorganised(client: httpx.AsyncClient, code: str, what: str, **body: Any) -> httpx.Response:
    version = (await client.get(f"/v1/divisions/{code}")).json()["version"]
    content = {"reason": "豫民〔2018〕1号", **body}
    return await client.post(f"/v1/divisions/{code}/{what}", json=content, headers=matching(version))


async def _rural(client: httpx.AsyncClient, code: str, when: date) -> tuple[int | None, int | None, dict[str, int]]:
    answer = (await client.get(f"/v1/statistics/poverty?division={code}&as_of={when}")).json()
    below = {unit["code"]: unit["rural_people"] for unit in answer["below"]}
    return answer["rural_year"], answer["division"]["rural_people"], below


async def test_rural_populations_follow_mergers_and_splits(own_registry: httpx.AsyncClient, own_app: FastAPI) -> None:
    """Figures of before a merger add up; those of before a split belong to the parts together."""
    today = local_day(own_app.state.registry.runtime.clock.now())
    year, before = today.year - 1, today - timedelta(days=1)
    _, _, below = await _rural(own_registry, XIPING, today)
    first, second, *others = below
    await load(own_registry, *({"division": code, "year": year, "people": 1000} for code in below))
    whole = 1000 * len(below)
    assert await _rural(own_registry, XIPING, today) == (year, whole, dict.fromkeys(below, 1000))
    answer = await _reorganised(own_registry, second, "merge", into=first, valid_from=today.isoformat())
    assert answer.status_code == 200, answer.text
    rest = dict.fromkeys(others, 1000)
    assert await _rural(own_registry, XIPING, before) == (year, whole, dict.fromkeys(below, 1000))
    assert await _rural(own_registry, XIPING, today) == (year, whole, {first: 2000, **rest})
    part = "411323102298"
    parts = [{"code": part, "name": "分村", "sort_order": 1, "households": []}]
    answer = await _reorganised(own_registry, first, "split", parts=parts, rest=first, valid_from=today.isoformat())
    assert answer.status_code == 200, answer.text
    assert (await own_registry.get(f"/v1/divisions/{part}")).json()["origin"] == first
    assert await _rural(own_registry, XIPING, before) == (year, whole, dict.fromkeys(below, 1000))
    assert await _rural(own_registry, XIPING, today) == (year, whole, {first: None, part: None, **rest})
    for alone in (first, part):
        assert await _rural(own_registry, alone, today) == (None, None, {})
    newer = {first: 1300, part: 750, **dict.fromkeys(others, 1000)}
    stated = [{"division": code, "year": today.year + 1, "people": people} for code, people in newer.items()]
    assert (await load(own_registry, *stated)).json()["counts"]["created"] == len(newer)
    after = date(today.year + 1, 6, 1)
    assert await _rural(own_registry, XIPING, after) == (today.year + 1, whole + 50, newer)


async def test_what_units_have_adds_up_however_it_is_asked(own_registry: httpx.AsyncClient, own_app: FastAPI) -> None:
    """Units run whole townships: a village that one took alone would count in its township and not in its county."""
    today = local_day(own_app.state.registry.runtime.clock.now()).isoformat()
    village, zone = "411323102202", "411391000000"
    for home in (VILLAGE, village):
        await make(own_registry, village=home)
    alone = await _reorganised(own_registry, village, "managing-unit", unit=zone, valid_from=today)
    assert faults(alone) == {("", "division_level")}
    [town] = (await own_registry.get(f"/v1/statistics/poverty?division={zone}")).json()["below"]
    moved = await _reorganised(own_registry, village, "parent", parent=town["code"], valid_from=today)
    assert (moved.status_code, moved.json()["path"]["managing_unit"]) == (200, zone), moved.text
    asked: dict[str, int] = {}
    for code in (CITY, XIXIA, zone, XIPING, town["code"]):
        answer = (await own_registry.get(f"/v1/statistics/poverty?division={code}")).json()
        for unit in (answer["division"], *answer["below"]):
            assert asked.setdefault(unit["code"], unit["stock_households"]) == unit["stock_households"], unit
        assert answer["division"]["stock_households"] == sum(unit["stock_households"] for unit in answer["below"])
    assert [asked[code] for code in (CITY, XIXIA, zone, XIPING, town["code"])] == [2, 1, 1, 1, 1]


async def test_bad_denominators(registry: httpx.AsyncClient) -> None:
    good = {"division": XIXIA, "year": 2017, "people": 1}
    for bad in ({**good, "people": -1}, {**good, "people": True}, {**good, "people": 1.5}, {**good, "year": 1999},
                {**good, "year": "2017"}, {**good, "division": "999999999999"}, {**good, "more": 1}, good):  # fmt: skip
        report = (await load(registry, good, bad)).json()
        assert (report["status"], [each["row"] for each in report["errors"]]) == ("rejected", [2]), bad
    assert (await registry.get("/v1/statistics/denominators")).json()["items"] == []
    assert (await load(registry, good, {**good, "people": -1}, query="?mode=each&dry_run=true")).json()["counts"][
        "created"
    ] == 1
    assert (await registry.get("/v1/statistics/denominators")).json()["items"] == []
    assert (await registry.put("/v1/statistics/denominators", json=good)).status_code == 415
    elsewhere = await issue(registry, ["importer"], ["411325000000"])
    assert (await load(registry, good, **elsewhere)).json()["status"] == "rejected"
    reader = await issue(registry, ["reader"], [CITY])
    assert (await load(registry, good, **reader)).status_code == 403

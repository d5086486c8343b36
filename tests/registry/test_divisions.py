"""Divisions: what is loaded, lists as of a day, designations, handovers that reach households, scope."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import date

import httpx
import pytest
from fastapi import FastAPI

from services.registry.divisions.loading import load_divisions
from shared.contracts.division import DivisionTree
from tests.registry.conftest import (
    CITY,
    OTHER_VILLAGE,
    VILLAGE,
    XIPING,
    XIXIA,
    events,
    faults,
    issue,
    matching,
)

DAY = date(2018, 10, 1)
GUANZHUANG, YAHE = "411391000000", "411392000000"
JSONL = {"Content-Type": "application/jsonl"}


def test_what_is_loaded() -> None:
    loaded = load_divisions()
    tree = DivisionTree(loaded)
    assert Counter(d.level for d in loaded) == {"city": 1, "county": 17, "township": 256, "village": 4994}
    assert all(tree.path(d.code, DAY) is not None for d in loaded if d.level != "city")
    assert Counter(e.kind for d in loaded for e in d.designations) == {
        "national_poverty_county": 6, "provincial_poverty_county": 1, "zone": 4, "in_city_ranking": 17, "unranked": 17
    }  # fmt: skip
    for village, unit in ((OTHER_VILLAGE, GUANZHUANG), ("411321103201", YAHE), (VILLAGE, XIXIA)):
        path = tree.path(village, DAY)
        assert path is not None
        assert path.managing_unit == unit
    assert {d.source for d in loaded if d.code in (GUANZHUANG, YAHE)} == {"local"}


async def test_every_division_was_published(own_registry: httpx.AsyncClient, own_app: FastAPI) -> None:
    published = await events(own_app, "division")
    assert len({event["code"] for event in published}) == len(published) == 5268


@pytest.mark.parametrize(
    ("query", "count"),
    [
        ("level=county", 17),
        (f"parent={XIPING}&q=下营", 1),
        ("division=411323&level=township", 19),
        ("designation=national_poverty_county", 6),
        ("designation=zone&as_of=2009-12-31", 0),
        ("designation=unranked&level=village", 7),
        ("q=%25", 0),
        ("q=%27%3B--", 0),
    ],
)
async def test_lists(registry: httpx.AsyncClient, query: str, count: int) -> None:
    answer = await registry.get(f"/v1/divisions?{query}&count=true&limit=3")
    assert answer.status_code == 200
    assert answer.json()["count"] == count


async def test_pages_hold_every_division_once(registry: httpx.AsyncClient) -> None:
    codes: list[str] = []
    url: str | None = "/v1/divisions?level=township&limit=100"
    while url:
        answer = await registry.get(url)
        codes += [d["code"] for d in answer.json()["items"]]
        link = answer.headers.get("link")
        url = link.split(">")[0][1:] if link else None
    assert len(codes) == len(set(codes)) == 256


async def test_designations_are_dated(own_registry: httpx.AsyncClient, own_app: FastAPI) -> None:
    url = f"/v1/divisions/{VILLAGE}/designations"
    given = {"kind": "poor_village", "valid_from": "2014-01-01"}
    assert (await own_registry.post(url, json=given)).status_code == 428
    key = {"Idempotency-Key": "designate", **matching(1)}
    made = await own_registry.post(url, json=given, headers=key)
    assert (made.status_code, made.headers["etag"]) == (200, '"2"')
    again = await own_registry.post(url, json=given, headers=key)
    assert (again.json(), again.headers["idempotency-replayed"]) == (made.json(), "true")
    assert (await own_registry.post(url, json=given, headers=matching(1))).status_code == 412
    later = {**given, "valid_from": "2015-01-01"}
    assert faults(await own_registry.post(url, json=later, headers=matching(2))) == {
        ("/valid_from", "designation_holds")
    }
    county = f"/v1/divisions/{XIXIA}/designations"
    assert faults(await own_registry.post(county, json=given, headers=matching(1))) == {("/kind", "designation_level")}
    ended = await own_registry.post(f"{url}/poor_village/end", json={"valid_to": "2018-12-01"}, headers=matching(2))
    assert ended.json()["version"] == 3
    for day, count in (("2013-12-31", 0), ("2018-11-30", 1), ("2018-12-01", 0)):
        page = await own_registry.get(f"/v1/divisions?designation=poor_village&as_of={day}&count=true")
        assert page.json()["count"] == count, day
    assert [e["version"] for e in await events(own_app, "division") if e["code"] == VILLAGE] == [1, 2, 3]


async def test_many_designations_at_once(own_registry: httpx.AsyncClient) -> None:
    codes = [d["code"] for d in (await own_registry.get("/v1/divisions?level=village&limit=20")).json()["items"]]
    lines: list[dict[str, object]] = [
        {"code": code, "kind": "poor_village", "valid_from": "2014-01-01"} for code in codes
    ]
    lines += [{"code": codes[0], "kind": "deep_poverty_village", "valid_from": "2014-01-01"}]
    bad: list[dict[str, object]] = [
        {"code": "999999999999", "kind": "poor_village", "valid_from": "2014-01-01"},
        {"code": 1},
    ]
    url = "/v1/divisions/designations/bulk"

    async def send(what: Sequence[Mapping[str, object]], query: str = "") -> dict[str, object]:
        body = "\n".join(json.dumps(line) for line in what)
        report: dict[str, object] = (await own_registry.post(url + query, content=body, headers=JSONL)).json()
        return report

    async def poor() -> object:
        return (await own_registry.get("/v1/divisions?designation=poor_village&count=true")).json()["count"]

    assert (await send([*lines, *bad]))["status"] == "rejected"
    assert await poor() == 0
    report = await send([*lines, *bad], "?mode=each")
    assert report["counts"] == {"received": 23, "created": 21, "updated": 0, "unchanged": 0, "rejected": 2}
    assert await poor() == 20
    again = await send(lines)
    assert again["counts"] == {"received": 21, "created": 0, "updated": 0, "unchanged": 21, "rejected": 0}
    one = (await own_registry.get(f"/v1/divisions/{codes[0]}")).json()
    assert (one["version"], len(one["designations"])) == (2, 2)


async def test_a_local_unit_is_added(own_registry: httpx.AsyncClient) -> None:
    unit = {"code": "411393000000", "name": "新工区", "level": "county", "parent": CITY, "valid_from": "2018-01-01",
            "sort_order": 99}  # fmt: skip
    assert (await own_registry.post("/v1/divisions?dry_run=true", json=unit)).status_code == 200
    made = await own_registry.post("/v1/divisions", json=unit, headers={"Idempotency-Key": "unit"})
    assert (made.status_code, made.json()["source"]) == (201, "local")
    again = await own_registry.post("/v1/divisions", json=unit, headers={"Idempotency-Key": "unit"})
    assert (again.status_code, again.json()) == (201, made.json())
    assert (await own_registry.post("/v1/divisions", json=unit)).json()["code"] == "division_code_taken"
    wrong = {**unit, "code": "411393001000", "parent": XIXIA}
    assert faults(await own_registry.post("/v1/divisions", json=wrong)) == {
        ("/parent", "parent_level"), ("/code", "code_level")
    }  # fmt: skip


async def test_nobody_changes_divisions_outside_their_own(own_registry: httpx.AsyncClient) -> None:
    theirs = await issue(own_registry, ["admin"], ["411325000000"])
    for url, body in (
        (f"/v1/divisions/{VILLAGE}/designations", {"kind": "poor_village", "valid_from": "2014-01-01"}),
        (
            f"/v1/divisions/{XIPING}/managing-unit",
            {"unit": "411325000000", "valid_from": "2099-01-01", "reason": "测试"},
        ),
        (f"/v1/divisions/{VILLAGE}/name", {"name": "新村", "valid_from": "2099-01-01", "reason": "测试"}),
        (f"/v1/divisions/{VILLAGE}/end", {"valid_to": "2099-01-01", "reason": "测试"}),
        (f"/v1/divisions/{XIXIA}/designations/in_city_ranking/end", {"valid_to": "2018-01-01"}),
    ):
        answer = await own_registry.post(url, json=body, headers={**theirs, **matching(1)})
        assert answer.status_code == 404, url
    line = json.dumps({"code": VILLAGE, "kind": "poor_village", "valid_from": "2014-01-01"})
    report = await own_registry.post("/v1/divisions/designations/bulk", content=line, headers={**theirs, **JSONL})
    assert report.json()["status"] == "rejected"
    reader = await issue(own_registry, ["reader"], [XIXIA])
    url = f"/v1/divisions/{VILLAGE}/designations"
    assert (await own_registry.post(url, json={}, headers={**reader, **matching(1)})).status_code in (403, 422)

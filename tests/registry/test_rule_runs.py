"""Rule runs: the register as it stands, a piece at a time, within the caller's divisions."""

import csv
import io
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from services.registry.rule_runs import service
from tests.registry.conftest import OTHER_VILLAGE, VILLAGE, XIXIA, faults, issue, make, matching, member
from tests.registry.test_checks import broken

CITY = {"division": "411300000000"}
ALONE = {"village": VILLAGE, "name": "测试丙", "sex": "male", "birth_date": "1950-02-03", "registered_on": "2018-05-01"}


async def completed(registry: httpx.AsyncClient, division: str) -> dict[str, Any]:
    """A run over a division, waited for: the service's own worker does it."""
    started = await registry.post("/v1/rule-runs", json={"division": division})
    assert started.status_code == 202, started.text
    while True:
        run: dict[str, Any] = (await registry.get(started.headers["location"])).json()
        if run["state"] == "completed":
            return run


async def test_a_run_finds_what_stands_in_the_register(registry: httpx.AsyncClient) -> None:
    road = await make(registry, **broken("far_from_road"))
    unsafe = broken("unsafe_water")
    for each in unsafe["members"]:
        each |= {"id_number": None, "disability_number": None}
    await make(registry, **{**unsafe, "village": OTHER_VILLAGE})
    run = await completed(registry, CITY["division"])
    assert run["households"] == 2
    assert {rule["rule"]: rule["findings"] for rule in run["rules"]} == {"far_from_road": 1, "unsafe_water": 1}
    page = (await registry.get(f"/v1/rule-runs/{run['id']}/findings?count=true&limit=1")).json()
    assert page["count"] == 2
    assert page["items"][0] == {
        "household_number": road["number"],
        "person_number": None,
        "village": road["village"],
        "rule": "far_from_road",
        "severity": "warning",
        "pointer": "/attributes/road/distance_km",
        "message": "further than 5 km from the main road",
    }
    rest = (await registry.get(f"/v1/rule-runs/{run['id']}/findings?cursor={page['next_cursor']}")).json()
    assert [item["rule"] for item in rest["items"]] == ["unsafe_water"]
    alone = await completed(registry, XIXIA)
    assert [rule["rule"] for rule in alone["rules"]] == ["far_from_road"]


async def test_the_findings_are_a_table_to_download(registry: httpx.AsyncClient) -> None:
    made = await make(registry, **broken("dangerous_housing"))
    run = await completed(registry, CITY["division"])
    headers = {"Accept": "text/csv", "Accept-Language": "zh-CN"}
    answer = await registry.get(f"/v1/rule-runs/{run['id']}/findings", headers=headers)
    assert answer.content.startswith("\ufeff".encode())
    rows = list(csv.reader(io.StringIO(answer.text.removeprefix("\ufeff"))))
    assert rows[0] == ["户编号", "无户人员编号", "责任村", "规则", "级别", "位置", "提示"]
    where = "/attributes/housing/danger"
    assert rows[1:] == [[made["number"], "", made["village"], "dangerous_housing", "exit_blocker", where, "住房为危房"]]


async def test_a_run_goes_on_where_it_was(
    registry: httpx.AsyncClient, app: FastAPI, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two workers take turns a household at a time; each household is looked at once."""
    monkeypatch.setattr(service, "CHUNK", 1)
    for _ in range(5):
        await make(registry, standing="poor", cause=None, members=[member()])
    run = await completed(registry, CITY["division"])
    assert run["households"] == 5
    assert run["rules"] == [{"rule": "cause_missing", "severity": "warning", "findings": 5}]
    assert not await service.advance(app.state.registry)


async def test_who_has_no_household_is_looked_at_after_the_households(
    registry: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the rules that read one person; not who died, left or lives elsewhere. One by one tells the same in place."""
    monkeypatch.setattr(service, "CHUNK", 1)
    home = await make(registry, standing="poor", cause=None, members=[member()])
    attributes = {"education": "junior_middle", "health": ["healthy"]}
    idle = {"attributes": attributes, "employable": "none", "birth_date": "1980-01-01"}
    people = []
    for more in (idle, {}, idle, {**idle, "village": OTHER_VILLAGE}):
        answer = await registry.post("/v1/persons", json={**ALONE, **more})
        assert answer.status_code == 201, answer.text
        people.append(answer.json())
    gone = {"status": "deceased", "reason": "病故"}
    died = await registry.patch(f"/v1/persons/{people[2]['id']}", json=gone, headers=matching(1))
    assert (died.status_code, died.json()["findings"]) == (200, None), died.text
    run = await completed(registry, XIXIA)
    assert (run["households"], run["persons"]) == (1, 2)
    found = (await registry.get(f"/v1/rule-runs/{run['id']}/findings")).json()["items"]
    assert [(each["household_number"], each["person_number"], each["rule"]) for each in found] == [
        (home["number"], None, "cause_missing"),
        (None, people[0]["number"], "healthy_without_labour"),
    ]
    told = {"rule": "healthy_without_labour", "severity": "warning", "pointer": "/employable"}
    assert people[0]["findings"] == [told]
    assert told.items() <= found[1].items()
    assert found[1]["village"] == people[0]["village"]
    assert people[1]["findings"] == []
    placed = {"household": {"number": home["number"]}, "relation": "other", "reason": "落户"}
    joined = await registry.post(f"/v1/persons/{people[0]['id']}/placement", json=placed, headers=matching(1))
    assert (joined.status_code, joined.json()["findings"]) == (200, None), joined.text


async def test_others_divisions_are_out_of_reach(registry: httpx.AsyncClient) -> None:
    neighbour = await issue(registry, ["recorder"], ["411302000000"])
    foreign = await registry.post("/v1/rule-runs", json={"division": XIXIA}, headers=neighbour)
    unknown = await registry.post("/v1/rule-runs", json={"division": "999999999999"}, headers=neighbour)
    assert faults(foreign) == faults(unknown) == {("/division", "division_unknown")}
    run = await completed(registry, XIXIA)
    for path in (f"/v1/rule-runs/{run['id']}", f"/v1/rule-runs/{run['id']}/findings"):
        assert (await registry.get(path, headers=neighbour)).status_code == 404
    assert (await registry.get("/v1/rule-runs", headers=neighbour)).json()["items"] == []
    assert [each["id"] for each in (await registry.get("/v1/rule-runs")).json()["items"]] == [run["id"]]
    reader = await issue(registry, ["reader"], [CITY["division"]])
    assert (await registry.post("/v1/rule-runs", json=CITY, headers=reader)).status_code == 403


async def test_asking_twice_with_one_key_makes_one_run(registry: httpx.AsyncClient) -> None:
    headers = {"Idempotency-Key": "run-1"}
    first = await registry.post("/v1/rule-runs", json=CITY, headers=headers)
    again = await registry.post("/v1/rule-runs", json=CITY, headers=headers)
    assert first.json()["id"] == again.json()["id"]
    assert again.headers["idempotency-replayed"] == "true"


async def test_pointers_stay_whoever_leaves(registry: httpx.AsyncClient) -> None:
    """They count members as the details list them: those who left stay in that list."""
    made = await make(registry, **broken("dropped_out"))
    url = f"/v1/households/{made['id']}"
    _, spouse, son = (each["id"] for each in made["members"])
    left = await registry.patch(f"{url}/members/{spouse}", json={"status": "moved_away"}, headers=matching(1))
    assert left.status_code == 200, left.text
    details = (await registry.get(url)).json()
    assert [finding["pointer"] for finding in details["findings"]] == ["/members/2/attributes/dropped_out"]
    assert details["members"][2]["id"] == son
    wrong = await registry.patch(f"{url}/members/{son}", json={"relation": "daughter"}, headers=matching(2))
    assert faults(wrong) == {("/members/2/relation", "relation_sex")}
    test = (await registry.get(f"{url}/exit-test?year=2018")).json()
    read = {reading["name"] for check in test["checks"] for reading in check["readings"]}
    assert "/members/2/attributes/dropped_out" in read
    assert not any(name.startswith("/members/1/") for name in read)
    run = await completed(registry, made["village"])
    found = (await registry.get(f"/v1/rule-runs/{run['id']}/findings")).json()["items"]
    assert [finding["pointer"] for finding in found] == ["/members/2/attributes/dropped_out"]

"""Scope as of the day (architecture rule 9): a county reads and writes the days on which a household was its own."""

import importlib
from datetime import UTC, date, datetime, timedelta
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from shared.app import Runtime
from shared.clock import FixedClock, local_day
from shared.ids import uuid7
from tests.registry.conftest import (
    OTHER_VILLAGE,
    VILLAGE,
    XIPING,
    XIXIA,
    app_on,
    faults,
    id_number,
    issue,
    make,
    matching,
    member,
)
from tests.registry.sheets import ended, workbook
from tests.registry.sheets import found as said

ZONE = "411391000000"
JSONL = {"Accept": "application/jsonl"}


@pytest.fixture
def clock() -> FixedClock:
    return FixedClock(datetime.now(UTC))


@pytest.fixture
def app(url: str, secrets: None, clock: FixedClock) -> FastAPI:
    return app_on(url, clock)


async def moved(client: httpx.AsyncClient, made: dict[str, Any], day: str = "2018-10-01") -> dict[str, Any]:
    """To the other county, by the city."""
    body = {"village": OTHER_VILLAGE, "effective_on": day, "reason": "搬迁"}
    answer = await client.patch(f"/v1/households/{made['id']}", json=body, headers=matching(made["version"]))
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def listed(client: httpx.AsyncClient, key: dict[str, str], **query: str) -> list[str]:
    """Numbers on the list, the count and the stream agreeing."""
    page = (await client.get("/v1/households", params={**query, "count": "true"}, headers=key)).json()
    lines = await client.get("/v1/households", params=query, headers={**key, **JSONL})
    numbers = [each["number"] for each in page["items"]]
    assert page["count"] == len(numbers) == len(lines.text.splitlines())
    return numbers


async def test_a_list_of_a_day_is_that_of_who_had_the_household_then(
    registry: httpx.AsyncClient, clock: FixedClock
) -> None:
    left, stayed = await make(registry), await make(registry)
    here, there = await issue(registry, ["recorder"], [XIXIA]), await issue(registry, ["recorder"], [ZONE])
    exported = (await registry.get("/v1/households", params={"as_of": "2017-06-30"}, headers=here)).json()["items"]
    then = clock.now().isoformat()
    clock.advance(timedelta(days=1))
    await moved(registry, left)
    both, one = [left["number"], stayed["number"]], [stayed["number"]]
    for query, ours, theirs in (
        ({}, one, [left["number"]]),
        ({"as_of": "2018-10-01"}, one, [left["number"]]),
        ({"as_of": "2018-09-30"}, both, []),
        ({"known_at": then}, both, []),
        ({"as_of": "2018-10-01", "known_at": then}, both, []),
        ({"as_of": "2018-09-30", "known_at": then}, both, []),
    ):
        assert await listed(registry, here, **query) == ours, query
        assert await listed(registry, there, **query) == theirs, query
    as_known_then = {"as_of": "2017-06-30", "known_at": then}
    assert (await registry.get("/v1/households", params=as_known_then, headers=here)).json()["items"] == exported
    for division, found in (
        (XIXIA, both), (XIPING, both), (VILLAGE, both), (VILLAGE[:6], both), (ZONE, []), (OTHER_VILLAGE, []),
    ):  # fmt: skip
        assert await listed(registry, here, as_of="2018-09-30", division=division) == found
        assert await listed(registry, here, known_at=then, division=division) == found
        assert set(await listed(registry, here, division=division)) == set(found) - {left["number"]}


async def test_one_household_is_shown_as_of_the_days_on_which_it_was_ours(
    registry: httpx.AsyncClient, clock: FixedClock
) -> None:
    made = await make(registry)
    path, then = f"/v1/households/{made['id']}", clock.now().isoformat()
    clock.advance(timedelta(days=1))
    later = await moved(registry, made)
    here, there = await issue(registry, ["reader"], [XIXIA]), await issue(registry, ["reader"], [ZONE])
    stranger = await issue(registry, ["reader"], ["411325000000"])
    assert later["village"] == OTHER_VILLAGE
    for query, ours, theirs in (
        ("", 404, 200),
        ("?as_of=2018-10-01", 404, 200),
        ("?as_of=2018-09-30", 200, 200),  # who has it now has its past
        (f"?known_at={then}", 200, 200),
        (f"?as_of=2018-10-01&known_at={then}", 200, 200),
    ):
        query = query.replace("+", "%2B")
        assert (await registry.get(path + query, headers=here)).status_code == ours, query
        assert (await registry.get(path + query, headers=there)).status_code == theirs, query
        assert (await registry.get(path + query, headers=stranger)).status_code == 404, query
    for below in ("/members", "/versions", "/incomes", f"/members/{made['members'][0]['id']}"):
        assert (await registry.get(path + below, headers=here)).status_code == 404, below
    shown = (await registry.get(f"{path}?as_of=2018-09-30", headers=here)).json()
    assert [state["path"]["village"] for state in shown["timeline"]] == [VILLAGE]
    assert OTHER_VILLAGE not in str(shown)


async def test_what_is_dated_later_is_not_shown_as_of_a_day(registry: httpx.AsyncClient) -> None:
    made = await make(registry, registered_on="2014-05-01")
    path = f"/v1/households/{made['id']}"
    gone = {"effective_on": "2019-03-01", "reason": "整户死亡"}
    answer = await registry.post(f"{path}/deregistration", json=gone, headers=matching(1))
    assert answer.status_code == 200, answer.text
    shown = (await registry.get(f"{path}?as_of=2019-02-28")).json()
    assert (shown["status"], shown["valid_to"], shown["findings"]) == ("active", None, [])
    [line] = (await registry.get("/v1/households?as_of=2019-02-28")).json()["items"]
    assert line.items() <= shown.items()
    assert (await registry.get(path)).json()["valid_to"] == "2019-03-01"


@pytest.mark.parametrize(
    ("below", "body", "pointer"),
    [
        ("", {"standing": "exited", "effective_on": "2018-09-30"}, "/effective_on"),
        ("", {"welfare": "dibao", "effective_on": "2018-09-30"}, "/effective_on"),
        ("/deregistration", {"effective_on": "2018-09-30"}, "/effective_on"),
        ("/members", {"joined_on": "2018-09-30"}, "/joined_on"),
        ("/members/{spouse}", {"status": "moved_away", "effective_on": "2018-09-30"}, "/effective_on"),
        ("/split", {"effective_on": "2018-09-30"}, "/effective_on"),
    ],
)
async def test_nobody_writes_into_days_that_were_anothers(
    registry: httpx.AsyncClient, below: str, body: dict[str, Any], pointer: str
) -> None:
    spouse = member("spouse", sex="female", birth_date="1970-01-01")
    made = await moved(registry, await make(registry, members=[member(), spouse]))
    there = await issue(registry, ["recorder"], [ZONE])
    wife = made["members"][1]["id"]
    method = "PATCH" if below in ("", "/members/{spouse}") else "POST"
    filled = {"reason": "测试", **body}
    if below == "/members":
        filled = {**member("other", sex="male", birth_date="1950-01-01"), **body}
    elif below == "/split":
        filled |= {"members": [{"member": wife, "relation": "head"}]}

    async def sent(key: dict[str, str], **change: str) -> httpx.Response:
        url = f"/v1/households/{made['id']}{below.format(spouse=wife)}"
        headers = {**key, **matching(made["version"])}
        if below in ("/members", "/split"):
            headers["Idempotency-Key"] = f'"{uuid7()}"'
        return await registry.request(method, url, json={**filled, **change}, headers=headers)

    refused = await sent(there)
    assert refused.status_code == 422, refused.text
    assert faults(refused) == {(pointer, "not_yours_then")}
    assert "2018-10-01" in refused.json()["errors"][0]["message"]
    assert (await registry.get(f"/v1/households/{made['id']}")).json()["version"] == made["version"]
    field = pointer[1:]
    allowed = await sent(there, **{field: "2018-10-01"})
    assert allowed.status_code in (200, 201), allowed.text


async def test_nobody_takes_anothers_place_on_days_that_were_anothers(registry: httpx.AsyncClient) -> None:
    """As many as before, and others: a child is born later, by an import, and somebody else was there instead."""
    child = member("son", name="测试子", birth_date="2016-03-05")
    made = await moved(registry, await make(registry, members=[member(), child]))
    there = await issue(registry, ["importer", "reader"], [ZONE])
    url, then = f"/v1/households/{made['id']}", {"as_of": "2017-06-30"}
    before = (await registry.get(url, params=then)).json()["members"]
    head, son = (each["number"] for each in made["members"])
    header = (
        "户编号", "行政村", "脱贫状态", "登记日期", "人编号", "姓名", "与户主关系", "性别", "出生日期", "加入日期"
    )  # fmt: skip
    rows = [
        [made["number"], OTHER_VILLAGE, "未脱贫", "2014-05-01", head, "测试甲", "户主", "男", "1968-03-12", ""],
        [*[""] * 4, son, "测试子", "子", "男", "2018-11-05", ""],
        [*[""] * 4, "", "测试新", "其他", "男", "1950-01-01", "2016-03-05"],
    ]
    file, data = {"file": ("农户.xlsx", workbook(rows, header))}, {"overwrite": "always"}
    job = await ended(registry, (await registry.post("/v1/imports", files=file, data=data, headers=there)).json()["id"])
    assert said(job) == {(2, "与户主关系", "not_yours_then")}
    assert (await registry.get(url, params=then)).json()["members"] == before


@pytest.mark.parametrize("name", ["birth_date", "id_number"])
async def test_a_birth_on_a_day_that_was_anothers_is_theirs_to_correct(registry: httpx.AsyncClient, name: str) -> None:
    """Of who was born into the household; to the day of birth the others are held in no way."""
    child = member("son", birth_date="2016-03-05")
    made = await moved(registry, await make(registry, members=[member(), child]))
    there = await issue(registry, ["recorder"], [ZONE])
    head, son = (f"/v1/households/{made['id']}/members/{each['id']}" for each in made["members"])
    values = {"birth_date": ("2016-03-06", "1968-03-13"), "id_number": (id_number("20160306"), id_number("19680313"))}
    for url, value, refused in zip((son, head), values[name], (True, False), strict=True):
        body = {name: value, "reason": "更正"}
        answer = await registry.patch(url, json=body, headers={**there, **matching(made["version"])})
        assert (answer.status_code == 422) is refused, answer.text
        assert not refused or faults(answer) == {(f"/{name}", "not_yours_then")}


async def test_nobody_founds_a_household_in_a_village_that_was_anothers(
    own_registry: httpx.AsyncClient, own_app: FastAPI
) -> None:
    day = local_day(own_app.state.runtime.clock.now())
    spouse = member("spouse", sex="female", birth_date="1970-01-01")
    made = await make(own_registry, village=OTHER_VILLAGE, members=[member(), spouse])
    handed = {"unit": ZONE, "valid_from": day.isoformat(), "reason": "移交"}
    version = (await own_registry.get(f"/v1/divisions/{XIPING}")).json()["version"]
    answer = await own_registry.post(f"/v1/divisions/{XIPING}/managing-unit", json=handed, headers=matching(version))
    assert answer.status_code == 200, answer.text
    there = await issue(own_registry, ["recorder"], [ZONE])

    async def split(day: date) -> httpx.Response:
        headers = {**there, **matching(made["version"]), "Idempotency-Key": f'"{uuid7()}"'}
        members = [{"member": made["members"][1]["id"], "relation": "head"}]
        body = {"members": members, "village": VILLAGE, "effective_on": day.isoformat(), "reason": "分户"}
        return await own_registry.post(f"/v1/households/{made['id']}/split", json=body, headers=headers)

    refused = await split(day - timedelta(days=1))
    assert (refused.status_code, faults(refused)) == (422, {("/village", "division_unknown")})
    assert (await split(day)).status_code == 201


async def test_the_city_writes_into_any_day(registry: httpx.AsyncClient) -> None:
    made = await moved(registry, await make(registry))
    body = {"standing": "exited", "effective_on": "2018-09-30", "reason": "更正"}
    answer = await registry.patch(f"/v1/households/{made['id']}", json=body, headers=matching(made["version"]))
    assert answer.status_code == 200, answer.text


async def test_what_never_moved_is_written_from_its_first_day_on(registry: httpx.AsyncClient) -> None:
    made = await make(registry)
    here = await issue(registry, ["recorder"], [XIXIA])
    body = {"standing": "exited", "effective_on": "2015-09-30", "reason": "更正"}
    url = f"/v1/households/{made['id']}"
    answer = await registry.patch(url, json=body, headers={**here, **matching(made["version"])})
    assert answer.status_code == 200, answer.text


async def test_households_of_before_learn_where_they_lay(registry: httpx.AsyncClient, app: FastAPI) -> None:
    """What the migration fills in is what is written since."""
    migration = importlib.import_module("services.registry.migrations.versions.0016_former_divisions")
    await moved(registry, await make(registry))
    await make(registry)
    runtime: Runtime = app.state.runtime
    async with runtime.database.driver() as pg:
        written = await pg.fetch("SELECT id, former_divisions FROM household ORDER BY id")
        await pg.execute("UPDATE household SET former_divisions = ''")
        await pg.execute(migration.FILLED)
        filled = await pg.fetch("SELECT id, former_divisions FROM household ORDER BY id")
    assert filled == written
    assert [each["former_divisions"] for each in written] == ["411323000000 411323102000 411323102217", ""]

"""The register over HTTP, on a real database."""

import asyncio
import json
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from tests.registry.conftest import OTHER_VILLAGE, VILLAGE, events, faults, household, id_number, make, matching, member


async def test_a_household_is_registered_and_read_back(registry: httpx.AsyncClient, app: FastAPI) -> None:
    number = id_number()
    made = await make(registry, members=[member(name="张三丰", id_number=number, phone="13800000000")])
    assert made["path"]["managing_unit"] == "411323000000"
    [head] = made["members"]
    assert (head["name"], head["phone"], head["birth_year"]) == ("张*丰", "138****0000", 1968)
    assert number not in json.dumps(made)
    by_id = await registry.get(f"/v1/households/{made['id']}")
    by_number = await registry.get(f"/v1/households/{made['number']}")
    assert by_id.json() == by_number.json() == made
    assert by_id.headers["etag"] == '"1"'
    [event] = await events(app, "household")
    assert event["timeline"] == [{"valid_from": "2014-05-01", "standing": "poor", "path": made["path"]}]
    assert (await events(app, "person"))[0]["birth_year"] == 1968


@pytest.mark.parametrize(
    ("change", "chinese", "english"),
    [
        (
            {"members": [{"name": "测试", "relation": "head"}]},
            "无身份证号码须填性别和出生日期",
            "without an ID number, sex and birth_date are needed",
        ),
        (
            {"incomes": [{"year": 2018, "people": 1, "wages_fen": 5, "net_fen": 6}]},
            "各项之和与所填年纯收入不符",
            "the parts do not add up to net_fen as stated",
        ),
        (
            {"source_system": "x"},
            "来源系统与来源编号须同填",
            "source_system and external_id come together",
        ),
        (
            {"members": [member(sex="x")]},
            "须为 'unknown'、'male'、'female'、'unspecified' 之一",
            "must be one of 'unknown', 'male', 'female' or 'unspecified'",
        ),
        (
            {"source_system": "x", "external_id": id_number()},
            "不得填写身份证号码或手机号",
            "must hold no ID or mobile number",
        ),
    ],
    ids=["identity", "income", "reference", "literal", "personal"],
)
async def test_a_fault_says_what_is_wrong_in_both_languages(
    registry: httpx.AsyncClient, change: dict[str, Any], chinese: str, english: str
) -> None:
    for language, message in (("zh-CN", chinese), ("en", english)):
        answer = await registry.post("/v1/households", json=household(**change), headers={"Accept-Language": language})
        assert [each["message"] for each in answer.json()["errors"]] == [message]


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"village": "411323102000"}, {("/village", "division_unknown")}),
        ({"village": "999999999999"}, {("/village", "division_unknown")}),
        ({"registered_on": "2009-12-31"}, {("/registered_on", "day_out_of_range")}),
        ({"registered_on": "2999-01-01"}, {("/registered_on", "day_out_of_range")}),
        ({"members": [member("spouse")]}, {("/members", "one_head")}),
        ({"members": [member(), member()]}, {("/members", "one_head")}),
        ({"members": [member(), member("spouse")]}, {("/members", "spouse_sex")}),
        ({"members": [member(), member("daughter")]}, {("/members/1/relation", "relation_sex")}),
        ({"members": [member(id_number="411323196803120012")]}, {("/members/0/id_number", "id_number_check")}),
        ({"members": [member(id_number="41132319680312001")]}, {("/members/0/id_number", "id_number_format")}),
        ({"members": [member(id_number=id_number(sequence=2))]}, {("/members/0/sex", "sex_differs")}),
        ({"members": [member(id_number=id_number("19690312"))]}, {("/members/0/birth_date", "birth_differs")}),
        ({"members": [{"name": "测试", "relation": "head"}]}, {("/members/0", "identity")}),
        ({"members": [member(name="测\u202e试")]}, {("/members/0/name", "text_characters")}),
        ({"members": []}, {("/members", "too_short")}),
        ({"source_system": "x"}, {("", "reference")}),
        ({"standing": "rich"}, {("/standing", "literal_error")}),
        ({"income": True}, {("/income", "extra_forbidden")}),
    ],
)
async def test_what_breaks_a_rule_is_named_and_leaves_nothing(
    registry: httpx.AsyncClient, app: FastAPI, change: dict[str, Any], expected: set[tuple[str, str]]
) -> None:
    response = await registry.post("/v1/households", json=household(**change))
    assert faults(response) == expected
    assert await events(app, "household") == []
    assert (await registry.get("/v1/households?count=true")).json()["count"] == 0


async def test_an_id_number_is_registered_once_whatever_its_writing(registry: httpx.AsyncClient) -> None:
    number = id_number()
    await make(registry, members=[member(id_number=number)])
    wide = "".join(chr(ord(c) + 0xFEE0) if c.isdigit() else c.lower() for c in number)
    for writing in (number, wide):
        other = household(members=[member(id_number=writing, name="测试乙")])
        response = await registry.post("/v1/households", json=other)
        assert response.json()["code"] == "already_registered"
        assert faults(response, 409) == {("/members/0/id_number", "id_number_taken")}


async def test_racing_registrations_of_one_person_make_one_household(registry: httpx.AsyncClient) -> None:
    bodies = [household(members=[member(id_number=id_number(), name=f"测试{n}")]) for n in range(8)]
    answers = await asyncio.gather(*(registry.post("/v1/households", json=body) for body in bodies))
    assert sorted(a.status_code for a in answers) == [201, *[409] * 7]
    assert (await registry.get("/v1/households?count=true")).json()["count"] == 1


async def test_the_same_record_sent_again_is_recognised(registry: httpx.AsyncClient, app: FastAPI) -> None:
    body = household(source_system="县扶贫办", external_id="0001")
    first = await registry.post("/v1/households", json=body)
    again = await registry.post("/v1/households", json=body)
    assert (first.status_code, again.status_code) == (201, 200)
    assert again.json() == first.json()
    other = await registry.post("/v1/households", json={**body, "cause": "disability"})
    assert faults(other, 409) == {("/external_id", "external_id_taken")}
    assert len(await events(app, "household")) == 1


async def test_rare_characters_round_trip(registry: httpx.AsyncClient) -> None:
    made = await make(registry, members=[member(name="\U00020000\U00020001\U0002a6a5")])
    assert made["members"][0]["name"] == "\U00020000*\U0002a6a5"


async def test_the_same_request_twice_makes_one_household(registry: httpx.AsyncClient) -> None:
    headers = {"Idempotency-Key": '"h-1"'}
    first = await registry.post("/v1/households", json=household(), headers=headers)
    again = await registry.post("/v1/households", json=household(), headers=headers)
    assert (first.status_code, again.status_code) == (201, 201)
    assert first.json() == again.json()
    assert again.headers["idempotency-replayed"] == "true"


async def test_a_dry_run_writes_nothing(registry: httpx.AsyncClient, app: FastAPI) -> None:
    headers = {"Idempotency-Key": "dry"}
    response = await registry.post("/v1/households?dry_run=true", json=household(), headers=headers)
    assert response.status_code == 200
    assert await events(app, "household") == []
    assert (await registry.post("/v1/households", json=household(), headers=headers)).status_code in (201, 422)


async def test_changes_are_dated_versioned_and_published(registry: httpx.AsyncClient, app: FastAPI) -> None:
    made = await make(registry)
    url = f"/v1/households/{made['id']}"
    patch = {"standing": "exited_supported", "effective_on": "2018-10-01", "reason": "年度脱贫"}
    assert (await registry.patch(url, json=patch)).status_code == 428
    changed = await registry.patch(url, json=patch, headers={"If-Match": '"1"'})
    assert changed.status_code == 200
    assert (changed.json()["version"], changed.headers["etag"]) == (2, '"2"')
    assert (await registry.patch(url, json=patch, headers={"If-Match": '"1"'})).status_code == 412
    moved = await registry.patch(
        url,
        json={"village": OTHER_VILLAGE, "effective_on": "2018-11-01", "reason": "迁入官庄"},
        headers={"If-Match": '"2"'},
    )
    assert moved.json()["path"]["managing_unit"] == "411391000000"
    published = await events(app, "household")
    assert [event["version"] for event in published] == [1, 2, 3]
    assert [s["valid_from"] for s in published[-1]["timeline"]] == ["2014-05-01", "2018-10-01", "2018-11-01"]
    history = (await registry.get(f"{url}/versions")).json()["items"]
    assert [(v["version"], v["reason"]) for v in history] == [(1, None), (2, "年度脱贫"), (3, "迁入官庄")]
    for day, standing, listed in (
        ("2018-09-30", "poor", 1),
        ("2018-10-01", "poor", 0),
        ("2018-10-01", "exited_supported", 1),
    ):
        page = await registry.get("/v1/households", params={"as_of": day, "standing": standing})
        assert len(page.json()["items"]) == listed


async def test_racing_changes_of_one_version_have_one_winner(registry: httpx.AsyncClient) -> None:
    made = await make(registry)
    patch = {"standing": "pre_exit", "reason": "竞争"}
    answers = await asyncio.gather(
        *(registry.patch(f"/v1/households/{made['id']}", json=patch, headers={"If-Match": '"1"'}) for _ in range(6))
    )
    codes = [a.status_code for a in answers]
    assert codes.count(200) == 1
    assert set(codes) == {200, 412}


async def test_deregistration_ends_membership_and_frees_the_id_number(registry: httpx.AsyncClient) -> None:
    number = id_number()
    made = await make(registry, members=[member(id_number=number)])
    body = {"effective_on": "2018-10-01", "reason": "整户迁出"}
    url = f"/v1/households/{made['id']}"
    gone = await registry.post(f"{url}/deregistration", json=body, headers={"If-Match": '"1"'})
    assert (gone.json()["status"], gone.json()["valid_to"], gone.json()["people"]) == ("deregistered", "2018-10-01", 0)
    again = await registry.post(f"{url}/deregistration", json=body, headers={"If-Match": '"2"'})
    assert (again.status_code, again.json()["code"]) == (409, "household_deregistered")
    await make(registry, registered_on="2018-12-01", members=[member(id_number=number)])


@pytest.mark.parametrize("status", ["deceased", "moved_away"])
async def test_who_lives_alone_is_not_asked_for_another_head(registry: httpx.AsyncClient, status: str) -> None:
    """As most supported as destitute 五保 do; with such a death the household ends."""
    made = await make(registry)
    url, alone = f"/v1/households/{made['id']}", made["members"][0]["id"]
    left = await registry.patch(f"{url}/members/{alone}", json={"status": status}, headers=matching(1))
    assert faults(left) == {("/status", "last_member")}
    body = {"effective_on": "2018-10-01", "reason": "户主去世"}
    ended = await registry.post(f"{url}/deregistration", json=body, headers=matching(1))
    assert (ended.status_code, ended.json()["people"], ended.json()["valid_to"]) == (200, 0, "2018-10-01")


async def test_members_come_change_and_go(registry: httpx.AsyncClient, app: FastAPI) -> None:
    made = await make(registry)
    url = f"/v1/households/{made['id']}"
    wife = member("spouse", sex="female", name="欧阳明珠")
    added = await registry.post(f"{url}/members", json=wife, headers=matching(1))
    assert (added.status_code, added.json()["people"], added.json()["version"]) == (201, 2, 2)
    assert added.json()["members"][1]["name"] == "欧阳*珠"
    second = await registry.post(f"{url}/members", json=wife, headers=matching(2))
    assert ("/members", "one_spouse") in faults(second)
    head, spouse = (each["id"] for each in added.json()["members"])
    stays = await registry.patch(f"{url}/members/{head}", json={"status": "deceased"}, headers=matching(2))
    assert faults(stays) == {("/status", "head_leaves")}
    relations = [{"member": head, "relation": "spouse"}, {"member": spouse, "relation": "head"}]
    half = await registry.patch(url, json={"relations": relations[1:], "reason": "变更户主"}, headers=matching(2))
    assert faults(half) == {("/members", "one_head")}
    led = await registry.patch(url, json={"relations": relations, "reason": "变更户主"}, headers=matching(2))
    assert [m["relation"] for m in led.json()["members"]] == ["spouse", "head"]
    assert led.json()["head"] == "欧阳*珠"
    left = await registry.patch(f"{url}/members/{head}", json={"status": "deceased"}, headers=matching(3))
    assert (left.json()["people"], left.json()["members"][0]["status"]) == (1, "deceased")
    new_husband = await registry.post(f"{url}/members", json=member("spouse"), headers=matching(4))
    assert new_husband.status_code == 201
    back = await registry.patch(f"{url}/members/{head}", json={"status": "active"}, headers=matching(5))
    assert faults(back) == {("/members", "one_spouse")}
    assert [event["version"] for event in await events(app, "household")] == [1, 2, 3, 4, 5]
    versions = [(event["id"], event["version"]) for event in await events(app, "person")]
    assert len(set(versions)) == len(versions) == 6


@pytest.mark.parametrize("field", ["in_school", "status", "name", "relation", "sex", "birth_date", "employable"])
async def test_what_a_member_must_have_cannot_be_taken_away(registry: httpx.AsyncClient, field: str) -> None:
    made = await make(registry)
    url = f"/v1/households/{made['id']}/members/{made['members'][0]['id']}"
    answer = await registry.patch(url, json={field: None}, headers=matching(1))
    assert faults(answer) == {(f"/{field}", "null")}


async def test_a_patch_that_changes_nothing_makes_no_version(registry: httpx.AsyncClient, app: FastAPI) -> None:
    made = await make(registry)
    same = await registry.patch(
        f"/v1/households/{made['id']}",
        json={"cause": "illness", "standing": "poor", "reason": "核对"},
        headers=matching(1),
    )
    assert same.json() == made
    assert len(await events(app, "household")) == 1


async def test_who_moved_away_may_be_registered_elsewhere_who_died_may_not(registry: httpx.AsyncClient) -> None:
    numbers = [id_number(sequence=n) for n in (1, 3, 5)]
    head, son, brother = (member(r, id_number=n) for r, n in zip(("head", "son", "other"), numbers, strict=True))
    made = await make(registry, members=[head, son, brother])
    for version, (who, status) in enumerate(((1, "moved_away"), (2, "deceased")), start=1):
        url = f"/v1/households/{made['id']}/members/{made['members'][who]['id']}"
        assert (await registry.patch(url, json={"status": status}, headers=matching(version))).status_code == 200
    await make(registry, members=[member(id_number=numbers[1])])
    dead = await registry.post("/v1/households", json=household(members=[member(id_number=numbers[2])]))
    assert faults(dead, 409) == {("/members/0/id_number", "id_number_taken")}
    url = f"/v1/households/{made['id']}/members/{made['members'][1]['id']}"
    back = await registry.patch(url, json={"status": "active"}, headers=matching(3))
    assert faults(back, 409) == {("/id_number", "id_number_taken")}


async def test_a_wrong_identity_is_corrected(registry: httpx.AsyncClient) -> None:
    made = await make(registry)
    url = f"/v1/households/{made['id']}/members/{made['members'][0]['id']}"
    number = id_number("19701231", 4)
    changed = await registry.patch(url, json={"id_number": number, "name": "测试丁"}, headers=matching(1))
    [corrected] = changed.json()["members"]
    assert (corrected["sex"], corrected["birth_year"], corrected["name"]) == ("female", 1970, "测*丁")
    clash = await registry.patch(url, json={"sex": "male"}, headers=matching(2))
    assert faults(clash) == {("/sex", "sex_differs")}


async def test_a_change_dated_back_holds_until_the_next(registry: httpx.AsyncClient) -> None:
    made = await make(registry)
    url = f"/v1/households/{made['id']}"
    for version, (standing, day) in enumerate((("exited", "2018-12-01"), ("pre_exit", "2018-06-01")), start=1):
        sent = {"standing": standing, "effective_on": day, "reason": "补录"}
        answer = await registry.patch(url, json=sent, headers=matching(version))
    states = [(s["valid_from"], s["standing"]) for s in answer.json()["timeline"]]
    assert states == [("2014-05-01", "poor"), ("2018-06-01", "pre_exit"), ("2018-12-01", "exited")]
    early = {"standing": "poor", "effective_on": "2014-04-30", "reason": "补录"}
    assert faults(await registry.patch(url, json=early, headers=matching(3))) == {("/effective_on", "day_out_of_range")}


async def test_a_repeated_request_gets_the_first_answer_after_changes(registry: httpx.AsyncClient) -> None:
    headers = {"Idempotency-Key": "first-answer"}
    first = await registry.post("/v1/households", json=household(), headers=headers)
    url = f"/v1/households/{first.json()['id']}"
    add = {"Idempotency-Key": "add", **matching(1)}
    added = await registry.post(f"{url}/members", json=member("son"), headers=add)
    await registry.patch(url, json={"cause": None, "reason": "更正"}, headers=matching(2))
    member_url = f"{url}/members/{first.json()['members'][0]['id']}"
    await registry.patch(member_url, json={"name": "测试新名", "phone": "13800000000"}, headers=matching(3))
    again = await registry.post("/v1/households", json=household(), headers=headers)
    assert (again.status_code, again.json(), again.headers["idempotency-replayed"]) == (201, first.json(), "true")
    assert (await registry.post(f"{url}/members", json=member("son"), headers=add)).json() == added.json()
    other = await registry.post("/v1/households", json=household(cause="disaster"), headers=headers)
    assert (other.status_code, other.json()["code"]) == (422, "idempotency_key_reused")


async def test_bulk_registers_the_good_or_nothing(registry: httpx.AsyncClient, app: FastAPI) -> None:
    good, bad = household(), household(standing="rich")
    twice = household(members=[member(id_number=id_number())])
    lines = [good, bad, twice, twice]
    body = "\n".join(json.dumps(line) for line in lines) + "\n{broken\n"
    headers = {"Content-Type": "application/jsonl"}
    every = await registry.post("/v1/households/bulk", content=body, headers=headers)
    assert (every.json()["status"], every.json()["counts"]["created"]) == ("rejected", 0)
    assert await events(app, "household") == []
    each = await registry.post("/v1/households/bulk?mode=each", content=body, headers=headers)
    report = each.json()
    assert report["counts"] == {"received": 5, "created": 2, "updated": 0, "unchanged": 0, "rejected": 3}
    assert [(e["row"], e["column"], e["code"]) for e in report["errors"]] == [
        (2, "/standing", "literal_error"), (4, "/members/0/id_number", "id_number_taken"), (5, "", "malformed_request")
    ]  # fmt: skip
    assert len(await events(app, "household")) == 2


async def test_lists_go_page_by_page_and_stream_whole(registry: httpx.AsyncClient) -> None:
    made = [await make(registry, village=village) for village in (VILLAGE, OTHER_VILLAGE, VILLAGE)]
    first = await registry.get("/v1/households", params={"limit": 2, "count": "true"})
    assert (first.json()["count"], len(first.json()["items"])) == (3, 2)
    assert 'rel="next"' in first.headers["link"]
    second = await registry.get("/v1/households", params={"limit": 2, "cursor": first.json()["next_cursor"]})
    assert [h["id"] for h in first.json()["items"] + second.json()["items"]] == [h["id"] for h in made]
    assert second.json()["next_cursor"] is None
    streamed = await registry.get("/v1/households", headers={"Accept": "application/jsonl"})
    assert [json.loads(line)["id"] for line in streamed.text.splitlines()] == [h["id"] for h in made]
    for division, listed in (("411391000000", 1), ("411302000000", 0), ("4113", 3), ("411302", 1), (VILLAGE, 2)):
        page = await registry.get("/v1/households", params={"division": division})
        assert len(page.json()["items"]) == listed, division


async def test_callers_see_and_change_only_their_divisions(registry: httpx.AsyncClient) -> None:
    ours, theirs = await make(registry), await make(registry, village=OTHER_VILLAGE)
    body = {"name": "西峡", "roles": ["reader", "recorder"], "divisions": ["411323000000"]}
    key = (await registry.post("/v1/keys", json=body)).json()["key"]
    headers = {"Authorization": f"Bearer {key}"}
    assert [h["id"] for h in (await registry.get("/v1/households", headers=headers)).json()["items"]] == [ours["id"]]
    for method, url, sent in (
        ("GET", f"/v1/households/{theirs['id']}", None),
        ("GET", f"/v1/households/{theirs['number']}/members", None),
        ("GET", f"/v1/households/{theirs['id']}/versions", None),
        ("PATCH", f"/v1/households/{theirs['id']}", {"standing": "exited", "reason": "越权"}),
        ("POST", f"/v1/households/{theirs['id']}/deregistration", {"reason": "越权"}),
        ("POST", f"/v1/households/{theirs['id']}/members", member("son")),
    ):
        answer = await registry.request(method, url, json=sent, headers={**headers, "If-Match": '"1"'})
        assert answer.status_code == 404, (method, url)
    answer = await registry.post("/v1/households", json=household(village=OTHER_VILLAGE), headers=headers)
    assert faults(answer) == {("/village", "division_unknown")}
    assert (await registry.post("/v1/keys", json=body, headers=headers)).status_code == 403


async def test_identity_data_is_in_no_event_and_no_column_in_plain(registry: httpx.AsyncClient, app: FastAPI) -> None:
    number, name, phone = id_number("19501231", 77), "独孤求败测试", "13912345678"
    made = await make(registry, members=[member(name=name, birth_date="1950-12-31", id_number=number, phone=phone)])
    await registry.post("/v1/households", json=household(members=[member(name=name, id_number=number)]))
    async with app.state.runtime.database.driver() as pg:
        tables = await pg.fetch("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
        values: list[object] = []
        for table in tables:
            if not table["tablename"].startswith("division"):
                rows = await pg.fetch(f'SELECT * FROM "{table["tablename"]}"')
                values += (value for row in rows for value in row.values())
    dump = b"\n".join(value if isinstance(value, bytes) else str(value).encode() for value in values)
    for canary in (number, name, phone):
        assert canary.encode() not in dump
        assert canary not in (await registry.get(f"/v1/households/{made['id']}")).text


RELOCATED = {"method": "individual", "resettlement": "concentrated", "site": "county_seat"}


@pytest.mark.parametrize(
    ("more", "wrong"),
    [
        ({"lives_in": "411323000000", "moved_on": "2018-06-01"}, None),
        ({"lives_in": "410928000000"}, None),  # of another city, which this register does not know
        ({"lives_in": "411323999999"}, ("/attributes/relocation/lives_in", "division_unknown")),
        ({"moved_on": "2100-01-01"}, ("/attributes/relocation/moved_on", "day_out_of_range")),
    ],
)
async def test_a_relocated_household_lives_somewhere_since_a_day(
    registry: httpx.AsyncClient, more: dict[str, Any], wrong: tuple[str, str] | None
) -> None:
    """Apart from its responsible village 责任村, which stays; when registered and when changed."""
    attributes = {"relocation": RELOCATED | more}
    made = await make(registry)
    answers = [
        await registry.post("/v1/households", json=household(attributes=attributes)),
        await registry.patch(
            f"/v1/households/{made['id']}", json={"attributes": attributes, "reason": "搬迁"}, headers=matching(1)
        ),
    ]
    for answer in answers:
        if wrong is not None:
            assert faults(answer) == {wrong}
        else:
            assert answer.is_success, answer.text
            assert answer.json()["village"] == made["village"]

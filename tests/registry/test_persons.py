"""Persons without a household: registered, changed, placed into one, leaving one; seen by whom they belong to."""

import asyncio
from typing import Any

import asyncpg
import httpx
import pytest
from fastapi import FastAPI

from services.registry.audit.command import verify_audit
from services.registry.context import today
from tests.registry.audit import entries
from tests.registry.conftest import (
    CITY,
    OTHER_VILLAGE,
    VILLAGE,
    XIXIA,
    events,
    faults,
    household,
    id_number,
    issue,
    issue_revealing,
    make,
    matching,
    member,
)
from tests.registry.test_row_security import caller, seen

NUMBER = id_number("19500203", 1)
OTHER_NUMBER = id_number("19510203", 3)
ZONE = "411391000000"
IDENTITY = {"phone": "13800000000", "disability_number": NUMBER + "44", "bank_card": "6217000000000018"}
WHY = {"reason": "核查"}


def person(**more: Any) -> dict[str, Any]:
    """Somebody on their own."""
    return {"name": "欧阳测试", "village": VILLAGE, "id_number": NUMBER, "registered_on": "2018-05-01", **more}


async def register(client: httpx.AsyncClient, **more: Any) -> dict[str, Any]:
    answer = await client.post("/v1/persons", json=person(**more))
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()
    assert answer.headers["location"] == f"/v1/persons/{made['id']}"
    return made


def placement(home: dict[str, Any], **more: Any) -> dict[str, Any]:
    where = {"household": {"number": home["number"]}, "relation": "other", "effective_on": "2018-06-01"}
    return {**where, "reason": "落户", **more}


async def people(client: httpx.AsyncClient, day: str) -> int:
    found = await client.get(f"/v1/statistics/poverty?division={CITY}&as_of={day}")
    count: int = found.json()["division"]["registered_people"]
    return count


async def test_a_person_is_registered_alone_read_and_published(registry: httpx.AsyncClient, app: FastAPI) -> None:
    key = {"Idempotency-Key": "once"}
    first, again = [await registry.post("/v1/persons", json=person(**IDENTITY), headers=key) for _ in range(2)]
    assert (first.status_code, first.headers["etag"], again.headers["idempotency-replayed"]) == (201, '"1"', "true")
    made = first.json()
    assert again.json() == made
    assert (made["name"], made["birth_year"], made["sex"], made["status"]) == ("欧阳*试", 1950, "male", "active")
    assert (made["id_number"], made["phone"]) == ("4***************" + NUMBER[-2:], "138****0000")
    assert (made["village"], made["member_of"], made["since"], made["until"]) == (VILLAGE, None, "2018-05-01", None)
    for name in (made["id"], made["number"]):
        assert (await registry.get(f"/v1/persons/{name}")).json() == made
    [published] = await events(app, "person")
    assert (published["household_id"], published["path"]["village"]) == (None, VILLAGE)
    assert NUMBER not in first.text + str(published)
    [entry] = await entries(registry, app, operation="person.registered")
    assert (entry["object_id"], entry["version"]) == (made["id"], 1)
    assert await people(registry, "2018-06-01") == 0
    assert await events(app, "household") == []


async def test_a_dry_run_registers_nobody(registry: httpx.AsyncClient) -> None:
    assert (await registry.post("/v1/persons?dry_run=true", json=person())).status_code == 200
    assert (await registry.get("/v1/persons?count=true")).json()["count"] == 0


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"village": "999999999999"}, {("/village", "division_unknown")}),
        ({"village": XIXIA}, {("/village", "division_unknown")}),
        ({"registered_on": "2999-01-01"}, {("/registered_on", "day_out_of_range")}),
        ({"id_number": None}, {("", "identity")}),
        ({"id_number": NUMBER[:-1] + "Y"}, {("/id_number", "id_number_format")}),
        ({"sex": "female"}, {("/sex", "sex_differs")}),
        ({"disability_number": "1"}, {("/disability_number", "disability_number_format")}),
        ({"attributes": {"work": {"months": 3}}}, {("/attributes/work", "work_incomplete")}),
        ({"relation": "head"}, {("/relation", "extra_forbidden")}),
        ({"village": None}, {("/village", "string_type")}),
    ],
)
async def test_what_a_person_may_not_be(
    registry: httpx.AsyncClient, change: dict[str, Any], expected: set[tuple[str, str]]
) -> None:
    assert faults(await registry.post("/v1/persons", json=person(**change))) == expected
    assert (await registry.get("/v1/persons?count=true")).json()["count"] == 0


async def test_numbers_are_taken_with_and_without_a_household(registry: httpx.AsyncClient) -> None:
    alone = await register(registry, number="1" * 14)
    taken = {("/number", "number_taken"), ("/id_number", "id_number_taken")}
    assert faults(await registry.post("/v1/persons", json=person(number="1" * 14)), 409) == taken
    home = household(members=[member(id_number=NUMBER, birth_date=None, number="1" * 14)])
    refused = await registry.post("/v1/households", json=home)
    assert faults(refused, 409) == {(f"/members/0{pointer}", code) for pointer, code in taken}
    other = await make(registry, members=[member(id_number=OTHER_NUMBER, birth_date=None)])
    assert faults(await registry.post("/v1/persons", json=person(id_number=OTHER_NUMBER)), 409)
    url = f"/v1/persons/{alone['id']}"
    patched = await registry.patch(url, json={"id_number": OTHER_NUMBER}, headers=matching(1))
    assert faults(patched, 409) == {("/id_number", "id_number_taken")}
    who = f"/v1/households/{other['id']}/members/{other['members'][0]['id']}"
    assert faults(await registry.patch(who, json={"id_number": NUMBER}, headers=matching(1)), 409)
    off = await registry.post(f"{url}/deregistration", json=WHY, headers=matching(1))
    assert (off.json()["status"], off.headers["etag"]) == ("deregistered", '"2"')
    assert (await register(registry))["id"] != alone["id"]  # the ID number is free again
    again = await registry.patch(url, json={"name": "测试"}, headers=matching(2))
    assert (again.status_code, again.json()["code"]) == (409, "person_deregistered")


async def test_one_of_two_registrations_at_once_gets_the_id_number(registry: httpx.AsyncClient) -> None:
    bodies = [person(), person(name="测试乙")]
    answers = await asyncio.gather(*(registry.post("/v1/persons", json=body) for body in bodies))
    assert sorted(answer.status_code for answer in answers) == [201, 409]


async def test_a_person_is_corrected(registry: httpx.AsyncClient, app: FastAPI) -> None:
    url = f"/v1/persons/{(await register(registry))['id']}"
    patch = {"name": "测试丁", "employable": "partial", "attributes": {"education": "primary"}, "reason": "更正"}
    changed = await registry.patch(url, json=patch, headers=matching(1))
    assert (changed.status_code, changed.headers["etag"]) == (200, '"2"')
    assert (changed.json()["name"], changed.json()["attributes"]["education"]) == ("测*丁", "primary")
    unchanged = await registry.patch(url, json={"employable": "partial"}, headers=matching(2))
    assert unchanged.headers["etag"] == '"2"'
    for headers, status in ((matching(1), 412), ({}, 428)):
        assert (await registry.patch(url, json=patch, headers=headers)).status_code == status
    for change, fault in (
        ({"effective_on": "2018-06-01"}, ("/effective_on", "without_status")),
        ({"village": VILLAGE, "effective_on": "2018-04-30"}, ("/effective_on", "day_out_of_range")),
        ({"village": XIXIA}, ("/village", "division_unknown")),
        ({"attributes": {"schooling": "primary"}}, ("/attributes/schooling", "education_and_schooling")),
        ({"relation": "head"}, ("/relation", "extra_forbidden")),
        ({"name": None}, ("/name", "null")),
    ):
        assert fault in faults(await registry.patch(url, json=change, headers=matching(2)))
    died = {"status": "deceased", "effective_on": "2018-09-01", "reason": "去世"}
    gone = (await registry.patch(url, json=died, headers=matching(2))).json()
    assert (gone["status"], gone["until"]) == ("deceased", "2018-09-01")
    home = await make(registry)
    placed = await registry.post(f"{url}/placement", json=placement(home), headers=matching(3))
    assert faults(placed) == {("", "person_gone")}
    told = [(e["version"], e["status"]) for e in await events(app, "person") if e["household_id"] is None]
    assert told == [(1, "active"), (2, "active"), (3, "deceased")]


async def test_lists_are_paged_filtered_and_scoped(registry: httpx.AsyncClient) -> None:
    made = [await register(registry, id_number=id_number("19500203", n)) for n in (1, 3, 5)]
    far = await register(registry, id_number=OTHER_NUMBER, village=OTHER_VILLAGE)
    await make(registry)
    page = await registry.get("/v1/persons?limit=2&count=true&division=" + XIXIA)
    assert ([each["id"] for each in page.json()["items"]], page.json()["count"]) == ([p["id"] for p in made[:2]], 3)
    rest = await registry.get("/v1/persons", params={"cursor": page.json()["next_cursor"], "division": XIXIA})
    assert [each["id"] for each in rest.json()["items"]] == [made[2]["id"]]
    url = f"/v1/persons/{made[1]['id']}"
    assert (await registry.patch(url, json={"status": "moved_away"}, headers=matching(1))).status_code == 200
    for query, expected in (
        ({"status": "moved_away"}, [made[1]]),
        ({"number": made[2]["number"]}, [made[2]]),
        ({"division": OTHER_VILLAGE[:9]}, [far]),
        ({"division": OTHER_VILLAGE}, [far]),
        ({"division": ZONE}, [far]),
        ({"updated_since": "2999-01-01T00:00:00Z"}, []),
    ):
        items = (await registry.get("/v1/persons", params=query)).json()["items"]
        assert [each["id"] for each in items] == [each["id"] for each in expected], query
    county = await issue(registry, ["reader"], [ZONE])
    assert [each["id"] for each in (await registry.get("/v1/persons", headers=county)).json()["items"]] == [far["id"]]
    assert (await registry.get(url, headers=county)).status_code == 404
    assert faults(await registry.get("/v1/persons?division=x&q=1")) == {
        ("query:division", "string_pattern_mismatch"), ("query:q", "extra_forbidden")
    }  # fmt: skip


async def test_a_person_comes_into_a_household(registry: httpx.AsyncClient, app: FastAPI) -> None:
    alone, home = await register(registry), await make(registry)
    url = f"/v1/persons/{alone['id']}"
    wrong = placement({"number": "9" * 14})
    assert faults(await registry.post(f"{url}/placement", json=wrong, headers=matching(1))) == {
        ("/household/number", "household_unknown")
    }
    for change, fault in (
        ({"relation": "head"}, ("/members", "one_head")),
        ({"effective_on": "2018-04-30"}, ("/effective_on", "day_out_of_range")),
    ):
        assert faults(await registry.post(f"{url}/placement", json=placement(home, **change), headers=matching(1))) == {
            fault
        }
    placed = await registry.post(f"{url}/placement", json=placement(home), headers=matching(1))
    assert placed.status_code == 200, placed.text
    assert placed.headers["etag"] == '"3"'
    shown = placed.json()
    assert shown["member_of"] == {"household": home["number"], "household_id": home["id"], "relation": "other"}
    assert (shown["id"], shown["number"], shown["since"]) == (alone["id"], alone["number"], "2018-06-01")
    assert (await registry.get(url)).json() == shown
    joined = (await registry.get(f"/v1/households/{home['id']}")).json()
    assert (joined["version"], joined["people"], joined["members"][1]["id"]) == (2, 2, alone["id"])
    assert [await people(registry, day) for day in ("2018-05-31", "2018-06-01")] == [1, 2]
    assert (await registry.get("/v1/persons")).json()["items"] == []
    newest = (await events(app, "person"))[-1]
    assert (newest["id"], newest["version"], newest["household_id"], newest["path"]) == (
        alone["id"], 3, home["id"], None
    )  # fmt: skip
    found = [each["version"] for each in await entries(registry, app, object=alone["id"])]
    assert found == [1, 2, 3]
    for request in (
        registry.patch(url, json={"name": "测试"}, headers=matching(3)),
        registry.post(f"{url}/deregistration", json=WHY, headers=matching(3)),
        registry.post(f"{url}/placement", json=placement(home), headers=matching(3)),
        registry.post(f"{url}/erasure", json=WHY, headers=matching(3)),
    ):
        answer = await request
        assert (answer.status_code, answer.json()["code"]) == (409, "person_in_household")


async def test_a_member_leaves_for_no_household_and_comes_back(registry: httpx.AsyncClient, app: FastAPI) -> None:
    home = await make(registry, members=[member(), member("other", id_number=NUMBER, birth_date=None)])
    head, leaving = home["members"]
    url = f"/v1/households/{home['id']}/members"
    body = {"effective_on": "2018-06-01", "reason": "离户独居"}
    refused = await registry.post(f"{url}/{head['id']}/departure", json=body, headers=matching(1))
    assert faults(refused) == {("/members", "one_head")}
    assert (await registry.post(f"{url}/{leaving['id']}/departure", json=body)).status_code == 428
    answer = await registry.post(f"{url}/{leaving['id']}/departure", json=body, headers=matching(1))
    assert answer.status_code == 200, answer.text
    left, alone = answer.json()["household"], answer.json()["person"]
    assert (left["version"], left["people"], answer.headers["etag"]) == (2, 1, '"2"')
    assert [each["status"] for each in left["members"]] == ["active", "transferred"]
    assert (alone["id"], alone["version"], alone["village"], alone["member_of"]) == (leaving["id"], 3, VILLAGE, None)
    assert (await registry.get(f"/v1/persons/{leaving['number']}")).json() == alone
    assert (await registry.get(f"{url}/{leaving['id']}")).status_code == 404
    assert [await people(registry, day) for day in ("2018-05-31", "2018-06-01")] == [2, 1]
    assert faults(await registry.post("/v1/persons", json=person()), 409) == {("/id_number", "id_number_taken")}
    last = await registry.post(f"{url}/{head['id']}/departure", json=body, headers=matching(2))
    assert faults(last) == {("/member", "last_member")}
    back = placement(home, effective_on="2018-07-01")
    placed = await registry.post(f"/v1/persons/{alone['id']}/placement", json=back, headers=matching(3))
    assert placed.json()["version"] == 5
    assert [await people(registry, day) for day in ("2018-06-30", "2018-07-01")] == [1, 2]
    assert [(e["version"], e["household_id"]) for e in await events(app, "person") if e["id"] == alone["id"]] == [
        (1, home["id"]), (3, None), (5, home["id"])
    ]  # fmt: skip
    assert await verify_audit(app.state.runtime.settings, []) == 0


async def test_of_two_placements_at_once_one_counts(registry: httpx.AsyncClient) -> None:
    alone, homes = await register(registry), [await make(registry) for _ in range(2)]
    url = f"/v1/persons/{alone['id']}/placement"
    answers = await asyncio.gather(*(registry.post(url, json=placement(home), headers=matching(1)) for home in homes))
    assert sorted(answer.status_code for answer in answers) == [200, 409]
    assert await people(registry, "2018-06-01") == 3


async def test_row_security_shows_persons_where_they_belong(registry: httpx.AsyncClient, app: FastAPI) -> None:
    runtime = app.state.runtime
    alone = await register(registry)
    url = f"/v1/persons/{alone['id']}"
    assert (await registry.patch(url, json={"name": "测试"}, headers=matching(1))).status_code == 200

    async def rows(*divisions: str) -> tuple[int, int]:
        found = await seen(runtime, caller(*divisions))
        return found["person"], found["person_version"]

    assert await rows(XIXIA) == await rows(VILLAGE) == await rows(CITY) == (1, 1)
    assert await rows(ZONE) == await rows() == (0, 0)
    moved = {"village": OTHER_VILLAGE, "effective_on": "2018-10-01", "reason": "搬迁"}
    changed = await registry.patch(url, json=moved, headers=matching(2))
    assert (changed.json()["village"], changed.json()["path"]["managing_unit"]) == (OTHER_VILLAGE, ZONE)
    assert (await rows(XIXIA), await rows(ZONE)) == ((0, 0), (1, 2))  # the past goes with who moves
    home = await make(registry)
    placed = await registry.post(
        f"{url}/placement", json=placement(home, effective_on="2018-11-01"), headers=matching(3)
    )
    assert placed.status_code == 200, placed.text
    assert (await rows(XIXIA), await rows(ZONE)) == ((2, 4), (0, 0))


async def test_a_row_says_one_place_and_no_other(registry: httpx.AsyncClient, app: FastAPI) -> None:
    await register(registry)
    await make(registry)
    async with app.state.runtime.database.driver() as pg:
        for change in ("village = NULL", "relation = 'head'"):
            with pytest.raises(asyncpg.CheckViolationError):
                await pg.execute(f"UPDATE person SET {change} WHERE household_id IS NULL")
        for change in ("household_id = NULL", "village = '411323102217'"):
            with pytest.raises(asyncpg.CheckViolationError):
                await pg.execute(f"UPDATE person SET {change} WHERE household_id IS NOT NULL")


async def test_look_up_and_reveal_and_erase(
    registry: httpx.AsyncClient, app: FastAPI, capsys: pytest.CaptureFixture[str]
) -> None:
    alone = await register(registry, **IDENTITY)
    url = f"/v1/persons/{alone['id']}"
    asked = {"purpose": "law", "id_numbers": [NUMBER]}
    [found] = (await registry.post("/v1/persons/lookup", json=asked)).json()["items"]
    assert found == {
        "found": True, "person": alone["number"], "household": None, "name": "欧阳*试", "status": "active",
        "id_number": alone["id_number"], "standing": None, "welfare": None,
    }  # fmt: skip
    foreign = await issue(registry, ["reader"], [ZONE])
    [hidden] = (await registry.post("/v1/persons/lookup", json=asked, headers=foreign)).json()["items"]
    assert not hidden["found"]
    headers = await issue_revealing(app, capsys, XIXIA)
    seen_ = await registry.post(f"{url}/reveal", json={"purpose": "law", **WHY}, headers=headers)
    assert (seen_.status_code, seen_.headers["cache-control"]) == (200, "no-store")
    assert seen_.json() == {
        "id": alone["id"], "number": alone["number"], "name": "欧阳测试", "id_number": NUMBER,
        "birth_date": "1950-02-03", **IDENTITY,
    }  # fmt: skip
    assert (await registry.patch(url, json={"name": "测试"}, headers=matching(1))).status_code == 200
    erased = await registry.post(f"{url}/erasure", json=WHY, headers=matching(2))
    assert (erased.status_code, erased.headers["etag"]) == (200, '"3"')
    shown = erased.json()
    assert (shown["status"], shown["name"], shown["birth_year"], shown["id_number"]) == ("erased", "*", 1950, None)
    async with app.state.runtime.database.driver() as pg:
        rows = await pg.fetch("SELECT * FROM person UNION ALL SELECT * FROM person_version")
    sealed = ("name", "id_number", "id_number_index", "phone", "disability_number", "bank_card")
    assert len(rows) == 3
    assert all(row[column] is None for row in rows for column in sealed)
    again = await registry.post(f"{url}/erasure", json=WHY, headers=matching(3))
    assert (again.status_code, again.headers["etag"]) == (200, '"3"')
    patched = await registry.patch(url, json={"name": "测试"}, headers=matching(3))
    assert (patched.status_code, patched.json()["code"]) == (409, "person_erased")
    operations = {each["operation"] for each in await entries(registry, app, object=alone["id"])}
    assert operations == {"person.registered", "person.looked_up", "person.revealed", "person.changed", "person.erased"}


async def test_whose_retention_is_over_is_erased(registry: httpx.AsyncClient) -> None:
    for n, day in ((1, "2018-06-01"), (3, "2018-08-01")):
        made = await register(registry, id_number=id_number("19500203", n))
        off = {"effective_on": day, "reason": "迁出"}
        answer = await registry.post(f"/v1/persons/{made['id']}/deregistration", json=off, headers=matching(1))
        assert answer.status_code == 200
    await register(registry, id_number=OTHER_NUMBER)
    body = {"deregistered_before": "2018-07-01", "reason": "保存期届满"}
    expired = [(await registry.post("/v1/households/erasures", json=body)).json() for _ in range(2)]
    assert expired == [{"households": 0, "persons": count, "more": False, "audit_entries": []} for count in (1, 0)]
    listed = (await registry.get("/v1/persons")).json()["items"]
    assert [each["status"] for each in listed] == ["erased", "deregistered", "active"]


async def test_persons_are_published_again_with_the_rest(registry: httpx.AsyncClient, app: FastAPI) -> None:
    alone = await register(registry)
    before = await events(app, "person")
    await app.state.runtime.relay.republish()
    assert (await events(app, "person")) == before * 2
    assert before[0]["id"] == alone["id"]


async def test_persons_follow_when_divisions_change(own_registry: httpx.AsyncClient, own_app: FastAPI) -> None:
    alone, gone = [await register(own_registry, id_number=id_number("19500203", n)) for n in (1, 3)]
    url = f"/v1/persons/{alone['id']}"
    left = {"status": "moved_away", "effective_on": "2018-06-01"}
    assert (await own_registry.patch(f"/v1/persons/{gone['id']}", json=left, headers=matching(1))).status_code == 200
    day = today(own_app.state.registry).isoformat()
    why = {"reason": "豫民〔2018〕1号"}
    ended = await own_registry.post(f"/v1/divisions/{VILLAGE}/end", json={"valid_to": day, **why}, headers=matching(1))
    assert faults(ended) == {("", "division_inhabited")}
    merger = {"into": "411323102202", "valid_from": day, **why}
    merged = await own_registry.post(f"/v1/divisions/{VILLAGE}/merge", json=merger, headers=matching(1))
    assert merged.status_code == 200, merged.text
    found = (await own_registry.get(url)).json()
    assert (found["village"], found["version"]) == ("411323102202", 2)
    assert (await events(own_app, "person"))[-1]["path"] == found["path"]
    assert (await own_registry.get(f"/v1/persons/{gone['id']}")).json()["village"] == VILLAGE
    back = await own_registry.patch(f"/v1/persons/{gone['id']}", json={"status": "active"}, headers=matching(2))
    assert (back.status_code, back.json()["village"], back.json()["until"]) == (200, "411323102202", None)
    handover = {"unit": ZONE, "valid_from": day, **why}
    handed = await own_registry.post("/v1/divisions/411323102000/managing-unit", json=handover, headers=matching(1))
    assert handed.status_code == 200, handed.text
    county = await issue(own_registry, ["reader"], [ZONE])
    assert (await own_registry.get(url, headers=county)).json()["path"]["managing_unit"] == ZONE

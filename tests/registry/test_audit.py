"""The audit log: everything that writes is in it, in the same transaction, and each admin reads their own."""

import hashlib
import json
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from services.registry.context import today
from services.registry.households.models import HOUSEHOLD, PERSON
from shared.db import Pg
from tests.registry.audit import entries, seal, told
from tests.registry.conftest import (
    CITY,
    VILLAGE,
    XIPING,
    XIXIA,
    faults,
    household,
    id_number,
    issue,
    make,
    matching,
    member,
    put_key,
)


async def test_every_change_of_a_household_is_in_it(registry: httpx.AsyncClient, app: FastAPI) -> None:
    income = {"year": 2017, "people": 1, "wages_fen": 100_000}
    made = await make(registry, incomes=[income])
    identifier, head = made["id"], made["members"][0]["id"]
    url = f"/v1/households/{identifier}"
    patch = {"standing": "pre_exit", "effective_on": "2018-01-01", "reason": "动态管理"}
    assert (await registry.patch(url, json=patch, headers=matching(1))).status_code == 200
    report = {"people": 1, "wages_fen": 200_000, "reason": "年度填报"}
    assert (await registry.put(f"{url}/incomes/2018", json=report, headers=matching(2))).status_code == 200
    added = await registry.post(f"{url}/members", json=member("other"), headers=matching(3))
    assert added.status_code == 201
    child = added.json()["members"][1]["id"]
    gone = await registry.patch(f"{url}/members/{child}", json={"status": "moved_away"}, headers=matching(4))
    assert gone.status_code == 200
    unchanged = await registry.patch(f"{url}/members/{child}", json={"relation": "other"}, headers=matching(5))
    assert unchanged.json()["version"] == 5
    off = await registry.post(f"{url}/deregistration", json={"reason": "整户迁出"}, headers=matching(5))
    assert off.status_code == 200
    found = [each for each in await entries(registry, app) if not each["operation"].startswith("key.")]
    by_version: dict[int, set[tuple[str, str]]] = {}
    for operation, object_id, version in told(found):
        by_version.setdefault(version or 0, set()).add((operation, object_id))
    by_household = [each for each in found if each["object_id"] == identifier]
    assert [(each["operation"], each["version"], each["reason"]) for each in by_household] == [
        ("household.registered", 1, None),
        ("household.changed", 2, "动态管理"),
        ("household.changed", 3, "年度填报"),
        ("household.changed", 4, None),
        ("household.changed", 5, None),
        ("household.deregistered", 6, "整户迁出"),
    ]
    assert ("income.reported", f"{identifier}/2017") in by_version[1]
    assert ("income.reported", f"{identifier}/2018") in by_version[3]
    of_persons = {(e["operation"], e["object_id"], e["version"]) for e in found if e["operation"].startswith("person.")}
    assert of_persons == {
        ("person.registered", head, 1), ("person.registered", child, 1), ("person.changed", child, 2),
        ("person.deregistered", head, 2),
    }  # fmt: skip
    assert all(len(each["digest"]) == 64 and each["key_id"] for each in found)


async def test_digests_are_of_what_is_stored_and_not_told_but_for_the_index_that_an_erasure_destroys(
    registry: httpx.AsyncClient, app: FastAPI
) -> None:
    home = await make(registry)
    told = {"id", "version", "recorded_at", "changed_by", "reason"}
    async with app.state.runtime.database.driver() as pg:
        noted = dict(await pg.fetch("SELECT object_id, digest FROM audit_entry WHERE digest IS NOT NULL"))
        for table, columns, left_out in (("household", HOUSEHOLD, told | {"content"}), ("person", PERSON, told)):
            digested = ", ".join(name for name in columns if name not in left_out)
            [row] = await pg.fetch(f"SELECT id, ROW({digested})::text AS stored FROM {table}")
            assert noted[str(row["id"])] == hashlib.sha256(row["stored"].encode()).digest()
    assert home["id"] in noted


async def test_other_writes_are_in_it_too(own_registry: httpx.AsyncClient, own_app: FastAPI) -> None:
    headers = await issue(own_registry, ["reader"], [XIXIA])
    key = (await own_registry.get("/v1/keys")).json()["items"][1]["id"]
    assert headers
    assert (await own_registry.post(f"/v1/keys/{key}/revocation", headers=matching(1))).status_code == 200
    lock = {"reason": "已上报"}
    for _ in range(2):
        assert (await own_registry.put("/v1/locked-years/2016", json=lock)).status_code == 200
    made = await make(own_registry)
    version = (await own_registry.get(f"/v1/divisions/{VILLAGE}")).json()["version"]
    poor = {"kind": "poor_village", "valid_from": "2018-01-01"}
    answer = await own_registry.post(f"/v1/divisions/{VILLAGE}/designations", json=poor, headers=matching(version))
    assert answer.status_code == 200, answer.text
    handover = {"unit": "411391000000", "valid_from": today(own_app.state.registry).isoformat(), "reason": "测试"}
    township = (await own_registry.get("/v1/divisions/411323102000")).json()["version"]
    assert (
        await own_registry.post("/v1/divisions/411323102000/managing-unit", json=handover, headers=matching(township))
    ).status_code == 200
    found = await entries(own_registry, own_app)
    assert told(found)[0][0] == "divisions.loaded"
    assert told(found)[1][0] == "key.issued"  # the bootstrap key, by the operator
    assert [each["key_id"] for each in found[:2]] == [None, None]
    assert set(told(found)[2:]) == {
        ("key.issued", key, 1),
        ("key.revoked", key, 2),
        ("year.locked", "2016", None),
        ("household.registered", made["id"], 1),
        ("person.registered", made["members"][0]["id"], 1),
        ("division.changed", VILLAGE, version + 1),
        ("division.changed", "411323102000", township + 1),
        ("household.changed", made["id"], 2),
    }


async def test_bulk_is_audited_line_by_line_and_what_is_refused_is_not(
    registry: httpx.AsyncClient, app: FastAPI
) -> None:
    good = [json.dumps(household(number=f"4113239900000{n}")) for n in range(3)]
    headers = {"Content-Type": "application/jsonl"}
    dry = await registry.post("/v1/households/bulk?dry_run=true", content="\n".join(good), headers=headers)
    bad = await registry.post("/v1/households/bulk", content="\n".join([*good, "{}"]), headers=headers)
    assert (dry.status_code, bad.json()["status"]) == (200, "rejected")
    assert told(await entries(registry, app, operation="household.registered")) == []
    done = await registry.post("/v1/households/bulk", content="\n".join(good), headers=headers)
    assert done.json()["counts"]["created"] == 3
    assert len(await entries(registry, app, operation="household.registered")) == 3
    assert len(await entries(registry, app, operation="person.registered")) == 3


async def test_a_change_that_cannot_be_audited_is_not_made(registry: httpx.AsyncClient, owner: Pg) -> None:
    await owner.execute("ALTER TABLE audit_entry RENAME TO audit_away")
    try:
        assert (await registry.post("/v1/households", json=household())).status_code == 500
    finally:
        await owner.execute("ALTER TABLE audit_away RENAME TO audit_entry")
    assert (await registry.get("/v1/households?count=true")).json()["count"] == 0


async def test_it_is_read_by_filters_and_pages(registry: httpx.AsyncClient, app: FastAPI) -> None:
    first, second = await make(registry), await make(registry)
    everything = await entries(registry, app)
    assert [each["position"] for each in everything] == list(range(1, len(everything) + 1))
    assert told(await entries(registry, app, object=second["id"])) == [("household.registered", second["id"], 1)]
    own = everything[-1]["key_id"]
    assert {each["key_id"] for each in await entries(registry, app, key=own)} == {own}
    assert len(await entries(registry, app, operation="person.registered")) == 2
    moment = next(each["recorded_at"] for each in everything if each["object_id"] == second["id"])
    since = await entries(registry, app, **{"from": moment})
    before = await entries(registry, app, until=moment)
    assert before + since == everything
    assert first["id"] in {each["object_id"] for each in before}
    paged: list[Any] = []
    query = {"limit": "2", "count": "true"}
    while True:
        page = (await registry.get("/v1/audit", params=query)).json()
        assert page["count"] == len(everything)
        paged += page["items"]
        if page["next_cursor"] is None:
            break
        query["cursor"] = page["next_cursor"]
    assert paged == everything


async def test_it_is_the_admins_each_within_their_divisions(registry: httpx.AsyncClient, app: FastAPI) -> None:
    made = await make(registry)
    elsewhere = await make(registry, village="411302102201")
    county = await issue(registry, ["admin"], [XIXIA])
    reader = await issue(registry, ["reader"], [XIXIA])
    await seal(app)
    seen = (await registry.get("/v1/audit?limit=500", headers=county)).json()["items"]
    assert made["id"] in {each["object_id"] for each in seen}
    assert elsewhere["id"] not in {each["object_id"] for each in seen}
    assert [each["operation"] for each in seen if each["operation"].startswith("key.")] == ["key.issued"] * 2
    for path in ("/v1/audit", "/v1/audit/head"):
        assert (await registry.get(path, headers=reader)).status_code == 403
        assert (await registry.get(path, headers={"Authorization": ""})).status_code == 401
    assert faults(await registry.get("/v1/audit?operation=DROP")) == {("query:operation", "string_pattern_mismatch")}
    assert faults(await registry.get("/v1/audit?who=1")) == {("query:who", "extra_forbidden")}
    assert (await registry.get("/v1/audit?cursor=xyz")).status_code == 400


async def operations_seen(client: httpx.AsyncClient, headers: dict[str, str], *operations: str) -> list[str]:
    """Which of these operations somebody sees in the log, as often as there are entries."""
    answer = await client.get("/v1/audit?limit=500", headers=headers)
    assert answer.status_code == 200, answer.text
    return [each["operation"] for each in answer.json()["items"] if each["operation"] in operations]


@pytest.mark.parametrize("divisions", [[], ["999999999999"]], ids=["none", "unknown"])
async def test_what_callers_beyond_every_division_do_is_for_the_city_alone(
    registry: httpx.AsyncClient, app: FastAPI, divisions: list[str]
) -> None:
    """A token may come without divisions, or with such as there are none: it concerns no county, nor every one."""
    made = await make(registry)
    knowing, reading = [await put_key(app, [role], divisions) for role in ("identity:reveal", "reader")]
    asked = {"purpose": "law", "reason": "案件核查"}
    who = made["members"][0]["number"]
    assert (await registry.post(f"/v1/persons/{who}/reveal", json=asked, headers=knowing)).status_code == 404
    numbers = {**asked, "id_numbers": [id_number()]}
    assert (await registry.post("/v1/persons/lookup", json=numbers, headers=reading)).status_code == 200
    assert (await registry.post("/v1/persons/lookup", json=numbers, headers=knowing)).status_code == 403
    county = await issue(registry, ["admin"], [XIXIA])
    city = await issue(registry, ["admin"], [CITY])
    await seal(app)
    private = ("person.reveal_denied", "persons.looked_up", "persons.look_up_denied")
    assert await operations_seen(registry, county, *private) == []
    assert await operations_seen(registry, city, *private) == list(private)


async def test_entries_of_no_division_are_for_the_city_unless_they_concern_all(
    registry: httpx.AsyncClient, app: FastAPI
) -> None:
    """As they were noted once of callers without divisions, too: what is sealed stays as it is."""
    async with app.state.runtime.database.driver() as pg:
        await pg.execute(
            "INSERT INTO audit_entry (id, recorded_at, operation, object_id, reason, divisions) "
            "VALUES (uuidv7(), now(), 'person.reveal_denied', 'x', '案件核查', '{}')"
        )
    assert (await registry.put("/v1/locked-years/2016", json={"reason": "已上报"})).status_code == 200
    line = json.dumps({"division": XIXIA, "year": 2017, "people": 380_000})
    put = await registry.put("/v1/statistics/denominators", content=line, headers={"Content-Type": "application/jsonl"})
    assert put.status_code == 200, put.text
    county = await issue(registry, ["admin"], ["411325000000"])
    city = await issue(registry, ["admin"], [CITY])
    await seal(app)
    open_to_all = ("year.locked", "denominator.recorded")
    assert await operations_seen(registry, county, "person.reveal_denied", *open_to_all) == [*open_to_all]
    assert await operations_seen(registry, city, "person.reveal_denied", *open_to_all) == [
        "person.reveal_denied", *open_to_all
    ]  # fmt: skip
    for headers, shown in ((county, 0), (city, 1)):
        answer = await registry.get("/v1/audit?operation=person.reveal_denied&count=true", headers=headers)
        assert answer.json()["count"] == shown


async def test_what_a_township_does_is_seen_from_above(registry: httpx.AsyncClient, app: FastAPI) -> None:
    """Sources, mappings and imports as everything else: by the admins of the county and of the city."""
    admin = await issue(registry, ["admin"], [XIPING])
    source = {"name": "urn:xiping", "label": "西坪镇", "divisions": [XIPING], "mode": "test"}
    made = await registry.post("/v1/sources", json=source, headers=admin)
    assert made.status_code == 201, made.text
    changed = {name: value for name, value in source.items() if name != "name"}
    again = {**changed, "status": "disabled"}
    url = f"/v1/sources/{made.json()['id']}"
    assert (await registry.put(url, json=again, headers={**admin, **matching(1)})).status_code == 200
    importer = await issue(registry, ["importer"], [XIPING, "411302000000"])
    path = "/v1/imports/mappings/西坪镇"
    assert (await registry.put(path, json={"columns": {}}, headers=importer)).status_code == 200
    sent = await registry.post("/v1/imports", files={"file": ("x.jsonl", b"{}")}, headers=importer)
    assert sent.status_code == 202, sent.text
    await seal(app)
    all_three = ["source.registered", "source.changed", "import_mapping.saved", "import.sent"]
    for division, seen in (
        (CITY, all_three),
        (XIXIA, all_three),
        (XIPING, all_three),
        ("411302000000", all_three[2:]),
        ("411325000000", []),
    ):
        headers = await put_key(app, ["admin"], [division])
        assert await operations_seen(registry, headers, *all_three) == seen, division

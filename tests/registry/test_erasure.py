"""Erasure: an identity is gone from every version, what is counted stays, and the audit chain holds."""

from datetime import date, timedelta
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from services.registry.audit.command import verify_audit
from services.registry.context import today
from services.registry.households import erasing
from services.registry.identities.rules import latest_expired
from services.registry.identity import Vault
from tests.registry.conftest import (
    CITY,
    XIXIA,
    events,
    faults,
    id_number,
    issue,
    issue_revealing,
    make,
    matching,
    member,
)
from tests.registry.test_audit import entries

NUMBER, OLDER = id_number(), id_number("19670101", 5)
IDENTITY = {"phone": "13800000000", "disability_number": OLDER + "44", "bank_card": "6217000000000018"}
REASON = {"reason": "保存期届满"}


async def _with_a_past(client: httpx.AsyncClient) -> tuple[str, str]:
    """A household and its head, whose name and number changed once."""
    made = await make(client, members=[member(id_number=OLDER, birth_date=None, **IDENTITY), member("other")])
    url, head = f"/v1/households/{made['id']}", made["members"][0]["id"]
    patch = {"name": "测试新名", "id_number": NUMBER, "disability_number": NUMBER + "44", "reason": "更正"}
    changed = await client.patch(f"{url}/members/{head}", json=patch, headers=matching(1))
    assert changed.status_code == 200, changed.text
    return url, head


async def _stored(app: FastAPI, person: str) -> list[Any]:
    async with app.state.runtime.database.driver() as pg:
        every = "SELECT * FROM person WHERE id = $1 UNION ALL SELECT * FROM person_version WHERE id = $1"
        return list(await pg.fetch(f"{every} ORDER BY version", person))


async def test_every_version_loses_the_identity_and_nothing_else(registry: httpx.AsyncClient, app: FastAPI) -> None:
    url, head = await _with_a_past(registry)
    figures = (await registry.get("/v1/statistics/poverty")).json()["division"]
    await entries(registry, app)
    erased = await registry.post(f"{url}/members/{head}/erasure", json=REASON, headers=matching(2))
    assert erased.status_code == 200, erased.text
    assert erased.headers["etag"] == '"3"'
    shown = erased.json()["members"][0]
    assert (shown["status"], shown["version"], shown["name"], shown["birth_year"]) == ("erased", 3, "*", 1968)
    assert [shown[name] for name in ("id_number", "phone", "disability_number", "bank_card")] == [None] * 4
    assert (erased.json()["people"], erased.json()["head"]) == (2, None)
    rows = await _stored(app, head)
    assert [(row["version"], row["status"]) for row in rows] == [(1, "active"), (2, "active"), (3, "erased")]
    sealed = ("name", "id_number", "id_number_index", "phone", "disability_number", "bank_card")
    assert all(row[column] is None for row in rows for column in sealed)
    assert {(row["birth_date"].month, row["birth_date"].day) for row in rows} == {(1, 1)}
    assert (await registry.get("/v1/statistics/poverty")).json()["division"] == figures
    newest = (await events(app, "person"))[-1]
    assert (newest["id"], newest["version"], newest["status"], newest["birth_year"]) == (head, 3, "erased", 1968)
    [entry] = await entries(registry, app, operation="person.erased")
    assert (entry["object_id"], entry["version"], entry["reason"]) == (head, 3, "保存期届满")
    assert await verify_audit(app.state.runtime.settings, []) == 0
    listed = (await registry.get("/v1/households")).json()["items"]
    assert [each["head"] for each in listed] == [None]


async def test_what_was_erased_does_not_come_back(
    registry: httpx.AsyncClient, app: FastAPI, capsys: pytest.CaptureFixture[str]
) -> None:
    url, head = await _with_a_past(registry)
    who = f"{url}/members/{head}"
    assert (await registry.post(f"{who}/erasure", json=REASON, headers=matching(2))).status_code == 200
    again = await registry.post(f"{who}/erasure", json=REASON, headers=matching(3))
    assert (again.status_code, again.headers["etag"]) == (200, '"3"')
    patched = await registry.patch(who, json={"name": "测试甲"}, headers=matching(3))
    assert (patched.status_code, patched.json()["code"]) == (409, "person_erased")
    assert (await registry.post(f"{url}/deregistration", json=REASON, headers=matching(3))).status_code == 200
    assert (await registry.get(who)).json()["status"] == "erased"
    headers = await issue_revealing(app, capsys, CITY)
    seen = await registry.post(f"{who}/reveal", json={"purpose": "law", **REASON}, headers=headers)
    assert {seen.json()[name] for name in ("id_number", "phone", "bank_card", "disability_number")} == {None}
    found = await registry.post("/v1/persons/lookup", json={"purpose": "law", "id_numbers": [NUMBER, OLDER]})
    assert [each["found"] for each in found.json()["items"]] == [False, False]
    await make(registry, members=[member(id_number=NUMBER)])  # the number is free again


async def test_content_sent_again_after_an_erasure_is_no_longer_recognised(registry: httpx.AsyncClient) -> None:
    body = {"members": [member(id_number=NUMBER)]}
    made = await make(registry, **body)
    who = f"/v1/households/{made['id']}/members/{made['members'][0]['id']}"
    assert (await registry.post(f"{who}/erasure", json=REASON, headers=matching(1))).status_code == 200
    assert (await make(registry, **body))["id"] != made["id"]


async def test_a_household_off_the_register_can_be_erased(registry: httpx.AsyncClient, app: FastAPI) -> None:
    url, head = await _with_a_past(registry)
    assert (await registry.post(f"{url}/deregistration", json=REASON, headers=matching(2))).status_code == 200
    erased = await registry.post(f"{url}/members/{head}/erasure", json=REASON, headers=matching(3))
    assert [each["status"] for each in erased.json()["members"]] == ["erased", "deregistered"]
    assert all(row["name"] is None for row in await _stored(app, head))


async def test_who_may_erase_and_how(registry: httpx.AsyncClient, app: FastAPI) -> None:
    url, head = await _with_a_past(registry)
    erasure = f"{url}/members/{head}/erasure"
    recorder = await issue(registry, ["recorder"], [XIXIA])
    elsewhere = await issue(registry, ["admin"], ["411325000000"])
    assert (await registry.post(erasure, json=REASON, headers={**recorder, **matching(2)})).status_code == 403
    assert (await registry.post(erasure, json=REASON, headers={**elsewhere, **matching(2)})).status_code == 404
    assert (await registry.post(erasure, json=REASON)).status_code == 428
    assert (await registry.post(erasure, json=REASON, headers=matching(1))).status_code == 412
    assert faults(await registry.post(erasure, json={}, headers=matching(2))) == {("/reason", "missing")}
    unknown = erasure.replace(head, url.rsplit("/", 1)[1])
    assert (await registry.post(unknown, json=REASON, headers=matching(2))).status_code == 404
    vault: Vault = app.state.registry.vault
    row = (await _stored(app, head))[-1]
    assert vault.open(row["name"], "name", row["id"]) == "测试新名"


async def test_everyone_is_erased_whose_retention_is_over(
    registry: httpx.AsyncClient, app: FastAPI, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(erasing, "AT_ONCE", 2)
    left: dict[str, list[str]] = {"2016-01-01": [], "2020-12-31": []}
    for day in ("2016-01-01", "2016-01-01", "2020-12-31", "2016-01-01"):
        url, _ = await _with_a_past(registry)
        gone = {"effective_on": day, "reason": "整户迁出"}
        assert (await registry.post(f"{url}/deregistration", json=gone, headers=matching(2))).status_code == 200
        left[day].append(url)
        await _free_numbers(app)
    active, _ = await _with_a_past(registry)
    elsewhere = await issue(registry, ["admin"], ["411325000000"])
    body = {"deregistered_before": "2017-01-01", **REASON}

    async def expire(**more: Any) -> dict[str, Any]:
        answer = await registry.post("/v1/households/erasures", json=body, **more)
        assert answer.status_code == 200, answer.text
        told: dict[str, Any] = answer.json()
        return told

    assert await expire(headers=elsewhere) == {"households": 0, "persons": 0, "more": False}
    assert await expire() == {"households": 2, "persons": 4, "more": True}
    assert await expire() == {"households": 1, "persons": 2, "more": False}
    assert await expire() == {"households": 0, "persons": 0, "more": False}
    for day, urls in left.items():
        for url in urls:
            members = (await registry.get(f"{url}/members")).json()
            assert {each["status"] for each in members} == ({"erased"} if day < "2017" else {"deregistered"})
            rows = [row for each in members for row in await _stored(app, each["id"])]
            assert {row["name"] is None for row in rows} == {day < "2017"}
    assert {each["status"] for each in (await registry.get(f"{active}/members")).json()} == {"active"}
    assert len(await entries(registry, app, operation="person.erased")) == 6
    assert await verify_audit(app.state.runtime.settings, []) == 0


async def _free_numbers(app: FastAPI) -> None:
    """Deregistered persons hold no number, so that the next household may have the same."""
    async with app.state.runtime.database.driver() as pg:
        assert not await pg.fetchval("SELECT EXISTS (SELECT FROM person WHERE status = 'active')")


async def test_nobody_is_erased_before_retention_is_over(registry: httpx.AsyncClient, app: FastAPI) -> None:
    day = latest_expired(today(app.state.registry), 5)
    for days, status in ((0, 200), (1, 422)):
        body = {"deregistered_before": (day + timedelta(days=days)).isoformat(), **REASON}
        assert (await registry.post("/v1/households/erasures", json=body)).status_code == status
    assert latest_expired(date(2020, 2, 29), 5) == date(2015, 2, 28)
    recorder = await issue(registry, ["recorder"], [XIXIA])
    refused = await registry.post("/v1/households/erasures", json=REASON, headers=recorder)
    assert refused.status_code == 403

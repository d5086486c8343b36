"""Seeing identity data: who may reveal and look up, what it leaves behind, and how much of it there is."""

from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from services.registry.keys.command import issue_key
from tests.registry.audit import entries, told
from tests.registry.conftest import (
    CITY,
    OTHER_VILLAGE,
    VILLAGE,
    XIXIA,
    app_on,
    client_of,
    faults,
    household,
    id_number,
    issue,
    issue_revealing,
    make,
    matching,
    member,
    within_an_hour,
)

NUMBER = id_number()
IDENTITY = {
    "name": "欧阳测试",
    "phone": "13800000000",
    "disability_number": NUMBER + "44",
    "bank_card": "6217000000000018",
}
WHY = {"purpose": "benefit", "reason": "核对账号"}


def known(**more: Any) -> dict[str, Any]:
    return member(id_number=NUMBER, **{**IDENTITY, **more})


async def test_reveal_shows_everything_of_one_person_and_is_audited(
    registry: httpx.AsyncClient, app: FastAPI, capsys: pytest.CaptureFixture[str]
) -> None:
    made = await make(registry, members=[known(), member("other")])
    head = made["members"][0]
    reveal = f"/v1/households/{made['number']}/members/{head['id']}/reveal"
    assert (await registry.post(reveal, json=WHY)).status_code == 403  # not even the bootstrap key
    headers = await issue_revealing(app, capsys, XIXIA)
    seen = await registry.post(reveal, json=WHY, headers=headers)
    assert seen.status_code == 200, seen.text
    assert seen.headers["cache-control"] == "no-store"
    assert seen.headers["ratelimit-policy"] == '"reveal";q=300;w=3600'
    assert seen.json() == {
        "id": head["id"], "number": head["number"], "id_number": NUMBER, "birth_date": "1968-03-12", **IDENTITY
    }  # fmt: skip
    [entry] = await entries(registry, app, operation="person.revealed")
    assert (entry["object_id"], entry["version"], entry["purpose"], entry["reason"]) == (
        head["id"], 1, "benefit", "核对账号"
    )  # fmt: skip
    issued = [each for each in await entries(registry, app, operation="key.issued") if each["key_id"] is None]
    assert entry["key_id"] == issued[-1]["object_id"]


async def test_reveal_refuses_without_reason_and_beyond_its_divisions(
    registry: httpx.AsyncClient, app: FastAPI, capsys: pytest.CaptureFixture[str]
) -> None:
    made = await make(registry, members=[known()])
    other = await make(registry)
    member_id = made["members"][0]["id"]
    reveal = f"/v1/households/{made['id']}/members/{member_id}/reveal"
    headers = await issue_revealing(app, capsys, XIXIA)
    assert faults(await registry.post(reveal, json={"purpose": "benefit"}, headers=headers)) == {("/reason", "missing")}
    assert faults(await registry.post(reveal, json={**WHY, "purpose": "curiosity"}, headers=headers)) == {
        ("/purpose", "literal_error")
    }
    elsewhere = await issue_revealing(app, capsys, "411325000000")
    unknown = f"/v1/households/{other['id']}/members/{member_id}/reveal"
    answers = [
        await registry.post(reveal, json=WHY, headers=elsewhere),
        await registry.post(unknown, json=WHY, headers=headers),
        await registry.post(reveal.replace(made["id"], member_id), json=WHY, headers=headers),
    ]
    assert [answer.status_code for answer in answers] == [404] * 3
    assert await entries(registry, app, operation="person.revealed") == []


async def test_look_up_answers_in_order_masked(registry: httpx.AsyncClient, app: FastAPI) -> None:
    second = id_number("19700101", 2)
    made = await make(registry, members=[known()], standing="poor", welfare="dibao")
    dead = await make(registry, members=[member(), member("spouse", id_number=second, sex="female", birth_date=None)])
    url = f"/v1/households/{dead['id']}/members/{dead['members'][1]['id']}"
    gone = await registry.patch(url, json={"status": "deceased"}, headers=matching(1))
    assert gone.status_code == 200
    unknown = id_number("19800101", 3)
    asked = {"purpose": "medical", "reason": "医疗救助", "id_numbers": [unknown, second, NUMBER.lower(), NUMBER]}
    answer = await registry.post("/v1/persons/lookup", json=asked)
    assert answer.status_code == 200, answer.text
    first, other, found, again = answer.json()["items"]
    assert set(first.values()) == {False, None}
    assert (other["found"], other["household"], other["status"]) == (True, dead["number"], "deceased")
    assert found == again == {
        "found": True, "person": made["members"][0]["number"], "household": made["number"], "name": "欧阳*试",
        "id_number": made["members"][0]["id_number"], "status": "active", "standing": "poor", "welfare": "dibao",
    }  # fmt: skip
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["ratelimit-policy"] == '"lookup";q=10000;w=3600'
    assert answer.headers["ratelimit"].startswith('"lookup";r=9996;t=')
    assert NUMBER not in answer.text
    whole = await entries(registry, app, operation="persons.looked_up")
    assert [(each["object_id"], each["purpose"], each["reason"]) for each in whole] == [
        (answer.json()["id"], "medical", "医疗救助")
    ]
    each_person = told(await entries(registry, app, operation="person.looked_up"))
    assert {object_id for _, object_id, _ in each_person} == {made["members"][0]["id"], dead["members"][1]["id"]}


async def test_unknown_and_out_of_scope_look_alike(registry: httpx.AsyncClient) -> None:
    await make(registry, members=[known()], village=OTHER_VILLAGE)
    county = await issue(registry, ["reader"], [XIXIA])
    asked = {"purpose": "verification", "id_numbers": [NUMBER, id_number("19800101", 3)]}
    foreign, unknown = (await registry.post("/v1/persons/lookup", json=asked, headers=county)).json()["items"]
    assert foreign == unknown
    assert not foreign["found"]


async def test_look_up_refuses_what_is_no_id_number_without_repeating_it(registry: httpx.AsyncClient) -> None:
    async def ask(*numbers: object, **more: object) -> httpx.Response:
        return await registry.post("/v1/persons/lookup", json={"purpose": "law", "id_numbers": list(numbers), **more})

    wrong = NUMBER[:-1] + ("0" if NUMBER[-1] != "0" else "1")
    refused = await ask(NUMBER, wrong, "测试")
    assert faults(refused) == {("/id_numbers/1", "id_number_check"), ("/id_numbers/2", "id_number_format")}
    assert wrong not in refused.text
    assert faults(await ask()) == {("/id_numbers", "too_short")}
    assert faults(await ask(*[NUMBER] * 1001)) == {("/id_numbers", "too_long")}
    assert faults(await ask(int(NUMBER[:17]))) == {("/id_numbers/0", "string_type")}
    assert faults(await ask(NUMBER, purpose=None)) == {("/purpose", "literal_error")}
    assert "ratelimit" not in refused.headers


async def test_quota_of_each_key_counts_numbers(
    monkeypatch: pytest.MonkeyPatch, url: str, secrets: None, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("BANGFU_REGISTRY_LOOKUP_QUOTA", "5")
    monkeypatch.setenv("BANGFU_REGISTRY_REVEAL_QUOTA", "1")
    app = app_on(url, within_an_hour())
    numbers = [id_number("19800101", n) for n in range(1, 5)]
    asked = {"purpose": "law", "id_numbers": numbers}
    async with client_of(app) as client:
        made = await make(client)
        assert (await client.post("/v1/persons/lookup", json=asked)).headers["ratelimit"].startswith('"lookup";r=1;')
        refused = await client.post("/v1/persons/lookup", json=asked)
        assert refused.status_code == 429
        assert refused.json()["type"] == "https://iana.org/assignments/http-problem-types#quota-exceeded"
        assert refused.json()["violated-policies"] == ["lookup"]
        assert refused.headers["ratelimit"].startswith('"lookup";r=1;t=')
        assert 0 < int(refused.headers["retry-after"]) <= 3600
        last = {**asked, "id_numbers": numbers[:1]}
        assert (await client.post("/v1/persons/lookup", json=last)).status_code == 200
        other = await issue(client, ["reader"], [CITY])
        assert (await client.post("/v1/persons/lookup", json=asked, headers=other)).status_code == 200
        headers = await issue_revealing(app, capsys, CITY)
        reveal = f"/v1/households/{made['id']}/members/{made['members'][0]['id']}/reveal"
        answers = [await client.post(reveal, json=WHY, headers=headers) for _ in range(2)]
        assert [answer.status_code for answer in answers] == [200, 429]
        assert len(await entries(client, app, operation="person.revealed")) == 1
        assert len(await entries(client, app, operation="persons.looked_up")) == 3


async def test_a_key_for_reveals_is_issued_by_the_operator_alone(
    registry: httpx.AsyncClient, app: FastAPI, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = app.state.runtime.settings
    for role, division in (("identity:reveal", "999999999999"), ("king", CITY)):
        assert await issue_key(settings, ["--name", "x", "--role", role, "--division", division]) == 1
    assert len((await registry.get("/v1/keys")).json()["items"]) == 1
    headers = await issue_revealing(app, capsys, VILLAGE)
    assert (await registry.get("/v1/keys", headers=headers)).status_code == 403
    assert (await registry.post("/v1/households", json=household(), headers=headers)).status_code == 403


async def test_denials_are_audited_with_who_what_and_why(
    monkeypatch: pytest.MonkeyPatch, url: str, secrets: None, capsys: pytest.CaptureFixture[str]
) -> None:
    """Denied by role, by division and by quota; what was asked for is named, other text in addresses is not kept."""
    monkeypatch.setenv("BANGFU_REGISTRY_LOOKUP_QUOTA", "1")
    monkeypatch.setenv("BANGFU_REGISTRY_REVEAL_QUOTA", "1")
    app = app_on(url, within_an_hour())
    async with client_of(app) as client:
        made = await make(client, members=[known()])
        head = made["members"][0]["id"]
        reveal = f"/v1/households/{made['id']}/members/{head}/reveal"
        reader = await issue(client, ["reader"], [XIXIA])
        knowing = await issue_revealing(app, capsys, XIXIA)
        elsewhere = await issue_revealing(app, capsys, "411325000000")
        two = {"purpose": "law", "reason": "核查", "id_numbers": [NUMBER, NUMBER]}
        for path, body, headers, status in (
            (reveal, WHY, reader, 403),
            (reveal, WHY, elsewhere, 404),
            (reveal, WHY, knowing, 200),
            (reveal, WHY, knowing, 429),
            (reveal.replace(head, NUMBER), WHY, reader, 403),
            ("/v1/persons/lookup", two, knowing, 403),
            ("/v1/persons/lookup", two, reader, 429),
        ):
            answer = await client.post(path, json=body, headers=headers)
            assert answer.status_code == status, (path, answer.text)
        denied = await entries(client, app, operation="person.reveal_denied")
        assert [(each["object_id"], each["outcome"], each["reason"]) for each in denied] == [
            (head, "forbidden", None),
            (head, "not_found", "核对账号"),
            (head, "too_many_requests", "核对账号"),
            ("?", "forbidden", None),
        ]
        assert len({each["key_id"] for each in denied}) == 3
        looked = await entries(client, app, operation="persons.look_up_denied")
        assert [(each["outcome"], each["purpose"]) for each in looked] == [
            ("forbidden", None), ("too_many_requests", "law")
        ]  # fmt: skip
        assert len(await entries(client, app, operation="person.revealed")) == 1
        county = await issue(client, ["admin"], ["411325000000"])  # sees what its own keys were denied, no more
        seen = (await client.get("/v1/audit?operation=person.reveal_denied", headers=county)).json()["items"]
        assert [each["outcome"] for each in seen] == ["not_found"]

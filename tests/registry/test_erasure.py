"""Erasure: an identity is gone from every version, what is counted stays, and the audit chain holds."""

import json
import random
import time
from datetime import date, timedelta
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from services.registry.audit.command import verify_audit
from services.registry.context import today
from services.registry.exchange import subscriptions, tasks
from services.registry.exchange.transactions import CONSENTS
from services.registry.households import erasing
from services.registry.identities.rules import latest_expired
from services.registry.identities.traces import Traces
from services.registry.identity import Vault
from tests.registry.audit import entries
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
from tests.registry.dci import Partner, by_predicate, now, searching, term
from tests.registry.sheets import head, imported, workbook

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

    assert await expire(headers=elsewhere) == {"households": 0, "persons": 0, "more": False, "audit_entries": []}
    assert await expire() == {"households": 2, "persons": 4, "more": True, "audit_entries": []}
    assert await expire() == {"households": 1, "persons": 2, "more": False, "audit_entries": []}
    assert await expire() == {"households": 0, "persons": 0, "more": False, "audit_entries": []}
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


NAME, OTHERS = "测试金丝雀", id_number("19700601", 4)
WIDE = "".join(chr(ord(character) + 0xFEE0) for character in NUMBER)
"""The number in full-width digits: a query may have it so, and is kept as it came."""


async def _sealed(app: FastAPI) -> dict[str, list[str]]:
    """What is sealed beside the register, opened."""
    vault: Vault = app.state.registry.vault
    async with app.state.runtime.database.driver() as pg:
        rejected = await pg.fetch("SELECT * FROM import_rejected ORDER BY row_number")
        requests = await pg.fetch("SELECT * FROM exchange_request ORDER BY id")
        callbacks = await pg.fetch("SELECT * FROM exchange_task WHERE sealed IS NOT NULL ORDER BY id")
        filters = await pg.fetch("SELECT * FROM exchange_subscription ORDER BY code")
    return {
        "rejected": [vault.open(r["sealed"], f"import_rejected.{r['row_number']}", r["job_id"]) for r in rejected],
        "consents": [vault.open(r["consents"], CONSENTS, r["id"]) for r in requests],
        "callbacks": [vault.open(r["sealed"], tasks.SEALED, r["id"]) for r in callbacks],
        "filters": [vault.open(r["filter"], subscriptions.SEALED, r["code"]) for r in filters],
    }


async def _copied(client: httpx.AsyncClient, partner: Partner) -> None:
    """A person in every place that keeps sealed copies, and somebody else beside."""
    wrong = [
        head("41132300000001", name=NAME, id_number=NUMBER, cause="没有原因"),
        head("41132300000002", name=NAME, id_number="缺", cause="没有原因"),
        head("41132300000003", name=f"{NAME}儿", id_number=id_number("19680312", 9), cause="没有原因"),
    ]
    await imported(client, workbook(wrong), mode="each")
    line = json.dumps({"village": "x", "members": [{"name": NAME}]}).encode()  # with the name escaped
    await imported(client, line, mode="each")
    searches = [
        by_predicate({"expression1": term("national_id", "eq", number)}, consent={"of": name, "id": number})
        for name, number in ((NAME, NUMBER), ("测试乙", OTHERS), (NAME, WIDE))
    ]
    for each in searches:
        taken = await partner.post("/search", partner.envelope("search", searching(each)))
        assert taken.status_code == 202, taken.text
        criteria = {"reg_event_type": "REGISTER", "filter_type": "predicate", "notify_record_type": "Member"}
        item = {"reference_id": "s", "timestamp": now(), "subscribe_criteria": {**criteria, "filter": each["query"]}}
        message = {"transaction_id": "t", "subscribe_request": [item]}
        begun = await partner.post("/subscribe", partner.envelope("subscribe", message))
        assert begun.status_code == 202, begun.text


async def test_sealed_copies_elsewhere_lose_the_person_and_nobody_else(
    registry: httpx.AsyncClient, app: FastAPI
) -> None:
    made = await make(registry, members=[member(name=NAME, id_number=NUMBER), member("other")])
    await _copied(registry, await Partner.register(registry))
    before = await _sealed(app)
    assert len(before["rejected"]) == 4
    assert sum(NUMBER in text for texts in before.values() for text in texts) == 4
    url = f"/v1/households/{made['id']}/members/{made['members'][0]['id']}"
    renamed = {"name": "测试新名", "reason": "更正"}  # the name of then is looked for, too
    assert (await registry.patch(url, json=renamed, headers=matching(1))).status_code == 200
    erased = await registry.post(f"{url}/erasure", json=REASON, headers=matching(2))
    assert erased.status_code == 200, erased.text
    after = await _sealed(app)
    everything = [text for texts in after.values() for text in texts]
    assert [text for text in everything if NUMBER in text or WIDE in text or f'"{NAME}"' in text] == []
    assert [json.loads(text)[0][7] for text in after["rejected"]] == [f"{NAME}儿"]
    assert [json.loads(text)[0]["consent"] for text in after["consents"] if "consent" in text and "of" in text] == [
        {"of": "*", "id": "*"}, {"of": "测试乙", "id": OTHERS}, {"of": "*", "id": "*"}
    ]  # fmt: skip
    for place in ("callbacks", "filters"):
        assert len(after[place]) == len(before[place])
        assert sum(OTHERS in text for text in after[place]) == sum(OTHERS in text for text in before[place]) > 0
    async with app.state.runtime.database.driver() as pg:
        ended = await pg.fetch("SELECT ended_at IS NOT NULL AS ended FROM exchange_subscription ORDER BY code")
    assert [row["ended"] for row in ended] == [True, False, True]


@pytest.mark.parametrize(
    ("text", "left"),
    [
        (f'["张三","{NUMBER}"]', '["*","*"]'),
        (f'["张三丰","{NUMBER.lower()}0"]', None),
        ('{"a":"户主张三"}', None),
        ('"张三(户主)"', '"*(户主)"'),
        (r'"{\"name\":\"张三\"}"', r'"{\"name\":\"*\"}"'),
        (r'"\u5f20\u4E09"', '"*"'),
        (r'["一\n张三\n二"]', r'["一\n*\n二"]'),
        ("138000000001", None),
        ("138 0000-0000 410000199001010000", "* 410000199001010000"),
        (f"{WIDE},ｘ", "*,ｘ"),
        (rf"{NUMBER[:4]}\uff{ord(NUMBER[4]) - 32:02x}{NUMBER[5:]}", "*"),
        ("+8613800000000,008613800000000", "+*,*"),
        ("8613800000001", None),
        ('["张　三","张 三"]', '["*","*"]'),
        ('"关张 三个"', None),
        ("阿依•买买提,阿依 · 买买提,阿依买买提", "*,*,*"),
    ],
)
def test_persons_are_found_in_texts(text: str, left: str | None) -> None:
    traces = Traces.of(["张三", "李", "阿依·买买提"], [NUMBER, "13800000000"])
    assert traces.in_text(text) is (left is not None)
    assert traces.starred(text) == (text if left is None else left)


def test_nobody_is_found_where_nobody_is_sought() -> None:
    assert not Traces.of([], []).in_text("张三")
    assert not Traces.of(["李", "type"], []).in_text('{"type": "李"}')  # one character is in too many words


def test_many_persons_are_sought_as_quickly_as_few() -> None:
    """Row by row through what imports refused, while a thousand are erased at once."""
    chance = random.Random(1)

    def number() -> str:
        return "".join(chance.choices("0123456789", k=18))

    traces = Traces.of([f"{chr(0x4E00 + n)}测" for n in range(1000)], [number() for _ in range(4000)])
    text = json.dumps([number() for _ in range(10)] + [f"{chr(0x4E00 + n)}试" for n in range(30)], ensure_ascii=False)
    began = time.process_time()
    assert not any(traces.in_text(text) for _ in range(100))
    assert time.process_time() - began < 1

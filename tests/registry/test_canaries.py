"""Identities planted through every way of writing are found nowhere in the clear: no table, event, log or answer."""

import json
import logging
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from tests.registry.audit import seal
from tests.registry.conftest import VILLAGE, household, id_number, issue_revealing, make, matching, member
from tests.registry.dci import Partner, by_predicate, now, searching, term
from tests.registry.sheets import HEADER, ended, send, workbook
from tests.registry.sheets import head as row_of
from tests.registry.standing import DOCUMENT

PLANTED = [
    {
        "name": f"金丝雀{letter}",
        "id_number": id_number("19680312", 101 + 2 * n),
        "phone": f"1387654320{n}",
        "disability_number": id_number("19680312", 101 + 2 * n) + "44",
        "bank_card": f"621799887766554{n}",
    }
    for n, letter in enumerate("甲乙丙丁戊己庚辛壬")
]
CANARIES = sorted({value for planted in PLANTED for value in planted.values()})
JSONL = {"Content-Type": "application/jsonl"}


def _searched() -> list[str]:
    """How a canary would show in a row as text: as it is, as the hex of its bytes, or escaped in JSON."""
    plain = [*CANARIES, *(json.dumps(canary).strip('"') for canary in CANARIES)]
    return [f"%{text}%" for text in (*plain, *(canary.encode().hex() for canary in CANARIES))]


async def _leaks(app: FastAPI) -> list[str]:
    async with app.state.runtime.database.driver() as pg:
        tables = await pg.fetch(
            "SELECT c.oid::regclass::text AS name FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace "
            "WHERE n.nspname = 'public' AND c.relkind IN ('r', 'p')"
        )
        names = {table["name"] for table in tables}
        assert {"person", "person_version", "outbox", "audit_entry", "idempotency", "import_job"} <= names
        found = []
        for table in tables:
            query = f"SELECT EXISTS (SELECT FROM {table['name']} AS t WHERE t::text LIKE ANY($1::text[]))"
            if await pg.fetchval(query, _searched()):
                found.append(table["name"])
    return found


async def _plant(client: httpx.AsyncClient) -> Iterator[httpx.Response]:
    """Every way of writing identities, and every way of writing them wrong; the answers."""
    alone, added, patched, sent_in_bulk, *_, without, corrected = PLANTED
    answers = []
    single = await client.post("/v1/persons", json={"village": VILLAGE, **without}, headers={"Idempotency-Key": "c"})
    person = f"/v1/persons/{single.json()['id']}"
    answers += [single, await client.patch(person, json=corrected, headers=matching(1))]
    made = await make(client, members=[member(**alone)])
    url, head = f"/v1/households/{made['id']}", made["members"][0]["id"]
    body = member("other", **added)
    answers.append(await client.post(f"{url}/members", json=body, headers={**matching(1), "Idempotency-Key": "canary"}))
    answers.append(await client.patch(f"{url}/members/{head}", json=patched, headers=matching(2)))
    lines = json.dumps(household(members=[member(**sent_in_bulk)]))
    answers.append(await client.post("/v1/households/bulk", content=lines, headers=JSONL))
    assert [answer.status_code for answer in answers] == [201, 200, 201, 200, 200]
    wrong = sent_in_bulk["id_number"][:-1] + "?"
    for refused in (
        await client.post("/v1/households", json=household(members=[member(**sent_in_bulk)], cause="disability")),
        await client.post("/v1/households", json=household(members=[member(**sent_in_bulk, extra=1)])),
        await client.post("/v1/households", json=household(members=[{**member(**alone), "phone": alone["bank_card"]}])),
        await client.post("/v1/households/bulk", content=lines + "\n" + lines[:-3], headers=JSONL),
        await client.post(f"{url}/members", json=body, headers=matching(1)),
        await client.patch(f"{url}/members/{head}", json={**added, "reason": "更正"}, headers=matching(3)),
        await client.post("/v1/persons/lookup", json={"purpose": "law", "id_numbers": [wrong]}),
        await client.get("/v1/households", params={"q": alone["name"]}),
        await client.post("/v1/persons", json={"village": VILLAGE, **corrected}),
        await client.patch(person, json={**alone, "phone": alone["bank_card"]}, headers=matching(2)),
    ):
        assert refused.status_code >= 400 or refused.json()["status"] == "rejected", refused.text
        answers.append(refused)
    answers += [
        await client.post(
            "/v1/persons/lookup", json={"purpose": "law", "id_numbers": [each["id_number"] for each in PLANTED]}
        ),
        await client.get("/v1/households"),
        await client.get("/v1/households", headers={"Accept": "application/jsonl"}),
        await client.get(url),
        await client.get(f"{url}/members"),
        await client.get(f"{url}/versions"),
        await client.get("/v1/persons"),
        await client.get(person),
        await client.get("/v1/audit?limit=500"),
        await client.get("/metrics"),
        await client.get("/readyz"),
    ]
    return iter(answers)


async def test_no_canary_is_found_in_the_clear(
    registry: httpx.AsyncClient,
    app: FastAPI,
    caplog: pytest.LogCaptureFixture,
    capsys: pytest.CaptureFixture[str],
) -> None:
    caplog.set_level(logging.DEBUG)
    logging.getLogger("httpx").setLevel(logging.WARNING)  # the test's own client
    answers = await _plant(registry)
    made = (await registry.get("/v1/households")).json()["items"][0]
    members = (await registry.get(f"/v1/households/{made['id']}/members")).json()
    headers = await issue_revealing(app, capsys, "411300000000")
    reveal = f"/v1/households/{made['id']}/members/{members[0]['id']}/reveal"
    seen = await registry.post(reveal, json={"purpose": "law", "reason": "核查"}, headers=headers)
    assert seen.json()["name"] == PLANTED[2]["name"]  # they are there, and shown to whoever may see them
    await seal(app)
    assert await _leaks(app) == []
    for answer in answers:
        told = answer.text + str(answer.headers)
        assert [canary for canary in CANARIES if canary in told] == [], answer.request.url
    assert [canary for canary in CANARIES if canary in caplog.text] == []


async def _plant_files(client: httpx.AsyncClient) -> list[httpx.Response]:
    """Good rows, and faulty ones: numbers and names in the wrong columns, broken, repeated, and a file without head."""
    good, bad = PLANTED[4], PLANTED[5]
    header = [*HEADER, "联系电话", "残疾人证号", "银行卡号"]

    def line(number: str, planted: dict[str, str], **more: Any) -> list[Any]:
        rest = [planted["phone"], planted["disability_number"], planted["bank_card"]]
        return [*row_of(number, name=planted["name"], id_number=planted["id_number"], **more), *rest]

    broken = [
        line("41132300000012", bad, cause=bad["name"]),
        line("41132300000013", bad, cause=bad["id_number"]),
        line("41132300000014", bad, place=(bad["name"], bad["phone"], bad["id_number"])),
        line(bad["id_number"], bad),
        line("41132300000015", {**bad, "phone": bad["bank_card"], "bank_card": bad["phone"]}),
        line("41132300000016", {**bad, "id_number": bad["id_number"][:-1] + "?"}),
        line("41132300000017", {**bad, "name": f"{bad['name']}{bad['phone']}"}),
        line("41132300000018", bad),
        line("41132300000019", bad),
    ]
    lines = json.dumps(household(members=[member(**bad)], cause=bad["name"])).encode()
    answers: list[httpx.Response] = []
    for content, mode in (
        (workbook([line("41132300000011", good)], header), "all"),
        (workbook([*broken, line("41132300000011", good)], header), "each"),
        (workbook(broken, header), "all"),
        (workbook(broken[:1], broken[1]), "all"),
        (lines, "each"),
    ):
        sent = await send(client, content, mode=mode, key=f"canary-{len(answers)}")
        assert sent.status_code == 202, sent.text
        await ended(client, sent.json()["id"])
        answers += [sent, await client.get(f"/v1/imports/{sent.json()['id']}")]
    return [*answers, await client.get("/v1/imports")]


async def _plant_exchange(client: httpx.AsyncClient) -> list[httpx.Response]:
    """Searches and subscriptions by ID number, consents that name somebody, and messages named by a number."""
    sought = PLANTED[4]
    partner = await Partner.register(client)
    by_number = by_predicate({"expression1": term("national_id", "eq", sought["id_number"])})
    consent = {"consent": sought, "authorize": {"purpose": {"code": sought["name"]}}}
    criteria = {"reg_event_type": "REGISTER", "filter_type": "predicate", "notify_record_type": "Member"}
    watched = {**criteria, "filter": by_number["query"], "authorize": {"by": sought["name"]}}
    item = {"reference_id": "s", "timestamp": now(), "subscribe_criteria": watched}
    named = {**searching(by_number), "transaction_id": sought["id_number"]}
    answers = [
        await partner.post("/sync/search", partner.envelope("search", searching(by_number, {**by_number, **consent}))),
        await partner.post("/search", partner.envelope("search", searching(by_number))),
        await partner.post(
            "/subscribe", partner.envelope("subscribe", {"transaction_id": "t", "subscribe_request": [item]})
        ),
        await partner.post("/sync/search", partner.envelope("search", named)),
    ]
    assert [answer.status_code for answer in answers] == [200, 202, 202, 422]
    [found, _] = answers[0].json()["message"]["search_response"]
    assert len(found["data"]["reg_records"]) == 1
    return answers


async def _plant_moves_and_decisions(client: httpx.AsyncClient) -> list[httpx.Response]:
    """A person who goes to another household and has an exit decided; reasons that hold numbers are refused."""
    moving = PLANTED[6]
    home = await make(client, members=[member(), member("son", **moving)])
    there = await make(client, standing="ordinary")
    who = f"/v1/households/{home['id']}/members/{home['members'][1]['id']}"
    goes = {"household": {"number": there["number"]}, "relation": "son", "reason": "婚嫁"}
    proposal = {"kind": "identification", "household": there["id"], "cause": "illness", "evidence": DOCUMENT}
    text = f"应{moving['phone']}要求"
    answers = [
        await client.post(f"{who}/transfer", json={**goes, "reason": moving["id_number"]}, headers=matching(1)),
        await client.post(f"{who}/transfer", json=goes, headers=matching(1)),
        await client.post("/v1/standing/decisions", json={**proposal, "note": text}),
        await client.post("/v1/standing/decisions", json=proposal),
    ]
    assert [answer.status_code for answer in answers] == [422, 200, 422, 201], [each.text for each in answers]
    decision = f"/v1/standing/decisions/{answers[-1].json()['id']}"
    refused = await client.post(f"{decision}/withdrawal", json={"note": text}, headers=matching(1))
    assert refused.status_code == 422
    return [*answers, refused, await client.get(decision), await client.get(f"/v1/households/{there['id']}/members")]


async def test_files_exchange_moves_and_decisions_leave_none_in_the_clear(
    registry: httpx.AsyncClient, app: FastAPI, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    logging.getLogger("httpx").setLevel(logging.WARNING)  # the test's own client
    answers = [
        *await _plant_files(registry), *await _plant_exchange(registry), *await _plant_moves_and_decisions(registry)
    ]  # fmt: skip
    await seal(app)
    answers += [await registry.get("/v1/audit?limit=500"), await registry.get("/metrics")]
    assert await _leaks(app) == []
    for answer in answers:
        told = answer.text + str(answer.headers)
        assert [canary for canary in CANARIES if canary in told] == [], answer.request.url
    assert [canary for canary in CANARIES if canary in caplog.text] == []


async def test_the_search_finds_what_is_in_the_clear(registry: httpx.AsyncClient, app: FastAPI) -> None:
    """In a reason, which clerks write themselves and which is kept as written; and in bytes."""
    made = await make(registry, members=[member()])
    patch = {"cause": "disability", "reason": f"本人{CANARIES[-1]}"}
    assert (await registry.patch(f"/v1/households/{made['id']}", json=patch, headers=matching(1))).status_code == 200
    assert set(await _leaks(app)) == {"household", "audit_entry"}
    async with app.state.runtime.database.driver() as pg:
        await pg.execute("UPDATE person SET phone = $1", CANARIES[0].encode())
    assert "person" in await _leaks(app)

"""Identities planted through every way of writing are found nowhere in the clear: no table, event, log or answer."""

import json
import logging
from collections.abc import Iterator

import httpx
import pytest
from fastapi import FastAPI

from tests.registry.conftest import VILLAGE, household, id_number, issue_revealing, make, matching, member
from tests.registry.test_audit import seal

PLANTED = [
    {
        "name": f"金丝雀{letter}",
        "id_number": id_number("19680312", 101 + 2 * n),
        "phone": f"1387654320{n}",
        "disability_number": id_number("19680312", 101 + 2 * n) + "44",
        "bank_card": f"621799887766554{n}",
    }
    for n, letter in enumerate("甲乙丙丁戊己")
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
        assert {"person", "person_version", "outbox", "audit_entry", "idempotency"} <= {t["name"] for t in tables}
        found = []
        for table in tables:
            query = f"SELECT EXISTS (SELECT FROM {table['name']} AS t WHERE t::text LIKE ANY($1::text[]))"
            if await pg.fetchval(query, _searched()):
                found.append(table["name"])
    return found


async def _plant(client: httpx.AsyncClient) -> Iterator[httpx.Response]:
    """Every way of writing identities, and every way of writing them wrong; the answers."""
    alone, added, patched, sent_in_bulk, without, corrected = PLANTED
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


async def test_the_search_finds_what_is_in_the_clear(registry: httpx.AsyncClient, app: FastAPI) -> None:
    """In a reason, which clerks write themselves and which is kept as written; and in bytes."""
    made = await make(registry, members=[member()])
    patch = {"cause": "disability", "reason": f"本人{CANARIES[-1]}"}
    assert (await registry.patch(f"/v1/households/{made['id']}", json=patch, headers=matching(1))).status_code == 200
    assert set(await _leaks(app)) == {"household", "audit_entry"}
    async with app.state.runtime.database.driver() as pg:
        await pg.execute("UPDATE person SET phone = $1", CANARIES[0].encode())
    assert "person" in await _leaks(app)

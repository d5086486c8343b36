"""Free text that names who is erased: starred out where it may be changed, told of in the audit log, which may not."""

import hashlib
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from services.registry.audit.command import verify_audit
from services.registry.households import erasing
from tests.registry.audit import entries
from tests.registry.conftest import (
    OTHER_VILLAGE,
    VILLAGE,
    client_of,
    id_number,
    issue_revealing,
    make,
    matching,
    member,
)
from tests.registry.standing import DOCUMENT, INSURED, Office, able, app_in_2018

NAME, CARD = "测试金丝雀", "6217000000000000018"
REASON = {"reason": f"应{NAME}本人申请"}


@pytest.fixture
def app(url: str, secrets: None) -> FastAPI:
    return app_in_2018(url)


@pytest.fixture
async def office(app: FastAPI) -> AsyncIterator[Office]:
    async with client_of(app) as client:
        yield await Office.of(client)


async def _naming(app: FastAPI, *texts: str) -> dict[str, int]:
    """How many rows of each table hold one of the texts."""
    async with app.state.runtime.database.driver() as pg:
        tables = await pg.fetch(
            "SELECT c.relname AS name FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace "
            "WHERE n.nspname = 'public' AND c.relkind = 'r'"
        )
        found = {}
        for table in tables:
            query = f"SELECT count(*) FROM {table['name']} AS t WHERE t::text LIKE ANY($1::text[])"
            found[table["name"]] = await pg.fetchval(query, [f"%{text}%" for text in texts])
    return {name: rows for name, rows in found.items() if rows}


async def _patched(client: httpx.AsyncClient, url: str, version: int, **body: Any) -> None:
    answer = await client.patch(url, json=body, headers=matching(version))
    assert answer.status_code == 200, answer.text


async def _told(client: httpx.AsyncClient, app: FastAPI) -> set[str]:
    """Entries of the audit log that name the person."""
    return {each["id"] for each in await entries(client, app) if NAME in (each["reason"] or "")}


async def test_free_text_about_a_household_loses_who_is_erased(
    office: Office, app: FastAPI, capsys: pytest.CaptureFixture[str]
) -> None:
    client = office.client
    members = [member(name=NAME, bank_card=CARD, attributes=INSURED), member("son", name="测试乙", attributes=INSURED)]
    home = await able(client, members=members, incomes=[{"year": 2018, "people": 2, "wages_fen": 600_000}])
    url, (head, son) = f"/v1/households/{home['id']}", (each["id"] for each in home["members"])
    await _patched(client, f"{url}/members/{son}", 1, employable="lost", reason=f"{NAME}之子患病")
    wages = {"people": 2, "wages_fen": 610_000, "reason": f"{NAME}的卡 6217 0000 0000 0000 018 入账"}
    stated = await client.put(f"{url}/incomes/2018", json=wages, headers=matching(2))
    assert stated.status_code in (200, 201), stated.text
    papers = [{**DOCUMENT[0], "title": f"{NAME}户评议记录"}]
    decision = await office.proposed(
        kind="exit", household=home["number"], year=2018, evidence=papers, note=f"{NAME}户申请退出"
    )
    objected = await office.act(decision, "objections", note=f"邻居反映{NAME}有车", evidence=papers)
    assert objected.status_code in (200, 201), objected.text
    reveal = {"purpose": "contact", "reason": f"走访{NAME}"}
    revealing = await issue_revealing(app, capsys, "411300000000")
    assert (await client.post(f"{url}/members/{head}/reveal", json=reveal, headers=revealing)).status_code == 200
    other = await make(client, members=[member(name=f"{NAME}儿")])
    await _patched(client, f"/v1/households/{other['id']}", 1, cause="disability", reason=f"{NAME}儿致残")
    told = await _told(client, app)
    assert len(told) >= 6
    assert set(await _naming(app, NAME)) == {
        "household", "household_version", "person", "standing_decision", "audit_entry"
    }  # fmt: skip

    erased = await client.post(f"{url}/members/{head}/erasure", json=REASON, headers=matching(3))
    assert erased.status_code == 200, erased.text
    elsewhere = {each["id"] for each in await entries(client, app, object=other["id"])}
    assert set(erased.json()["audit_entries"]) == told - elsewhere
    assert await _told(client, app) == told  # the erasure's own reason names nobody, either
    assert await _naming(app, NAME, "6217 0000") == {"household": 1, "audit_entry": len(told)}  # of the other household
    reasons = [each["reason"] for each in (await client.get(f"{url}/versions")).json()["items"]]
    assert reasons == [None, "*之子患病", "*的卡 * 入账", "应*本人申请"]
    kept = (await client.get(f"/v1/standing/decisions/{decision['id']}")).json()
    assert kept["steps"][0]["note"] == "*户申请退出"
    assert kept["objections"][0]["evidence"][0]["title"] == "*户评议记录"
    assert (kept["version"], kept["state"]) == (2, "contested")
    [redacted] = await entries(client, app, operation="decision.redacted")
    assert (redacted["object_id"], redacted["version"], redacted["reason"]) == (decision["id"], 2, "应*本人申请")
    async with app.state.runtime.database.driver() as pg:
        body = await pg.fetchval("SELECT body FROM standing_decision")
    assert redacted["digest"] == hashlib.sha256(body.encode()).hexdigest()
    assert await verify_audit(app.state.runtime.settings, []) == 0
    again = await client.post(f"{url}/members/{head}/erasure", json=REASON, headers=matching(4))
    assert (again.status_code, again.json()["audit_entries"]) == (200, [])


async def test_who_has_the_household_reads_that_a_decision_was_redacted(office: Office, app: FastAPI) -> None:
    client = office.client
    home = await able(client, members=[member(name=NAME, attributes=INSURED)])
    await office.proposed(kind="exit", household=home["number"], year=2018, note=f"{NAME}户申请退出")
    url = f"/v1/households/{home['id']}"
    moves = {"village": OTHER_VILLAGE, "effective_on": "2018-12-01", "reason": "搬迁"}
    assert (await client.patch(url, json=moves, headers=matching(1))).status_code == 200
    head = home["members"][0]["id"]
    erased = await client.post(f"{url}/members/{head}/erasure", json=REASON, headers=matching(2))
    assert erased.status_code == 200, erased.text
    async with app.state.runtime.database.driver() as pg:
        told = await pg.fetchval("SELECT divisions FROM audit_entry WHERE operation = 'decision.redacted'")
    assert OTHER_VILLAGE in told
    assert VILLAGE not in told


async def test_what_is_said_of_a_move_is_sought_in_both_households(office: Office, app: FastAPI) -> None:
    """Who comes to somebody's household is told of in the one left, in the same words; others' words are left there."""
    client = office.client
    joined = await make(client, members=[member(name=NAME)])
    left = await make(client, members=[member(), member("son"), member("daughter", sex="female")])
    url, (_, son, daughter) = f"/v1/households/{left['id']}", (each["id"] for each in left["members"])
    moves = {"household": {"number": joined["number"]}, "relation": "other", "reason": f"并入{NAME}户"}
    moved = await client.post(f"{url}/members/{son}/transfer", json=moves, headers=matching(1))
    assert moved.status_code == 200, moved.text
    departs = {"reason": f"拟并入{NAME}户"}
    departed = await client.post(f"{url}/members/{daughter}/departure", json=departs, headers=matching(2))
    assert departed.status_code == 200, departed.text
    told = {each["id"] for each in await entries(client, app) if each["reason"] == moves["reason"]}
    assert len(told) == 4
    erasure = f"/v1/households/{joined['id']}/members/{joined['members'][0]['id']}/erasure"
    erased = await client.post(erasure, json=REASON, headers=matching(2))
    assert erased.status_code == 200, erased.text
    assert told <= set(erased.json()["audit_entries"])
    reasons = [each["reason"] for each in (await client.get(f"{url}/versions")).json()["items"]]
    assert reasons == [None, "并入*户", departs["reason"]]


async def test_entries_that_stand_under_numbers_are_told_of(
    office: Office, app: FastAPI, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of certificates, and of who was asked for by number and denied."""
    client = office.client
    home = await able(client, members=[member(name=NAME, attributes=INSURED)])
    await office.concluded(await office.proposed(kind="exit", household=home["number"], year=2018))
    url, head = f"/v1/households/{home['id']}", home["members"][0]
    reveal = {"purpose": "contact", "reason": f"走访{NAME}"}
    here, elsewhere = [await issue_revealing(app, capsys, code) for code in ("411300000000", "411325000000")]
    asked = ((f"{url}/certificate.pdf", here, 200), (f"/v1/persons/{head['number']}/reveal", elsewhere, 404))
    for address, key, status in asked:
        assert (await client.post(address, json=reveal, headers=key)).status_code == status
    told = await _told(client, app)
    assert len(told) == 3
    version = (await client.get(url)).json()["version"]
    erased = await client.post(f"{url}/members/{head['id']}/erasure", json=REASON, headers=matching(version))
    assert set(erased.json()["audit_entries"]) == told


async def test_a_look_up_is_told_of_with_all_whom_it_found(office: Office, app: FastAPI) -> None:
    """And with what it was asked; also where it found others alone, or nobody, and was about who is erased."""
    client = office.client
    numbers = [id_number(), id_number("19700601", 2), id_number("19710601", 3)]
    home = await make(client, members=[member(name=NAME, id_number=numbers[0])])
    await make(client, members=[member(birth_date="1970-06-01", sex="female", id_number=numbers[1])])
    asked = (
        (f"核对{NAME}一户", numbers[:2]), (f"核对{NAME}的亲属", numbers[1:2]), (f"核对{NAME}的亲戚", numbers[2:]),
        ("核对他人", numbers[1:2]),
    )  # fmt: skip
    for reason, sought in asked:
        looked = {"purpose": "verification", "reason": reason, "id_numbers": sought}
        answer = await client.post("/v1/persons/lookup", json=looked)
        assert answer.status_code == 200, answer.text
    told = await _told(client, app)
    erasure = f"/v1/households/{home['id']}/members/{home['members'][0]['id']}/erasure"
    erased = await client.post(erasure, json=REASON, headers=matching(1))
    assert erased.status_code == 200, erased.text
    named = erased.json()["audit_entries"]
    assert (len(named), set(named)) == (len(told), told)
    listed = [each["operation"] for each in await entries(client, app) if each["id"] in told]
    assert sorted(listed) == ["person.looked_up"] * 3 + ["persons.looked_up"] * 3


async def test_what_another_person_was_revealed_for_is_told_of(
    office: Office, app: FastAPI, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whether it was granted or denied."""
    client = office.client
    home = await make(client, members=[member(name=NAME)])
    other = await make(client, members=[member(name="测试丁")])
    url = f"/v1/households/{other['id']}/members/{other['members'][0]['id']}/reveal"
    here, elsewhere = [await issue_revealing(app, capsys, code) for code in ("411300000000", "411325000000")]
    reveal = {"purpose": "contact", "reason": f"寻访{NAME}的邻居"}
    for key, status in ((here, 200), (elsewhere, 404)):
        assert (await client.post(url, json=reveal, headers=key)).status_code == status
    told = await _told(client, app)
    assert len(told) == 2
    erasure = f"/v1/households/{home['id']}/members/{home['members'][0]['id']}/erasure"
    erased = await client.post(erasure, json=REASON, headers=matching(1))
    assert set(erased.json()["audit_entries"]) == told


async def test_so_does_that_about_somebody_without_a_household(office: Office, app: FastAPI) -> None:
    """And about the household that they left before."""
    client = office.client
    home = await make(client, members=[member(), member("son", name=NAME)])
    url, son = f"/v1/households/{home['id']}", home["members"][1]["id"]
    left = {"reason": f"{NAME}分户离开", "effective_on": "2018-06-01", "village": VILLAGE}
    gone = await client.post(f"{url}/members/{son}/departure", json=left, headers=matching(1))
    assert gone.status_code == 200, gone.text
    person = f"/v1/persons/{son}"
    version = (await client.get(person)).json()["version"]
    await _patched(client, person, version, employable="lost", reason=f"{NAME}患病")
    told = await _told(client, app)
    assert len(told) >= 2
    erased = await client.post(f"{person}/erasure", json=REASON, headers=matching(version + 1))
    assert erased.status_code == 200, erased.text
    assert set(erased.json()["audit_entries"]) == told
    assert await _naming(app, NAME) == {"audit_entry": len(told)}


async def test_an_expiry_tells_of_all_the_entries(
    office: Office, app: FastAPI, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(erasing, "AT_ONCE", 10)
    client = office.client
    for n in range(2):
        home = await make(client, registered_on="2010-05-01", members=[member(name=NAME)])
        gone = {"effective_on": "2011-01-01", "reason": f"{NAME}户整户迁出{n}"}
        url = f"/v1/households/{home['id']}/deregistration"
        assert (await client.post(url, json=gone, headers=matching(1))).status_code == 200
    told = await _told(client, app)
    body = {"deregistered_before": "2012-01-01", "reason": "保存期届满"}
    answer = (await client.post("/v1/households/erasures", json=body)).json()
    assert (answer["households"], answer["persons"], set(answer["audit_entries"])) == (2, 2, told)
    assert await _naming(app, NAME) == {"audit_entry": len(told)}

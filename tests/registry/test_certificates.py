"""Certificates: numbered without gaps, one a household, verified without telling more than they must, printed."""

import asyncio
import base64
import re
import zlib
from collections.abc import AsyncIterator, Callable
from datetime import timedelta

import pytest
from fastapi import FastAPI
from reportlab.pdfbase.cidfonts import UnicodeCIDFont

from services.registry.certificates import visitors
from services.registry.certificates.pdf import FONT
from services.registry.certificates.visitors import Visitors
from services.registry.identities.quota import Quota
from shared.auth import new_secret, upsert_key
from shared.contracts.key import KeyEvent
from shared.ids import uuid7
from tests.registry.audit import entries
from tests.registry.conftest import (
    CITY,
    OTHER_VILLAGE,
    VILLAGE,
    XIPING,
    app_on,
    client_of,
    faults,
    issue,
    make,
    matching,
    member,
)
from tests.registry.standing import INSURED, Office, able, app_in_2018, clock

HEAD = "欧阳测试"


@pytest.fixture
def app(url: str, secrets: None) -> FastAPI:
    return app_in_2018(url)


@pytest.fixture
async def office(app: FastAPI) -> AsyncIterator[Office]:
    async with client_of(app) as client:
        yield await Office.of(client)


async def _exited(office: Office, **more: object) -> tuple[str, str]:
    """A household that exited, and its certificate."""
    home = await able(office.client, members=[member(name=HEAD, attributes=INSURED)], **more)
    decision = await office.concluded(await office.proposed(kind="exit", household=home["id"], year=2018))
    return home["id"], decision["certificate"]


async def test_numbers_run_without_gaps_by_county_and_year(office: Office) -> None:
    first = await _exited(office)
    home = await able(office.client)
    last = await office.upto(await office.proposed(kind="exit", household=home["id"], year=2018), "striking_off")
    refused = await office.step(last, on="2018-12-21")
    assert refused.status_code == 422
    second, third = await asyncio.gather(_exited(office), _exited(office))
    elsewhere = await _exited(office, village=OTHER_VILLAGE)
    assert first[1] == "4113232018000001"
    assert {second[1], third[1]} == {"4113232018000002", "4113232018000003"}
    assert elsewhere[1] == "4113022018000001"


NOBODY = {"Authorization": ""}


async def test_anybody_verifies_without_a_key_and_learns_nobodys_name(office: Office) -> None:
    _, number = await _exited(office)
    shown = await office.client.get(f"/v1/certificates/{number}", headers=NOBODY)
    assert shown.json() == {
        "number": number,
        "status": "valid",
        "withdrawn_on": None,
        "village": "西峡县西坪镇下营村民委员会",
        "year": 2018,
        "watermark": None,
    }
    for unknown in ("4113232018000002", "x", "%00", "4" * 41):
        answer = await office.client.get(f"/v1/certificates/{unknown}", headers=NOBODY)
        assert answer.status_code in (404, 422), unknown


async def test_a_telephone_is_shown_a_page(office: Office) -> None:
    home, number = await _exited(office)
    browser = NOBODY | {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8", "Accept-Language": "zh-CN,zh"}
    page = await office.client.get(f"/v1/certificates/{number}", headers=browser)
    assert (page.status_code, page.headers["content-type"]) == (200, "text/html; charset=utf-8")
    for told in (number, "有效", "西峡县西坪镇下营村民委员会", "2018"):
        assert told in page.text
    for hidden in (HEAD, "欧阳", home, "src=", "href="):
        assert hidden not in page.text
    await office.concluded(await office.proposed(kind="relapse", household=home, cause="illness", on="2018-10-16"))
    gone = (await office.client.get(f"/v1/certificates/{number}", headers=browser)).text
    assert "已注销" in gone
    assert "2018-10-23" in gone
    unknown = await office.client.get("/v1/certificates/4113232018999999", headers=browser)
    assert (unknown.status_code, "查无此证" in unknown.text) == (404, True)


async def test_an_address_verifies_so_many_in_an_hour(url: str, secrets: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BANGFU_REGISTRY_VERIFICATION_QUOTA", "2")
    now = clock()
    async with client_of(app_on(url, now)) as client:
        answers = [await client.get("/v1/certificates/4113232018000001", headers=NOBODY) for _ in range(3)]
        assert [answer.status_code for answer in answers] == [404, 404, 429]
        assert answers[0].headers["ratelimit"].startswith('"verification";r=1;')
        assert (answers[2].json()["code"], answers[2].headers["retry-after"]) == ("too_many_requests", "3601")
        now.advance(timedelta(hours=1))
        assert (await client.get("/v1/certificates/4113232018000001", headers=NOBODY)).status_code == 404


def test_visitors_are_told_apart_by_what_an_address_has_to_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(visitors, "MAX_ADDRESSES", 4)
    now, found = clock().now(), Visitors(Quota("verification", 9))
    used = [
        found.count(address, now).used
        for address in (
            "2001:db8:0:1::1", "2001:db8:0:1:ffff::2", "2001:db8:0:2::1", "::ffff:10.0.0.1", "10.0.0.1",
            "::ffff:10.0.0.2", "10.0.0.3", "10.0.0.4", "10.0.0.1",
        )
    ]  # fmt: skip
    assert used == [1, 2, 1, 1, 2, 1, 1, 2, 3], "too many addresses are one, and those known stay so"


async def test_a_relapse_withdraws_the_certificate_and_another_exit_gives_a_new_number(office: Office) -> None:
    home, number = await _exited(office)
    relapse = await office.proposed(kind="relapse", household=home, cause="illness", on="2018-10-16")
    relapsed_on = (await office.concluded(relapse))["steps"][-1]["on"]

    async def status(of: str) -> tuple[str, str | None]:
        found = (await office.client.get(f"/v1/certificates/{of}", headers=NOBODY)).json()
        return found["status"], found["withdrawn_on"]

    assert await status(number) == ("withdrawn", relapsed_on)
    assert (await office.client.get(f"/v1/households/{home}/certificate.pdf")).status_code == 404
    decision = await office.proposed(kind="exit", household=home, year=2018, on="2018-11-01")
    again = (await office.concluded(decision))["certificate"]
    assert (again, await status(again)) == ("4113232018000002", ("valid", None))
    assert await status(number) == ("withdrawn", relapsed_on)
    printed = await office.client.get(f"/v1/households/{home}/certificate.pdf")
    assert f"{again}.pdf" in printed.headers["content-disposition"]
    stays = {"standing": "exited", "effective_on": "2018-12-01", "reason": "不再享受政策"}
    assert (await office.client.patch(f"/v1/households/{home}", json=stays, headers=matching(4))).status_code == 200
    assert await status(again) == ("valid", None)
    back = {"standing": "poor", "effective_on": "2018-12-10", "reason": "录入更正"}
    assert (await office.client.patch(f"/v1/households/{home}", json=back, headers=matching(5))).status_code == 200
    assert await status(again) == ("withdrawn", "2018-12-10")


async def test_it_names_where_the_household_lived_on_the_day_as_that_was_called(
    database_url: Callable[[str | None], str], secrets: None
) -> None:
    async with client_of(app_in_2018(database_url("registry"))) as client:
        office = await Office.of(client)
        for code in (VILLAGE, XIPING):
            new = {"name": "将来", "valid_from": "2030-01-01", "reason": "批复"}
            renamed = await client.post(f"/v1/divisions/{code}/name", json=new, headers=matching(1))
            assert renamed.status_code == 200, renamed.text
        home = await able(client)
        decision = await office.upto(
            await office.proposed(kind="exit", household=home["id"], year=2018), "striking_off"
        )
        moved = {"village": OTHER_VILLAGE, "effective_on": "2018-12-01", "reason": "迁居"}
        assert (await client.patch(f"/v1/households/{home['id']}", json=moved, headers=matching(1))).status_code == 200
        concluded = await office.stepped(decision)
        assert concluded["steps"][-1]["on"] < "2018-12-01"
        assert concluded["certificate"] == "4113232018000001"
        shown = (await client.get(f"/v1/certificates/{concluded['certificate']}", headers=NOBODY)).json()
        assert shown["village"] == "西峡县西坪镇下营村民委员会"


async def test_who_was_off_the_register_on_the_day_did_not_exit(office: Office) -> None:
    """Who left it later did, and the certificate stays true."""

    async def left(home: str, day: str) -> None:
        body = {"effective_on": day, "reason": "误登"}
        answer = await office.client.post(f"/v1/households/{home}/deregistration", json=body, headers=matching(2))
        assert answer.status_code == 200, answer.text

    (before, withdrawn), (after, valid) = await _exited(office), await _exited(office)
    await left(before, "2018-06-01")
    await left(after, "2018-12-20")
    shown = [
        (await office.client.get(f"/v1/certificates/{each}", headers=NOBODY)).json() for each in (withdrawn, valid)
    ]
    decided = (await office.client.get("/v1/standing/decisions")).json()["items"]
    assert [(each["status"], each["withdrawn_on"]) for each in shown] == [
        ("withdrawn", decided[0]["steps"][-1]["on"]), ("valid", None)
    ]  # fmt: skip


def _says(page: bytes, text: str) -> bool:
    written = UnicodeCIDFont(FONT).formatForPdf(text).encode("latin-1")
    streams = re.findall(rb"stream\r?\n(.*?)~>endstream", page, re.DOTALL)
    return any(written in zlib.decompress(base64.a85decode(stream)) for stream in streams)


async def _knowing(app: FastAPI, division: str = CITY) -> dict[str, str]:
    """A key that may see identities: no key can issue it."""
    prefix, plain, digest = new_secret()
    key = KeyEvent(
        id=uuid7(), version=1, status="active", prefix=prefix, secret_sha256=digest, name="测试",
        roles=["reader", "identity:reveal"], divisions=[division],
    )  # fmt: skip
    async with app.state.runtime.database.driver() as pg:
        await upsert_key(pg, key)
    return {"Authorization": f"Bearer {plain}"}


async def test_the_head_is_printed_in_full_for_who_may_know(office: Office, app: FastAPI) -> None:
    home, number = await _exited(office)
    url = f"/v1/households/{home}/certificate.pdf"
    masked = await office.client.get(url, headers=office.recorder)
    assert (masked.status_code, masked.headers["content-type"]) == (200, "application/pdf")
    assert masked.content.startswith(b"%PDF-")
    assert _says(masked.content, "欧阳*试")
    assert _says(masked.content, number)
    assert not _says(masked.content, HEAD)
    assert not _says(masked.content, "演示数据")
    assert (await office.client.get(url, headers=office.recorder)).content == masked.content
    knowing = await _knowing(app)
    assert (await office.client.get(url, headers=knowing)).content == masked.content
    why = {"purpose": "correction", "reason": "制发证书"}
    full = await office.client.post(url, json=why, headers=knowing)
    assert (full.status_code, full.headers["cache-control"]) == (200, "no-store")
    assert _says(full.content, HEAD)
    assert full.headers["ratelimit"].startswith('"reveal";r=299;')


async def test_the_full_name_is_a_reveal(office: Office, app: FastAPI) -> None:
    """It has a reason, is in the audit log as a reveal of the head, and counts as one."""
    home, number = await _exited(office)
    url = f"/v1/households/{home}/certificate.pdf"
    knowing = await _knowing(app)
    why = {"purpose": "correction", "reason": "制发证书"}
    assert faults(await office.client.post(url, json={}, headers=knowing)) == {
        ("/purpose", "missing"), ("/reason", "missing")
    }  # fmt: skip
    refused = await office.client.post(url, json=why, headers=office.recorder)
    assert refused.status_code == 403
    elsewhere = await _knowing(app, "411325000000")
    assert (await office.client.post(url, json=why, headers=elsewhere)).status_code == 404
    assert (await office.client.post(url, json=why, headers=knowing)).status_code == 200
    denied = await entries(office.client, app, operation="certificate.reveal_denied")
    assert [(each["object_id"], each["outcome"]) for each in denied] == [(home, "forbidden"), (home, "not_found")]
    [printed] = await entries(office.client, app, operation="certificate.revealed")
    assert (printed["object_id"], printed["purpose"], printed["reason"]) == (number, "correction", "制发证书")
    [revealed] = await entries(office.client, app, operation="person.revealed")
    head = (await office.client.get(f"/v1/households/{home}")).json()["members"][0]["id"]
    assert (revealed["object_id"], revealed["reason"]) == (head, "制发证书")
    assert len(await entries(office.client, app, operation="certificate.issued", object=number)) == 1
    async with app.state.runtime.database.driver() as pg:
        used = await pg.fetchval("SELECT used FROM quota_use WHERE policy = 'reveal'")
        await pg.execute("UPDATE quota_use SET used = 300 WHERE policy = 'reveal'")
    assert used == 1
    exhausted = await office.client.post(url, json=why, headers=knowing)
    assert exhausted.status_code == 429
    assert HEAD not in exhausted.text


async def test_nobody_is_revealed_once_the_head_is_erased(office: Office, app: FastAPI) -> None:
    """In another household, which theirs joined: the certificate stays, and names nobody."""
    client, knowing = office.client, await _knowing(app)
    home, number = await _exited(office)
    left = (await client.get(f"/v1/households/{home}")).json()
    joined, head = await make(client), left["members"][0]["id"]
    merger = {
        "into": {"number": joined["number"]}, "relations": [{"member": head, "relation": "father"}], "reason": "并户"
    }  # fmt: skip
    merged = await client.post(f"/v1/households/{home}/merger", json=merger, headers=matching(left["version"]))
    assert merged.status_code == 200, merged.text
    url, why = f"/v1/households/{home}/certificate.pdf", {"purpose": "correction", "reason": "制发证书"}
    assert _says((await client.post(url, json=why, headers=knowing)).content, HEAD)
    erasure = f"/v1/households/{joined['id']}/members/{head}/erasure"
    assert (await client.post(erasure, json={"reason": "本人申请"}, headers=matching(2))).status_code == 200
    assert (await client.post(url, json=why, headers=knowing)).status_code == 404
    assert _says((await client.get(url)).content, number)
    assert len(await entries(client, app, operation="certificate.revealed")) == 1


async def test_there_is_no_page_without_a_certificate_or_out_of_scope(office: Office) -> None:
    poor = await able(office.client)
    assert (await office.client.get(f"/v1/households/{poor['id']}/certificate.pdf")).status_code == 404
    home, _ = await _exited(office)
    elsewhere = await issue(office.client, ["reader"], ["411325000000"])
    assert (await office.client.get(f"/v1/households/{home}/certificate.pdf", headers=elsewhere)).status_code == 404


async def test_demonstrations_are_marked(url: str, secrets: None) -> None:
    app = app_in_2018(url, demonstration=True)
    async with client_of(app) as client:
        office = await Office.of(client)
        home, number = await _exited(office)
        assert (await client.get(f"/v1/certificates/{number}")).json()["watermark"] == "演示数据"
        assert _says((await client.get(f"/v1/households/{home}/certificate.pdf")).content, "演示数据")

"""Free text names nobody by number: ID and mobile numbers are refused, figures, dates and file numbers are not."""

import json
import logging

import httpx
import pytest
from fastapi import FastAPI

from services.registry.freetext import holds_mobile_number
from shared.idnumbers import holds_id_number
from tests.registry.conftest import events, faults, id_number, make, matching

NUMBER = id_number()
MOBILE = "13876543200"
WIDE = str.maketrans("0123456789", "".join(chr(0xFF10 + n) for n in range(10)))


@pytest.mark.parametrize(
    "text",
    [
        NUMBER, f"本人{NUMBER}申请", NUMBER.translate(WIDE), f"{NUMBER[:6]} {NUMBER[6:14]} {NUMBER[14:]}",
        f"{MOBILE} {NUMBER}", f"{NUMBER}-{MOBILE}", f"{NUMBER} {NUMBER[:6]} {NUMBER[6:]} 3",
    ],
)  # fmt: skip
def test_id_numbers_are_seen(text: str) -> None:
    assert holds_id_number(text)


@pytest.mark.parametrize("text", [MOBILE, f"电话{MOBILE}。", MOBILE.translate(WIDE), "138 7654 3200", "138-7654-3200",
    f"{MOBILE} {MOBILE}", f"{NUMBER} 138 7654 3200", f"0377-{MOBILE}", f"+86{MOBILE}", f"0086{MOBILE}", f"86 {MOBILE}",
])  # fmt: skip
def test_mobile_numbers_are_seen(text: str) -> None:
    assert holds_mobile_number(text)


@pytest.mark.parametrize(
    "text",
    [
        "", "2018-10-05至2018-10-15公示", "户编号41132310221701", "豫政办〔2018〕2号", "补助12345678901元",
        NUMBER[:-1], "1" + NUMBER, NUMBER[:-1] + ("0" if NUMBER[-1] != "0" else "1"), "行政区划411323102217",
    ],
)  # fmt: skip
def test_other_numbers_are_not(text: str) -> None:
    assert not holds_id_number(text)
    assert not holds_mobile_number(text)


async def test_reasons_and_notes_are_refused_without_being_repeated(registry: httpx.AsyncClient) -> None:
    made = await make(registry)
    household = f"/v1/households/{made['id']}"
    proposal = {"kind": "identification", "household": made["id"], "cause": "illness"}
    titled = {**proposal, "evidence": [{"title": f"{NUMBER}的申请"}]}
    for number in (NUMBER, MOBILE):
        text = f"应{number}要求"
        answers = [
            await registry.patch(household, json={"cause": "disaster", "reason": text}, headers=matching(1)),
            await registry.post(f"{household}/deregistration", json={"reason": text}, headers=matching(1)),
            await registry.put("/v1/locked-years/2016", json={"reason": text}),
            await registry.post("/v1/persons/lookup", json={"purpose": "law", "reason": text, "id_numbers": [NUMBER]}),
            await registry.put(f"{household}/incomes/2018", json={"people": 1, "reason": text}, headers=matching(1)),
        ]
        for answer in answers:
            assert faults(answer) == {("/reason", "personal_number")}, answer.request.url
            assert number not in answer.text
        noted = await registry.post("/v1/standing/decisions", json={**proposal, "note": text})
        assert faults(noted) == {("/note", "personal_number")}
    assert faults(await registry.post("/v1/standing/decisions", json=titled)) == {
        ("/evidence/0/title", "personal_number")
    }
    chinese = {"Accept-Language": "zh-CN"}
    refused = await registry.put("/v1/locked-years/2016", json={"reason": MOBILE}, headers=chinese)
    assert refused.json()["errors"][0]["message"] == "不得填写身份证号码或手机号"


async def test_free_text_stays_out_of_events_logs_and_metrics(
    registry: httpx.AsyncClient, app: FastAPI, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    logging.getLogger("httpx").setLevel(logging.WARNING)  # the test's own client
    words = "应金丝雀要求"
    made = await make(registry, standing="ordinary")
    patch = {"cause": "disaster", "reason": words}
    assert (await registry.patch(f"/v1/households/{made['id']}", json=patch, headers=matching(1))).status_code == 200
    proposal = {"kind": "identification", "household": made["id"], "cause": "illness", "note": words}
    proposed = await registry.post("/v1/standing/decisions", json={**proposal, "evidence": [{"title": words}]})
    assert proposed.status_code == 201, proposed.text
    told = [json.dumps(await events(app, topic), ensure_ascii=False) for topic in ("household", "person", "standing")]
    assert all(told)
    told += [caplog.text, (await registry.get("/metrics")).text]
    assert [text for text in told if words in text] == []

"""Imports as jobs: taken in, reported, refused, taken up again after a kill, taken back."""

from typing import Any

import httpx
from fastapi import FastAPI

from tests.registry.conftest import events
from tests.registry.sheets import counts, found, head, imported, rejected, send, wife, workbook


async def test_a_sheet_becomes_households(registry: httpx.AsyncClient, app: FastAPI) -> None:
    content = workbook([head("41132300000001"), wife(), head("41132300000002", 2), wife(2)])
    answer = await send(registry, content)
    assert answer.status_code == 202, answer.text
    assert answer.headers["location"] == f"/v1/imports/{answer.json()['id']}"
    assert answer.headers["retry-after"] == "2"
    job = await imported(registry, content)
    assert (job["status"], job["format"], job["header_row"]) == ("completed", "xlsx", 1), job
    assert counts(job) == {"received": 2, "created": 2}
    assert job["progress"] == {"rows": 4, "expected_rows": 5, "households": 2}
    household = (await registry.get("/v1/households/41132300000001")).json()
    assert household["village"] == "411323102217"
    assert [member["relation"] for member in household["members"]] == ["head", "spouse"]
    assert len(await events(app, "household")) == 2
    assert len(await events(app, "person")) == 4


async def test_rejected_rows_come_back_and_pass_when_corrected(registry: httpx.AsyncClient) -> None:
    wrong = head("41132300000002", 2, id_number=411399196803120018)
    content = workbook([head("41132300000001"), wife(), wrong, wife(2)])
    job = await imported(registry, content, mode="each")
    assert counts(job) == {"received": 2, "created": 1, "rejected": 1}
    assert found(job) == {(4, "身份证号码", "number_as_text")}
    header, *rows = await rejected(registry, job)
    assert header[-1] == "Errors"
    assert [row[7] for row in rows] == ["测试甲", "测试乙"]
    rows[0][9] = head(sequence=2)[9]
    again = await imported(registry, workbook(rows, header), mode="each")
    assert counts(again) == {"received": 1, "created": 1}, again

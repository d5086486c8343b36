"""Sheets as clerks make them, sending them, and waiting for what becomes of them."""

import asyncio
import io
import json
from collections.abc import Sequence
from typing import Any

import httpx
import python_calamine
import xlsxwriter

from tests.registry.conftest import id_number

HEADER = ("户编号", "县", "乡镇", "行政村", "脱贫状态", "登记日期", "主要致贫原因", "姓名", "与户主关系", "身份证号码")
VILLAGE = ("西峡县", "西坪镇", "下营村")
Cells = Sequence[Any]
OPEN = ("queued", "running", "undoing")


def head(number: str = "", sequence: int = 1, **more: Any) -> list[Any]:
    """The first row of a household: a man of 1968."""
    place = more.get("place", VILLAGE)
    cause = more.get("cause", "因病")
    fields = [number, *place, "未脱贫", "2014-05-01", cause, more.get("name", "测试甲"), "户主"]
    return [*fields, more.get("id_number", id_number(sequence=2 * sequence - 1))]


def wife(sequence: int = 1, **more: Any) -> list[Any]:
    """A second row: a woman of 1970; the household's columns are blank, as below a merged cell."""
    return [*[""] * 7, more.get("name", "测试乙"), "配偶", more.get("id_number", id_number("19700601", 2 * sequence))]


def workbook(rows: Sequence[Cells], header: Cells = HEADER, *, above: Sequence[Cells] = (), **options: Any) -> bytes:
    """An XLSX file with a header, rows below it, and perhaps titles above."""
    target = io.BytesIO()
    with xlsxwriter.Workbook(target, {"in_memory": True, "strings_to_numbers": False, **options}) as book:
        sheet = book.add_worksheet()
        day = book.add_format({"num_format": "yyyy-mm-dd"})
        for number, cells in enumerate([*above, header, *rows]):
            for column, cell in enumerate(cells):
                if hasattr(cell, "isoformat"):
                    sheet.write_datetime(number, column, cell, day)
                elif isinstance(cell, str):
                    sheet.write_string(number, column, cell)
                else:
                    sheet.write(number, column, cell)
    return target.getvalue()


async def send(client: httpx.AsyncClient, content: bytes, **fields: str) -> httpx.Response:
    """Send a file; headers are given as ``headers_``."""
    headers = {"Idempotency-Key": fields.pop("key")} if "key" in fields else {}
    return await client.post("/v1/imports", files={"file": ("农户.xlsx", content)}, data=fields, headers=headers)


async def ended(client: httpx.AsyncClient, job: str) -> dict[str, Any]:
    """The import once nothing is left to do."""
    async with asyncio.timeout(60):
        while True:
            answer = await client.get(f"/v1/imports/{job}")
            assert answer.status_code == 200, answer.text
            found: dict[str, Any] = answer.json()
            if found["status"] not in OPEN:
                return found
            await asyncio.sleep(0.02)


async def imported(client: httpx.AsyncClient, content: bytes, **fields: str) -> dict[str, Any]:
    """Send a file and wait for its end."""
    answer = await send(client, content, **fields)
    assert answer.status_code in (200, 202), answer.text
    return await ended(client, answer.json()["id"])


def counts(job: dict[str, Any]) -> dict[str, int]:
    """What is not nought."""
    return {name: count for name, count in job["report"]["counts"].items() if count}


def found(job: dict[str, Any], severity: str = "error") -> set[tuple[int, str, str]]:
    """Row, column and code of what the report says."""
    errors = job["report"]["errors"]
    return {(each["row"], each["column"], each["code"]) for each in errors if each["severity"] == severity}


async def rejected(client: httpx.AsyncClient, job: dict[str, Any]) -> list[list[Any]]:
    """The rejected-rows workbook as rows."""
    answer = await client.get(f"/v1/imports/{job['id']}/rejected.xlsx")
    assert answer.status_code == 200, answer.text
    return rows_of(answer.content)


def rows_of(content: bytes) -> list[list[Any]]:
    """The first sheet of a workbook."""
    return python_calamine.load_workbook(io.BytesIO(content)).get_sheet_by_index(0).to_python()


def line(**fields: Any) -> bytes:
    return json.dumps(fields, ensure_ascii=False).encode()

"""Reading files: what clerks' programs write is read, and what is made to hurt is refused within its limits."""

import asyncio
import io
import re
import resource
import struct
import subprocess
import sys
import time
import zipfile
from collections.abc import AsyncIterator, Callable
from datetime import date
from pathlib import Path
from typing import Any

import pytest
import xlsxwriter

from services.registry.imports.refusals import fault_of
from services.registry.imports.sheets import sandbox
from services.registry.imports.sheets.cells import from_json
from services.registry.imports.sheets.groups import Meaning
from services.registry.imports.sheets.headers import Header
from services.registry.imports.sheets.refusals import RefusedFileError
from shared.settings import project_root
from tests.registry.oldsheets import old_workbook
from tests.registry.sheets import workbook

HEADER = ("姓名", "身份证号码", "登记日期", "金额(元)")
ROW = ("测试甲", "411399196803120018", "2018-10-05", "1.00")
DAY = date(2018, 10, 5)
MEANING = Meaning({"金额": ""}, None, None, {}, [])


async def whole(content: bytes) -> AsyncIterator[bytes]:
    yield content


async def read(content: bytes, max_rows: int = 100_000) -> tuple[sandbox.Reading, list[tuple[int, list[Any]]]]:
    """The rows of a file, in whatever households they were put."""
    async with sandbox.reading(whole(content), len(content), MEANING, max_rows) as reading:
        rows = [row async for batch in reading.batches() for group in batch for row in group.rows()]
        return reading, [(number, [from_json(cell) for cell in cells]) for number, cells in rows]


async def refusal(content: bytes, max_rows: int = 100_000) -> str:
    with pytest.raises(RefusedFileError) as refused:
        await read(content, max_rows)
    assert fault_of(refused.value).message.zh
    return refused.value.code


def parts(content: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def zipped(members: dict[str, bytes]) -> bytes:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return target.getvalue()


SHEET, STRINGS = "xl/worksheets/sheet1.xml", "xl/sharedStrings.xml"
PLAIN = workbook([ROW], HEADER)


def with_part(name: str, change: Callable[[bytes], bytes]) -> bytes:
    members = parts(PLAIN)
    return zipped({**members, name: change(members.get(name, b""))})


def with_rows(rows: bytes) -> bytes:
    return with_part(SHEET, lambda xml: xml.replace(b"</sheetData>", rows + b"</sheetData>"))


# What programs write


async def test_a_workbook_with_titles_gaps_and_formulas() -> None:
    target = io.BytesIO()
    with xlsxwriter.Workbook(target) as book:
        book.add_worksheet("说明").write(0, 0, "按要求填写")
        sheet = book.add_worksheet("数据")
        day = book.add_format({"num_format": 'yyyy"年"m"月"d"日"'})
        sheet.merge_range(0, 1, 1, 4, "某县贫困人口表")
        sheet.write_row(3, 1, ["*姓 名", "身份证号码", "登记日期", "金额(元)"])
        sheet.write_row(4, 1, ["测试甲", "411399196803120018"])
        sheet.write_datetime(4, 3, DAY, day)
        sheet.write_formula(4, 4, "=1+1", None, 2)
        sheet.write_row(9, 1, ["测试乙", 411399196803120018])
        sheet.write_formula(9, 3, "=1/0", None, "#DIV/0!")
        sheet.write_formula(9, 4, "=1+1", None, "")
        sheet.set_row(9, None, None, {"hidden": True})
        sheet.set_row(200_000, None, day)
    reading, rows = await read(target.getvalue())
    assert reading.header == Header(4, ("", "*姓 名", "身份证号码", "登记日期", "金额(元)"))
    assert rows[0] == (5, ["", "测试甲", "411399196803120018", DAY, 2])
    assert rows[1][0] == 10
    assert rows[1][1][3:] == [{"e": "#DIV/0!"}, {"f": 1}]
    assert isinstance(rows[1][1][2], float)
    assert reading.hidden == 1


def with_cell(column: str, cell: bytes) -> bytes:
    """The sheet with another cell in its only row."""
    return with_part(SHEET, lambda xml: re.sub(rb'<c r="%s2".*?</c>' % column.encode(), lambda _: cell, xml))


@pytest.mark.parametrize(
    ("cell", "value"),
    [
        (b'<c r="B2" t="str"><f>IF(1,"","x")</f><v></v></c>', ""),
        (b'<c r="B2" t="str"><f>IF(1,"","x")</f><v/></c>', ""),
        (b'<c r="B2" t="str"><f>IF(1,"","x")</f></c>', {"f": 1}),
        (b'<c r="B2"><f>A1</f><v/></c>', {"f": 1}),
        (b"<c><f>A1</f></c>", {"f": 1}),
        (b"<c r='B2' t='str'><f>A1</f><v>x</v></c>", "x"),
        (b'<c r="B2" t="e"><v>#N/A</v></c>', {"e": "#N/A"}),
        (b"<c r='B2' t = 'e'><v>#N/A</v></c>", {"e": "#N/A"}),
        (b't="e"', {"e": "#N/A"}),
        (b'<c t="e"><f>A1</f><v>#N/A</v></c>', {"e": "#N/A"}),
        (b'<c r="B2" t="inlineStr"><is><t><![CDATA[x&y]]></t></is></c>', "x&y"),
    ],
)
async def test_cells_as_programs_write_them(cell: bytes, value: Any) -> None:
    """Formulas and errors, with and without the cell's place, in either kind of quotation marks."""
    cell = cell if cell.startswith(b"<c") else b"<c " + cell + b"><v>#N/A</v></c>"
    assert (await read(with_cell("B", cell)))[1] == [(2, [ROW[0], value, *ROW[2:]])]


async def test_attributes_of_the_sheets_data() -> None:
    told = with_part(SHEET, lambda xml: xml.replace(b"<sheetData>", b'<sheetData xml:space="preserve">'))
    assert (await read(told))[1] == [(2, list(ROW))]
    assert await refusal(with_part(SHEET, lambda xml: re.sub(rb"<sheetData>.*</sheetData>", b"<sheetData/>", xml))) == (
        "header_missing"
    )


async def test_rows_given_back_of_lines_of_json() -> None:
    for above in ([], [["退回"], []]):
        content = workbook([('{"a": 1}', "x"), ("", ""), ('{"b": 2}', "")], ("JSON", "错误说明"), above=above)
        reading, rows = await read(content)
        first = len(above) + 2
        assert (reading.format, rows) == ("jsonl", [(first, ['{"a": 1}']), (first + 2, ['{"b": 2}'])])
    assert (await read(b'JSON,Errors\n"{""a"": 1}",x\n'))[1] == [(2, ['{"a": 1}'])]


async def test_a_header_of_two_rows_and_a_sheet_whose_rows_have_no_numbers() -> None:
    content = workbook([ROW], ("", "", "登记日期", "金额(元)"), above=[("姓名", "身份证号码", "其他", "")])
    reading, rows = await read(content)
    assert reading.header is not None
    assert reading.header.names == ("姓名", "身份证号码", "登记日期", "金额(元)")
    bare = with_part(SHEET, lambda xml: xml.replace(b'<row r="1"', b"<row").replace(b'<row r="2"', b"<row"))
    assert (await read(bare))[1] == [(2, list(ROW))]
    assert rows == [(3, list(ROW))]


async def test_a_lone_name_below_a_heading_is_a_column() -> None:
    """家庭成员 over 姓名 alone: the row above is the header, but for this name."""
    content = workbook([ROW], ("姓名", "", "", ""), above=[("花名册",), ("家庭成员", *HEADER[1:])])
    reading, rows = await read(content)
    assert reading.header == Header(3, HEADER)
    assert rows == [(4, list(ROW))]


async def test_a_sheet_larger_than_a_piece_keeps_its_row_numbers() -> None:
    rows = [ROW if number % 7 else () for number in range(25_000)]
    _, found = await read(workbook(rows, HEADER, constant_memory=True))
    assert [number for number, _ in found] == [number + 2 for number in range(25_000) if number % 7]


@pytest.mark.parametrize("epoch", [1900, 1904])
async def test_88_dates_of_both_epochs(epoch: int) -> None:
    content = workbook([("测试甲", "", DAY, "")], HEADER, date_1904=epoch == 1904)
    assert (await read(content))[1][0][1][2] == DAY


async def test_91_92_texts_in_the_encodings_of_clerks() -> None:
    text = "\r\n".join([",".join(HEADER), ",".join(ROW), "", '"测试\n丙",,,"1,234.50"'])
    for encoding in ("utf-8", "utf-8-sig", "gb18030", "utf-16"):
        reading, rows = await read(text.encode(encoding))
        assert reading.format == "csv"
        assert rows == [(2, list(ROW)), (4, ["测试\n丙", "", "", "1,234.50"])], encoding
    tabs = text.replace(",", "\t").encode("gb18030")
    assert (await read(tabs))[1][0] == (2, list(ROW))


async def test_numbers_that_csv_holds_as_formulas_of_text() -> None:
    text = ",".join(HEADER) + '\n测试甲,"=""411399196803120018""",="2018-10-05",=1+1\n'
    assert (await read(text.encode()))[1] == [(2, ["测试甲", "411399196803120018", "2018-10-05", "=1+1"])]


async def test_lines_of_json() -> None:
    reading, rows = await read(b'\xef\xbb\xbf{"a": 1}\n\n{"b": 2}\n')
    assert (reading.format, rows) == ("jsonl", [(1, ['{"a": 1}']), (3, ['{"b": 2}'])])


@pytest.mark.parametrize("epoch", [1900, 1904])
async def test_old_workbooks(epoch: int) -> None:
    rows: list[Any] = [
        ["花名册"],
        HEADER,
        ["测试甲", "411399196803120018", DAY, 12_000.5],
        ["测试乙", 4.1139919680312e17, "", 3],
    ]
    sheets: dict[str, list[Any]] = {
        "说明": [["填写说明"]],
        "旧": [HEADER, ROW],
        "花名册": [*rows, [], ["合计", "", "", 12_003.5]],
    }
    reading, found = await read(old_workbook(sheets, hidden=["旧"], epoch=epoch))
    assert (reading.format, reading.header) == ("xls", Header(2, HEADER))
    assert found == [(3, rows[2]), (4, rows[3])]
    assert reading.passed_over == [(6, "total_row")]
    assert await refusal(old_workbook({**sheets, "乙村": [HEADER, ROW]}, hidden=["旧"])) == "several_sheets"


# What is refused


def test_old_workbooks_are_told_by_their_content() -> None:
    assert asyncio.run(refusal(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(2000))) == "file_damaged"


def encrypted() -> bytes:
    raw = bytearray(PLAIN)
    for signature, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        place = raw.find(signature)
        while place >= 0:
            raw[place + offset] |= 1
            place = raw.find(signature, place + 4)
    return bytes(raw)


def lying(size: int) -> bytes:
    """The directory says that the sheet is smaller or larger than it is."""
    raw = bytearray(PLAIN)
    place = raw.find(b"PK\x01\x02")
    while raw[place + 46 : place + 46 + len(SHEET)] != SHEET.encode():
        place = raw.find(b"PK\x01\x02", place + 4)
    struct.pack_into("<I", raw, place + 24, size)
    return bytes(raw)


DOCTYPE = b'<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;">]>'
XXE = b'<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]>'
REFUSED: dict[str, tuple[Callable[[], bytes], str]] = {
    "nothing": (lambda: b" \n", "file_empty"),
    "78 billion laughs": (lambda: with_part(STRINGS, lambda xml: DOCTYPE + xml[55:]), "file_suspicious"),
    "79 XXE": (lambda: with_part(SHEET, lambda xml: XXE + xml[55:]), "file_suspicious"),
    "79 DTD in UTF-16": (
        lambda: with_part(SHEET, lambda xml: (XXE + xml[55:]).decode().encode("utf-16")), "file_suspicious"),
    "80 a name that climbs": (lambda: with_part("../../x", lambda _: b"x"), "file_suspicious"),
    "80 an absolute name": (lambda: with_part("/etc/x", lambda _: b"x"), "file_suspicious"),
    "81 encrypted": (encrypted, "file_encrypted"),
    "82 10,000 members": (
        lambda: zipped({**parts(PLAIN), **{f"x/{n}": b"" for n in range(10_000)}}), "file_suspicious"),
    "83 a size too small": (lambda: lying(100), "file_damaged"),
    "83 a size too large": (lambda: lying(2**31), "file_suspicious"),
    "84 a web page": (lambda: "<html><table><tr><td>姓名</td></tr></table></html>".encode(), "file_is_html"),
    "84 a picture": (lambda: b"\x89PNG\r\n\x1a\n" + bytes(200), "nul"),
    "84 a document": (lambda: b"%PDF-1.7\n1 0 obj\n", "file_kind"),
    "84 a list of JSON": (lambda: b' [\n{"village": "411323102217"}]', "json_lines"),
    "84 JSON of several lines": (lambda: b'{ \r\n "village": "411323102217"\r\n}', "json_lines"),
    "84 another zip": (lambda: zipped({"a.txt": b"a"}), "file_kind"),
    "85 macros": (lambda: with_part("xl/vbaProject.bin", lambda _: b"x"), "file_macros"),
    "91 another encoding": (lambda: "姓名,身分證號碼\n測試,1".encode("big5") + b"\xff\xff", "encoding"),
    "91 broken UTF-8": (lambda: ("姓名,身份证号码\n" + "测试,1\n" * 50).encode()[:-3] + b"\xb2\n", "encoding"),
    "93 a quote that never ends": (lambda: '姓名,身份证号码\n"测试,1\n'.encode(), "quote_unbalanced"),
    "94 NUL": (lambda: "姓名,身份证号码\n测\x00试,1".encode(), "nul"),
    "95 a very long line": (lambda: "姓名,身份证号码\n".encode() + b"a" * 20_000_000, "field_too_long"),
    "no header": (lambda: workbook([ROW], ("a", "b", "c", "d")), "header_missing"),
    "half a workbook": (lambda: PLAIN[:-400], "file_damaged"),
    "broken XML": (lambda: with_part(SHEET, lambda xml: xml.replace(b"</c></row>", b"</row>")), "file_damaged"),
    "a last row that does not end": (
        lambda: with_part(SHEET, lambda xml: xml.replace(b"</row></sheetData>", b"</sheetData>")),
        "file_damaged",
    ),
    "a comment with the end of a row": (
        lambda: with_part(SHEET, lambda xml: re.sub(rb'(<row r="2"[^>]*>)', rb"\1<!-- </row> -->", xml)),
        "file_damaged"),
    "a comment with a row": (
        lambda: with_rows(b'<!-- <row r="3"><c r="A3"><v>1</v></c></row> --><row r="4"><c r="A4"><v>1</v></c></row>'),
        "file_damaged"),
    "an instruction with the end of a row": (
        lambda: with_rows(b'<row r="3"><?x </row> ?><c r="A3"><v>1</v></c></row>'), "file_damaged"),
    "text with the end of a row": (
        lambda: with_rows(b'<row r="3"><c r="A3" t="inlineStr"><is><t><![CDATA[</row>]]></t></is></c></row>'),
        "file_damaged"),
    "rows that go back": (lambda: with_rows(b'<row r="1"><c r="A1"><v>1</v></c></row>'), "file_suspicious"),
    "a cell that is elsewhere": (lambda: with_rows(b'<row r="9"><c r="A800"><v>1</v></c></row>'), "file_suspicious"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
async def test_a_file_is_refused(name: str) -> None:
    make, code = REFUSED[name]
    assert await refusal(make()) == code


async def test_two_sheets_with_data_are_refused_rather_than_one_forgotten() -> None:
    target = io.BytesIO()
    with xlsxwriter.Workbook(target) as book:
        for name in ("甲村", "乙村"):
            sheet = book.add_worksheet(name)
            sheet.write_row(0, 0, HEADER)
            sheet.write_row(1, 0, ROW)
    assert await refusal(target.getvalue()) == "several_sheets"


@pytest.mark.parametrize("filled", [(), ("甲村",), ("乙村",), ("丙村",)])
async def test_sheets_with_nothing_below_their_header_are_no_second_ones(filled: tuple[str, ...]) -> None:
    target = io.BytesIO()
    with xlsxwriter.Workbook(target) as book:
        for name in ("甲村", "乙村", "丙村"):
            sheet = book.add_worksheet(name)
            sheet.write_row(0, 0, HEADER)
            if name in filled:
                sheet.write_row(50, 0, ROW)
    reading, rows = await read(target.getvalue())
    assert reading.header == Header(1, HEADER)
    assert [number for number, _ in rows] == [51 for _ in filled]


async def test_96_rows_beyond_the_limit() -> None:
    assert await refusal(workbook([ROW] * 11, HEADER), max_rows=10) == "too_many_rows"
    assert len((await read(workbook([ROW] * 10, HEADER), max_rows=10))[1]) == 10


# Bombs: what they may take is memory and time, and both are counted


def far_away() -> bytes:
    """75: a cell at the end of the sheet, and a dimension that says so."""
    last = b'<row r="1048576"><c r="XFD1048576"><v>1</v></c></row>'
    return with_part(
        SHEET,
        lambda xml: xml.replace(b"A1:D2", b"A1:XFD1048576").replace(b"</sheetData>", last + b"</sheetData>"),
    )


def wide_rows() -> bytes:
    cells = b'<row r="%d"><c r="A%d"><v>1</v></c><c r="XFD%d"><v>1</v></c></row>'
    return with_rows(b"".join(cells % (n, n, n) for n in range(3, 9_000)))


def shared_strings() -> bytes:
    """76: a string of 100 MB that compresses to nothing."""
    return with_part(STRINGS, lambda xml: xml.replace(b"</sst>", b"<si><t>" + b"a" * 100_000_000 + b"</t></si></sst>"))


def many_rows() -> bytes:
    """77: three million rows alike."""
    target = io.BytesIO()
    members = parts(PLAIN)
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            if name != SHEET:
                archive.writestr(name, content)
        head, tail = members[SHEET].split(b"</sheetData>")
        rows = b"<row><c><v>1</v></c></row>" * 3_000_000
        archive.writestr(SHEET, head + rows + b"</sheetData>" + tail)
    return target.getvalue()


BOMBS: dict[str, tuple[Callable[[], bytes], set[str]]] = {
    "rows as wide as a sheet": (wide_rows, {"file_too_demanding"}),
    "76 shared strings": (shared_strings, {"file_suspicious"}),
    "77 millions of rows": (many_rows, {"too_many_rows", "file_suspicious", "file_too_demanding"}),
    "rows that never end": (lambda: with_rows(b"<row>" * 400_000), {"file_damaged"}),
}


@pytest.mark.parametrize("name", BOMBS)
async def test_a_bomb_takes_no_more_than_its_limits(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sandbox, "CPU_SECONDS", 3)  # the sooner to be seen
    make, codes = BOMBS[name]
    content = make()
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    begun = time.monotonic()
    assert await refusal(content) in codes
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime <= 10
    assert time.monotonic() - begun <= 60  # of a machine that may be busy
    assert sandbox.MEMORY + 3 * len(content) <= 256 << 20


async def test_75_a_lone_cell_at_the_end_of_the_sheet_costs_nothing() -> None:
    reading, rows = await read(far_away())
    assert [(number, len(cells)) for number, cells in rows] == [(2, 4)]
    assert reading.passed_over == [(1_048_576, "nothing_read")]


async def test_the_reading_process_knows_nothing_of_ours(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("BANGFU_REGISTRY_DATA_KEY", "secret")
    seen: dict[str, Any] = {}
    good = asyncio.create_subprocess_exec

    async def watched(*arguments: Any, **options: Any) -> Any:
        seen.update(options["env"])
        return await good(*arguments, **options)

    monkeypatch.setattr(asyncio, "create_subprocess_exec", watched)
    assert (await read(PLAIN))[1] == [(2, list(ROW))]
    assert not [name for name in seen if name.startswith("BANGFU")]


async def test_a_reading_process_is_gone_even_when_we_are_stopped_while_it_ends(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """An import is reported as ended before its reading process is: stopping just then left a process and its pipes."""
    started: list[asyncio.subprocess.Process] = []
    good = asyncio.create_subprocess_exec

    async def watched(*arguments: Any, **options: Any) -> Any:
        process = await good(*arguments, **options)
        kill = process.kill
        monkeypatch.setattr(process, "kill", lambda: (kill(), reading.cancel()))
        started.append(process)
        return process

    monkeypatch.setattr(asyncio, "create_subprocess_exec", watched)
    many = workbook([ROW] * 20_000, HEADER, constant_memory=True)  # more than the pipes hold

    async def left_early() -> None:
        async with sandbox.reading(whole(many), len(many), MEANING, 100_000) as found:
            await anext(found.batches())

    reading = asyncio.create_task(left_early())
    with pytest.raises(asyncio.CancelledError):
        await reading
    [process] = started
    assert process.returncode is not None
    assert process.stdout is not None
    assert process.stdout.at_eof()


def test_the_reading_process_loads_none_of_the_web_and_no_driver() -> None:
    """It starts for every file, and its memory counts with ours."""
    code = "import sys, services.registry.imports.sheets.__main__; print(*sys.modules)"
    environment = {"PYTHONPATH": str(project_root())}
    loaded = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, check=True, text=True)
    assert "python_calamine" in loaded.stdout.split()
    assert not {"pydantic", "fastapi", "asyncpg", "sqlalchemy", "cryptography"} & set(loaded.stdout.split())

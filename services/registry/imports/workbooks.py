"""The workbooks we write: the template with its drop-downs, and the rows that were not taken in.

Text never becomes a formula: what begins with ``= + - @`` or a tab gets an apostrophe before it, which reading takes
off again.
"""

import io
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

import xlsxwriter
from xlsxwriter.format import Format
from xlsxwriter.worksheet import Worksheet

from services.registry.codes.service import code_lists
from services.registry.imports.columns import COLUMNS, ERRORS, EXAMPLE, Column, by_header, by_name
from services.registry.imports.journal import RejectedRow
from services.registry.imports.layout import cell_at
from services.registry.imports.sheets.cells import LONGEST, from_json
from services.registry.imports.sheets.headers import plain
from shared.errors import Language

TEMPLATE_ROWS = 5_000
"""Rows of the template that have drop-downs and formats."""
_FORMULA = ("=", "+", "-", "@", "\t", "\r")
_SHORT: Mapping[str, Sequence[str]] = {"flag": ("是", "否"), "level": ("一级", "二级", "三级", "四级")}


def escaped(text: str) -> str:
    """Text as no spreadsheet takes it for a formula."""
    return "'" + text if text.startswith(_FORMULA) else text


def _workbook(target: io.BytesIO) -> xlsxwriter.Workbook:
    options = {
        "in_memory": True, "constant_memory": False, "strings_to_formulas": False, "strings_to_urls": False,
        "strings_to_numbers": False,
    }  # fmt: skip
    return xlsxwriter.Workbook(target, options)


# The template


def template() -> bytes:
    """An empty sheet of households: columns with drop-downs and formats, an example row, and notes."""
    target = io.BytesIO()
    with _workbook(target) as book:
        sheet, lists, notes = (book.add_worksheet(name) for name in ("农户", "代码", "填写说明"))
        text = book.add_format({"num_format": "@"})
        money = book.add_format({"num_format": "0.00"})
        bold = book.add_format({"bold": True, "bg_color": "#D9E2F3", "border": 1, "text_wrap": True})
        needed = book.add_format({"bold": True, "bg_color": "#F8CBAD", "border": 1, "text_wrap": True})
        columns = [column for column in COLUMNS if column.subject != "aside"]
        sources = _write_lists(lists, columns)
        for index, column in enumerate(columns):
            sheet.set_column(index, index, 20 if column.kind == "identifier" else 13, _format(column, text, money))
            sheet.write_string(0, index, _header(column), needed if column.required else bold)
            if column.name in EXAMPLE:
                sheet.write(1, index, EXAMPLE[column.name])
            if column.name in sources:
                sheet.data_validation(
                    1, index, TEMPLATE_ROWS, index,
                    {"validate": "list", "source": sources[column.name], "error_type": "warning"},
                )  # fmt: skip
        sheet.freeze_panes(1, 0)
        lists.hide()
        _write_notes(notes, columns, bold)
    return target.getvalue()


def _header(column: Column) -> str:
    return column.label_zh + ("(元)" if column.kind == "yuan" else "")


def _format(column: Column, text: Format, money: Format) -> Format | None:
    if column.kind == "yuan":
        return money
    return None if column.kind in ("integer", "decimal") else text


def _write_lists(sheet: Worksheet, columns: Sequence[Column]) -> dict[str, str]:
    """The values of the drop-downs, a column each; where each column of the template finds its own."""
    found: dict[str, str] = {}
    for column in columns:
        values = _values(column)
        if not values or column.kind == "codes":  # several may be named: a drop-down would forbid it
            continue
        place = len(found)
        for row, value in enumerate(values):
            sheet.write_string(row, place, value)
        letters = xlsxwriter.utility.xl_col_to_name(place, col_abs=True)
        found[column.name] = f"=代码!{letters}$1:{letters}${len(values)}"
    return found


def _values(column: Column) -> Sequence[str]:
    if column.kind in _SHORT:
        return _SHORT[column.kind]
    if not column.code_list:
        return ()
    return list(dict.fromkeys(term.label_zh for term in code_lists()[column.code_list].terms))


def _write_notes(sheet: Worksheet, columns: Sequence[Column], bold: Format) -> None:
    sheet.set_column(0, 0, 24)
    sheet.set_column(1, 1, 90)
    general = [
        "一行一人;同户各行须连续。户的各列只在该户第一行填写,其余行可留空或合并。",
        "身份证号码、户编号等长号码须为文本格式;按数值保存会丢失位数,将被退回。",
        "金额单位为元,最多两位小数;表头可注明(万元)。日期如 2018-10-05 或 2018年10月5日。",
        "示例行可删除,原样保留亦不录入。合计、小计行自动跳过。退回的行附错误说明,改正后可直接再次上传。",
        "此模板中的示例为演示数据,不对应任何真实人员。",
    ]
    for row, line in enumerate(general):
        sheet.write_string(row, 0, "填写要求" if row == 0 else "", bold if row == 0 else None)
        sheet.write_string(row, 1, line)
    for row, column in enumerate(columns, start=len(general) + 1):
        several = "可填多项,以顿号分隔" if column.kind == "codes" else ""
        said = [column.note, "必填" if column.required else "", several, "、".join(_values(column))]
        sheet.write_string(row, 0, _header(column))
        sheet.write_string(row, 1, ";".join(each for each in said if each))


# Rejected rows


async def rejected(names: Sequence[str], rows: AsyncIterator[RejectedRow], language: Language) -> bytes:
    """The clerk's columns in their order, with a column that says what is wrong; corrected, it can be sent again.

    What such a column said before, in a workbook of ours that was sent again, is left out.
    """
    kept = [index for index, name in enumerate(names) if by_header().get(plain(name)) != by_name()["errors"]]
    target = io.BytesIO()
    with _workbook(target) as book:
        sheet = book.add_worksheet("退回")
        formats = {
            "text": book.add_format({"num_format": "@"}),
            "date": book.add_format({"num_format": "yyyy-mm-dd"}),
            "wrong": book.add_format({"font_color": "#C00000", "text_wrap": True}),
        }
        width = len(kept)
        for index, name in enumerate([*(names[each] for each in kept), ERRORS[language]]):
            sheet.write_string(0, index, escaped(name))
            column = by_header().get(plain(name))
            as_text = column is not None and column.kind in ("identifier", "phone")
            sheet.set_column(index, index, 20 if as_text else 13, formats["text"] if as_text else None)
        sheet.set_column(width, width, 60, formats["wrong"])
        sheet.freeze_panes(1, 0)
        number = 0
        async for row in rows:
            number += 1
            for index, place in enumerate(kept):
                _write_cell(sheet, number, index, cell_at(row.cells, place), formats)
            sheet.write_string(number, width, "\n".join(map(escaped, row.errors)), formats["wrong"])
    return target.getvalue()


def _write_cell(sheet: Worksheet, row: int, index: int, value: Any, formats: Mapping[str, Format]) -> None:
    cell = from_json(value)
    if isinstance(cell, str):  # a longer line of JSON is cut, and sent again it is found not to be JSON
        if cell:
            sheet.write_string(row, index, escaped(cell)[:LONGEST], formats["text"])
    elif isinstance(cell, bool):
        sheet.write_boolean(row, index, cell)
    elif isinstance(cell, int | float):
        sheet.write_number(row, index, cell)
    elif not isinstance(cell, Mapping):  # a formula without a value, or an error, comes back blank
        sheet.write_datetime(row, index, cell, formats["date"])

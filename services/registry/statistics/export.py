"""Statistics as files: CSV for programs and Excel, XLSX for paper.

Codes are text, so that no spreadsheet takes them for numbers; text that a spreadsheet would run as a formula is
disarmed by an apostrophe.
"""

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

import xlsxwriter

from services.registry.statistics.schemas import ProfileRow, UnitRow
from shared.contracts.division import Level

Cell = str | int | None
LEVELS: dict[Level, str] = {"city": "市", "county": "县区", "township": "乡镇", "village": "村"}
_FORMULA = ("=", "+", "-", "@", "\t", "\r")
_OPTIONS = {
    "constant_memory": True,  # which wants the cells row by row
    "strings_to_formulas": False,
    "strings_to_urls": False,
    "default_format_properties": {"font_name": "宋体", "font_size": 11},
}
_FIRST_ROW = 3
"""Above it: the title, what the figures are of, and the header."""


@dataclass(frozen=True, slots=True)
class Sheet:
    """A table to write: a header of Chinese terms and stable codes, the division's own row, then its units."""

    title: str
    notes: str
    header: Sequence[tuple[str, str]]
    rows: Sequence[Sequence[Cell]]
    watermark: str | None


def sheet(title: str, notes: str, division: UnitRow, below: Iterable[UnitRow], watermark: str | None) -> Sheet:
    """The rows of an answer as a table."""
    rows = [division, *below]
    return Sheet(title, notes, list(_header(division)), [list(_cells(row)) for row in rows], watermark)


def _header(row: UnitRow) -> Iterable[tuple[str, str]]:
    for name, field in type(row).model_fields.items():
        if name != "parts":
            yield field.title or name, name
    if isinstance(row, ProfileRow):
        for part in row.parts:
            label, code = part["label"], part["code"] or "none_stated"
            yield f"{label}户数", f"{code}_households"
            yield f"{label}人口数", f"{code}_people"
            yield f"{label}占比(%)", f"{code}_percent"


def _cells(row: UnitRow) -> Iterable[Cell]:
    for name, value in row:
        if name == "level":
            yield LEVELS[row.level]
        elif name != "parts":
            yield _disarmed(value)
    if isinstance(row, ProfileRow):
        for part in row.parts:
            yield from (part["households"], part["people"], part["percent"])


def _disarmed(value: Any) -> Cell:
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value


def as_csv(table: Sheet) -> bytes:
    """UTF-8 with a byte-order mark, without which Excel takes it for GBK; one header row."""
    out = io.StringIO()
    writer = csv.writer(out)
    marked = [] if table.watermark is None else [table.watermark]
    writer.writerow([f"{label} {code}" for label, code in table.header] + (["备注 watermark"] if marked else []))
    writer.writerows([*row, *marked] for row in table.rows)
    return out.getvalue().encode("utf-8-sig")


def as_xlsx(table: Sheet, day: date) -> bytes:
    """One sheet to print on A4, its header repeated on every page; the watermark in title and page header.

    The file is dated by the day of its figures, so that the same figures make the same file.
    """
    out = io.BytesIO()
    with xlsxwriter.Workbook(out, deepcopy(_OPTIONS)) as book:  # which changes what it is given
        book.set_properties({"title": table.title, "created": datetime(day.year, day.month, day.day, tzinfo=UTC)})
        page = book.add_worksheet("统计表")
        _set_up(page, table)
        _write_head(book, page, table)
        total, unit = _formats(book, {"bold": True, "bg_color": "#F2F2F2"}), _formats(book, {})
        for number, row in enumerate(table.rows):
            formats = total if number == 0 else unit
            for column, ((_, code), value) in enumerate(zip(table.header, row, strict=True)):
                kind = formats.get(code, formats["text" if isinstance(value, str) else "figure"])
                if isinstance(value, str):
                    page.write_string(_FIRST_ROW + number, column, value, kind)
                else:
                    page.write(_FIRST_ROW + number, column, value, kind)
    return out.getvalue()


def _write_head(book: Any, page: Any, table: Sheet) -> None:
    last = len(table.header) - 1
    mark = "" if table.watermark is None else f"({table.watermark})"
    title = book.add_format({"bold": True, "font_size": 16, "align": "center", "valign": "vcenter"})
    notes = book.add_format({"align": "right", "font_color": "#595959"})
    head = book.add_format(
        {"bold": True, "border": 1, "align": "center", "valign": "vcenter", "text_wrap": True, "bg_color": "#DDEBF7"}
    )
    page.merge_range(0, 0, 0, last, table.title + mark, title)
    page.merge_range(1, 0, 1, last, table.notes, notes)
    for column, (label, _) in enumerate(table.header):
        page.write_string(2, column, label, head)


def _formats(book: Any, also: Mapping[str, Any]) -> dict[str, Any]:
    """Formats by column, or else by kind of value."""
    kinds = {
        "code": {"num_format": "@", "align": "center"},
        "name": {"num_format": "@"},
        "level": {"align": "center"},
        "text": {"num_format": "@", "align": "right"},
        "figure": {"num_format": "#,##0"},
    }
    return {name: book.add_format({"border": 1, **kind, **also}) for name, kind in kinds.items()}


def _set_up(page: Any, table: Sheet) -> None:
    page.set_row(0, 28)
    page.set_row(2, 32)
    widths = {"code": 15, "name": 22, "level": 7}
    for column, (label, code) in enumerate(table.header):
        page.set_column(column, column, widths.get(code, max(10, len(label) + 4)))
    page.ignore_errors({"number_stored_as_text": f"A{_FIRST_ROW + 1}:XFD1048576"})
    page.freeze_panes(_FIRST_ROW, 2)
    page.repeat_rows(2)
    page.set_landscape()
    page.set_paper(9)
    page.fit_to_pages(1, 0)
    page.set_footer("&C第 &P 页 共 &N 页")
    if table.watermark is not None:
        page.set_header(f"&R{table.watermark}")

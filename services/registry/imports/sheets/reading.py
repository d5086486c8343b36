"""A file's rows as a table: where its header stands, and every row below it. Runs in the reading process alone."""

import codecs
import csv
import io
import itertools
import re
import unicodedata
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import python_calamine as calamine

from services.registry.imports.columns import ERRORS, LINE
from services.registry.imports.sheets import headers
from services.registry.imports.sheets.archive import Archive, Piece
from services.registry.imports.sheets.cells import LONGEST, Cell, cell_of
from services.registry.imports.sheets.headers import Header, plain
from services.registry.imports.sheets.refusals import RefusedFileError

Row: TypeAlias = tuple[int, Sequence[Cell]]
"""The row's number as the clerk sees it, and its cells."""

_OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_CHUNK = 1 << 20
_OTHER_JSON = re.compile(rb"\[\s*[{\]]|\{[ \t]*\r?\n")
"""A list, or an object that goes on over several lines."""
_TEXT_FORMULA = re.compile(r'="([^"]*)"')
"""How programs write a long number into CSV that a spreadsheet is to leave as it is."""


@dataclass(slots=True)
class Table:
    """A file that could be read."""

    format: str
    header: Header | None
    """None for JSON lines, whose rows hold one cell each: the line."""
    rows: Iterator[Row]
    expected_rows: int | None
    hidden: Counter[str] = field(default_factory=Counter)
    """Hidden rows among those read so far, by sheet."""


@dataclass(frozen=True, slots=True)
class _Candidate:
    """A sheet with a header: all its rows, and what names it."""

    header: Header
    rows: Iterator[Row]
    place: str
    filled: bool
    """Whether anything stands below the header."""

    @classmethod
    def of(cls, rows: Iterator[Row], known: Collection[str], place: str) -> "_Candidate | None":
        """A sheet's rows with their header; None where there is none."""
        head = list(itertools.islice(rows, headers.LOOKED_AT))
        header = headers.find(head, known)
        if header is None:
            return None
        further = list(itertools.islice(rows, 1))
        filled = bool(further) or head[-1][0] > header.row
        return cls(header, itertools.chain(head, further, rows), place, filled)


def read(raw: io.BytesIO, known: Collection[str]) -> Table:
    """The table in a file, which its content tells the kind of. Raises ``RefusedFileError``."""
    table = _read(raw, known)
    return table if table.header is None else _given_back(table, table.header)


def _given_back(table: Table, header: Header) -> Table:
    """JSON lines where it holds nothing else: they were not taken in, came back as a workbook, and were corrected."""
    names = [plain(name) for name in header.names]
    if not {plain(LINE)} < {*names} <= {plain(LINE), *map(plain, ERRORS.values()), ""}:
        return table
    place = names.index(plain(LINE))
    lines = ((number, [str(cells[place])]) for number, cells in table.rows if len(cells) > place and cells[place] != "")
    return Table("jsonl", None, lines, table.expected_rows, table.hidden)


def _read(raw: io.BytesIO, known: Collection[str]) -> Table:
    start = raw.getvalue()[:4096]
    if not start.strip():
        raise RefusedFileError("file_empty")
    if start.startswith(b"PK"):
        return _read_xlsx(raw, known)
    if start.startswith(_OLE):
        return _read_xls(raw, known)
    plain = start.removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    if plain.startswith((b"<!doctype", b"<html", b"<?xml", b"<table", b"<meta", b"<head", b"mime-version")):
        raise RefusedFileError("file_is_html")
    if _OTHER_JSON.match(plain):
        raise RefusedFileError("json_lines")
    if plain.startswith(b"{"):
        return _read_lines(raw)
    if plain.startswith(b"%pdf-"):
        raise RefusedFileError("file_kind")
    return _read_csv(raw, known)


# XLSX


def _read_xlsx(raw: io.BytesIO, known: Collection[str]) -> Table:
    archive = Archive(raw)
    hidden: Counter[str] = Counter()
    found: list[_Candidate] = []
    for sheet in archive.sheets:
        pieces = archive.pieces(sheet, first_rows=2 * headers.LOOKED_AT)
        rows = itertools.chain.from_iterable(_piece_rows(piece, sheet.name, hidden) for piece in pieces)
        if (candidate := _Candidate.of(rows, known, sheet.path)) is not None:
            found.append(candidate)
    chosen = _only(found)
    return Table("xlsx", chosen.header, _below(chosen), archive.expected_rows(chosen.place), hidden)


def _piece_rows(piece: Piece, sheet_name: str, hidden: "Counter[str]") -> list[Row]:
    """A piece's rows, which calamine must place where the sheet's own numbers say they are."""
    hidden[sheet_name] += piece.hidden
    sheet = _sheet(_opened(piece.workbook), sheet_name)
    wanted = set(piece.rows)
    found: dict[int, list[Any]] = {}
    for number, cells in _placed(sheet):
        if number in wanted:
            found[number] = cells
        elif any(cell != "" for cell in cells):
            raise RefusedFileError("file_suspicious")
    for number, cells_of_row in piece.special.items():
        cells = found.setdefault(number, [])
        for column, cell in cells_of_row.items():
            cells += [""] * (column + 1 - len(cells))
            cells[column] = cell
    return [(number, found[number]) for number in piece.rows if number in found]


def _opened(raw: io.BytesIO) -> calamine.CalamineWorkbook:
    try:
        return calamine.load_workbook(raw)
    except calamine.PasswordError as error:
        raise RefusedFileError("file_encrypted") from error
    except (calamine.CalamineError, OSError, ValueError) as error:
        raise RefusedFileError("file_damaged") from error


def _sheet(workbook: calamine.CalamineWorkbook, name: str) -> calamine.CalamineSheet:
    try:
        return workbook.get_sheet_by_name(name)
    except (calamine.CalamineError, OSError, ValueError) as error:
        raise RefusedFileError("file_damaged") from error


def _placed(sheet: calamine.CalamineSheet) -> Iterator[tuple[int, list[Any]]]:
    """Rows of a sheet by number, with blanks for the columns before its first."""
    if sheet.start is None:
        return
    row, column = sheet.start
    before = [""] * column
    for number, cells in enumerate(sheet.to_python(), start=row + 1):
        yield number, before + [cell if type(cell) is str else cell_of(cell) for cell in cells]


def _only(found: "Sequence[_Candidate]") -> "_Candidate":
    """The one sheet that holds data. Raises ``RefusedFileError``."""
    if not found:
        raise RefusedFileError("header_missing")
    found = [each for each in found if each.filled] or found[:1]
    if len(found) > 1:
        raise RefusedFileError("several_sheets")
    return found[0]


def _below(chosen: "_Candidate") -> Iterator[Row]:
    return (row for row in chosen.rows if row[0] > chosen.header.row)


# Old XLS


def _read_xls(raw: io.BytesIO, known: Collection[str]) -> Table:
    workbook = _opened(raw)
    found: list[_Candidate] = []
    for meta in workbook.sheets_metadata:
        if meta.visible != calamine.SheetVisibleEnum.Visible or meta.typ != calamine.SheetTypeEnum.WorkSheet:
            continue
        rows = _filled(_placed(_sheet(workbook, meta.name)))
        if (candidate := _Candidate.of(rows, known, meta.name)) is not None:
            found.append(candidate)
    chosen = _only(found)
    return Table("xls", chosen.header, _below(chosen), _sheet(workbook, chosen.place).total_height)


def _filled(rows: Iterable[Row]) -> Iterator[Row]:
    return (row for row in rows if any(cell != "" for cell in row[1]))


# Text


def _read_csv(raw: io.BytesIO, known: Collection[str]) -> Table:
    encoding = _encoding(raw)
    raw.seek(0)
    text = io.TextIOWrapper(raw, encoding, newline="")
    start = text.read(4096)
    delimiter = max(",\t;", key=start.count)
    text.seek(0)
    csv.field_size_limit(LONGEST)
    rows = _csv_rows(text, delimiter)
    chosen = _Candidate.of(rows, known, "")
    if chosen is None:
        raise RefusedFileError("header_missing")
    return Table("csv", chosen.header, _below(chosen), raw.getbuffer().tobytes().count(b"\n") + 1)


def _csv_rows(text: io.TextIOWrapper, delimiter: str) -> Iterator[Row]:
    rows = enumerate(csv.reader(text, delimiter=delimiter, strict=True), start=1)
    while True:
        try:
            number, cells = next(rows)
        except StopIteration:
            return
        except csv.Error as error:
            long = "field larger" in str(error)
            raise RefusedFileError("field_too_long" if long else "quote_unbalanced") from error
        if any(cell.strip() for cell in cells):
            yield number, [_TEXT_FORMULA.sub(r"\1", cell) if cell[:2] == '="' else cell for cell in cells]


def _encoding(raw: io.BytesIO) -> str:
    """Of a text file. Raises ``RefusedFileError`` when it is none we read, or broken."""
    content = raw.getbuffer()
    if bytes(content[:2]) in (b"\xff\xfe", b"\xfe\xff"):
        return "utf-16" if _decodes(content, "utf-16") else _unreadable()
    if b"\x00" in raw.getvalue():
        raise RefusedFileError("nul")
    if _decodes(content, "utf-8-sig"):
        return "utf-8-sig"
    if not _mostly_utf8(content) and _decodes(content, "gb18030"):
        return "gb18030"
    return _unreadable()


def _unreadable() -> str:
    raise RefusedFileError("encoding")


def _decodes(content: memoryview, encoding: str) -> bool:
    """Whether it decodes, and into characters that are assigned: GB18030 would decode much that is something else."""
    decoder = codecs.getincrementaldecoder(encoding)()
    try:
        for start in range(0, len(content) or 1, _CHUNK):
            chunk = content[start : start + _CHUNK]
            text = decoder.decode(bytes(chunk), final=start + _CHUNK >= len(content))
            if any(unicodedata.category(each) in ("Co", "Cn", "Cs") for each in set(text)) or "\x00" in text:
                return False
    except UnicodeDecodeError:
        return False
    return True


def _mostly_utf8(content: memoryview) -> bool:
    """Whether it is UTF-8 with some damage rather than another encoding."""
    text = bytes(content).decode("utf-8", "replace")
    wrong = text.count("\ufffd")
    return sum(each > "\u2e80" for each in text) - wrong > 10 * wrong


def _read_lines(raw: io.BytesIO) -> Table:
    content = raw.getvalue()
    if b"\x00" in content:
        raise RefusedFileError("nul")
    try:
        content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise RefusedFileError("encoding") from error
    lines = ((n, [line.decode("utf-8-sig").strip()]) for n, line in enumerate(raw, 1) if line.strip())
    return Table("jsonl", None, lines, content.count(b"\n") + 1)

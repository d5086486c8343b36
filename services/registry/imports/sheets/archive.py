"""A workbook as the zip archive it is: inspected first, then its sheet cut into pieces that calamine reads one by one.

Calamine holds a whole sheet in memory, a hundred bytes a cell: 334,200 rows of 20 columns would take 650 MB. A piece
is a workbook with some rows of the sheet, the shared strings and the styles, and nothing else.
"""

import io
import re
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from posixpath import join, normpath
from xml.etree import ElementTree

from services.registry.imports.sheets.cells import NO_VALUE
from services.registry.imports.sheets.refusals import RefusedFileError

MAX_MEMBERS = 1_000
MAX_SHEET = 1 << 30
MAX_STRINGS = 160 << 20
MAX_PART = 16 << 20
MAX_ROW = 4 << 20
MAX_RATIO = 250
"""A part that inflates more than so many times is a bomb; sheets of real registers stay below 30."""
SMALL = 4 << 20
"""Whose ratio does not matter."""
PIECE_ROWS = 2_000
LONG_PIECE_ROWS = 10_000
"""Where there are many shared strings, which calamine reads anew for every piece."""
MANY_STRINGS = 1 << 20
"""Bytes of them."""
PIECE_BYTES = 12 << 20
MAX_GAP = 1_000
"""Blank rows within a piece cost memory; beyond so many a new one begins."""

_CHUNK = 1 << 20
_DOCTYPE = re.compile(rb"<!(?:DOCTYPE|ENTITY)", re.I)
_ENCODING = re.compile(rb"<\?xml[^>]*encoding\s*=\s*[\"']([^\"']*)")
_DATA = re.compile(rb"<((?:\w+:)?)sheetData(?:\s[^>]*?)?/?>")
_DIMENSION = re.compile(rb"<(?:\w+:)?dimension[^>]*ref=\"[A-Z]+[0-9]+:[A-Z]+([0-9]+)\"")
_ROW = re.compile(rb"<((?:\w+:)?)row((?:\s[^>]*?)?)(/?)>")
_TAG_ENDED = re.compile(rb"\s*>")
_NUMBER = re.compile(rb"\sr\s*=\s*[\"']([0-9]{1,7})[\"']")
_HIDDEN = re.compile(rb"\shidden\s*=\s*[\"'](?:1|true)[\"']")
_VALUE = re.compile(rb"<(?:\w+:)?(?:v|is|f)[\s>]")
_ASIDE = re.compile(rb"<\?|<!(?!\[CDATA\[[^<]*\]\]>)")
"""A comment or an instruction, or text with something like a tag in it: rows are found by their tags, whatever these
stand in."""
_CELL = re.compile(rb"<(?:\w+:)?c((?:[\s/][^>]*)?)>")  # this and the next are looked for in few rows only
_PLACE = re.compile(rb"\sr\s*=\s*[\"']([A-Z]{1,3})[0-9]+[\"']")
_KIND = re.compile(rb"\st\s*=\s*[\"'](\w+)[\"']")
_FORMULA = re.compile(rb"<(?:\w+:)?f[\s>/]")
_SAVED = re.compile(rb"<(?:\w+:)?v(?:\s[^>]*)?(?:/>|>([^<]*)<)")


@dataclass(slots=True)
class Piece:
    """Some rows of a sheet as a workbook of their own."""

    workbook: io.BytesIO
    rows: list[int]
    """Numbers of the rows that hold something."""
    special: dict[int, dict[int, dict[str, object]]] = field(default_factory=dict)
    """Cells of which calamine says too little, by row number and column: formulas without a value, errors."""
    hidden: int = 0


@dataclass(frozen=True, slots=True)
class SheetPart:
    """A visible sheet, and the path of its part."""

    name: str
    path: str


class Archive:
    """An XLSX file. Raises ``RefusedFileError`` from any method."""

    def __init__(self, raw: io.BytesIO) -> None:
        try:
            self._zip = zipfile.ZipFile(raw)
        except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
            raise RefusedFileError("file_damaged") from error
        self._inspect()
        self.sheets = self._visible_sheets()
        self._common: dict[str, bytes] = {}

    def _inspect(self) -> None:
        members = self._zip.infolist()
        names = [member.filename for member in members]
        if len(members) > MAX_MEMBERS or len(set(names)) != len(names):
            raise RefusedFileError("file_suspicious")
        for member in members:
            name = member.filename
            if member.flag_bits & 1:
                raise RefusedFileError("file_encrypted")
            if name.startswith("/") or "\\" in name or ":" in name or ".." in name.split("/") or "\x00" in name:
                raise RefusedFileError("file_suspicious")
            if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                raise RefusedFileError("file_suspicious")
            if member.file_size > max(SMALL, MAX_RATIO * member.compress_size) or member.file_size > MAX_SHEET:
                raise RefusedFileError("file_suspicious")
            if name.lower().endswith("vbaproject.bin"):
                raise RefusedFileError("file_macros")
        if "xl/workbook.xml" not in names:
            raise RefusedFileError("file_kind")

    def _chunks(self, name: str, limit: int) -> Iterator[bytes]:
        """A part as it inflates, checked on the way."""
        total, tail = 0, b""
        try:
            with self._zip.open(name) as stream:
                while chunk := stream.read(_CHUNK):
                    if total == 0:
                        _check_encoding(chunk)
                    total += len(chunk)
                    if total > limit:
                        raise RefusedFileError("file_suspicious")
                    if _DOCTYPE.search(tail + chunk):
                        raise RefusedFileError("file_suspicious")
                    tail = chunk[-16:]
                    yield chunk
        except (zipfile.BadZipFile, zlib.error, EOFError, OSError, ValueError, NotImplementedError, KeyError) as error:
            raise RefusedFileError("file_damaged") from error

    def _part(self, name: str, limit: int = MAX_PART) -> bytes:
        return b"".join(self._chunks(name, limit))

    def _visible_sheets(self) -> list[SheetPart]:
        try:
            workbook = ElementTree.fromstring(self._part("xl/workbook.xml"))  # noqa: S314 - no DTD gets this far
            relations = ElementTree.fromstring(self._part("xl/_rels/workbook.xml.rels"))  # noqa: S314
        except ElementTree.ParseError as error:
            raise RefusedFileError("file_damaged") from error
        targets = {each.get("Id", ""): each.get("Target", "") for each in relations}
        found = []
        for sheet in workbook.iterfind(".//{*}sheet"):
            reference = next((value for name, value in sheet.attrib.items() if name.endswith("}id")), "")
            target = targets.get(reference, "")
            path = normpath(target.lstrip("/") if target.startswith("/") else join("xl", target))
            if sheet.get("state", "visible") == "visible" and "worksheets" in path and path in self._zip.namelist():
                found.append(SheetPart(sheet.get("name", ""), path))
        if not found:
            raise RefusedFileError("header_missing")
        return found

    def pieces(self, sheet: SheetPart, first_rows: int) -> Iterator[Piece]:
        """The sheet in pieces; the first has ``first_rows`` rows, to look for the header in."""
        parts = self._common_parts()
        frame = _Frame(parts, sheet.path)
        size = first_rows
        further = LONG_PIECE_ROWS if len(parts.get("xl/sharedStrings.xml", b"")) > MANY_STRINGS else PIECE_ROWS
        piece = _PieceInTheMaking()
        for number, prefix, attributes, content in self._rows(sheet, frame):
            if not _VALUE.search(content):
                continue
            if piece.rows and (
                len(piece.rows) >= size or piece.size >= PIECE_BYTES or number - piece.rows[-1] > MAX_GAP
            ):
                yield piece.done(frame)
                piece, size = _PieceInTheMaking(), further
            piece.add(number, prefix, attributes, content)
        if piece.rows:
            yield piece.done(frame)

    def expected_rows(self, path: str) -> int | None:
        """The last row as the sheet declares it: for a progress bar, nothing else."""
        for chunk in self._chunks(path, MAX_SHEET):
            found = _DIMENSION.search(chunk[:4096])
            return int(found.group(1)) if found else None
        return None

    def _common_parts(self) -> dict[str, bytes]:
        if self._common:
            return self._common
        names = set(self._zip.namelist())
        wanted = {"[Content_Types].xml": MAX_PART, "_rels/.rels": MAX_PART, "xl/workbook.xml": MAX_PART,
                  "xl/_rels/workbook.xml.rels": MAX_PART, "xl/styles.xml": MAX_PART,
                  "xl/sharedStrings.xml": MAX_STRINGS}  # fmt: skip
        self._common = {name: self._part(name, limit) for name, limit in wanted.items() if name in names}
        return self._common

    def _rows(self, sheet: SheetPart, frame: "_Frame") -> Iterator[tuple[int, bytes, bytes, bytes]]:
        """Number, prefix of names, attributes and content of every row of a sheet."""
        rest, begun, number = b"", False, 0
        for chunk in self._chunks(sheet.path, MAX_SHEET):
            rest += chunk
            if not begun:
                found = _DATA.search(rest)
                if found is None:
                    if len(rest) > MAX_ROW:
                        raise RefusedFileError("file_suspicious")
                    continue
                frame.set_head(rest[: found.start()], found.group(1))
                rest, begun = rest[found.end() :], True
            end = 0
            for row, content, end in _whole_rows(rest):  # noqa: B007 - where the last one ends
                stated = _NUMBER.search(row.group(2))
                number = int(stated.group(1)) if stated else number + 1
                yield number, row.group(1), row.group(2), content
            rest = rest[end:]
            if len(rest) > MAX_ROW + _CHUNK:
                raise RefusedFileError("file_suspicious")
        if begun and _ROW.search(rest.partition(b"sheetData>")[0]):  # the last row does not end
            raise RefusedFileError("file_damaged")


class _Frame:
    """What every piece has around its rows."""

    def __init__(self, parts: dict[str, bytes], path: str) -> None:
        self._parts, self._path = parts, path
        self._head, self._prefix = b"", b""

    def set_head(self, head: bytes, prefix: bytes) -> None:
        self._head, self._prefix = head + b"<" + prefix + b"sheetData>", prefix

    def around(self, rows: list[bytes]) -> io.BytesIO:
        made = io.BytesIO()
        tail = b"</" + self._prefix + b"sheetData></" + self._prefix + b"worksheet>"
        with zipfile.ZipFile(made, "w", zipfile.ZIP_STORED) as archive:
            for name, content in self._parts.items():
                archive.writestr(name, content)
            archive.writestr(self._path, b"".join([self._head, *rows, tail]))
        made.seek(0)
        return made


class _PieceInTheMaking:
    def __init__(self) -> None:
        self.rows: list[int] = []
        self.size = 0
        self._xml: list[bytes] = []
        self._special: dict[int, dict[int, dict[str, object]]] = {}
        self._hidden = 0

    def add(self, number: int, prefix: bytes, attributes: bytes, content: bytes) -> None:
        if self.rows and number <= self.rows[-1]:
            raise RefusedFileError("file_suspicious")
        self.rows.append(number)
        self._hidden += _HIDDEN.search(attributes) is not None
        stated = b"" if _NUMBER.search(attributes) else b' r="%d"' % number
        xml = b"".join([b"<", prefix, b"row", stated, attributes, b">", content, b"</", prefix, b"row>"])
        self._xml.append(xml)
        self.size += len(xml)
        if b"<f" in content or b":f" in content or b'"e"' in content or b"'e'" in content:
            self._special[number] = _special_cells(content)

    def done(self, frame: _Frame) -> Piece:
        return Piece(frame.around(self._xml), self.rows, self._special, self._hidden)


def _check_encoding(start: bytes) -> None:
    """Parts are UTF-8: in another encoding, a DTD could pass the search for one."""
    declared = _ENCODING.match(start.removeprefix(b"\xef\xbb\xbf"))
    if start[:2] in (b"\xff\xfe", b"\xfe\xff") or b"\x00" in start[:64]:
        raise RefusedFileError("file_suspicious")
    if declared and declared.group(1).lower() not in (b"utf-8", b"us-ascii"):
        raise RefusedFileError("file_suspicious")


def _whole_rows(xml: bytes) -> Iterator[tuple[re.Match[bytes], bytes, int]]:
    """The rows that end within some XML: how each begins, its content, and where it ends."""
    start, end = 0, 0
    odd = b"<!" in xml or b"<?" in xml
    while row := _ROW.search(xml, end):
        whole = (b"", row.end()) if row.group(3) else _until(b"</" + row.group(1) + b"row", xml, row.end())
        if whole is None:
            return
        start, (content, end) = end, whole
        if odd and _ASIDE.search(xml, start, end):
            raise RefusedFileError("file_damaged")
        yield row, content, end


def _until(closing: bytes, xml: bytes, start: int) -> tuple[bytes, int] | None:
    """What stands before a closing tag, and where that ends. As a part of ``_ROW`` it would take ten times as long."""
    place = xml.find(closing, start)
    while place >= 0:
        ended = _TAG_ENDED.match(xml, place + len(closing))
        if ended:
            return xml[start:place], ended.end()
        place = xml.find(closing, place + 1)
    return None


def _special_cells(content: bytes) -> dict[int, dict[str, object]]:
    """Errors, and formulas without a value; one that gave an empty text has a value, which is blank."""
    found: dict[int, dict[str, object]] = {}
    column = -1
    cells = list(_CELL.finditer(content))
    ends = [*(cell.start() for cell in cells[1:]), len(content)]
    for cell, end in zip(cells, ends, strict=True):
        attributes = cell.group(1)
        stated, kind = _PLACE.search(attributes), _KIND.search(attributes)
        column = _column(stated.group(1)) if stated else column + 1
        inner = content[cell.end() : end]
        saved = _SAVED.search(inner)
        value = saved.group(1) if saved else None
        match kind and kind.group(1):
            case b"e":
                found[column] = {"e": (value or b"").decode("ascii", "replace")}
            case b"str" if saved:
                continue
            case _ if not value and _FORMULA.search(inner):
                found[column] = dict(NO_VALUE)
    return found


def _column(letters: bytes) -> int:
    index = 0
    for letter in letters:
        index = index * 26 + letter - 64
    return index - 1

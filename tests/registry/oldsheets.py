"""Old XLS files, small ones: BIFF8 records (MS-XLS) in a compound file (MS-CFB), as no library of ours writes them."""

import struct
from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

_SECTOR = 512
_FREE, _END, _TABLE = 0xFFFFFFFF, 0xFFFFFFFE, 0xFFFFFFFD
_PLAIN, _DAY = 0, 1
"""The formats of cells: General, and the one that makes a number a day."""


def old_workbook(
    sheets: Mapping[str, Sequence[Sequence[Any]]], *, hidden: Sequence[str] = (), epoch: int = 1900
) -> bytes:
    """Sheets of rows of texts, numbers and days."""
    days = date(1899, 12, 30) if epoch == 1900 else date(1904, 1, 1)
    bodies = [_begin(0x10) + _cells(rows, days) + _record(0x0A) for rows in sheets.values()]
    place = len(_globals(sheets, hidden, epoch, [0] * len(bodies)))
    places = [place + sum(map(len, bodies[:number])) for number in range(len(bodies))]
    return _compound(b"".join([_globals(sheets, hidden, epoch, places), *bodies]))


def _record(kind: int, content: bytes = b"") -> bytes:
    return struct.pack("<HH", kind, len(content)) + content


def _begin(kind: int) -> bytes:
    return _record(0x0809, struct.pack("<HHHHII", 0x0600, kind, 0x0DBB, 0x07CC, 0, 6))


def _globals(names: Mapping[str, object], hidden: Sequence[str], epoch: int, places: Sequence[int]) -> bytes:
    formats = [_record(0xE0, struct.pack("<HH16x", 0, number_format)) for number_format in (0, 14)]
    sheets = [
        _record(0x85, struct.pack("<IBBBB", place, name in hidden, 0, len(name), 1) + name.encode("utf-16-le"))
        for name, place in zip(names, places, strict=True)
    ]
    base = [_record(0x42, struct.pack("<H", 1200)), _record(0x22, struct.pack("<H", epoch == 1904))]
    return b"".join([_begin(0x05), *base, *formats, *sheets, _record(0x0A)])


def _cells(rows: Sequence[Sequence[Any]], first_day: date) -> bytes:
    found = []
    for row, cells in enumerate(rows):
        for column, cell in enumerate(cells):
            if isinstance(cell, str):
                text = struct.pack("<HHHHB", row, column, _PLAIN, len(cell), 1) + cell.encode("utf-16-le")
                found.append(_record(0x0204, text))
            else:
                kind, number = (_DAY, (cell - first_day).days) if isinstance(cell, date) else (_PLAIN, cell)
                found.append(_record(0x0203, struct.pack("<HHHd", row, column, kind, number)))
    return b"".join(found)


def _compound(stream: bytes) -> bytes:
    """A file of one stream: its table of sectors, its directory, and the stream."""
    stream = stream.ljust(4096, b"\x00")  # shorter ones would lie elsewhere
    sectors = -(-len(stream) // _SECTOR)
    chain = [_TABLE, _END, *range(3, sectors + 2), _END]
    table = struct.pack(f"<{_SECTOR // 4}I", *chain, *[_FREE] * (_SECTOR // 4 - len(chain)))
    directory = _entry("Root Entry", 5, child=1, start=_END) + _entry("Workbook", 2, start=2, size=len(stream))
    head = struct.pack(
        "<8s16xHHHHH6xIIIIIIIII", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", 0x3E, 3, 0xFFFE, 9, 6, 0, 1, 1, 0, 4096, _END, 0,
        _END, 0,
    )  # fmt: skip
    tables = struct.pack("<109I", 0, *[_FREE] * 108)
    return head + tables + table + directory.ljust(_SECTOR, b"\x00") + stream.ljust(sectors * _SECTOR, b"\x00")


def _entry(name: str, kind: int, *, start: int, child: int = _FREE, size: int = 0) -> bytes:
    raw = name.encode("utf-16-le")
    return struct.pack("<64sHBBIII16xI16xIQ", raw, len(raw) + 2, kind, 1, _FREE, _FREE, child, 0, start, size)

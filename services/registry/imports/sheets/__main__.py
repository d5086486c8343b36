"""The reading process: a request and a file on standard input, households on standard output, nothing else touched.

Its arguments are its limits, bytes of memory and seconds of CPU, which it sets before it reads anything.

The first line of input is JSON: ``{"max_rows": n, "meaning": {...}}``; the file follows. Output is JSON
lines: first ``{"format", "row", "names", "expected"}``, then ``{"groups": [...], "passed_over": [...]}``, last
``{"end": {...}}`` or ``{"refused": code}``. Whether a header names what is needed, our side decides.
"""

import io
import json
import os
import resource
import sys
from collections.abc import Sequence
from itertools import islice
from typing import Any

from services.registry.imports.sheets.groups import Group, LineGroups, Meaning, SheetGroups
from services.registry.imports.sheets.reading import read
from services.registry.imports.sheets.refusals import RefusedFileError

BATCH = 100
"""Rows looked at before what is known of them is told."""
LONG = 1 << 20
"""Characters of households that are told without waiting for more."""


def main() -> None:
    memory, seconds = map(int, sys.argv[1:])
    _limit(memory, seconds)
    request = json.loads(sys.stdin.buffer.readline())
    raw = io.BytesIO(sys.stdin.buffer.read())
    try:
        _answer(raw, request)
    except RefusedFileError as refused:
        _write({"refused": refused.code})
    except MemoryError:
        _write({"refused": "file_too_demanding"})


def _limit(memory: int, seconds: int) -> None:
    """Also: no files written, no processes started, nothing left behind by a crash."""
    limits = {
        resource.RLIMIT_AS: memory,
        resource.RLIMIT_CPU: seconds,
        resource.RLIMIT_FSIZE: 0,
        resource.RLIMIT_NPROC: 0,
        resource.RLIMIT_CORE: 0,
    }
    for kind, most in limits.items():
        resource.setrlimit(kind, (most, most))
    os.nice(10)  # reading waits for us, and need not be quick: requests and the database come first


def _answer(raw: io.BytesIO, request: dict[str, Any]) -> None:
    meaning = Meaning.load(request["meaning"])
    table = read(raw, meaning.known())
    header = table.header
    _write(
        {
            "format": table.format,
            "row": header.row if header else 0,
            "names": header.names if header else [],
            "expected": table.expected_rows,
        }
    )
    groups = LineGroups() if header is None else SheetGroups.of(header, meaning)
    count = 0
    while batch := list(islice(table.rows, BATCH)):
        count += len(batch)
        if count > request["max_rows"]:
            raise RefusedFileError("too_many_rows")
        _tell(groups.add(batch), groups.passed_over())
    _tell(groups.finish(), groups.passed_over())
    _write({"end": {"rows": count, "hidden": sum(table.hidden.values())}})


def _tell(groups: Sequence[Group], passed_over: Sequence[tuple[int, str]]) -> None:
    told: list[Any] = []
    size = 0
    for group in groups:
        told.append(group.dump())
        size += len(group.content) + len(group.cells)
        if size > LONG:
            _write({"groups": told, "passed_over": []})
            told, size = [], 0
    if told or passed_over:
        _write({"groups": told, "passed_over": passed_over})


def _write(message: dict[str, object]) -> None:
    sys.stdout.write(json.dumps(message, ensure_ascii=False) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()

"""The reading process: a request and a file on standard input, rows on standard output, nothing else touched.

Its arguments are its limits, bytes of memory and seconds of CPU, which it sets before it reads anything.

The first line of input is JSON: ``{"known": [...], "max_rows": n}``; the file follows. Output is JSON lines: first
``{"format", "row", "names", "expected"}``, then rows in batches, last ``{"end": {...}}`` or ``{"refused": code}``.
"""

import io
import json
import resource
import sys
from itertools import islice

from services.registry.imports.sheets.reading import read, wire
from services.registry.imports.sheets.refusals import RefusedFileError

BATCH = 100


def main() -> None:
    memory, seconds = map(int, sys.argv[1:])
    _limit(memory, seconds)
    request = json.loads(sys.stdin.buffer.readline())
    raw = io.BytesIO(sys.stdin.buffer.read())
    try:
        _answer(raw, set(request["known"]), request["max_rows"])
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


def _answer(raw: io.BytesIO, known: set[str], max_rows: int) -> None:
    table = read(raw, known)
    header = table.header
    _write(
        {
            "format": table.format,
            "row": header.row if header else 0,
            "names": header.names if header else [],
            "expected": table.expected_rows,
        }
    )
    count = 0
    while batch := list(islice(table.rows, BATCH)):
        count += len(batch)
        if count > max_rows:
            raise RefusedFileError("too_many_rows")
        sys.stdout.write("[" + ",".join(map(wire, batch)) + "]\n")
    _write({"end": {"rows": count, "hidden": sum(table.hidden.values())}})


def _write(message: dict[str, object]) -> None:
    sys.stdout.write(json.dumps(message, ensure_ascii=False) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()

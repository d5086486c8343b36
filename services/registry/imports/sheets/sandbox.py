"""Our side of the reading process: it is started with limits, fed the file, and what it reads is taken as it comes."""

import asyncio
import contextlib
import json
import sys
from collections.abc import AsyncIterable, AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from services.registry.imports.sheets.groups import Group, Meaning
from services.registry.imports.sheets.headers import Header
from services.registry.imports.sheets.refusals import RefusedFileError
from shared.settings import project_root

MEMORY = 224 << 20
"""Bytes of address space; honest files of tens of megabytes get three times their size on top."""
CPU_SECONDS = 6
CPU_SECONDS_A_MB = 4
SILENT_SECONDS = 10
"""A reading process that says nothing for so long while we wait is ended; plus the CPU time it is allowed."""
_LINE = 8 << 20
"""Bytes of households on their way; twice as much may wait for us, and a batch that is larger is refused."""


@dataclass(slots=True)
class Reading:
    """A file being read."""

    format: str
    header: Header | None
    expected_rows: int | None
    _process: asyncio.subprocess.Process
    _patience: float
    """Seconds that it may say nothing."""
    passed_over: list[tuple[int, str]] = field(default_factory=list)
    """Rows up to where ``batches`` came that are no data, and why; taken away by who reports them."""
    hidden: int = 0
    """Hidden rows; known at the end."""

    async def batches(self) -> AsyncIterator[list[Group]]:
        """The households, once. Raises ``RefusedFileError`` where reading must end."""
        while "end" not in (message := await _message(self._process, self._patience)):
            self.passed_over += map(tuple, message["passed_over"])
            yield [Group.load(dumped) for dumped in message["groups"]]
        self.hidden = message["end"]["hidden"]


def _patience_with(size: int) -> int:
    """For how many seconds the reader of a file of so many bytes may say nothing."""
    return SILENT_SECONDS + _cpu_seconds(size)


def _cpu_seconds(size: int) -> int:
    return CPU_SECONDS + CPU_SECONDS_A_MB * (size >> 20)


@asynccontextmanager
async def reading(parts: AsyncIterable[bytes], size: int, meaning: Meaning, max_rows: int) -> AsyncIterator[Reading]:
    """Read a file given in parts, ``size`` bytes in all. Raises ``RefusedFileError``."""
    process = await _started(MEMORY + 3 * size, _cpu_seconds(size))
    request = {"max_rows": max_rows, "meaning": meaning.dump()}
    feeding = asyncio.create_task(_feed(process, json.dumps(request).encode() + b"\n", parts))
    try:
        first = await _message(process, _patience_with(size))
        header = Header(first["row"], tuple(first["names"])) if first["format"] != "jsonl" else None
        yield Reading(first["format"], header, first["expected"], process, _patience_with(size))
    finally:
        feeding.cancel()
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await _gone(process, feeding)


async def _gone(process: asyncio.subprocess.Process, feeding: "asyncio.Task[None]") -> None:
    """Once nothing is left of a process that was killed, even where we are cancelled meanwhile: it takes no time."""

    async def end() -> None:
        await asyncio.gather(feeding, return_exceptions=True)
        await process.communicate()  # its pipes are closed when what it wrote was read to the end

    ending = asyncio.create_task(end())
    try:
        await asyncio.shield(ending)
    except asyncio.CancelledError:
        await ending
        raise


async def _started(memory: int, cpu: int) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-P",
        "-m",
        "services.registry.imports.sheets",
        str(memory),
        str(cpu),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        limit=_LINE,
        cwd="/",
        # None of our settings: what reads strangers' files knows no key and no address.
        env={"PYTHONPATH": str(project_root()), "PYTHONUTF8": "1", "MALLOC_ARENA_MAX": "1"},
    )


async def _feed(process: asyncio.subprocess.Process, request: bytes, parts: AsyncIterable[bytes]) -> None:
    assert process.stdin is not None
    with contextlib.suppress(ConnectionError):  # it has seen enough; what it says counts
        process.stdin.write(request)
        async for part in parts:
            process.stdin.write(part)
            await process.stdin.drain()
        process.stdin.close()


async def _message(process: asyncio.subprocess.Process, seconds: float) -> Any:
    """The next line. Raises ``RefusedFileError``: the file's fault, or the limits were met."""
    assert process.stdout is not None
    try:
        async with asyncio.timeout(seconds):
            line = await process.stdout.readline()
    except (TimeoutError, ValueError) as error:
        raise RefusedFileError("file_too_demanding") from error
    if not line.endswith(b"\n"):  # ended by a limit
        raise RefusedFileError("file_too_demanding")
    message = json.loads(line)
    if "refused" in message:
        raise RefusedFileError(message["refused"])
    return message

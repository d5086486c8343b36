"""Registering many households at once, from JSON lines."""

from collections.abc import Iterator, Sequence
from typing import Literal

from pydantic import ValidationError
from sqlalchemy.ext.asyncio import AsyncConnection

from services.registry.context import Registry, today
from services.registry.households import service
from services.registry.households.checking import Checked, check
from services.registry.households.schemas import Counts, HouseholdIn, ImportReport, RowError
from services.registry.households.service import Author
from shared.auth import Caller
from shared.contracts.division import DivisionTree
from shared.errors import Fault, Language, Problem
from shared.http.body import parse_json
from shared.http.problems import faults_of

MAX_LINES = 100_000
CHUNK = 2000
MAX_ERRORS = 1000
Mode = Literal["all", "each"]
Line = HouseholdIn | list[Fault]


async def register_lines(
    conn: AsyncConnection,
    registry: Registry,
    tree: DivisionTree,
    lines: Sequence[bytes],
    caller: Caller,
    *,
    mode: Mode,
    dry_run: bool,
    language: Language,
) -> ImportReport:
    """Register what the lines hold; ``all``: nothing unless every line is good, ``each``: the good ones.

    The caller's transaction decides: it must be undone when the report says ``rejected`` or for a dry run.
    """
    created, rejected = 0, 0
    errors: list[RowError] = []
    for first in range(0, len(lines), CHUNK):
        read = [_read(raw) for raw in lines[first : first + CHUNK]]
        good, faults = await _checked(conn, registry, tree, read, caller)
        rejected += len(faults)
        errors += _row_errors(first + 1, faults, language)
        if good and not (mode == "all" and rejected):
            author = Author(caller.key_id, registry.runtime.clock.now())
            await service.register(conn, registry.runtime.settings, registry.vault, good, author)
            created += len(good)
    refused = mode == "all" and rejected > 0
    return ImportReport(
        status="rejected" if refused else "completed",
        mode=mode,
        dry_run=dry_run,
        counts=Counts(received=len(lines), created=0 if refused else created, rejected=rejected),
        errors=errors[:MAX_ERRORS],
    )


def _read(raw: bytes) -> Line:
    try:
        return HouseholdIn.model_validate(parse_json(raw))
    except ValidationError as error:
        return faults_of(error.errors(include_input=False, include_url=False))
    except Problem as error:
        return list(error.faults) or [Fault("", error.kind.code, error.kind.title)]


async def _checked(
    conn: AsyncConnection, registry: Registry, tree: DivisionTree, read: Sequence[Line], caller: Caller
) -> tuple[list[Checked], dict[int, list[Fault]]]:
    """What may be registered, and what is wrong with the rest by place in the chunk."""
    places = [place for place, line in enumerate(read) if isinstance(line, HouseholdIn)]
    contents = [line for line in read if isinstance(line, HouseholdIn)]
    checked = await check(conn, contents, tree=tree, vault=registry.vault, caller=caller, today=today(registry))
    faults = {place: line for place, line in enumerate(read) if isinstance(line, list)}
    faults |= {place: entry.faults for place, entry in zip(places, checked, strict=True) if entry.faults}
    return [entry for entry in checked if not entry.faults], faults


def _row_errors(first: int, faults: dict[int, list[Fault]], language: Language) -> Iterator[RowError]:
    for place, found in sorted(faults.items()):
        for fault in found:
            yield RowError(row=first + place, column=fault.pointer, code=fault.code, message=fault.message.of(language))

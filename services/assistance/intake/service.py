"""Use cases of the intake: registered sources, and what became of their submissions."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from services.assistance.intake.contracts import ActionOutcome
from services.assistance.intake.rules import Source, Submission
from services.assistance.intake.schemas import SourceContent, SourceOut
from shared import errors
from shared.auth import Caller
from shared.db import Pg
from shared.errors import Problem, Text
from shared.http.etag import check_version
from shared.ids import uuid7
from shared.watched import RAISE_REVISION, Watched

SOURCES_REVISION = "source"
_COLUMNS = "id, version, name, label, mode, status, divisions, changed_at"


@dataclass(frozen=True, slots=True)
class Decided:
    """A message that was decided before."""

    digest: bytes
    outcome: ActionOutcome


def sources() -> Watched[Mapping[str, Source]]:
    """Active sources by name, kept in memory; one of them lives as long as the process."""
    return Watched(SOURCES_REVISION, _load)


async def _load(pg: Pg) -> Mapping[str, Source]:
    rows = await pg.fetch("SELECT id, name, mode, divisions FROM source WHERE status = 'active'")
    return {row["name"]: _source(row["id"], row["name"], row["mode"], row["divisions"]) for row in rows}


def _source(source_id: UUID, name: str, mode: str, divisions: Sequence[str]) -> Source:
    caller = Caller(source_id, name, frozenset({"recorder"}), tuple(divisions))
    return Source(source_id, name, mode == "test", caller)


async def decided(pg: Pg, messages: Sequence[tuple[str, str]]) -> dict[tuple[str, str], Decided]:
    """What became of messages (source, ce_id), those decided so far."""
    if not messages:
        return {}
    rows = await pg.fetch(
        "SELECT source, ce_id, digest, outcome FROM inbox "
        "JOIN unnest($1::text[], $2::text[]) AS wanted (source, ce_id) USING (source, ce_id)",
        *zip(*messages, strict=True),
    )
    return {
        (row["source"], row["ce_id"]): Decided(row["digest"], ActionOutcome.model_validate_json(row["outcome"]))
        for row in rows
    }


async def store(pg: Pg, outcomes: Sequence[tuple[Submission, ActionOutcome]]) -> bool:
    """Keep what became of messages; False when somebody else has decided one of them."""
    if not outcomes:
        return True
    rows = sorted(
        (*submission.message, submission.digest, outcome.model_dump_json(by_alias=True), outcome.decided_at)
        for submission, outcome in outcomes
    )
    status: str = await pg.execute(
        "INSERT INTO inbox (source, ce_id, digest, outcome, decided_at) "
        "SELECT * FROM unnest($1::text[], $2::text[], $3::bytea[], $4::text[], $5::timestamptz[]) "
        "ON CONFLICT DO NOTHING",
        *zip(*rows, strict=True),
    )
    return int(status.split()[-1]) == len(rows)


async def find_outcome(pg: Pg, submission: str) -> tuple[SourceOut, ActionOutcome]:
    """What became of ``<source>/<ce_id>``; both parts may hold slashes themselves. Raises 404."""
    rows = await pg.fetch(
        f"SELECT {_COLUMNS} FROM source WHERE starts_with($1, name || '/') ORDER BY length(name) DESC", submission
    )
    for row in rows:
        message = (row["name"], submission[len(row["name"]) + 1 :])
        if (found := (await decided(pg, [message])).get(message)) is not None:
            return SourceOut(**dict(row)), found.outcome
    raise Problem(errors.NOT_FOUND)


async def register(pg: Pg, content: SourceContent, *, name: str, by: UUID, now: datetime) -> SourceOut:
    """Add a source, in the open transaction of ``pg``. Raises 409 when the name is taken."""
    row = await pg.fetchrow(
        "INSERT INTO source (id, version, name, label, mode, status, divisions, changed_by, changed_at) "
        "VALUES ($1, 1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT (name) DO NOTHING "
        f"RETURNING {_COLUMNS}",
        uuid7(), name, content.label, content.mode, content.status, content.divisions, by, now,
    )  # fmt: skip
    if row is None:
        raise Problem(errors.CONFLICT, Text("the source is registered already", "该来源已登记"))
    await pg.execute(RAISE_REVISION, SOURCES_REVISION)
    return SourceOut(**dict(row))


async def find(pg: Pg, source_id: UUID) -> SourceOut:
    """One source. Raises 404."""
    row = await pg.fetchrow(f"SELECT {_COLUMNS} FROM source WHERE id = $1", source_id)
    if row is None:
        raise Problem(errors.NOT_FOUND)
    return SourceOut(**dict(row))


async def listed(pg: Pg) -> list[SourceOut]:
    """Every source in order of registration; there are as many as there are systems that submit."""
    return [SourceOut(**dict(row)) for row in await pg.fetch(f"SELECT {_COLUMNS} FROM source ORDER BY id")]


async def change(
    pg: Pg, source_id: UUID, content: SourceContent, *, expected: int, by: UUID, now: datetime
) -> SourceOut:
    """Replace what a source may do, in the open transaction of ``pg``. Raises 404, 412."""
    row = await pg.fetchrow(
        "UPDATE source SET version = version + 1, label = $3, mode = $4, status = $5, divisions = $6, "
        f"changed_by = $7, changed_at = $8 WHERE id = $1 AND version = $2 RETURNING {_COLUMNS}",
        source_id, expected, content.label, content.mode, content.status, content.divisions, by, now,
    )  # fmt: skip
    if row is None:
        check_version((await find(pg, source_id)).version, expected)
        raise Problem(errors.CONFLICT)
    await pg.execute(RAISE_REVISION, SOURCES_REVISION)
    return SourceOut(**dict(row))

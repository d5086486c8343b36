"""The inbox: what became of every submission that was decided, so that none is decided twice."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from shared import errors
from shared.db import Pg
from shared.errors import Problem
from shared.intake import sources
from shared.intake.contracts import Receipt
from shared.intake.sources import SourceOut

R = TypeVar("R", bound=Receipt)


@dataclass(frozen=True, slots=True)
class Decided(Generic[R]):
    """A submission that was decided before."""

    digest: bytes
    receipt: R


async def decided(pg: Pg, messages: Sequence[tuple[str, str]], model: type[R]) -> dict[tuple[str, str], Decided[R]]:
    """What became of messages (source, ce_id), those decided so far."""
    if not messages:
        return {}
    rows = await pg.fetch(
        "SELECT source, ce_id, digest, outcome FROM inbox "
        "JOIN unnest($1::text[], $2::text[]) AS wanted (source, ce_id) USING (source, ce_id)",
        *zip(*messages, strict=True),
    )
    return {
        (row["source"], row["ce_id"]): Decided(row["digest"], model.model_validate_json(row["outcome"])) for row in rows
    }


async def store(pg: Pg, receipts: Sequence[tuple[bytes, Receipt]]) -> bool:
    """Keep receipts, each with the digest of what was said; False when somebody else has decided one of them."""
    if not receipts:
        return True
    rows = sorted(
        (each.source, each.submission, digest, each.model_dump_json(by_alias=True), each.decided_at)
        for digest, each in receipts
    )
    status: str = await pg.execute(
        "INSERT INTO inbox (source, ce_id, digest, outcome, decided_at) "
        "SELECT * FROM unnest($1::text[], $2::text[], $3::bytea[], $4::text[], $5::timestamptz[]) "
        "ON CONFLICT DO NOTHING",
        *zip(*rows, strict=True),
    )
    return int(status.split()[-1]) == len(rows)


async def find(pg: Pg, submission: str, model: type[R]) -> tuple[SourceOut, R]:
    """What became of ``<source>/<ce_id>``; both parts may hold slashes themselves. Raises 404."""
    for source in await sources.named_before(pg, submission):
        message = (source.name, submission[len(source.name) + 1 :])
        if (found := (await decided(pg, [message], model)).get(message)) is not None:
            return source, found.receipt
    raise Problem(errors.NOT_FOUND)

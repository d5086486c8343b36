"""Notes and titles of decisions that name erased persons."""

import json
from collections.abc import Mapping
from typing import Any
from uuid import UUID

from services.registry.audit import service as audit
from services.registry.audit.rules import Entry, digest_of
from services.registry.households import reading
from services.registry.households.records import Author
from services.registry.identities.traces import Traces
from services.registry.standing.records import Decision
from shared.contracts.division import Path
from shared.db import Pg

_FREE_TEXT = ("note", "title")


async def forget(pg: Pg, households: Mapping[UUID, Traces], author: Author) -> dict[UUID, Traces]:
    """Star erased persons out of the decisions on their households; all of these decisions, with who was sought there.

    A decision keeps its version: what was decided, and its event, are as they were. The audit log learns that it was
    redacted, and of its digest since.
    """
    rows = await pg.fetch(
        "SELECT id, household_id, body FROM standing_decision WHERE household_id = ANY($1::uuid[]) "
        "ORDER BY id FOR UPDATE",
        list(households),
    )
    for row in rows:
        old = Decision.model_validate_json(row["body"])
        starred = _starred(json.loads(row["body"]), households[row["household_id"]])
        new = Decision.model_validate_json(json.dumps(starred))
        if new != old:
            await _replace(pg, new, author, await reading.place_of(pg, row["household_id"]))
    return {row["id"]: households[row["household_id"]] for row in rows}


def _starred(value: Any, traces: Traces) -> Any:
    if isinstance(value, list):
        return [_starred(each, traces) for each in value]
    if not isinstance(value, dict):
        return value
    return {
        name: traces.starred(each, inside=True)
        if name in _FREE_TEXT and isinstance(each, str)
        else _starred(each, traces)
        for name, each in value.items()
    }


async def _replace(pg: Pg, decision: Decision, author: Author, place: Path) -> None:
    body = decision.model_dump_json()
    await pg.execute("UPDATE standing_decision SET body = $2 WHERE id = $1", decision.id, body)
    entry = Entry(
        recorded_at=author.now,
        key_id=author.key_id,
        operation="decision.redacted",
        object_id=str(decision.id),
        version=decision.version,
        reason=author.reason,
        divisions=place.scopes(),
        digest=digest_of([body]),
    )
    await audit.record(pg, [entry])

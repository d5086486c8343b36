"""Decisions in their rows, always within the caller's divisions; each write with its event.

A decision about a household goes with it: while it is open, it is in the hands of whoever has the household in scope.
Once it has ended, whoever had it at its last step sees it too (architecture rule 9).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any
from uuid import UUID

import asyncpg

from services.registry.audit import service as audit
from services.registry.audit.rules import Entry, digest_of
from services.registry.context import Registry
from services.registry.households import reading
from services.registry.households.records import Author
from services.registry.standing.records import Decision
from services.registry.standing.rules import DECISION_OPEN, NOTICES
from shared import errors, outbox
from shared.auth import Caller
from shared.contracts.division import Path
from shared.contracts.standing import STANDING, DecisionKind, DecisionState
from shared.db import Pg
from shared.errors import Problem
from shared.outbox import Event

_OPEN = "('open', 'contested')"
_ONE_OPEN = ("standing_decision_one_household", "standing_decision_one_division")
REPUBLISHED_AT_ONCE = 2000


def _within(argument: int) -> str:
    """The caller's divisions, given as an argument, as a condition on a decision."""
    here, holder = reading.scope(argument, "standing_decision"), reading.scope(argument, "holder")
    return (
        f"((household_id IS NULL OR state NOT IN {_OPEN}) AND {here} "
        f"OR EXISTS (SELECT FROM household holder WHERE holder.id = household_id AND {holder}))"
    )


@dataclass(frozen=True, slots=True)
class Filters:
    """What a list of decisions narrows by; None does not restrict."""

    kind: DecisionKind | None = None
    state: DecisionState | None = None
    division: str | None = None
    household: UUID | None = None
    posted_after: date | None = None
    """In public notice 公示 since a later day than this, of what is still on the register."""


async def find(pg: Pg, decision_id: UUID, caller: Caller, *, lock: bool = False) -> Decision:
    """Raises 404 when there is none, or none within the caller's divisions."""
    body = await pg.fetchval(
        f"SELECT body FROM standing_decision WHERE id = $1 AND {_within(2)} {'FOR UPDATE' if lock else ''}",
        decision_id,
        list(caller.divisions),
    )
    if body is None:
        raise Problem(errors.NOT_FOUND)
    return Decision.model_validate_json(body)


async def page(pg: Pg, filters: Filters, caller: Caller, *, after: UUID | None, limit: int) -> list[Decision]:
    """Decisions in the order in which they were proposed."""
    conditions, arguments = _conditions(filters, caller)
    if after is not None:
        arguments.append(after)
        conditions.append(f"id > ${len(arguments)}")
    rows = await pg.fetch(
        f"SELECT body FROM standing_decision WHERE {' AND '.join(conditions)} ORDER BY id LIMIT {limit:d}", *arguments
    )
    return [Decision.model_validate_json(row["body"]) for row in rows]


async def count(pg: Pg, filters: Filters, caller: Caller) -> int:
    """How many decisions a list has in all."""
    conditions, arguments = _conditions(filters, caller)
    found: int = await pg.fetchval(
        f"SELECT count(*) FROM standing_decision WHERE {' AND '.join(conditions)}", *arguments
    )
    return found


def _conditions(filters: Filters, caller: Caller) -> tuple[list[str], list[Any]]:
    arguments: list[Any] = [list(caller.divisions)]
    conditions = [_within(1)]
    for column, value in (("kind", filters.kind), ("state", filters.state), ("household_id", filters.household)):
        if value is not None:
            arguments.append(value)
            conditions.append(f"{column} = ${len(arguments)}")
    if filters.division is not None:
        arguments.append(filters.division)
        conditions.append(_in_division(len(arguments)))
    if filters.posted_after is not None:
        arguments += [list(NOTICES), filters.posted_after]
        conditions.append(_posted(len(arguments) - 1, len(arguments)))
    return conditions, arguments


def _posted(notices: int, day: int) -> str:
    """Whose last step is one of the notices, after a day, as a condition on a decision; both given as arguments."""
    return (
        f"state IN {_OPEN} AND body::jsonb #>> '{{steps,-1,step}}' = ANY(${notices}::text[]) "
        f"AND (body::jsonb #>> '{{steps,-1,on}}')::date > ${day} AND (household_id IS NULL OR EXISTS "
        "(SELECT FROM household holder WHERE holder.id = household_id AND holder.status = 'active'))"
    )


def _in_division(argument: int) -> str:
    """A division, or a prefix, given as an argument, as a condition on a decision: it lies where scope has it, too."""
    at = f"${argument}"

    def lies(table: str, place: str) -> str:
        columns = ("managing_unit", "township", "city")
        return " OR ".join([*(f"{table}.{column} = {at}" for column in columns), f"starts_with({place}, {at})"])

    here = lies("standing_decision", "coalesce(standing_decision.village, division)")
    return (
        f"((household_id IS NULL OR state NOT IN {_OPEN}) AND ({here}) OR state IN {_OPEN} AND EXISTS "
        f"(SELECT FROM household holder WHERE holder.id = household_id AND ({lies('holder', 'holder.village')})))"
    )


async def add(pg: Pg, registry: Registry, decision: Decision, author: Author) -> None:
    """Write a new decision, its event and its audit entry. Raises 409 when another one is open."""
    path = decision.path
    try:
        await pg.execute(
            "INSERT INTO standing_decision (id, version, kind, state, household_id, division, city, managing_unit, "
            "township, village, body, recorded_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)",
            decision.id, decision.version, decision.kind, decision.state, decision.household_id, decision.division,
            path.city, path.managing_unit, path.township, path.village, decision.model_dump_json(), author.now,
        )  # fmt: skip
    except asyncpg.UniqueViolationError as error:
        if error.constraint_name in _ONE_OPEN:
            raise Problem(DECISION_OPEN) from error
        raise
    await _tell(pg, registry, decision, author, path)


async def change(pg: Pg, registry: Registry, decision: Decision, author: Author, place: Path) -> None:
    """Write the next version of a decision whose row is locked, its event and its audit entry.

    ``place`` is where its household or division lies now.
    """
    await pg.execute(
        "UPDATE standing_decision SET version = $2, state = $3, body = $4, recorded_at = $5, city = $6, "
        "managing_unit = $7, township = $8, village = $9 WHERE id = $1",
        decision.id, decision.version, decision.state, decision.model_dump_json(), author.now, place.city,
        place.managing_unit, place.township, place.village,
    )  # fmt: skip
    await _tell(pg, registry, decision, author, place)


async def _tell(pg: Pg, registry: Registry, decision: Decision, author: Author, place: Path) -> None:
    await _publish(pg, registry, [(decision, author.now)])
    entry = Entry(
        recorded_at=author.now,
        key_id=author.key_id,
        operation=f"decision.{_verb(decision)}",
        object_id=str(decision.id),
        version=decision.version,
        reason=author.reason,
        divisions=place.scopes(),
        digest=digest_of([decision.model_dump_json()]),
    )
    await audit.record(pg, [entry])


async def republish(pg: Pg, registry: Registry) -> int:
    """Write every decision's present state to the outbox, a piece at a time; returns how many."""
    total, last = 0, UUID(int=0)
    while rows := await pg.fetch(
        "SELECT id, body, recorded_at FROM standing_decision WHERE id > $1 ORDER BY id LIMIT $2",
        last,
        REPUBLISHED_AT_ONCE,
    ):
        last = rows[-1]["id"]
        await _publish(pg, registry, [(Decision.model_validate_json(r["body"]), r["recorded_at"]) for r in rows])
        total += len(rows)
    return total


async def _publish(pg: Pg, registry: Registry, decisions: Sequence[tuple[Decision, datetime]]) -> None:
    events = [
        Event(STANDING, _verb(decision), str(decision.id), decision.event(), now, version=decision.version)
        for decision, now in decisions
    ]
    await outbox.write(pg, outbox.rows(registry.runtime.settings, events))


def _verb(decision: Decision) -> str:
    if decision.state in ("concluded", "refused", "withdrawn"):
        return decision.state
    return "proposed" if decision.version == 1 else "changed"

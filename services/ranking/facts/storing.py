"""One set-based upsert of facts, and the rows it replaced (architecture rule 5).

The old row comes from ``RETURNING old.*`` of the very statement that replaced it. A common table expression that
reads the old row first sees the statement's snapshot instead: under concurrency it returns a version that another
consumer has already replaced, and takes away a contribution twice.
"""

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, NamedTuple
from uuid import UUID

import asyncpg

from services.ranking.facts import models
from services.ranking.facts.rules import Counted, is_on_time
from shared.clock import local_day
from shared.contracts.action import ActionEvent
from shared.db import Pg

COLUMNS = tuple(column.name for column in models.fact.columns)
_TYPES = {
    "action_id": "uuid", "version": "int", "household_id": "uuid", "household_seq": "bigint", "actor_id": "uuid",
    "quantity": "bigint", "amount_fen": "bigint", "first_recorded_at": "timestamptz", "recorded_at": "timestamptz",
    "occurred_at": "timestamptz", "verified_at": "timestamptz", "day": "date", "on_time": "boolean",
}  # fmt: skip
_SENT = COLUMNS[:-1]
"""All but the last, ``known_at``, which a batch shares."""
_UNNEST = ", ".join(f"${i}::{_TYPES.get(name, 'text')}[]" for i, name in enumerate(_SENT, start=2))
_SELECTED = ", ".join("persons::uuid[]" if name == "persons" else name for name in _SENT)
_NAMES = ", ".join(COLUMNS)
_OLD = ", ".join(f"old.{name}" for name in COLUMNS)
_SET = ", ".join(f"{name} = excluded.{name}" for name in COLUMNS if name != "action_id")
COUNTED = (
    "status, class, sector, managing_unit, township, day, household_seq, cardinality(persons) AS persons, "
    "amount_fen, on_time, verified_at IS NOT NULL AS verified"
)
"""What ``counted`` reads from a row."""
UPSERT = (
    f"WITH stored AS (INSERT INTO fact AS held ({_NAMES}) "
    f"SELECT {_SELECTED}, $1::timestamptz FROM unnest({_UNNEST}) AS sent ({', '.join(_SENT)}) "
    f"ON CONFLICT (action_id) DO UPDATE SET {_SET} WHERE held.version < excluded.version "
    f"RETURNING new.action_id AS stored_id, {_OLD}), "
    f"replaced AS (INSERT INTO fact_history ({_NAMES}) SELECT {_NAMES} FROM stored WHERE action_id IS NOT NULL) "
    f"SELECT sent_id, stored_id IS NOT NULL AS stored, {COUNTED} "
    "FROM unnest($2::uuid[]) AS sent_id LEFT JOIN stored ON stored_id = sent_id "
    "WHERE stored_id IS NULL OR action_id IS NOT NULL"
)
"""Tells of what was there before, or is newer than what was sent. Nothing is said of an action that is simply new:
that is nearly all of them, and saying it would take a third of the time."""
_SAME_VERSION = (
    "SELECT {} FROM fact JOIN unnest($1::uuid[], $2::int[]) AS sent (id, version) ".format(
        ", ".join(f"fact.{name}" for name in COLUMNS)
    )
    + "ON fact.action_id = sent.id AND fact.version = sent.version"
)


class Fact(NamedTuple):
    """An action, and what ranking makes of it."""

    action: ActionEvent
    day: date
    on_time: bool

    @property
    def recorded_day(self) -> date:
        """The day it was first reported on."""
        return local_day(self.action.first_recorded_at)


@dataclass(frozen=True, slots=True)
class Stored:
    """What became of the facts of a batch; those that are named nowhere are new."""

    replaced: Mapping[str, Counted | None]
    """What these counted for before; None when they had been revoked."""
    refused: Set[str]
    """Not newer than what is held."""


def fact_of(action: ActionEvent) -> Fact:
    """The fact of an action: its day is taken in Asia/Shanghai."""
    return Fact(action, local_day(action.occurred_at), is_on_time(action.occurred_at, action.first_recorded_at))


async def store(pg: Pg, facts: Mapping[str, Fact], known_at: datetime) -> Stored:
    """Store what is newer than what is held."""
    rows = [row(fact) for fact in facts.values()]
    told = await pg.fetch(UPSERT, known_at, *map(list, zip(*rows, strict=True)))
    return Stored(
        replaced={str(each["sent_id"]): counted(each) for each in told if each["stored"]},
        refused={str(each["sent_id"]) for each in told if not each["stored"]},
    )


async def same_content(pg: Pg, facts: Mapping[str, Fact]) -> dict[str, bool]:
    """For the actions held under the very version sent: whether what they say is the same."""
    found = await pg.fetch(_SAME_VERSION, list(facts), [fact.action.version for fact in facts.values()])
    same: dict[str, bool] = {}
    for held in found:
        action_id = str(held["action_id"])
        sent = row(facts[action_id])
        same[action_id] = all(_equal(held[name], value) for name, value in zip(_SENT, sent, strict=True))
    return same


def _equal(held: Any, sent: Any) -> bool:
    return bool(_persons(held) == sent) if isinstance(held, list) else bool(held == sent)


def row(fact: Fact) -> tuple[Any, ...]:
    """A fact in the order of the columns, without ``known_at``."""
    action, path = fact.action, fact.action.path
    return (
        action.id, action.version, action.status, action.programme_class, action.programme, action.sector,
        action.kind, action.household_id, action.household_seq, _persons(action.persons), action.actor_id,
        action.division, path.city, path.county, path.township, path.village, path.managing_unit, action.place,
        action.quantity, action.amount_fen, action.first_recorded_at, action.recorded_at, action.occurred_at,
        action.verified_at, fact.day, fact.on_time,
    )  # fmt: skip


def _persons(persons: Sequence[UUID]) -> str:
    """A list of ids as PostgreSQL writes an array: ``unnest`` would flatten arrays of arrays."""
    return "{" + ",".join(map(str, persons)) + "}" if persons else "{}"


def counted(held: Mapping[str, Any] | asyncpg.Record) -> Counted | None:
    """What a row of facts counts for; None when it was revoked."""
    if held["status"] != "recorded":
        return None
    return Counted(
        held["class"], held["sector"], held["managing_unit"], held["township"], held["day"], held["household_seq"],
        held["persons"], held["amount_fen"], held["on_time"], held["verified"],
    )  # fmt: skip


def counted_of(fact: Fact) -> Counted | None:
    """What a fact counts for; None when its action was revoked."""
    action = fact.action
    if action.status != "recorded":
        return None
    return Counted(
        action.programme_class, action.sector, action.path.managing_unit, action.path.township, fact.day,
        action.household_seq, len(action.persons), action.amount_fen, fact.on_time, action.verified_at is not None,
    )  # fmt: skip

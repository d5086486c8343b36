"""Rule sets: which is in force, and setting one for the future."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from services.ranking.indicators.models import rule_set
from services.ranking.indicators.rule_sets import RuleSet
from services.ranking.versions import service as versions
from shared.db import Pg

_LOCK = 0x72756C65
"""One rule set is set at a time."""


class InForceError(ValueError):
    """The rule set is in force already, or would be: it can only be set for the future."""


class DayTakenError(ValueError):
    """Another rule set begins on that day."""


@dataclass(frozen=True, slots=True)
class Stored:
    """A rule set and its version."""

    rules: RuleSet
    version: int


async def rule_sets(pg: Pg) -> list[RuleSet]:
    """Every rule set, oldest first."""
    rows = await pg.fetch("SELECT body FROM rule_set ORDER BY valid_from")
    return [RuleSet.model_validate_json(row["body"]) for row in rows]


def in_force(sets: Sequence[RuleSet], first_day: date) -> RuleSet:
    """The rule set of a period: the newest in force on its first day; the oldest for periods before them all."""
    return next((rules for rules in reversed(sets) if rules.valid_from <= first_day), sets[0])


def named(sets: Sequence[RuleSet], code: str) -> RuleSet | None:
    """A rule set by name."""
    return next((rules for rules in sets if rules.code == code), None)


async def listed(conn: AsyncConnection) -> list[Stored]:
    """Every rule set with its version, oldest first."""
    rows = await conn.execute(sa.select(rule_set).order_by(rule_set.c.valid_from))
    return [Stored(RuleSet.model_validate_json(row.body), row.version) for row in rows]


async def lock(conn: AsyncConnection, code: str) -> Stored | None:
    """A rule set by name; None when there is none. Until the transaction ends nobody else sets one."""
    await conn.execute(sa.text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})
    row = (await conn.execute(sa.select(rule_set).where(rule_set.c.code == code))).first()
    return None if row is None else Stored(RuleSet.model_validate_json(row.body), row.version)


async def put(conn: AsyncConnection, rules: RuleSet, held: Stored | None, today: date) -> Stored:
    """Set a rule set for the future: a new one, or one that is not in force yet.

    Raises ``InForceError`` when it is, or would be, in force today; ``DayTakenError`` when another begins on its day.
    """
    if rules.valid_from <= today or (held is not None and held.rules.valid_from <= today):
        raise InForceError
    version = 1 if held is None else held.version + 1
    values = {"version": version, "valid_from": rules.valid_from, "body": rules.model_dump_json()}
    same_day = sa.select(rule_set.c.code).where(
        rule_set.c.valid_from == rules.valid_from, rule_set.c.code != rules.code
    )
    if (await conn.execute(same_day)).first() is not None:
        raise DayTakenError
    if held is None:
        await conn.execute(rule_set.insert().values(code=rules.code, **values))
    else:
        await conn.execute(rule_set.update().where(rule_set.c.code == rules.code).values(**values))
    await conn.execute(versions.RAISE_ONE, {"name": versions.mirrored("rule_set")})
    return Stored(rules, version)

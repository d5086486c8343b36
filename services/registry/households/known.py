"""The register as it was known at an instant: what later versions said is left out (architecture rule 7).

Households that did not change since are counted from their stretches, as they are; only those that did change are
read out of their versions. So the answer costs what has changed since.
"""

from collections.abc import Sequence
from datetime import date, datetime
from typing import Any, Literal

from shared.db import Pg

Place = Literal["city", "managing_unit", "township", "village"]

NEWEST = """(
    SELECT every.* FROM (
        SELECT current.* UNION ALL SELECT * FROM household_version WHERE id = current.id
    ) every WHERE every.recorded_at <= {instant} ORDER BY every.version DESC LIMIT 1
)"""
"""Laterally to ``household AS current``: its version as known at ``{instant}``; no row where it was unknown."""
MEMBERS = """(
    SELECT DISTINCT ON (every.id, every.joined_on) every.* FROM (
        SELECT * FROM person WHERE household_id = {household}.id
        UNION ALL SELECT * FROM person_version WHERE household_id = {household}.id
    ) every WHERE every.household_version <= {household}.version
    ORDER BY every.id, every.joined_on, every.version DESC
)"""
"""Laterally to a version of a household: its members as that version knew them."""

_CHANGED_SINCE = """
known AS MATERIALIZED (
    SELECT DISTINCT ON (v.id) v.id, v.version, v.event::jsonb -> 'timeline' AS timeline, v.valid_to, v.cause, v.welfare
    FROM household h JOIN household_version v ON v.id = h.id
    WHERE h.recorded_at > $1 AND v.recorded_at <= $1
    ORDER BY v.id, v.version DESC
)"""
_STATES = "jsonb_to_recordset(known.timeline) AS state (valid_from date, standing text, path jsonb)"
_ALIVE = "(known.valid_to IS NULL OR state.valid_from < known.valid_to)"
_PEOPLE = f"""
SELECT count(*) FROM {MEMBERS.format(household="{table}")} member
WHERE member.joined_on <= {{day}} AND (member.left_on IS NULL OR member.left_on > {{day}})"""


async def counted_on(pg: Pg, known_at: datetime, day: date, *, within: Place, code: str, by: Place) -> Sequence[Any]:
    """Households and people of a division on a day, by unit, standing, cause and welfare, as known at an instant."""
    return await pg.fetch(
        f"""
        WITH {_CHANGED_SINCE}
        SELECT unit, standing, cause, welfare, count(*)::int AS households, sum(people)::int AS people FROM (
            SELECT period.{by} AS unit, period.standing, coalesce(h.cause, '') AS cause, h.welfare, period.people
            FROM household_period period JOIN household h ON h.id = period.household_id
            WHERE h.recorded_at <= $1 AND period.{within} = $2
            AND period.valid_from <= $3 AND (period.valid_to IS NULL OR period.valid_to > $3)
            UNION ALL
            SELECT state.path ->> '{by}', state.standing, coalesce(known.cause, ''), known.welfare,
                ({_PEOPLE.format(table="known", day="$3")})
            FROM known CROSS JOIN LATERAL (
                SELECT * FROM {_STATES} WHERE state.valid_from <= $3 ORDER BY state.valid_from DESC LIMIT 1
            ) state
            WHERE (known.valid_to IS NULL OR known.valid_to > $3) AND state.path ->> '{within}' = $2
        ) counted GROUP BY unit, standing, cause, welfare""",
        known_at,
        code,
        day,
    )


async def steps(
    pg: Pg, known_at: datetime, since: date, until: date, *, within: Place, code: str, by: Place
) -> Sequence[Any]:
    """How many went from one standing to another in a span of days, by unit, as known at an instant.

    An empty standing means: not on the register.
    """
    return await pg.fetch(
        f"""
        WITH {_CHANGED_SINCE},
        stated AS (
            SELECT known.id, known.version, state.valid_from, state.standing, state.path, known.valid_to,
                lag(state.standing, 1, '') OVER span AS before, lead(state.valid_from) OVER span AS next
            FROM known CROSS JOIN LATERAL {_STATES} WHERE {_ALIVE}
            WINDOW span AS (PARTITION BY known.id ORDER BY state.valid_from)
        ),
        step AS (
            SELECT id, version, valid_from AS on_day, before, standing AS after, path, valid_from AS counted_on
            FROM stated
            UNION ALL
            SELECT id, version, valid_to, standing, '', path, valid_to - 1
            FROM stated WHERE next IS NULL AND valid_to IS NOT NULL
        )
        SELECT unit, before, after, count(*)::int AS households, sum(people)::int AS people FROM (
            SELECT period.{by} AS unit, coalesce(earlier.standing, '') AS before, period.standing AS after,
                period.people
            FROM household_period period JOIN household h ON h.id = period.household_id
            LEFT JOIN household_period earlier
            ON earlier.household_id = period.household_id AND earlier.valid_to = period.valid_from
            WHERE h.recorded_at <= $1 AND period.{within} = $2 AND period.valid_from BETWEEN $3 AND $4
            UNION ALL
            SELECT period.{by}, period.standing, '', period.people
            FROM household_period period JOIN household h ON h.id = period.household_id AND h.valid_to = period.valid_to
            WHERE h.recorded_at <= $1 AND period.{within} = $2 AND period.valid_to BETWEEN $3 AND $4
            UNION ALL
            SELECT step.path ->> '{by}', step.before, step.after,
                ({_PEOPLE.format(table="step", day="step.counted_on")})
            FROM step WHERE step.on_day BETWEEN $3 AND $4 AND step.path ->> '{within}' = $2
            AND step.before <> step.after
        ) moved WHERE before <> after GROUP BY unit, before, after""",
        known_at,
        code,
        since,
        until,
    )


async def monitored_on(
    pg: Pg, known_at: datetime | None, day: date, *, within: Place, code: str, by: Place
) -> Sequence[Any]:
    """Monitored households and their people of a division on a day, by unit and category, as known at an instant.

    Whoever was ever monitored is read; they are few, and no stretch is ever taken away.
    """
    return await pg.fetch(
        f"""
        SELECT state.path ->> '{by}' AS unit, entry.category, count(*)::int AS households, sum(people)::int AS people
        FROM household AS current
        CROSS JOIN LATERAL {NEWEST.format(instant="coalesce($1, 'infinity'::timestamptz)")} AS known
        CROSS JOIN LATERAL jsonb_to_recordset(known.monitoring::jsonb)
            AS entry (category text, valid_from date, valid_to date)
        CROSS JOIN LATERAL (
            SELECT path FROM jsonb_to_recordset(known.event::jsonb -> 'timeline') AS state (valid_from date, path jsonb)
            WHERE state.valid_from <= $2 ORDER BY state.valid_from DESC LIMIT 1
        ) state
        CROSS JOIN LATERAL ({_PEOPLE.format(table="known", day="$2")}) AS counted (people)
        WHERE current.monitoring <> '[]' AND (known.valid_to IS NULL OR known.valid_to > $2)
        AND entry.valid_from <= $2 AND (entry.valid_to IS NULL OR entry.valid_to > $2)
        AND state.path ->> '{within}' = $3
        GROUP BY unit, entry.category""",
        known_at,
        day,
        code,
    )

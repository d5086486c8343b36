"""The register as it was known at an instant: what later versions said is left out (architecture rule 7)."""

from collections.abc import Sequence
from datetime import date, datetime
from typing import Any

from services.registry.statistics.units import Place
from shared.db import Pg

NEWEST = """(
    SELECT every.* FROM (
        SELECT current.* UNION ALL SELECT * FROM household_version WHERE id = current.id
    ) every WHERE every.recorded_at <= {instant} ORDER BY every.version DESC LIMIT 1
)"""
"""Laterally to ``household AS current``: its version as known at ``{instant}``; no row where it was unknown."""
MEMBERS = """(
    SELECT * FROM (
        SELECT every.*, row_number() OVER (PARTITION BY every.id ORDER BY every.version DESC) = 1 AS newest FROM (
            SELECT * FROM person WHERE household_id = {household}
            UNION ALL SELECT * FROM person_version WHERE household_id = {household}
        ) every WHERE every.household_version <= {version}
    ) said WHERE newest OR status = 'transferred'
)"""
"""The members of a household, by id, as a version of it knew them: what it said last of each, and the stays that had
ended before."""

_PEOPLE = f"""
SELECT count(*) FROM {MEMBERS.format(household="known.id", version="known.version")} member
WHERE member.joined_on <= $2 AND (member.left_on IS NULL OR member.left_on > $2)"""


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
        CROSS JOIN LATERAL ({_PEOPLE}) AS counted (people)
        WHERE current.monitoring <> '[]' AND (known.valid_to IS NULL OR known.valid_to > $2)
        AND entry.valid_from <= $2 AND (entry.valid_to IS NULL OR entry.valid_to > $2)
        AND state.path ->> '{within}' = $3
        GROUP BY unit, entry.category""",
        known_at,
        day,
        code,
    )

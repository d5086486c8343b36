"""What other slices may ask of the mirror."""

from uuid import UUID

from shared.contracts.division import DivisionEvent, DivisionTree
from shared.db import Pg
from shared.watched import Watched

DIVISIONS_REVISION = "division"

HOUSEHOLD_BY_ID = "SELECT 'household', id, body FROM mirror_household WHERE id = ANY({0}::uuid[])"
HOUSEHOLD_BY_NUMBER = "SELECT 'household', id, body FROM mirror_household WHERE number = ANY({0}::text[])"
PERSON_BY_ID = "SELECT 'person', id, body FROM mirror_person WHERE id = ANY({0}::uuid[])"
PERSON_BY_NUMBER = "SELECT 'person', id, body FROM mirror_person WHERE number = ANY({0}::text[])"
"""Branches of a lookup: whoever resolves references joins those it needs into one statement."""


def divisions() -> Watched[DivisionTree]:
    """The tree of divisions, kept in memory; one of them lives as long as the process."""
    return Watched(DIVISIONS_REVISION, _load_tree)


async def _load_tree(pg: Pg) -> DivisionTree:
    rows = await pg.fetch("SELECT body FROM mirror_division")
    return DivisionTree(DivisionEvent.model_validate_json(row["body"]) for row in rows)


async def household_id(pg: Pg, number: str) -> UUID | None:
    """The household that holds a number; None when none is known to."""
    found: UUID | None = await pg.fetchval("SELECT id FROM mirror_household WHERE number = $1 LIMIT 1", number)
    return found

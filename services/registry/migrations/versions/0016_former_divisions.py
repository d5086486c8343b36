"""Households know the divisions in which they once lay: whoever had them in scope on a day may ask as of that day.

Decisions say where their household lay at the last step.

Revision ID: 0016
"""

from alembic import op

from services.registry import rowsecurity

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None

FILLED = """
WITH lay AS (
    SELECT household_id AS id, unnest(ARRAY[city, managing_unit, township, village]) AS code FROM household_period
    UNION SELECT id, unnest(ARRAY[city, managing_unit, township, village]) FROM household_version
), former AS (
    SELECT id, string_agg(code, ' ' ORDER BY code) AS codes FROM lay JOIN household USING (id)
    WHERE code <> ALL (ARRAY[city, managing_unit, township, village]) GROUP BY id
)
UPDATE household SET former_divisions = former.codes FROM former WHERE former.id = household.id"""
STATEMENTS = (
    "ALTER TABLE household ADD COLUMN former_divisions text NOT NULL DEFAULT ''",
    "ALTER TABLE household_version ADD COLUMN former_divisions text NOT NULL DEFAULT ''",
    "COMMENT ON COLUMN household.former_divisions IS "
    "'Codes, separated by spaces, of divisions in which it lay at another time, or was said to, and does not lie now'",
    FILLED,
    "CREATE INDEX household_moved ON household (id) WHERE former_divisions <> ''",
    "COMMENT ON COLUMN standing_decision.village IS 'As of its last step; for scope, like those above it'",
    *rowsecurity.FORMER_DIVISIONS,
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)

"""Persons without a household: a place of their own instead of a household. Monitoring of households.

Revision ID: 0014
"""

from alembic import op

from services.registry import rowsecurity

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None

PLACE = """
ALTER TABLE {table}
    ADD COLUMN city text, ADD COLUMN county text, ADD COLUMN managing_unit text, ADD COLUMN township text,
    ADD COLUMN village text, ADD COLUMN residences text,
    ALTER COLUMN household_id DROP NOT NULL, ALTER COLUMN household_version DROP NOT NULL,
    ALTER COLUMN position DROP NOT NULL, ALTER COLUMN relation DROP NOT NULL,
    ADD CONSTRAINT {table}_belongs CHECK (
        CASE WHEN household_id IS NULL
        THEN num_nulls(household_version, position, relation) = 3
            AND num_nulls(city, county, managing_unit, township, village, residences) = 0
        ELSE num_nulls(household_version, position, relation) = 0
            AND num_nulls(city, county, managing_unit, township, village, residences) = 6 END
    )"""
STATEMENTS = (
    PLACE.format(table="person"),
    PLACE.format(table="person_version"),
    "COMMENT ON TABLE person IS 'Newest version of each person; name, id_number and phone are sealed'",
    "COMMENT ON COLUMN person.household_id IS 'Null: belongs to no household'",
    "COMMENT ON COLUMN person.village IS 'Of a person without a household: of the latest state; like those above it'",
    "COMMENT ON COLUMN person.residences IS 'Of a person without a household, JSON: [[day, village], ...]'",
    "CREATE INDEX person_alone ON person (id) WHERE household_id IS NULL",
    *rowsecurity.PERSONS_ALONE,
    "ALTER TABLE household ADD COLUMN monitoring text NOT NULL DEFAULT '[]'",
    "ALTER TABLE household_version ADD COLUMN monitoring text NOT NULL DEFAULT '[]'",
    "COMMENT ON COLUMN household.monitoring IS 'Stretches of monitoring as JSON; none is ever taken away'",
    "CREATE INDEX household_monitored ON household (id) WHERE monitoring <> '[]'",
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)

"""The whole register: attributes of households and persons, incomes by year, locked years.

Revision ID: 0003
"""

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

STATEMENTS = """
ALTER TABLE household ADD COLUMN attributes text NOT NULL DEFAULT '{}', ADD COLUMN incomes text NOT NULL DEFAULT '[]';
ALTER TABLE household_version
    ADD COLUMN attributes text NOT NULL DEFAULT '{}', ADD COLUMN incomes text NOT NULL DEFAULT '[]';
COMMENT ON COLUMN household.attributes IS 'HouseholdAttributes as JSON, without what is unknown';
COMMENT ON COLUMN household.incomes IS 'Income by year as JSON, fen';
ALTER TABLE person ADD COLUMN disability_number bytea, ADD COLUMN bank_card bytea,
    ADD COLUMN attributes text NOT NULL DEFAULT '{}';
ALTER TABLE person_version ADD COLUMN disability_number bytea, ADD COLUMN bank_card bytea,
    ADD COLUMN attributes text NOT NULL DEFAULT '{}';
ALTER TABLE person DROP CONSTRAINT person_status_check, ADD CONSTRAINT person_status_check
    CHECK (status IN ('active', 'deceased', 'moved_away', 'deregistered', 'erased', 'transferred'));
COMMENT ON COLUMN person.attributes IS 'PersonAttributes as JSON, without what is unknown';
COMMENT ON COLUMN person.disability_number IS 'Sealed';
COMMENT ON COLUMN person.bank_card IS 'Sealed';

CREATE TABLE locked_year (
    year smallint PRIMARY KEY CHECK (year BETWEEN 2010 AND 2100),
    reason text NOT NULL,
    locked_at timestamptz NOT NULL,
    locked_by uuid NOT NULL
);
COMMENT ON TABLE locked_year IS 'Years whose figures do not change any more';

CREATE TABLE rule_run (
    id uuid PRIMARY KEY,
    division text NOT NULL,
    state text NOT NULL DEFAULT 'waiting' CHECK (state IN ('waiting', 'running', 'completed')),
    requested_at timestamptz NOT NULL,
    requested_by uuid NOT NULL,
    finished_at timestamptz,
    households int NOT NULL DEFAULT 0,
    last_id uuid NOT NULL DEFAULT '00000000-0000-0000-0000-000000000000'
);
COMMENT ON COLUMN rule_run.last_id IS 'The last household that was looked at: where the run goes on';
CREATE INDEX rule_run_open ON rule_run (id) WHERE state <> 'completed';
CREATE TABLE rule_finding (
    seq bigint GENERATED ALWAYS AS IDENTITY,
    run_id uuid NOT NULL REFERENCES rule_run,
    number text NOT NULL,
    village text NOT NULL,
    rule text NOT NULL,
    pointer text NOT NULL,
    PRIMARY KEY (run_id, seq)
)
"""


def upgrade() -> None:
    for statement in STATEMENTS.split(";\n"):
        op.execute(statement)

"""Standing: decisions, and the honour certificates that exits issue.

Revision ID: 0007
"""

from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

STATEMENTS = """
CREATE TABLE standing_decision (
    id uuid PRIMARY KEY,
    version int NOT NULL,
    kind text NOT NULL,
    state text NOT NULL CHECK (state IN ('open', 'contested', 'concluded', 'refused', 'withdrawn')),
    household_id uuid REFERENCES household,
    division text NOT NULL,
    city text NOT NULL,
    managing_unit text NOT NULL,
    township text,
    village text,
    body text NOT NULL,
    recorded_at timestamptz NOT NULL
);
COMMENT ON TABLE standing_decision IS 'Decisions on households, villages and counties; only ever appended to';
COMMENT ON COLUMN standing_decision.body IS 'Decision as JSON: every step and objection with its day and key';
COMMENT ON COLUMN standing_decision.village IS 'As of the proposal; for scope, like those above it';
CREATE UNIQUE INDEX standing_decision_one_household ON standing_decision (household_id)
    WHERE state IN ('open', 'contested');
CREATE UNIQUE INDEX standing_decision_one_division ON standing_decision (division)
    WHERE state IN ('open', 'contested') AND household_id IS NULL;
CREATE INDEX standing_decision_household ON standing_decision (household_id, id);
CREATE INDEX standing_decision_division ON standing_decision (division text_pattern_ops, id);

CREATE TABLE certificate_counter (
    county text NOT NULL,
    year smallint NOT NULL,
    last int NOT NULL,
    PRIMARY KEY (county, year)
);
COMMENT ON TABLE certificate_counter IS 'Last number of each county and year: a row, not a sequence, so without gaps';
CREATE TABLE certificate (
    number text PRIMARY KEY CHECK (number ~ '^[0-9]{16}$'),
    household_id uuid NOT NULL REFERENCES household,
    decision_id uuid NOT NULL UNIQUE REFERENCES standing_decision,
    head_id uuid NOT NULL REFERENCES person,
    village_name text NOT NULL,
    issued_on date NOT NULL,
    revoked_on date
);
COMMENT ON COLUMN certificate.village_name IS 'As it was called on the day of issue';
CREATE UNIQUE INDEX certificate_one_household ON certificate (household_id) WHERE revoked_on IS NULL
"""


def upgrade() -> None:
    for statement in STATEMENTS.split(";\n"):
        op.execute(statement)

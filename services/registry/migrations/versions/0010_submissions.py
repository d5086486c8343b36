"""Household submissions through Kafka: sources, the inbox, whose records households are, and our key pairs.

Revision ID: 0010
"""

from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

STATEMENTS = (
    """
CREATE TABLE source (
    id uuid PRIMARY KEY,
    version int NOT NULL,
    name text NOT NULL UNIQUE,
    label text NOT NULL,
    mode text NOT NULL CHECK (mode IN ('live', 'test')),
    status text NOT NULL CHECK (status IN ('active', 'disabled')),
    divisions text[] NOT NULL,
    changed_by uuid NOT NULL,
    changed_at timestamptz NOT NULL
)""",
    "COMMENT ON COLUMN source.name IS 'ce_source of its submissions'",
    """
CREATE TABLE inbox (
    source text NOT NULL,
    ce_id text NOT NULL,
    digest bytea NOT NULL,
    outcome text NOT NULL,
    decided_at timestamptz NOT NULL,
    PRIMARY KEY (source, ce_id)
)""",
    "COMMENT ON COLUMN inbox.digest IS 'Blind index of what was said, identities included'",
    "COMMENT ON COLUMN inbox.outcome IS 'HouseholdOutcome as JSON: the receipt, to be given again'",
    """
CREATE TABLE submitted_household (
    household_id uuid PRIMARY KEY,
    source text NOT NULL,
    source_version bigint
)""",
    "COMMENT ON TABLE submitted_household IS 'The source whose record a household is, and its last version there'",
    """
CREATE TABLE submission_key (
    id uuid PRIMARY KEY,
    sealed bytea NOT NULL,
    created_at timestamptz NOT NULL
)""",
    "COMMENT ON TABLE submission_key IS 'Our key pairs for identity blocks: private JWKs, sealed'",
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)

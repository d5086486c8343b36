"""Rule runs look at persons without a household, too, once they are through the households.

Revision ID: 0018
"""

from alembic import op

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None

STATEMENTS = (
    "ALTER TABLE rule_run ADD COLUMN persons int NOT NULL DEFAULT 0, "
    "ADD COLUMN last_person uuid NOT NULL DEFAULT '00000000-0000-0000-0000-000000000000'",
    "COMMENT ON COLUMN rule_run.last_person IS 'The last person without a household that was looked at'",
    "ALTER TABLE rule_finding ADD COLUMN alone boolean NOT NULL DEFAULT false",
    "COMMENT ON COLUMN rule_finding.alone IS 'The number is that of a person without a household, not of a household'",
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)

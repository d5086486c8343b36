"""Taking an import back leaves what would change the figures of a locked year.

Revision ID: 0015
"""

from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(
        "ALTER TABLE import_effect DROP CONSTRAINT import_effect_undone_check, "
        "ADD CONSTRAINT import_effect_undone_check "
        "CHECK (undone IN ('undone', 'changed_since', 'name_taken', 'year_locked'))"
    )

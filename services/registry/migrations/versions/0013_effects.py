"""What an import made is written without checking each row's household and job, which the same transaction holds.

A check of a foreign key walks over all versions of the job's row that its progress has left behind since the
transaction began: at the end of a full register, more than writing the households takes.

Revision ID: 0013
"""

from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("ALTER TABLE import_effect DROP CONSTRAINT import_effect_job_id_fkey")
    op.execute("ALTER TABLE import_effect DROP CONSTRAINT import_effect_household_id_fkey")
    op.execute("DROP INDEX import_effect_household")

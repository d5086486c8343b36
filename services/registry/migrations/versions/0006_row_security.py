"""Row-level security behind the scope that every query has: a backstop for a condition forgotten.

A transaction that sets ``bangfu.scope`` to a caller's divisions sees the rows within them; one that does not, such as
background work, sees all. The owner is bound too; a superuser never is.

Revision ID: 0006
"""

from alembic import op

from services.registry import rowsecurity

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(rowsecurity.CALLER_SCOPE)
    for statement in rowsecurity.by_division("household"):
        op.execute(statement)
    for table, column in (
        ("household_version", "id"),
        ("household_period", "household_id"),
        ("person", "household_id"),
        ("person_version", "household_id"),
    ):
        for statement in rowsecurity.by_household(table, column):
            op.execute(statement)

"""Sources may sign what they submit.

Revision ID: 0003
"""

from alembic import op

from shared import plumbing

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    plumbing.add_signatures(op)

"""Sources may sign what they submit.

Revision ID: 0017
"""

from alembic import op

from shared import plumbing

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None


def upgrade() -> None:
    plumbing.add_signatures(op)

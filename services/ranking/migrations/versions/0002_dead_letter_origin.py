"""Dead letters remember whose they are.

Revision ID: 0002
"""

from alembic import op

from shared import plumbing

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    plumbing.add_origin(op)

"""Welfare categories have days, as standings have.

Households of before are of one category since their first day, in every version, and say no more than that: nothing is
rewritten, and the sums of statistics stay as they are.

Revision ID: 0019
"""

from alembic import op

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None

STATEMENTS = (
    "ALTER TABLE household ADD COLUMN welfares text",
    "ALTER TABLE household_version ADD COLUMN welfares text",
    "COMMENT ON COLUMN household.welfare IS 'The latest category'",
    "COMMENT ON COLUMN household.welfares IS "
    "'JSON: [[day, category], ...]; null: the one in welfare since the first day, as the release before writes it'",
    "COMMENT ON TABLE profile_change IS 'Derived: as population_change, by main cause and welfare category of the day'",
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)

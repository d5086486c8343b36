"""The table of live versions."""

import sqlalchemy as sa

from services.ranking.metadata import metadata

live_version = sa.Table(
    "live_version",
    metadata,
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("version", sa.BigInteger, nullable=False),
)

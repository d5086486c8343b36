"""The table of rule sets."""

import sqlalchemy as sa

from services.ranking.metadata import metadata

rule_set = sa.Table(
    "rule_set",
    metadata,
    sa.Column("code", sa.Text, primary_key=True),
    sa.Column("version", sa.Integer, nullable=False),
    sa.Column("valid_from", sa.Date, nullable=False, unique=True, comment="in force for periods that begin from then"),
    sa.Column("body", sa.Text, nullable=False),
)

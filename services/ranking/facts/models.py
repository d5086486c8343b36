"""Tables of facts and counters.

``fact`` holds the newest version of every action, ``fact_history`` every version it replaced: together they say
what was known when. ``cell`` and ``cell_households`` are sums over facts and can always be rebuilt from them.
"""

from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import ARRAY, UUID

from services.ranking.metadata import metadata


def _fact_columns(*, versions: bool) -> list[sa.Column[Any]]:
    """The action event, column by column, then what ranking makes of it; ``versions``: one row a version."""
    return [
        sa.Column("action_id", UUID, primary_key=True),
        sa.Column("version", sa.Integer, primary_key=versions, nullable=False),
        sa.Column("status", sa.Text, nullable=False),
        sa.Column("class", sa.Text, nullable=False),
        sa.Column("programme", sa.Text, nullable=False),
        sa.Column("sector", sa.Text, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("household_id", UUID),
        sa.Column("household_seq", sa.BigInteger),
        sa.Column("persons", ARRAY(UUID), nullable=False),
        sa.Column("actor_id", UUID),
        sa.Column("division", sa.Text, nullable=False),
        sa.Column("city", sa.Text, nullable=False),
        sa.Column("county", sa.Text, nullable=False),
        sa.Column("township", sa.Text),
        sa.Column("village", sa.Text),
        sa.Column("managing_unit", sa.Text, nullable=False),
        sa.Column("place", sa.Text),
        sa.Column("quantity", sa.BigInteger, nullable=False),
        sa.Column("amount_fen", sa.BigInteger, nullable=False),
        sa.Column("first_recorded_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("recorded_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("occurred_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("verified_at", sa.DateTime(timezone=True)),
        sa.Column("day", sa.Date, nullable=False, comment="occurred_at in Asia/Shanghai"),
        sa.Column("on_time", sa.Boolean, nullable=False, comment="recorded within 24 h of happening"),
        sa.Column("known_at", sa.DateTime(timezone=True), nullable=False, comment="when ranking took it in"),
    ]


fact = sa.Table("fact", metadata, *_fact_columns(versions=False))
# Counting a household again, and what stands behind a row of a table:
sa.Index("fact_household", fact.c.household_seq, fact.c.day)
sa.Index("fact_day", fact.c.day, fact.c.action_id)
sa.Index("fact_township", fact.c.township, fact.c.day, fact.c.action_id)
sa.Index("fact_late", fact.c.first_recorded_at, postgresql_where=~fact.c.on_time)
fact_history = sa.Table("fact_history", metadata, *_fact_columns(versions=True))

cell = sa.Table(
    "cell",
    metadata,
    sa.Column("level", sa.Text, primary_key=True),
    sa.Column("unit", sa.Text, primary_key=True),
    sa.Column("class", sa.Text, primary_key=True),
    sa.Column("cadence", sa.Text, primary_key=True),
    sa.Column("period_start", sa.Date, primary_key=True),
    sa.Column("actions", sa.BigInteger, nullable=False),
    sa.Column("persons", sa.BigInteger, nullable=False),
    sa.Column("amount_fen", sa.BigInteger, nullable=False),
    sa.Column("on_time", sa.BigInteger, nullable=False),
    sa.Column("verified", sa.BigInteger, nullable=False),
)

cell_households = sa.Table(
    "cell_households",
    metadata,
    sa.Column("level", sa.Text, primary_key=True),
    sa.Column("unit", sa.Text, primary_key=True),
    sa.Column("class", sa.Text, primary_key=True),
    sa.Column("cadence", sa.Text, primary_key=True),
    sa.Column("period_start", sa.Date, primary_key=True),
    sa.Column("households", sa.LargeBinary, nullable=False, comment="roaring bitmap of household numbers"),
    sa.Column("reached", sa.Integer, nullable=False, comment="how many it holds"),
)

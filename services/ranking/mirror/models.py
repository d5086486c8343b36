"""Tables of the mirror: the newest version of each mirrored aggregate, whole, and the denominators from them."""

import sqlalchemy as sa

from services.ranking.metadata import metadata


def _mirrored(name: str, *more: sa.Column[str]) -> sa.Table:
    return sa.Table(
        name,
        metadata,
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("version", sa.BigInteger, nullable=False),
        sa.Column("body", sa.Text, nullable=False),
        *more,
    )


division = _mirrored("division")
household = _mirrored("household")
programme = _mirrored("programme")
target = _mirrored(
    "target",
    sa.Column("cadence", sa.Text, sa.Computed("body::jsonb ->> 'cadence'", persisted=True)),
    sa.Column("period", sa.Text, sa.Computed("body::jsonb ->> 'period'", persisted=True)),
)
sa.Index("target_period", target.c.period, target.c.cadence)

served_change = sa.Table(
    "served_change",
    metadata,
    sa.Column("level", sa.Text, primary_key=True),
    sa.Column("unit", sa.Text, primary_key=True),
    sa.Column("on_day", sa.Date, primary_key=True),
    sa.Column("served_delta", sa.BigInteger, nullable=False),
    sa.Column("stock_delta", sa.BigInteger, nullable=False),
    comment="served (or poor) households of a unit as of a day = the sum of the changes up to that day",
)

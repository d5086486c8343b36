"""Table of targets."""

from sqlalchemy import BigInteger, Column, Date, DateTime, Index, Integer, Table, Text, Uuid, text

from services.assistance.metadata import metadata
from services.assistance.scope import seat_columns

target = Table(
    "target",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("version", Integer, nullable=False),
    Column("status", Text, nullable=False),
    Column("unit", Text, nullable=False),
    Column("programme", Text, nullable=False),
    Column("cadence", Text, nullable=False),
    Column("period", Text, nullable=False),
    Column("metric", Text, nullable=False),
    Column("due", BigInteger, nullable=False),
    Column("deadline", Date, nullable=False),
    *seat_columns(),
    Column("changed_by", Uuid, nullable=False),
    Column("changed_at", DateTime(timezone=True), nullable=False),
    Index(
        "target_one_active",
        "unit",
        "programme",
        "cadence",
        "period",
        "metric",
        unique=True,
        postgresql_where=text("status = 'active'"),
    ),
    Index("target_period", "period", "unit"),
)

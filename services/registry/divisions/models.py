"""Tables of divisions."""

from sqlalchemy import CHAR, Column, DateTime, Integer, Table, Text
from sqlalchemy.dialects.postgresql import JSONB

from services.registry.metadata import metadata

division = Table(
    "division",
    metadata,
    Column("code", CHAR(12), primary_key=True),
    Column("version", Integer, nullable=False),
    Column("body", JSONB, nullable=False, comment="DivisionEvent: the whole public state"),
    comment="Divisions 行政区划; five thousand of them, kept in memory by every process",
)

division_version = Table(
    "division_version",
    metadata,
    Column("code", CHAR(12), primary_key=True),
    Column("version", Integer, primary_key=True),
    Column("body", JSONB, nullable=False),
    Column("recorded_at", DateTime(timezone=True), nullable=False),
    Column("changed_by", Text, nullable=False),
    comment="Every version of a division, and who made it",
)

"""Tables of the catalogue."""

from sqlalchemy import Column, DateTime, ForeignKey, Integer, Table, Text, Uuid

from services.assistance.metadata import metadata

programme = Table(
    "programme",
    metadata,
    Column("code", Text, primary_key=True),
    Column("version", Integer, nullable=False),
    Column("body", Text, nullable=False, comment="ProgrammeEvent as JSON"),
    Column("changed_by", Uuid, comment="API key; null while it is as shipped"),
)

programme_version = Table(
    "programme_version",
    metadata,
    Column("code", Text, ForeignKey("programme.code"), primary_key=True),
    Column("version", Integer, primary_key=True),
    Column("body", Text, nullable=False),
    Column("changed_by", Uuid),
    Column("recorded_at", DateTime(timezone=True), nullable=False),
)

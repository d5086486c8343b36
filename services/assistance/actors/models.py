"""Table of actors."""

from sqlalchemy import Column, DateTime, Index, Integer, Table, Text, Uuid

from services.assistance.metadata import metadata
from services.assistance.scope import seat_columns

actor = Table(
    "actor",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("version", Integer, nullable=False),
    Column("status", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("organisation", Text),
    Column("rank", Text),
    Column("office_phone", Text),
    Column("source_system", Text),
    Column("external_id", Text),
    Column("division", Text, nullable=False),
    *seat_columns(),
    Column("changed_by", Uuid, nullable=False),
    Column("changed_at", DateTime(timezone=True), nullable=False),
    Index("actor_external", "source_system", "external_id", unique=True),
    Index("actor_managing_unit", "managing_unit", "id"),
)

"""Tables of the mirror: registry's events as they came, the newest version of each."""

from sqlalchemy import Column, Index, Integer, Table, Text, Uuid

from services.assistance.metadata import metadata

division = Table(
    "mirror_division",
    metadata,
    Column("code", Text, primary_key=True),
    Column("version", Integer, nullable=False),
    Column("body", Text, nullable=False, comment="DivisionEvent as JSON"),
)

household = Table(
    "mirror_household",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("number", Text, nullable=False),
    Column("version", Integer, nullable=False),
    Column("body", Text, nullable=False, comment="HouseholdEvent as JSON"),
    # Not unique: registry answers for its numbers, and a slip there must not stop the mirror.
    Index("mirror_household_number", "number"),
)

person = Table(
    "mirror_person",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("number", Text, nullable=False),
    Column("household_id", Uuid),
    Column("version", Integer, nullable=False),
    Column("body", Text, nullable=False, comment="PersonEvent as JSON"),
    Index("mirror_person_number", "number"),
)

"""Tables of the register. Direct identifiers are ciphertext; everything else here may be published in events."""

from sqlalchemy import (
    CHAR,
    BigInteger,
    Boolean,
    Column,
    Date,
    DateTime,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
    Uuid,
)  # fmt: skip
from sqlalchemy.dialects.postgresql import JSONB

from services.registry.metadata import metadata

household = Table(
    "household",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("seq", BigInteger, nullable=False, unique=True, comment="32-bit number for compact sets"),
    Column("number", CHAR(14), nullable=False, unique=True, comment="Household number 户编号"),
    Column("version", Integer, nullable=False),
    Column("status", Text, nullable=False),
    Column("source_system", Text),
    Column("external_id", Text),
    Column("city", CHAR(12), nullable=False, comment="Path of the latest state, for scope"),
    Column("managing_unit", CHAR(12), nullable=False),
    Column("township", CHAR(12), nullable=False),
    Column("village", CHAR(12), nullable=False, comment="Responsible village 责任村"),
    Column("standing", Text, nullable=False),
    Column("cause", Text, comment="Main cause of poverty 主要致贫原因"),
    Column("welfare", Text, nullable=False, comment="Welfare category 社会救助类别"),
    Column("body", JSONB, nullable=False, comment="HouseholdEvent: the whole public state"),
    Column("changed_at", DateTime(timezone=True), nullable=False),
    UniqueConstraint("source_system", "external_id", name="household_external"),
    Index("household_village", "village", "id"),
    Index("household_unit", "managing_unit", "id"),
    Index("household_changed", "changed_at", "id"),
)

household_version = Table(
    "household_version",
    metadata,
    Column("household_id", Uuid, primary_key=True),
    Column("version", Integer, primary_key=True),
    Column("body", JSONB, nullable=False, comment="HouseholdEvent of that version"),
    Column("cause", Text),
    Column("welfare", Text, nullable=False),
    Column("recorded_at", DateTime(timezone=True), nullable=False),
    Column("changed_by", Uuid, nullable=False, comment="API key"),
    Column("reason", Text),
)

household_period = Table(
    "household_period",
    metadata,
    Column("household_id", Uuid, ForeignKey("household.id", ondelete="CASCADE"), primary_key=True),
    Column("valid_from", Date, primary_key=True),
    Column("valid_to", Date),
    Column("city", CHAR(12), nullable=False),
    Column("managing_unit", CHAR(12), nullable=False),
    Column("township", CHAR(12), nullable=False),
    Column("village", CHAR(12), nullable=False),
    Column("standing", Text, nullable=False),
    Column("people", SmallInteger, nullable=False),
    comment="Derived from timelines and memberships, for statistics as of a day",
)

person = Table(
    "person",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("number", CHAR(14), nullable=False, unique=True, comment="Person number 人编号"),
    Column("version", Integer, nullable=False),
    Column("status", Text, nullable=False),
    Column("household_id", Uuid, ForeignKey("household.id")),
    Column("position", SmallInteger, nullable=False, comment="Order within the household"),
    Column("relation", Text, nullable=False, comment="Relation to the head 与户主关系"),
    Column("sex", Text, nullable=False),
    Column("birth_date", Date, nullable=False),
    Column("employable", Text, nullable=False, comment="Labour ability 劳动能力"),
    Column("in_school", Boolean, nullable=False),
    Column("disability_level", SmallInteger),
    Column("joined_on", Date, nullable=False),
    Column("left_on", Date),
    Column("name", LargeBinary, nullable=False, comment="Sealed"),
    Column("id_number", LargeBinary, comment="Sealed"),
    Column("id_number_index", LargeBinary, unique=True, comment="Blind index; an ID number appears once"),
    Column("phone", LargeBinary, comment="Sealed"),
    Column("changed_at", DateTime(timezone=True), nullable=False),
)

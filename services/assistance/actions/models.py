"""Tables of the ledger. ``action`` holds what is filtered and locked, ``action_version`` what was said."""

from sqlalchemy import (
    BigInteger,
    Column,
    Date,
    DateTime,
    Index,
    Integer,
    Table,
    Text,
    Uuid,
    text,
)

from services.assistance.metadata import metadata

action = Table(
    "action",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("version", Integer, nullable=False),
    Column("status", Text, nullable=False),
    Column("source_system", Text),
    Column("external_id", Text),
    Column("source_version", BigInteger, comment="The submitter's own order of changes"),
    Column("submitted_by", Text, comment="Submission source (ce_source); null over HTTP"),
    Column("programme", Text, nullable=False),
    Column("class", Text, nullable=False),
    Column("sector", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("household_id", Uuid),
    Column("actor_id", Uuid),
    Column("division", Text, nullable=False),
    Column("city", Text, nullable=False),
    Column("managing_unit", Text, nullable=False),
    Column("township", Text),
    Column("village", Text),
    Column("occurred_at", DateTime(timezone=True), nullable=False),
    Column("occurred_on", Date, nullable=False, comment="Day in Asia/Shanghai"),
    Column("recorded_at", DateTime(timezone=True), nullable=False, comment="When the current version was recorded"),
    Column("verified_at", DateTime(timezone=True)),
    Column("recorded_by", Uuid, nullable=False, comment="Who recorded it first: API key or source"),
    Column("changed_by", Uuid, nullable=False, comment="Who wrote its present content"),
    Index("action_external", "source_system", "external_id", unique=True),
    Index("action_household", "household_id", "id", postgresql_where=text("household_id IS NOT NULL")),
    Index("action_actor", "actor_id", "id", postgresql_where=text("actor_id IS NOT NULL")),
    Index("action_managing_unit", "managing_unit", "id"),
    Index("action_township", "township", "id"),
    Index("action_division", "division", "id"),
    Index("action_occurred", "occurred_on", "id"),
    # Rows lie in order of recording but for the few that changed later: a summary of each range is enough.
    Index("action_recorded", "recorded_at", postgresql_using="brin"),
)

action_version = Table(
    "action_version",
    metadata,
    # No foreign key: both rows are written by one statement, and a check a row would cost as much as the row.
    Column("action_id", Uuid, primary_key=True),
    Column("version", Integer, primary_key=True),
    Column("verb", Text, nullable=False),
    Column("body", Text, nullable=False, comment="ActionOut as JSON: the answer to whoever asks for this version"),
    Column("recorded_at", DateTime(timezone=True), nullable=False),
    Column("changed_by", Uuid, nullable=False),
    Column("reason", Text),
    comment="What every version said; written by the statement that writes its action",
)

"""Tables of the intake."""

from sqlalchemy import ARRAY, Column, DateTime, ForeignKey, Integer, LargeBinary, Table, Text, Uuid

from services.assistance.metadata import metadata

source = Table(
    "source",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("version", Integer, nullable=False),
    Column("name", Text, nullable=False, unique=True, comment="ce_source of its submissions"),
    Column("label", Text, nullable=False),
    Column("mode", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("divisions", ARRAY(Text), nullable=False),
    Column("changed_by", Uuid, nullable=False),
    Column("changed_at", DateTime(timezone=True), nullable=False),
    Column("signature", Text, nullable=False, server_default="optional"),
)

source_secret = Table(
    "source_secret",
    metadata,
    Column("source_id", Uuid, ForeignKey(source.c.id), primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("digest", LargeBinary, nullable=False, comment="SHA-256 of the secret: tells what it was made from"),
    Column("issued_at", DateTime(timezone=True), nullable=False),
    Column("until", DateTime(timezone=True), comment="Set once another one was issued: it signs until then"),
    comment="Secrets that sources sign with: made from BANGFU_SIGNING_SECRETS, not kept",
)

inbox = Table(
    "inbox",
    metadata,
    Column("source", Text, primary_key=True),
    Column("ce_id", Text, primary_key=True),
    Column("digest", LargeBinary, nullable=False),
    Column("outcome", Text, nullable=False, comment="ActionOutcome as JSON: the receipt, to be given again"),
    Column("decided_at", DateTime(timezone=True), nullable=False),
)

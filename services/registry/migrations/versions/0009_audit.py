"""The audit log, insert-only and chained; identities that can be erased; quotas; keys that are rotated.

Revision ID: 0009
"""

from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

AUDIT = (
    """
CREATE TABLE audit_entry (
    id uuid NOT NULL,
    recorded_at timestamptz NOT NULL,
    key_id uuid,
    operation text NOT NULL,
    object_id text NOT NULL,
    version int,
    reason text,
    purpose text,
    divisions text[] NOT NULL,
    digest bytea,
    position bigint,
    hash bytea,
    CONSTRAINT audit_sealed_wholly CHECK ((position IS NULL) = (hash IS NULL))
)""",
    "COMMENT ON TABLE audit_entry IS 'Who changed or looked at what, and why; sealed into a chain a second later'",
    "COMMENT ON COLUMN audit_entry.key_id IS 'Who; null for what the operator did on the machine'",
    "COMMENT ON COLUMN audit_entry.divisions IS 'Where it was: whoever has one of them in scope may read the entry'",
    "COMMENT ON COLUMN audit_entry.digest IS 'SHA-256 of what was stored, ciphertext where it is sealed'",
    "COMMENT ON COLUMN audit_entry.hash IS 'SHA-256 over the hash before it and this entry as canonical JSON'",
    "CREATE UNIQUE INDEX audit_position ON audit_entry (position) WHERE position IS NOT NULL",
    "CREATE UNIQUE INDEX audit_unsealed ON audit_entry (id) WHERE position IS NULL",
    "CREATE INDEX audit_object ON audit_entry (object_id, position) WHERE position IS NOT NULL",
    "CREATE INDEX audit_key ON audit_entry (key_id, position) WHERE position IS NOT NULL",
    """
CREATE TABLE audit_anchor (
    position bigint PRIMARY KEY,
    hash bytea NOT NULL,
    sealed_at timestamptz NOT NULL
)""",
    "COMMENT ON TABLE audit_anchor IS 'The head of the chain after each batch that was sealed'",
    """
CREATE FUNCTION audit_seal_only() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    content audit_entry := NEW;
BEGIN
    content.position := NULL;
    content.hash := NULL;
    IF OLD.position IS NULL AND content IS NOT DISTINCT FROM OLD THEN
        RETURN NEW;
    END IF;
    RAISE EXCEPTION 'audit entries are never changed' USING ERRCODE = 'insufficient_privilege';
END $$""",
    """
CREATE FUNCTION audit_refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the audit log is never changed' USING ERRCODE = 'insufficient_privilege';
END $$""",
    "CREATE TRIGGER audit_content BEFORE UPDATE ON audit_entry FOR EACH ROW EXECUTE FUNCTION audit_seal_only()",
    "CREATE TRIGGER audit_kept BEFORE DELETE OR TRUNCATE ON audit_entry "
    "FOR EACH STATEMENT EXECUTE FUNCTION audit_refuse()",
    "CREATE TRIGGER audit_anchored BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_anchor "
    "FOR EACH STATEMENT EXECUTE FUNCTION audit_refuse()",
)

IDENTITIES = (
    """
CREATE TABLE quota_use (
    key_id uuid NOT NULL,
    policy text NOT NULL,
    window_start timestamptz NOT NULL,
    used int NOT NULL,
    PRIMARY KEY (key_id, policy)
)""",
    "COMMENT ON TABLE quota_use IS 'How much of identity data each key has seen in its present hour'",
    "ALTER TABLE person ALTER COLUMN name DROP NOT NULL",
    "ALTER TABLE person_version ALTER COLUMN name DROP NOT NULL",
    "COMMENT ON COLUMN person.name IS 'Sealed; null once it was erased'",
    "ALTER TABLE data_key ADD COLUMN index_keys bytea",
    "COMMENT ON COLUMN data_key.index_keys IS 'Keys of the blind indexes, sealed under this key; null: derived'",
)


def upgrade() -> None:
    for statement in (*AUDIT, *IDENTITIES):
        op.execute(statement)

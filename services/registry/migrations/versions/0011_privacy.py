"""Outcomes in the audit log; who asked for an import to be undone; what is purged is found by its age.

Revision ID: 0011
"""

from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

STATEMENTS = (
    "ALTER TABLE audit_entry ADD COLUMN outcome text",
    "COMMENT ON COLUMN audit_entry.outcome IS 'Why it was denied, or counts; hashed only where given'",
    "ALTER TABLE import_job ADD COLUMN undo_asked_by uuid",
    "COMMENT ON TABLE import_rejected IS 'Rows that were not taken in, sealed; erased with a person, or in time'",
    "CREATE INDEX exchange_message_received ON exchange_message (received_at)",
    "CREATE INDEX exchange_request_received ON exchange_request (received_at)",
    "CREATE INDEX exchange_task_request ON exchange_task (request_id)",
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)

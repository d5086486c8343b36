"""Imports of files: jobs, what they made, what they refused, and saved column mappings.

Revision ID: 0008
"""

from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

TABLES = """
CREATE TABLE import_job (
    id uuid PRIMARY KEY,
    status text NOT NULL
        CHECK (status IN ('queued', 'running', 'completed', 'rejected', 'refused', 'undoing', 'undone')),
    instruction text NOT NULL,
    caller text NOT NULL,
    digest bytea NOT NULL,
    size int NOT NULL,
    owners text[] NOT NULL,
    position int NOT NULL DEFAULT 0,
    tally text NOT NULL,
    layout text,
    refusal text,
    recorded_at timestamptz NOT NULL,
    recorded_by uuid NOT NULL,
    started_at timestamptz,
    ended_at timestamptz
);
COMMENT ON TABLE import_job IS 'Imports of files; position: the last row whose household is done and committed';
COMMENT ON COLUMN import_job.digest IS 'Blind index of the file and of what was asked, to recognise it sent again';
COMMENT ON COLUMN import_job.owners IS 'A caller of one of these divisions sees it';
CREATE INDEX import_job_open ON import_job (id) WHERE status IN ('queued', 'running', 'undoing');
CREATE INDEX import_job_digest ON import_job (digest);
CREATE INDEX import_job_owners ON import_job USING gin (owners);

CREATE TABLE import_file (
    job_id uuid NOT NULL REFERENCES import_job,
    part int NOT NULL,
    sealed bytea NOT NULL,
    PRIMARY KEY (job_id, part)
);
COMMENT ON TABLE import_file IS 'The uploaded file, sealed; erased when the job ends';

CREATE TABLE import_rejected (
    job_id uuid NOT NULL REFERENCES import_job,
    row_number int NOT NULL,
    sealed bytea NOT NULL,
    PRIMARY KEY (job_id, row_number)
);
COMMENT ON TABLE import_rejected IS 'Rows that were not taken in, and why, sealed; erased after thirty days';

CREATE TABLE import_finding (
    job_id uuid NOT NULL REFERENCES import_job,
    row_number int NOT NULL,
    place int NOT NULL,
    column_name text NOT NULL,
    code text NOT NULL,
    en text NOT NULL,
    zh text NOT NULL,
    severity text NOT NULL,
    PRIMARY KEY (job_id, row_number, place)
);

CREATE TABLE import_effect (
    job_id uuid NOT NULL REFERENCES import_job,
    household_id uuid NOT NULL REFERENCES household,
    version int NOT NULL,
    previous int,
    undone text CHECK (undone IN ('undone', 'changed_since', 'name_taken')),
    PRIMARY KEY (job_id, household_id)
);
COMMENT ON TABLE import_effect IS 'What an import made; previous: the version it changed, null where it registered';
CREATE INDEX import_effect_household ON import_effect (household_id, version);

CREATE TABLE import_mapping (
    source text NOT NULL,
    divisions text[] NOT NULL,
    version int NOT NULL,
    body text NOT NULL,
    recorded_at timestamptz NOT NULL,
    recorded_by uuid NOT NULL,
    PRIMARY KEY (source, divisions)
);
COMMENT ON TABLE import_mapping IS 'How a source''s sheets are read; each division scope has its own';
"""


def upgrade() -> None:
    for statement in TABLES.split(";\n"):
        if statement.strip():
            op.execute(statement)

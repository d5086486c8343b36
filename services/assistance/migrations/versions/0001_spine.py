"""The spine: mirror, catalogue, actors, targets, the ledger of actions, intake, and delivery.

Revision ID: 0001
"""

from alembic import op

from shared import plumbing

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

DDL = """
CREATE TABLE mirror_division (
    code text PRIMARY KEY,
    version int NOT NULL,
    body text NOT NULL
);
COMMENT ON COLUMN mirror_division.body IS 'DivisionEvent as JSON';

CREATE TABLE mirror_household (
    id uuid PRIMARY KEY,
    number text NOT NULL,
    version int NOT NULL,
    body text NOT NULL
);
CREATE INDEX mirror_household_number ON mirror_household (number);
COMMENT ON COLUMN mirror_household.body IS 'HouseholdEvent as JSON';

CREATE TABLE mirror_person (
    id uuid PRIMARY KEY,
    number text NOT NULL,
    household_id uuid,
    version int NOT NULL,
    body text NOT NULL
);
CREATE INDEX mirror_person_number ON mirror_person (number);
COMMENT ON COLUMN mirror_person.body IS 'PersonEvent as JSON';

CREATE TABLE programme (
    code text PRIMARY KEY,
    version int NOT NULL,
    body text NOT NULL,
    changed_by uuid
);
COMMENT ON COLUMN programme.body IS 'ProgrammeEvent as JSON';
COMMENT ON COLUMN programme.changed_by IS 'API key; null while it is as shipped';

CREATE TABLE programme_version (
    code text NOT NULL REFERENCES programme (code),
    version int NOT NULL,
    body text NOT NULL,
    changed_by uuid,
    recorded_at timestamptz NOT NULL,
    PRIMARY KEY (code, version)
);

CREATE TABLE actor (
    id uuid PRIMARY KEY,
    version int NOT NULL,
    status text NOT NULL CHECK (status IN ('active', 'retired')),
    kind text NOT NULL,
    name text NOT NULL,
    organisation text,
    rank text,
    office_phone text,
    source_system text,
    external_id text,
    division text NOT NULL,
    city text NOT NULL,
    managing_unit text,
    township text,
    village text,
    changed_by uuid NOT NULL,
    changed_at timestamptz NOT NULL,
    CHECK ((source_system IS NULL) = (external_id IS NULL))
);
CREATE UNIQUE INDEX actor_external ON actor (source_system, external_id);
CREATE INDEX actor_managing_unit ON actor (managing_unit, id);

CREATE TABLE target (
    id uuid PRIMARY KEY,
    version int NOT NULL,
    status text NOT NULL CHECK (status IN ('active', 'withdrawn')),
    unit text NOT NULL,
    programme text NOT NULL,
    cadence text NOT NULL,
    period text NOT NULL,
    metric text NOT NULL,
    due bigint NOT NULL CHECK (due > 0),
    deadline date NOT NULL,
    city text NOT NULL,
    managing_unit text,
    township text,
    village text,
    changed_by uuid NOT NULL,
    changed_at timestamptz NOT NULL
);
CREATE UNIQUE INDEX target_one_active ON target (unit, programme, cadence, period, metric) WHERE status = 'active';
CREATE INDEX target_period ON target (period, unit);

CREATE TABLE action (
    id uuid PRIMARY KEY,
    version int NOT NULL,
    status text NOT NULL CHECK (status IN ('recorded', 'revoked')),
    source_system text,
    external_id text,
    source_version bigint,
    submitted_by text,
    programme text NOT NULL,
    class text NOT NULL,
    sector text NOT NULL,
    kind text NOT NULL,
    household_id uuid,
    actor_id uuid,
    division text NOT NULL,
    city text NOT NULL,
    managing_unit text NOT NULL,
    township text,
    village text,
    occurred_at timestamptz NOT NULL,
    occurred_on date NOT NULL,
    recorded_at timestamptz NOT NULL,
    verified_at timestamptz,
    recorded_by uuid NOT NULL,
    changed_by uuid NOT NULL,
    CHECK ((source_system IS NULL) = (external_id IS NULL))
);
CREATE UNIQUE INDEX action_external ON action (source_system, external_id);
CREATE INDEX action_household ON action (household_id, id) WHERE household_id IS NOT NULL;
CREATE INDEX action_actor ON action (actor_id, id) WHERE actor_id IS NOT NULL;
CREATE INDEX action_managing_unit ON action (managing_unit, id);
CREATE INDEX action_township ON action (township, id);
CREATE INDEX action_division ON action (division, id);
CREATE INDEX action_occurred ON action (occurred_on, id);
CREATE INDEX action_recorded ON action USING brin (recorded_at) WITH (pages_per_range = 32, autosummarize = on);
COMMENT ON COLUMN action.occurred_on IS 'Day in Asia/Shanghai';
COMMENT ON COLUMN action.recorded_at IS 'When the current version was recorded';
COMMENT ON COLUMN action.recorded_by IS 'Who recorded it first: API key or source';
COMMENT ON COLUMN action.changed_by IS 'Who wrote its present content';
COMMENT ON COLUMN action.source_version IS 'The submitter''s own order of changes';
COMMENT ON COLUMN action.submitted_by IS 'Submission source (ce_source); null over HTTP';

CREATE TABLE action_version (
    action_id uuid NOT NULL,
    version int NOT NULL,
    verb text NOT NULL,
    body text NOT NULL,
    recorded_at timestamptz NOT NULL,
    changed_by uuid NOT NULL,
    reason text,
    PRIMARY KEY (action_id, version)
);
COMMENT ON TABLE action_version IS 'What every version said; written by the statement that writes its action';
COMMENT ON COLUMN action_version.body IS 'ActionOut as JSON: the answer to whoever asks for this version';

CREATE TABLE import_report (
    id uuid PRIMARY KEY,
    received_at timestamptz NOT NULL,
    received_by uuid NOT NULL,
    report text NOT NULL
);
COMMENT ON COLUMN import_report.report IS 'ImportReport as JSON';

CREATE TABLE source (
    id uuid PRIMARY KEY,
    version int NOT NULL,
    name text NOT NULL UNIQUE,
    label text NOT NULL,
    mode text NOT NULL CHECK (mode IN ('live', 'test')),
    status text NOT NULL CHECK (status IN ('active', 'disabled')),
    divisions text[] NOT NULL,
    changed_by uuid NOT NULL,
    changed_at timestamptz NOT NULL
);
COMMENT ON COLUMN source.name IS 'ce_source of its submissions';

CREATE TABLE inbox (
    source text NOT NULL,
    ce_id text NOT NULL,
    digest bytea NOT NULL,
    outcome text NOT NULL,
    decided_at timestamptz NOT NULL,
    PRIMARY KEY (source, ce_id)
);
COMMENT ON COLUMN inbox.outcome IS 'ActionOutcome as JSON: the receipt, to be given again';
"""


def upgrade() -> None:
    plumbing.create(op)
    for statement in DDL.split(";\n"):
        if statement.strip():
            op.execute(statement)

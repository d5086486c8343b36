"""The register, divisions and delivery."""

from alembic import op

from shared import plumbing

revision = "0001"
down_revision = None

TABLES = """
CREATE TABLE division (
    code char(12) PRIMARY KEY,
    version int NOT NULL,
    body jsonb NOT NULL
);
CREATE TABLE division_version (
    code char(12) NOT NULL,
    version int NOT NULL,
    body jsonb NOT NULL,
    recorded_at timestamptz NOT NULL,
    changed_by text NOT NULL,
    PRIMARY KEY (code, version)
);
CREATE SEQUENCE household_seq AS bigint MAXVALUE 4294967295;
CREATE SEQUENCE person_seq AS bigint MAXVALUE 99999999;
CREATE TABLE household (
    id uuid PRIMARY KEY,
    seq bigint NOT NULL UNIQUE CHECK (seq BETWEEN 1 AND 4294967295),
    number char(14) NOT NULL UNIQUE,
    version int NOT NULL,
    status text NOT NULL CHECK (status IN ('active', 'deregistered', 'erased')),
    source_system text,
    external_id text,
    city char(12) NOT NULL,
    managing_unit char(12) NOT NULL,
    township char(12) NOT NULL,
    village char(12) NOT NULL,
    standing text NOT NULL,
    cause text,
    welfare text NOT NULL,
    body jsonb NOT NULL,
    changed_at timestamptz NOT NULL,
    CONSTRAINT household_external UNIQUE (source_system, external_id)
);
CREATE INDEX household_village ON household (village, id);
CREATE INDEX household_unit ON household (managing_unit, id);
CREATE INDEX household_changed ON household (changed_at, id);
CREATE TABLE household_version (
    household_id uuid NOT NULL,
    version int NOT NULL,
    body jsonb NOT NULL,
    cause text,
    welfare text NOT NULL,
    recorded_at timestamptz NOT NULL,
    changed_by uuid NOT NULL,
    reason text,
    PRIMARY KEY (household_id, version)
);
CREATE TABLE household_period (
    household_id uuid NOT NULL REFERENCES household ON DELETE CASCADE,
    valid_from date NOT NULL,
    valid_to date,
    city char(12) NOT NULL,
    managing_unit char(12) NOT NULL,
    township char(12) NOT NULL,
    village char(12) NOT NULL,
    standing text NOT NULL,
    people smallint NOT NULL CHECK (people >= 0),
    PRIMARY KEY (household_id, valid_from),
    CHECK (valid_to > valid_from)
);
CREATE INDEX household_period_unit ON household_period (managing_unit);
CREATE INDEX household_period_township ON household_period (township);
CREATE INDEX household_period_village ON household_period (village);
CREATE TABLE person (
    id uuid PRIMARY KEY,
    number char(14) NOT NULL UNIQUE,
    version int NOT NULL,
    status text NOT NULL CHECK (status IN ('active', 'deceased', 'moved_away', 'deregistered', 'erased')),
    household_id uuid REFERENCES household,
    position smallint NOT NULL,
    relation text NOT NULL,
    sex text NOT NULL,
    birth_date date NOT NULL,
    employable text NOT NULL,
    in_school boolean NOT NULL,
    disability_level smallint CHECK (disability_level BETWEEN 1 AND 4),
    joined_on date NOT NULL,
    left_on date,
    name bytea NOT NULL,
    id_number bytea,
    id_number_index bytea UNIQUE,
    phone bytea,
    changed_at timestamptz NOT NULL
);
CREATE INDEX person_household ON person (household_id);
"""


def upgrade() -> None:
    plumbing.create(op)
    for statement in TABLES.split(";\n"):
        if statement.strip():
            op.execute(statement)

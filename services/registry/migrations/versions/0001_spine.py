"""The spine: divisions, keys, the register, statistics, and delivery.

Revision ID: 0001
"""

from alembic import op

from shared import plumbing

revision = "0001"
down_revision = None

TABLES = """
CREATE TABLE division (
    code text PRIMARY KEY CHECK (code ~ '^[0-9]{12}$'),
    version int NOT NULL,
    body text NOT NULL
);
COMMENT ON TABLE division IS 'Divisions, kept in memory by every process; body: DivisionEvent as JSON';
CREATE TABLE division_version (
    code text NOT NULL,
    version int NOT NULL,
    body text NOT NULL,
    recorded_at timestamptz NOT NULL,
    changed_by uuid,
    PRIMARY KEY (code, version)
);
COMMENT ON COLUMN division_version.changed_by IS 'API key; null for what was loaded with the edition';

CREATE TABLE key_version (
    id uuid NOT NULL,
    version int NOT NULL,
    status text NOT NULL,
    recorded_at timestamptz NOT NULL,
    changed_by uuid,
    PRIMARY KEY (id, version)
);
COMMENT ON TABLE key_version IS 'Who issued and revoked which API key, and when';

CREATE TABLE data_key (
    id bytea PRIMARY KEY
);
COMMENT ON TABLE data_key IS 'Names the key of the sealed data, so that another one is noticed at start';

CREATE TABLE import_report (
    id uuid PRIMARY KEY,
    body text NOT NULL,
    recorded_at timestamptz NOT NULL,
    recorded_by uuid NOT NULL
);

CREATE SEQUENCE household_seq AS bigint MAXVALUE 4294967295;
CREATE SEQUENCE person_seq AS bigint;
CREATE TABLE household (
    id uuid PRIMARY KEY,
    version int NOT NULL,
    seq bigint NOT NULL UNIQUE CHECK (seq BETWEEN 1 AND 4294967295),
    number text NOT NULL UNIQUE CHECK (number ~ '^[0-9]{14}$'),
    status text NOT NULL CHECK (status IN ('active', 'deregistered', 'erased')),
    source_system text,
    external_id text,
    content bytea NOT NULL,
    city text NOT NULL,
    managing_unit text NOT NULL,
    township text NOT NULL,
    village text NOT NULL,
    standing text NOT NULL,
    registered_on date NOT NULL,
    valid_to date,
    cause text,
    welfare text NOT NULL,
    residences text NOT NULL,
    standings text NOT NULL,
    event text NOT NULL,
    first_recorded_at timestamptz NOT NULL,
    recorded_at timestamptz NOT NULL,
    changed_by uuid NOT NULL,
    reason text,
    CONSTRAINT household_external UNIQUE (source_system, external_id)
);
COMMENT ON TABLE household IS 'Newest version of each household';
COMMENT ON COLUMN household.content IS 'Blind index of what it was registered with';
COMMENT ON COLUMN household.village IS 'Responsible village of the latest state; for scope, like those above it';
COMMENT ON COLUMN household.residences IS 'JSON: [[day, village], ...], from which the dated states follow';
COMMENT ON COLUMN household.event IS 'HouseholdEvent as JSON: the whole public state';
CREATE INDEX household_content ON household (content);
CREATE INDEX household_village ON household (village text_pattern_ops, id);
CREATE INDEX household_township ON household (township, id);
CREATE INDEX household_unit ON household (managing_unit, id);
CREATE INDEX household_recorded ON household (recorded_at);
CREATE TABLE household_version (LIKE household);
ALTER TABLE household_version ADD PRIMARY KEY (id, version);
COMMENT ON TABLE household_version IS 'Versions before the newest';

CREATE TABLE person (
    id uuid PRIMARY KEY,
    version int NOT NULL,
    household_id uuid NOT NULL REFERENCES household,
    household_version int NOT NULL,
    number text NOT NULL UNIQUE CHECK (number ~ '^[0-9]{14}$'),
    status text NOT NULL CHECK (status IN ('active', 'deceased', 'moved_away', 'deregistered', 'erased')),
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
    id_number_index bytea,
    phone bytea,
    recorded_at timestamptz NOT NULL,
    changed_by uuid NOT NULL,
    reason text
);
COMMENT ON TABLE person IS 'Newest version of each member; name, id_number and phone are sealed';
COMMENT ON COLUMN person.household_version IS 'Version of the household that this version came with';
CREATE INDEX person_household ON person (household_id);
CREATE UNIQUE INDEX person_id_number ON person (id_number_index) WHERE status IN ('active', 'deceased');
CREATE TABLE person_version (LIKE person);
ALTER TABLE person_version ADD PRIMARY KEY (id, version);
CREATE INDEX person_version_household ON person_version (household_id);
COMMENT ON TABLE person_version IS 'Versions before the newest';

CREATE TABLE household_period (
    household_id uuid NOT NULL REFERENCES household,
    valid_from date NOT NULL,
    valid_to date CHECK (valid_to > valid_from),
    city text NOT NULL,
    managing_unit text NOT NULL,
    township text NOT NULL,
    village text NOT NULL,
    standing text NOT NULL,
    people smallint NOT NULL CHECK (people >= 0),
    PRIMARY KEY (household_id, valid_from)
);
COMMENT ON TABLE household_period IS 'Derived: stretches of days in which nothing that statistics count changed';
CREATE INDEX household_period_township ON household_period (township);
CREATE INDEX household_period_village ON household_period (village);

CREATE TABLE population_change (
    village text NOT NULL,
    on_day date NOT NULL,
    standing text NOT NULL,
    township text NOT NULL,
    managing_unit text NOT NULL,
    city text NOT NULL,
    households int NOT NULL,
    people int NOT NULL,
    PRIMARY KEY (village, on_day, standing, township, managing_unit, city)
);
COMMENT ON TABLE population_change IS 'Derived: what a village has on a day is the sum of its changes up to it';
CREATE INDEX population_change_township ON population_change (township);
CREATE INDEX population_change_unit ON population_change (managing_unit);
"""


def upgrade() -> None:
    plumbing.create(op)
    for statement in TABLES.split(";\n"):
        if statement.strip():
            op.execute(statement)

"""The tables of delivery, the same in every service's database; created by each service's first migration.

They are plain SQL, because nothing maps them: every statement on them is written where it is used.
"""

from typing import Protocol

DDL = """
CREATE TABLE outbox (
    pos bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id text NOT NULL,
    aggregatetype text NOT NULL,
    aggregateid text NOT NULL,
    type text NOT NULL,
    source text NOT NULL,
    time text NOT NULL,
    dataschema text,
    aggregateversion text,
    correlationid text,
    causationid text,
    traceparent text,
    payload bytea,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp()
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 20000);
COMMENT ON TABLE outbox IS 'Events not yet acknowledged by the broker; columns as Debezium''s outbox router reads them';

CREATE TABLE outbox_sent (
    pos bigint NOT NULL,
    id text NOT NULL,
    aggregatetype text NOT NULL,
    aggregateid text NOT NULL,
    type text NOT NULL,
    source text NOT NULL,
    time text NOT NULL,
    dataschema text,
    aggregateversion text,
    correlationid text,
    causationid text,
    traceparent text,
    payload bytea,
    created_at timestamptz NOT NULL,
    sent_at timestamptz NOT NULL DEFAULT now()
) PARTITION BY RANGE (sent_at);
CREATE INDEX outbox_sent_at ON outbox_sent (sent_at);
COMMENT ON TABLE outbox_sent IS 'Acknowledged events of the last days, sent again when the broker''s log was replaced';

CREATE TABLE log_state (
    reader text PRIMARY KEY,
    incarnation text NOT NULL,
    clean_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE log_state IS 'Which log the relay and each group last saw; clean_at: all sent before it was consumed';

CREATE TABLE published_position (
    topic text NOT NULL,
    partition int NOT NULL,
    next_offset bigint NOT NULL,
    PRIMARY KEY (topic, partition)
);

CREATE TABLE consumed_position (
    group_name text NOT NULL,
    topic text NOT NULL,
    partition int NOT NULL,
    next_offset bigint NOT NULL,
    PRIMARY KEY (group_name, topic, partition)
);
COMMENT ON TABLE consumed_position IS 'For people and metrics; consumers start from the group''s offsets alone';

CREATE TABLE dead_letter (
    id uuid PRIMARY KEY,
    group_name text NOT NULL,
    topic text NOT NULL,
    partition int NOT NULL,
    "offset" bigint NOT NULL,
    digest bytea NOT NULL,
    key bytea,
    value bytea,
    headers text NOT NULL,
    timestamp_ms bigint NOT NULL,
    cause text NOT NULL,
    status text NOT NULL DEFAULT 'open' CHECK (status IN ('open', 'replayed', 'dropped')),
    created_at timestamptz NOT NULL DEFAULT now(),
    changed_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (group_name, topic, partition, "offset", digest)
);
CREATE INDEX dead_letter_recent ON dead_letter (group_name, created_at);

CREATE TABLE parked_record (
    id uuid PRIMARY KEY,
    group_name text NOT NULL,
    topic text NOT NULL,
    partition int NOT NULL,
    "offset" bigint NOT NULL,
    key bytea,
    value bytea,
    headers text NOT NULL,
    timestamp_ms bigint NOT NULL,
    reason text NOT NULL,
    first_seen timestamptz NOT NULL,
    tries int NOT NULL DEFAULT 0,
    next_try_at timestamptz NOT NULL
);
CREATE INDEX parked_record_due ON parked_record (group_name, next_try_at);

CREATE TABLE idempotency (
    scope text NOT NULL,
    key text NOT NULL,
    fingerprint bytea NOT NULL,
    resource_id uuid,
    version int,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (scope, key)
);
CREATE INDEX idempotency_created ON idempotency USING brin (created_at);

CREATE TABLE table_revision (
    name text PRIMARY KEY,
    value bigint NOT NULL
);
COMMENT ON TABLE table_revision IS 'Raised with every change of a table that processes keep in memory';

CREATE TABLE api_key (
    id uuid PRIMARY KEY,
    prefix text NOT NULL UNIQUE,
    version int NOT NULL,
    body text NOT NULL
);
"""


ORIGIN = """
ALTER TABLE dead_letter ADD COLUMN origin text NOT NULL DEFAULT '';
COMMENT ON COLUMN dead_letter.origin IS 'The registered source it came from; empty for all others';
"""

SIGNATURES = """
ALTER TABLE source ADD COLUMN signature text NOT NULL DEFAULT 'optional' CHECK (signature IN ('optional', 'required'));

CREATE TABLE source_secret (
    source_id uuid NOT NULL REFERENCES source,
    number int NOT NULL,
    digest bytea NOT NULL,
    issued_at timestamptz NOT NULL,
    until timestamptz,
    PRIMARY KEY (source_id, number)
);
COMMENT ON TABLE source_secret IS 'Secrets that sources sign with: made from BANGFU_SIGNING_SECRETS, not kept';
COMMENT ON COLUMN source_secret.digest IS 'SHA-256 of the secret: tells what it was made from';
COMMENT ON COLUMN source_secret.until IS 'Set once another one was issued: it signs until then';
"""


class Migration(Protocol):
    """The part of ``alembic.op`` this needs."""

    def execute(self, sqltext: str) -> object: ...


def create(op: Migration) -> None:
    """Create the delivery tables; called by each service's first migration."""
    _execute(op, DDL)


def add_origin(op: Migration) -> None:
    """Dead letters remember whose they are, for quotas; called by each service's second migration."""
    _execute(op, ORIGIN)


def add_signatures(op: Migration) -> None:
    """Sources may sign what they submit; called by the migrations of services that have an intake."""
    _execute(op, SIGNATURES)


def _execute(op: Migration, statements: str) -> None:
    for statement in statements.split(";\n"):
        if statement.strip():
            op.execute(statement)

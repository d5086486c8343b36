"""The DCI interface: parties, our key, messages, requests, callbacks to make, subscriptions.

Revision ID: 0005
"""

from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

STATEMENTS = """
CREATE TABLE exchange_key (
    id uuid PRIMARY KEY,
    sealed bytea NOT NULL,
    created_at timestamptz NOT NULL
);
COMMENT ON TABLE exchange_key IS 'Our signing key pair: a private JWK, sealed';

CREATE TABLE exchange_party (
    id uuid PRIMARY KEY,
    version int NOT NULL,
    sender_id text NOT NULL UNIQUE,
    client_id text NOT NULL UNIQUE,
    secret_sha256 text NOT NULL,
    body text NOT NULL,
    divisions text[] NOT NULL,
    status text NOT NULL CHECK (status IN ('active', 'blocked')),
    recorded_at timestamptz NOT NULL,
    changed_by uuid NOT NULL
);
COMMENT ON COLUMN exchange_party.body IS 'PartyIn as JSON: name, keys, callback address, divisions, purposes, status';

CREATE TABLE exchange_message (
    party_id uuid NOT NULL REFERENCES exchange_party,
    message_id text NOT NULL,
    received_at timestamptz NOT NULL,
    PRIMARY KEY (party_id, message_id)
);
COMMENT ON TABLE exchange_message IS 'Messages accepted, so that none is taken twice';

CREATE TABLE exchange_request (
    id uuid PRIMARY KEY,
    party_id uuid NOT NULL REFERENCES exchange_party,
    action text NOT NULL,
    transaction_id text NOT NULL,
    reference_ids text[] NOT NULL,
    subscription_codes text[] NOT NULL,
    consents bytea NOT NULL,
    outcomes text NOT NULL,
    received_at timestamptz NOT NULL,
    answered_at timestamptz
);
COMMENT ON TABLE exchange_request IS 'Who asked for what, with which consent and purpose, and how it went; no answers';
COMMENT ON COLUMN exchange_request.consents IS 'Consents and purposes as JSON, sealed: they may name a person';
COMMENT ON COLUMN exchange_request.id IS 'correlation_id';
CREATE INDEX exchange_request_transaction ON exchange_request (party_id, transaction_id);
CREATE INDEX exchange_request_references ON exchange_request USING gin (reference_ids);
CREATE INDEX exchange_request_subscriptions ON exchange_request USING gin (subscription_codes);

CREATE TABLE exchange_task (
    id uuid PRIMARY KEY,
    party_id uuid NOT NULL REFERENCES exchange_party,
    request_id uuid REFERENCES exchange_request,
    action text NOT NULL,
    callback text NOT NULL,
    sealed bytea,
    attempts int NOT NULL DEFAULT 0,
    due_at timestamptz NOT NULL,
    failed_at timestamptz,
    failure text
);
COMMENT ON TABLE exchange_task IS 'Callbacks to make; deleted once delivered, emptied once given up';
CREATE INDEX exchange_task_due ON exchange_task (due_at) WHERE failed_at IS NULL;

CREATE TABLE exchange_subscription (
    code uuid PRIMARY KEY,
    party_id uuid NOT NULL REFERENCES exchange_party,
    event_type text NOT NULL,
    record_type text NOT NULL,
    filter bytea NOT NULL,
    content bytea NOT NULL,
    callback text NOT NULL,
    starts_at timestamptz NOT NULL,
    ends_at timestamptz,
    created_at timestamptz NOT NULL,
    ended_at timestamptz
);
COMMENT ON COLUMN exchange_subscription.filter IS 'The filter as JSON, sealed: it may name a person';
COMMENT ON COLUMN exchange_subscription.content IS 'Blind index of what is subscribed to';
CREATE UNIQUE INDEX exchange_subscription_content ON exchange_subscription (party_id, content) WHERE ended_at IS NULL;

CREATE TABLE exchange_change (
    pos bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    event_type text NOT NULL,
    household_id uuid NOT NULL,
    person_ids uuid[] NOT NULL
);
COMMENT ON TABLE exchange_change IS 'What subscribers may have to hear of; a queue whose rows are deleted when handled'
"""


def upgrade() -> None:
    for statement in STATEMENTS.split(";\n"):
        op.execute(statement)

"""Facts, counters, the mirror, rule sets and live versions.

Revision ID: 0001
"""

from pathlib import Path

from alembic import op

from shared import plumbing

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

FACT = """
    action_id uuid NOT NULL,
    version int NOT NULL,
    status text NOT NULL CHECK (status IN ('recorded', 'revoked')),
    class text NOT NULL CHECK (class IN ('help', 'benefit', 'activity', 'duty')),
    programme text NOT NULL,
    sector text NOT NULL,
    kind text NOT NULL,
    household_id uuid,
    household_seq bigint,
    persons uuid[] NOT NULL,
    actor_id uuid,
    division text NOT NULL,
    city text NOT NULL,
    county text NOT NULL,
    township text,
    village text,
    managing_unit text NOT NULL,
    place text,
    quantity bigint NOT NULL,
    amount_fen bigint NOT NULL,
    first_recorded_at timestamptz NOT NULL,
    recorded_at timestamptz NOT NULL,
    occurred_at timestamptz NOT NULL,
    verified_at timestamptz,
    day date NOT NULL,
    on_time boolean NOT NULL,
    known_at timestamptz NOT NULL,
"""
MEANINGS = {
    "day": "occurred_at in Asia/Shanghai",
    "on_time": "recorded within 24 h of happening",
    "known_at": "when ranking took it in",
}
CELL = """
    level text NOT NULL CHECK (level IN ('county', 'township', 'sector', 'sector_county')),
    unit text NOT NULL,
    class text NOT NULL,
    cadence text NOT NULL CHECK (cadence IN ('day', 'week', 'month', 'quarter')),
    period_start date NOT NULL,
"""
# Writers ask for one cell, readers for all units of a period, level and class: so the unit comes last.
CELL_KEY = "PRIMARY KEY (cadence, period_start, level, class, unit)"
MIRRORED = "id text PRIMARY KEY, version bigint NOT NULL, body text NOT NULL"

STATEMENTS = (
    f"CREATE TABLE fact ({FACT} PRIMARY KEY (action_id))",
    # Counting a household again, and what stands behind a row of a table:
    "CREATE INDEX fact_household ON fact (household_seq, day)",
    "CREATE INDEX fact_day ON fact (day, action_id)",
    "CREATE INDEX fact_township ON fact (township, day, action_id)",
    "CREATE INDEX fact_late ON fact (first_recorded_at) WHERE NOT on_time",
    f"CREATE TABLE fact_history ({FACT} PRIMARY KEY (action_id, version))",
    *(
        f"COMMENT ON COLUMN {table}.{column} IS '{meaning}'"
        for table in ("fact", "fact_history")
        for column, meaning in MEANINGS.items()
    ),
    """
    CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        RAISE EXCEPTION '% is append-only', TG_TABLE_NAME;
    END $$
    """,
    "CREATE TRIGGER fact_history_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON fact_history "
    "FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()",
    f"""
    CREATE TABLE cell ({CELL}
        actions bigint NOT NULL,
        persons bigint NOT NULL,
        amount_fen bigint NOT NULL,
        on_time bigint NOT NULL,
        verified bigint NOT NULL,
        {CELL_KEY}
    ) WITH (fillfactor = 80)
    """,
    f"""
    CREATE TABLE cell_households ({CELL}
        households bytea NOT NULL,
        reached int NOT NULL CHECK (reached >= 0),
        {CELL_KEY}
    ) WITH (fillfactor = 80)
    """,
    "COMMENT ON COLUMN cell_households.households IS 'roaring bitmap of household numbers'",
    "COMMENT ON COLUMN cell_households.reached IS 'how many it holds'",
    "CREATE TABLE live_version (name text PRIMARY KEY, version bigint NOT NULL) WITH (fillfactor = 50)",
    f"CREATE TABLE division ({MIRRORED})",
    f"CREATE TABLE household ({MIRRORED})",
    f"CREATE TABLE programme ({MIRRORED})",
    f"""
    CREATE TABLE target ({MIRRORED},
        cadence text GENERATED ALWAYS AS (body::jsonb ->> 'cadence') STORED,
        period text GENERATED ALWAYS AS (body::jsonb ->> 'period') STORED
    )
    """,
    "CREATE INDEX target_period ON target (period, cadence)",
    """
    CREATE TABLE served_change (
        level text NOT NULL CHECK (level IN ('county', 'township', 'village')),
        unit text NOT NULL,
        on_day date NOT NULL,
        served_delta bigint NOT NULL,
        stock_delta bigint NOT NULL,
        PRIMARY KEY (level, unit, on_day)
    )
    """,
    "COMMENT ON TABLE served_change IS "
    "'served (or poor) households of a unit as of a day = the sum of the changes up to that day'",
    """
    CREATE TABLE rule_set (
        code text PRIMARY KEY,
        version int NOT NULL,
        valid_from date NOT NULL UNIQUE,
        body text NOT NULL
    )
    """,
    "COMMENT ON COLUMN rule_set.valid_from IS 'in force for periods that begin from then'",
)


def upgrade() -> None:
    plumbing.create(op)
    for statement in STATEMENTS:
        op.execute(statement)
    # A rule set that was ever in force is never edited: a new one gets a new file and a new migration.
    body = (Path(__file__).parents[2] / "indicators" / "2018-v1.json").read_text("utf-8")
    op.get_bind().exec_driver_sql(
        "INSERT INTO rule_set (code, version, valid_from, body) VALUES ('2018-v1', 1, '2018-01-01', $1)", (body,)
    )

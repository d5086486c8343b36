"""When the dated sums changed: what was known at an instant is what is counted now less what was entered since.

Revision ID: 0012
"""

from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

TABLES = """
CREATE TABLE standing_entry (
    recorded_at timestamptz NOT NULL,
    village text NOT NULL,
    on_day date NOT NULL,
    before text NOT NULL,
    after text NOT NULL,
    township text NOT NULL,
    managing_unit text NOT NULL,
    city text NOT NULL,
    households int NOT NULL,
    people int NOT NULL
);
COMMENT ON TABLE standing_entry IS 'Derived: what was added to standing_change, by when that was recorded';
CREATE INDEX standing_entry_recorded ON standing_entry (recorded_at);

CREATE TABLE profile_entry (
    recorded_at timestamptz NOT NULL,
    village text NOT NULL,
    on_day date NOT NULL,
    standing text NOT NULL,
    cause text NOT NULL,
    welfare text NOT NULL,
    township text NOT NULL,
    managing_unit text NOT NULL,
    city text NOT NULL,
    households int NOT NULL,
    people int NOT NULL
);
COMMENT ON TABLE profile_entry IS 'Derived: what was added to profile_change, by when that was recorded';
CREATE INDEX profile_entry_recorded ON profile_entry (recorded_at);
"""

FROM_WHAT_IS_THERE = """
CREATE TEMPORARY TABLE stated ON COMMIT DROP AS
SELECT every.*, lead(recorded_at) OVER (PARTITION BY id ORDER BY version) AS superseded_at
FROM (
    SELECT id, version, recorded_at, valid_to, coalesce(cause, '') AS cause, welfare, event FROM household
    UNION ALL
    SELECT id, version, recorded_at, valid_to, coalesce(cause, ''), welfare, event FROM household_version
) every;
CREATE TEMPORARY TABLE belonging ON COMMIT DROP AS
SELECT DISTINCT ON (stated.id, stated.version, every.id, every.joined_on)
    stated.id AS household_id, stated.version AS household_version, every.joined_on, every.left_on
FROM stated JOIN (
    SELECT id, version, household_id, household_version, joined_on, left_on FROM person
    UNION ALL
    SELECT id, version, household_id, household_version, joined_on, left_on FROM person_version
) every ON every.household_id = stated.id AND every.household_version <= stated.version
ORDER BY stated.id, stated.version, every.id, every.joined_on, every.version DESC;
CREATE INDEX ON belonging (household_id, household_version);
CREATE TEMPORARY TABLE stretch ON COMMIT DROP AS
WITH state AS (
    SELECT stated.id, stated.version, dated.*, coalesce(
        lead(dated.valid_from) OVER (PARTITION BY stated.id, stated.version ORDER BY dated.valid_from), stated.valid_to
    ) AS valid_to
    FROM stated CROSS JOIN LATERAL jsonb_to_recordset(stated.event::jsonb -> 'timeline')
        AS dated (valid_from date, standing text, path jsonb)
    WHERE stated.valid_to IS NULL OR dated.valid_from < stated.valid_to
), cut AS (
    SELECT id, version, valid_from AS on_day FROM state
    UNION
    SELECT household_id, household_version, edge FROM belonging
    CROSS JOIN LATERAL (VALUES (joined_on), (left_on)) AS edge (edge) WHERE edge IS NOT NULL
)
SELECT state.id, state.version, state.standing,
    state.path ->> 'village' AS village, state.path ->> 'township' AS township,
    state.path ->> 'managing_unit' AS managing_unit, state.path ->> 'city' AS city,
    cut.on_day AS valid_from,
    lead(cut.on_day, 1, state.valid_to) OVER (
        PARTITION BY state.id, state.version, state.valid_from ORDER BY cut.on_day
    ) AS valid_to,
    lag(state.standing, 1, '') OVER (PARTITION BY state.id, state.version ORDER BY cut.on_day) AS before,
    (SELECT count(*) FROM belonging member
     WHERE member.household_id = state.id AND member.household_version = state.version
     AND member.joined_on <= cut.on_day AND (member.left_on IS NULL OR member.left_on > cut.on_day)) AS people
FROM state JOIN cut USING (id, version)
WHERE cut.on_day >= state.valid_from AND (state.valid_to IS NULL OR cut.on_day < state.valid_to);
INSERT INTO profile_entry
SELECT told.recorded_at, village, edge.on_day, standing, cause, welfare, township, managing_unit, city,
    sum(told.sign * edge.sign), sum(told.sign * edge.sign * people)
FROM stretch JOIN stated USING (id, version)
CROSS JOIN LATERAL (VALUES (stretch.valid_from, 1), (stretch.valid_to, -1)) AS edge (on_day, sign)
CROSS JOIN LATERAL (VALUES (stated.recorded_at, 1), (stated.superseded_at, -1)) AS told (recorded_at, sign)
WHERE edge.on_day IS NOT NULL AND told.recorded_at IS NOT NULL
GROUP BY told.recorded_at, village, edge.on_day, standing, cause, welfare, township, managing_unit, city
HAVING sum(told.sign * edge.sign) <> 0 OR sum(told.sign * edge.sign * people) <> 0;
INSERT INTO standing_entry
SELECT told.recorded_at, village, on_day, before, after, township, managing_unit, city,
    sum(told.sign), sum(told.sign * people)
FROM (
    SELECT id, version, village, township, managing_unit, city, people, valid_from AS on_day, before, standing AS after
    FROM stretch
    UNION ALL
    SELECT id, version, village, township, managing_unit, city, people, valid_to, standing, ''
    FROM stretch JOIN stated USING (id, version, valid_to)
) step JOIN stated USING (id, version)
CROSS JOIN LATERAL (VALUES (stated.recorded_at, 1), (stated.superseded_at, -1)) AS told (recorded_at, sign)
WHERE before <> after AND told.recorded_at IS NOT NULL
GROUP BY told.recorded_at, village, on_day, before, after, township, managing_unit, city
HAVING sum(told.sign) <> 0 OR sum(told.sign * people) <> 0;
"""


def upgrade() -> None:
    op.execute("SET LOCAL statement_timeout = '10min'")  # every version of every household is read
    for statement in (TABLES + FROM_WHAT_IS_THERE).split(";\n"):
        if statement.strip():
            op.execute(statement)

"""Why divisions changed; transitions, causes and welfare as dated sums; rural populations.

Revision ID: 0004
"""

from alembic import op

revision = "0004"
down_revision = "0003"

TABLES = """
ALTER TABLE division_version ADD COLUMN reason text;

CREATE TABLE standing_change (
    village text NOT NULL,
    on_day date NOT NULL,
    before text NOT NULL,
    after text NOT NULL,
    township text NOT NULL,
    managing_unit text NOT NULL,
    city text NOT NULL,
    households int NOT NULL,
    people int NOT NULL,
    PRIMARY KEY (village, on_day, before, after, township, managing_unit, city)
);
COMMENT ON TABLE standing_change IS 'Derived: how many households went from one standing to another on a day';
COMMENT ON COLUMN standing_change.before IS 'Empty: not on the register; likewise after';
CREATE INDEX standing_change_township ON standing_change (township, on_day);
CREATE INDEX standing_change_unit ON standing_change (managing_unit, on_day);
CREATE INDEX standing_change_day ON standing_change (on_day);

CREATE TABLE profile_change (
    village text NOT NULL,
    on_day date NOT NULL,
    standing text NOT NULL,
    cause text NOT NULL,
    welfare text NOT NULL,
    township text NOT NULL,
    managing_unit text NOT NULL,
    city text NOT NULL,
    households int NOT NULL,
    people int NOT NULL,
    PRIMARY KEY (village, on_day, standing, cause, welfare, township, managing_unit, city)
);
COMMENT ON TABLE profile_change IS 'Derived: as population_change, by main cause and welfare category';
COMMENT ON COLUMN profile_change.cause IS 'Empty: none stated';
CREATE INDEX profile_change_township ON profile_change (township);
CREATE INDEX profile_change_unit ON profile_change (managing_unit);

CREATE TABLE rural_population (
    division text NOT NULL,
    year smallint NOT NULL,
    people int NOT NULL CHECK (people >= 0),
    recorded_at timestamptz NOT NULL,
    recorded_by uuid NOT NULL,
    PRIMARY KEY (division, year, recorded_at)
);
COMMENT ON TABLE rural_population IS 'Denominators of incidence; what was recorded last holds';
"""

FROM_WHAT_IS_THERE = """
INSERT INTO standing_change
SELECT village, on_day, before, after, township, managing_unit, city, count(*), sum(people)
FROM (
    SELECT village, valid_from AS on_day, standing AS after, township, managing_unit, city, people,
        lag(standing, 1, '') OVER (PARTITION BY household_id ORDER BY valid_from) AS before
    FROM household_period
    UNION ALL
    SELECT p.village, p.valid_to, '', p.township, p.managing_unit, p.city, p.people, p.standing
    FROM household_period p JOIN household h ON h.id = p.household_id AND h.valid_to = p.valid_to
) step
WHERE before <> after
GROUP BY village, on_day, before, after, township, managing_unit, city;
INSERT INTO profile_change
SELECT p.village, edge.on_day, p.standing, coalesce(h.cause, ''), h.welfare, p.township, p.managing_unit, p.city,
    sum(edge.sign), sum(edge.sign * p.people)
FROM household_period p
JOIN household h ON h.id = p.household_id
CROSS JOIN LATERAL (VALUES (p.valid_from, 1), (p.valid_to, -1)) AS edge (on_day, sign)
WHERE edge.on_day IS NOT NULL
GROUP BY p.village, edge.on_day, p.standing, coalesce(h.cause, ''), h.welfare, p.township, p.managing_unit, p.city
HAVING sum(edge.sign) <> 0 OR sum(edge.sign * p.people) <> 0;
"""


def upgrade() -> None:
    for statement in (TABLES + FROM_WHAT_IS_THERE).split(";\n"):
        if statement.strip():
            op.execute(statement)

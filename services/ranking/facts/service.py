"""Reads facts and counters: figures of units in a period, done work by programme, the actions behind a figure."""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import Literal
from uuid import UUID

import asyncpg
from pyroaring import BitMap

from services.ranking.facts.rules import Counters, Level
from services.ranking.periods.rules import Period
from shared.contracts.programme import Metric, ProgrammeClass
from shared.db import Pg

UnitLevel = Literal["county", "township", "village", "sector"]
UNIT_COLUMNS: Mapping[UnitLevel, str] = {
    "county": "managing_unit", "township": "township", "village": "village", "sector": "sector"
}  # fmt: skip
ALL = "*"
"""As a programme: every help programme. As a unit: the whole city."""


_CELLS = (
    "SELECT unit, actions, persons, amount_fen, on_time, verified, coalesce(reached, 0) AS households "
    "FROM cell LEFT JOIN cell_households USING (cadence, period_start, level, class, unit) "
    "WHERE cadence = $1 AND period_start = $2 AND level = $3 AND class = $4 AND actions > 0"
)
_CELLS_OF_SEVERAL = (
    "SELECT unit, actions, persons, amount_fen, on_time, verified, households "
    "FROM cell LEFT JOIN cell_households USING (cadence, period_start, level, class, unit) "
    "WHERE (cadence, period_start) IN (SELECT * FROM unnest($1::text[], $2::date[])) "
    "AND level = $3 AND class = $4 AND actions > 0"
)
_BY_VILLAGE = (
    "SELECT village AS unit, count(*) AS actions, sum(cardinality(persons))::bigint AS persons, "
    "sum(amount_fen)::bigint AS amount_fen, count(*) FILTER (WHERE on_time) AS on_time, "
    "count(verified_at) AS verified, count(DISTINCT household_seq) AS households "
    "FROM fact WHERE day BETWEEN $1 AND $2 AND class = $3 AND status = 'recorded' AND village IS NOT NULL "
    "AND (township = ANY($4) OR $4 IS NULL) GROUP BY village"
)


async def counters(pg: Pg, level: Level, programme_class: ProgrammeClass, period: Period) -> Mapping[str, Counters]:
    """The counters of every unit with actions; a year's are the sum of its quarters."""
    if period.cadence == "year":
        return await counters_over(pg, level, programme_class, period.quarters())
    rows = await pg.fetch(_CELLS, period.cadence, period.first, level, programme_class)
    return {row["unit"]: _counters(row) for row in rows}


async def counters_over(
    pg: Pg, level: Level, programme_class: ProgrammeClass, periods: Sequence[Period]
) -> Mapping[str, Counters]:
    """The counters over several periods that do not overlap: sums, and the union of the households."""
    return _together(await _cells(pg, level, programme_class, periods), lambda row: str(row["unit"]))


async def counters_of_city(pg: Pg, programme_class: ProgrammeClass, periods: Sequence[Period]) -> Counters:
    """The city's counters over several periods: a household that moved between counties counts once."""
    rows = await _cells(pg, "county", programme_class, periods)
    return _together(rows, lambda _: ALL).get(ALL, Counters())


async def _cells(
    pg: Pg, level: Level, programme_class: ProgrammeClass, periods: Sequence[Period]
) -> Sequence[asyncpg.Record]:
    cadences, starts = [period.cadence for period in periods], [period.first for period in periods]
    return await pg.fetch(_CELLS_OF_SEVERAL, cadences, starts, level, programme_class)


def _together(rows: Sequence[asyncpg.Record], unit_of: Callable[[asyncpg.Record], str]) -> Mapping[str, Counters]:
    sums: defaultdict[str, list[int]] = defaultdict(lambda: [0] * 5)
    households: defaultdict[str, BitMap] = defaultdict(BitMap)
    for row in rows:
        unit = unit_of(row)
        sums[unit] = [a + b for a, b in zip(sums[unit], row[1:6], strict=True)]
        if row["households"] is not None:
            households[unit] |= BitMap.deserialize(row["households"])
    return {
        unit: Counters(actions, persons, amount_fen, on_time, verified, len(households[unit]))
        for unit, (actions, persons, amount_fen, on_time, verified) in sums.items()
    }


async def counters_of_villages(
    pg: Pg, programme_class: ProgrammeClass, period: Period, townships: Sequence[str] | None
) -> Mapping[str, Counters]:
    """The counters of villages, all or those of some townships, counted from facts."""
    rows = await pg.fetch(_BY_VILLAGE, period.first, period.last, programme_class, townships)
    return {row["unit"]: _counters(row) for row in rows}


def _counters(row: asyncpg.Record) -> Counters:
    return Counters(**{name: row[name] for name in Counters.__dataclass_fields__})


Done = Mapping[tuple[str, str], Mapping[Metric, int]]
"""What was done, by unit and programme."""

_DONE = (
    "SELECT {unit} AS unit, {programme} AS programme, count(*) AS actions, "
    "count(DISTINCT household_seq) AS households, sum(cardinality(persons))::bigint AS persons, "
    "sum(quantity)::bigint AS quantity, sum(amount_fen)::bigint AS amount_fen "
    "FROM fact WHERE status = 'recorded' AND day BETWEEN $1 AND $2 AND {condition} GROUP BY 1, 2 HAVING count(*) > 0"
)


async def done(pg: Pg, level: UnitLevel | None, programmes: Sequence[str], first: date, last: date) -> Done:
    """What was done under some programmes in a span of days, by unit of a level; ``None``: by the whole city.

    ``*`` among the programmes stands for every help programme together.
    """
    unit = f"'{ALL}'" if level is None else UNIT_COLUMNS[level]
    found: dict[tuple[str, str], Mapping[Metric, int]] = {}
    if named := [code for code in programmes if code != ALL]:
        sql = _DONE.format(unit=unit, programme="programme", condition="programme = ANY($3)")
        found |= _done(await pg.fetch(sql, first, last, named))
    if ALL in programmes:
        sql = _DONE.format(unit=unit, programme=f"'{ALL}'", condition="class = 'help'")
        found |= _done(await pg.fetch(sql, first, last))
    return found


_METRICS: tuple[Metric, ...] = ("actions", "households", "persons", "quantity", "amount_fen")


def _done(rows: Sequence[asyncpg.Record]) -> dict[tuple[str, str], Mapping[Metric, int]]:
    return {
        (row["unit"], row["programme"]): {metric: row[metric] for metric in _METRICS}
        for row in rows
        if row["unit"] is not None
    }


async def late_reports(pg: Pg, first: datetime, end: datetime) -> Mapping[str, int]:
    """Help actions first recorded in a span of time, but not within 24 h of happening, by managing unit."""
    rows = await pg.fetch(
        "SELECT managing_unit, count(*) AS late FROM fact WHERE first_recorded_at >= $1 AND first_recorded_at < $2 "
        "AND NOT on_time AND status = 'recorded' AND class = 'help' GROUP BY managing_unit",
        first,
        end,
    )
    return {row["managing_unit"]: row["late"] for row in rows}


_BEHIND = (
    "SELECT action_id, version, day, occurred_at, first_recorded_at, programme, kind, managing_unit, household_id, "
    "cardinality(persons) AS persons, quantity, amount_fen, on_time, verified_at IS NOT NULL AS verified "
    "FROM fact WHERE {unit} = $1 AND day BETWEEN $2 AND $3 AND class = $4 AND status = 'recorded' "
    "AND (city = ANY($5) OR managing_unit = ANY($5) OR township = ANY($5) OR village = ANY($5)) "
    "AND (day, action_id) > ($6, $7) ORDER BY day, action_id LIMIT $8"
)


async def behind(
    pg: Pg,
    *,
    level: UnitLevel,
    unit: str,
    programme_class: ProgrammeClass,
    period: Period,
    scope: Sequence[str],
    after: tuple[date, UUID] | None,
    limit: int,
) -> list[asyncpg.Record]:
    """The counted actions behind a figure that lie within a scope, by day and id: a keyset page."""
    sql = _BEHIND.format(unit=UNIT_COLUMNS[level])
    day, action_id = after or (date.min, UUID(int=0))
    found = await pg.fetch(sql, unit, period.first, period.last, programme_class, list(scope), day, action_id, limit)
    return list(found)


def cumulative(day: date) -> list[Period]:
    """Periods that make up the year until a day: its full months, then days."""
    return [Period("month", date(day.year, month, 1)) for month in range(1, day.month)] + days(day.replace(day=1), day)


def days(first: date, last: date) -> list[Period]:
    """The days of a span, both ends included."""
    return [Period("day", first + timedelta(days=step)) for step in range((last - first).days + 1)]

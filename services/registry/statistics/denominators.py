"""Rural populations 农村人口 by division and year: the denominators of incidence (domain.md 7)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any
from uuid import UUID

from services.registry.audit import service as audit
from services.registry.audit.rules import Entry, digest_of
from services.registry.context import Registry, today, within
from services.registry.reports import Tally
from services.registry.statistics.schemas import DenominatorLine
from services.registry.statistics.units import Layout
from shared.auth import Caller
from shared.db import Pg
from shared.errors import Fault, fault

Years = Mapping[int, Mapping[str, int]]
"""People by division, by year."""
_HELD = """
SELECT DISTINCT ON (division, year) division, year, people FROM rural_population
WHERE year <= $1::int AND recorded_at <= coalesce($2::timestamptz, 'infinity')
ORDER BY division, year, recorded_at DESC"""
_PUT = """
INSERT INTO rural_population (division, year, people, recorded_at, recorded_by)
SELECT *, $4, $5 FROM unnest($1::text[], $2::smallint[], $3::int[])
ON CONFLICT (division, year, recorded_at) DO UPDATE SET people = excluded.people"""
_LIST = """
SELECT DISTINCT ON (division, year) division, year, people, recorded_at FROM rural_population
WHERE (division, year) > ($1, $2::int) AND ($3::int IS NULL OR year = $3)
ORDER BY division, year, recorded_at DESC LIMIT $4"""
_COUNT = "SELECT count(DISTINCT (division, year)) FROM rural_population WHERE $1::int IS NULL OR year = $1"


@dataclass(frozen=True, slots=True)
class RuralPopulation:
    """The rural population of one year, as far as it is known."""

    year: int | None
    people: Mapping[str, int]


async def put(
    pg: Pg, registry: Registry, caller: Caller, lines: Sequence[DenominatorLine | list[Fault]], *, each: bool
) -> Tally:
    """Record populations line by line: unless ``each``, a single refusal leaves everything as it was."""
    await pg.execute("LOCK TABLE rural_population IN SHARE ROW EXCLUSIVE MODE")
    tree, tally = await registry.divisions.get(pg), Tally(received=len(lines))
    held = await years(pg, date.max, None)
    made: dict[tuple[str, int], int] = {}
    for row, line in enumerate(lines, start=1):
        if isinstance(line, list):
            tally.reject(row, line)
        elif tree.get(line.division) is None or not within(caller, tree, line.division, today(registry)):
            tally.reject(row, [fault("/division", "division_unknown", "no such division of yours", "辖区内无此区划")])
        elif (line.division, line.year) in made:
            tally.reject(row, [fault("/year", "repeated", "given twice", "重复")])
        else:
            before = held.get(line.year, {}).get(line.division)
            tally.created += before is None
            tally.unchanged += before == line.people
            tally.updated += before not in (None, line.people)
            made[line.division, line.year] = line.people
    new = {key: people for key, people in made.items() if held.get(key[1], {}).get(key[0]) != people}
    if new and (each or not tally.rejected):
        now = registry.runtime.clock.now()
        divisions, of_years = zip(*new, strict=True)
        await pg.execute(_PUT, divisions, of_years, list(new.values()), now, caller.key_id)
        await audit.record(pg, [_entry(*key, people, now, caller.key_id) for key, people in new.items()])
    return tally


def _entry(division: str, year: int, people: int, now: datetime, key_id: UUID) -> Entry:
    """Of a figure that is new or replaces another; like the figures, open to every admin."""
    return Entry(
        recorded_at=now,
        key_id=key_id,
        operation="denominator.recorded",
        object_id=f"{division}/{year}",
        digest=digest_of([people]),
    )


async def years(pg: Pg, until: date, known_at: datetime | None) -> Years:
    """Everything recorded for years up to that of a day."""
    found: dict[int, dict[str, int]] = {}
    for row in await pg.fetch(_HELD, until.year, known_at):
        found.setdefault(row["year"], {})[row["division"]] = row["people"]
    return found


async def listed(pg: Pg, after: tuple[str, int], year: int | None, limit: int) -> Sequence[Any]:
    """Rows in order of division and year, what holds now."""
    return await pg.fetch(_LIST, *after, year, limit)


async def counted(pg: Pg, year: int | None) -> int:
    """How many divisions and years there are figures for."""
    return int(await pg.fetchval(_COUNT, year))


def of_day(held: Years, layout: Layout, code: str) -> RuralPopulation:
    """The populations to divide by on a day: of its year, or of the newest year before that tells of the division.

    A division that has no figure of its own has the sum of those below it, once all of them have one.
    """
    for year in sorted(held, reverse=True):
        people = _summed(held[year], layout)
        if code in people:
            return RuralPopulation(year, people)
    return RuralPopulation(None, {})


def _summed(stated: Mapping[str, int], layout: Layout) -> Mapping[str, int]:
    people = dict(stated)
    for level in ("township", "county", "city"):  # from below
        for unit in layout.at(level):
            parts = layout.parts.get(unit.code, ())
            if unit.code not in stated and parts and all(part in people for part in parts):
                people[unit.code] = sum(people[part] for part in parts)
    return people

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
from shared.contracts.division import DivisionEvent
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

    A division that has no figure of its own has the sum of those below it, once all of them have one. Figures of
    before a merger add up; those of before a split belong to the parts together, and to none of them alone.
    """
    for year in sorted(held, reverse=True):
        people = _summed(held[year], layout, year)
        if code in people:
            return RuralPopulation(year, people)
    return RuralPopulation(None, {})


def _summed(stated: Mapping[str, int], layout: Layout, year: int) -> Mapping[str, int]:
    people, together = dict(stated), dict[frozenset[str], int]()
    for group in _groups(stated, layout, year):
        present = frozenset(code for code in group if code in layout.above)
        whole = _of_group(stated, layout, year, group)
        for code in group:
            people.pop(code, None)
        if whole is not None and len(present) == 1:
            people |= dict.fromkeys(present, whole)
        elif whole is not None and present:
            together[present] = whole
    for level in ("township", "county", "city"):  # from below
        for unit in layout.at(level):
            parts = frozenset(layout.parts.get(unit.code, ()))
            if unit.code in people or not parts:
                continue
            shared = [each for each in together if each <= parts]
            alone = parts.difference(*shared)
            if all(part in people for part in alone):
                people[unit.code] = sum(together[each] for each in shared) + sum(people[part] for part in alone)
    return people


def _groups(stated: Mapping[str, int], layout: Layout, year: int) -> list[frozenset[str]]:
    """Divisions whose figures of a year belong together: merged since it began, or split with a part untold of."""
    first = date(year, 1, 1)
    ties = [(whole, part.code) for (whole, _), parts in _untold(stated, layout, year) for part in parts]
    ties += [
        (each.code, each.successor)
        for each in layout.merged
        if each.successor is not None
        and each.valid_to is not None
        and each.valid_to > first
        and (each.code, each.valid_to) not in layout.splits  # that is split up, with what remains in the successor
    ]
    groups: list[frozenset[str]] = []
    for tie in ties:
        touched = [group for group in groups if not group.isdisjoint(tie)]
        groups = [group for group in groups if group not in touched]
        groups.append(frozenset(tie).union(*touched))
    return groups


def _untold(
    stated: Mapping[str, int], layout: Layout, year: int
) -> list[tuple[tuple[str, date], Sequence[DivisionEvent]]]:
    """The splits since a year began of which not every part has a figure of that year."""
    return [
        ((whole, day), parts)
        for (whole, day), parts in layout.splits.items()
        if day > date(year, 1, 1) and not all(part.code in stated for part in parts)
    ]


def _of_group(stated: Mapping[str, int], layout: Layout, year: int, group: frozenset[str]) -> int | None:
    """What such divisions had together; None unless the figures of all that were there all the year are known.

    Nor where some parts of a split have figures and others none: who is in which of them cannot be told.
    """
    late = {part.code for _, parts in _untold(stated, layout, year) for part in parts}
    needed = (each for each in group if layout.all_year(each, year))
    if group & late & stated.keys() or any(code not in stated for code in needed):
        return None
    known = [stated[code] for code in group if code in stated]
    return sum(known) if known else None

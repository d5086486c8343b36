"""Changes of the divisions themselves: renamed, moved, handed over, ended, split, merged.

What was issued before stays true: a change never begins before today, codes of history stay readable as of their day,
and households keep the path of every day that has passed. Their path from today on follows in the transaction of the
change.

Changes that move people into other hands, and the end of a division, are entered on the day they take effect, never
ahead of it: a household's latest state is then its state of today, and whoever runs its village today, and nobody
else, has it in scope ("as of the day", architecture rule 9). Names move nobody and may be dated ahead. What was
dated ahead before this rule held stands: reports of a day count it from its day on, scope goes by it at once.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import date
from typing import Protocol

from services.registry.context import Registry, today, within
from services.registry.divisions import rules, service
from services.registry.divisions.schemas import Ending, Handover, Merge, Move, Rename, Split
from shared import errors
from shared.auth import Caller
from shared.contracts.division import DivisionEvent, DivisionTree
from shared.db import Pg
from shared.errors import Fault, Problem, fault


class Residents(Protocol):
    """Who lives in divisions, in households or without one, as far as a change of divisions concerns them."""

    async def any_in(self, pg: Pg, code: str, day: date) -> bool:
        """Whether somebody lives in a division on a day or later."""
        ...

    async def follow(
        self, pg: Pg, caller: Caller, reason: str, tree: DivisionTree, code: str, day: date, moves: Mapping[str, str]
    ) -> frozenset[str]:
        """Bring paths in a division in line with the tree, from a day on.

        ``moves`` names households by number that go into another village on that day; returns those that did.
        """
        ...


async def rename(pg: Pg, registry: Registry, caller: Caller, code: str, body: Rename, expected: int) -> DivisionEvent:
    """Another name from a day on, today or later. Raises 404, 412, 422."""
    found = await service.locked(pg, registry, caller, code, expected)
    _check_day(registry, body.valid_from, ahead=True)
    renamed = rules.renamed(found, body.name, body.valid_from)
    return await service.changed(pg, registry, caller, found, renamed, body.reason)


async def hand_over(
    pg: Pg, registry: Registry, caller: Caller, code: str, body: Handover, expected: int, residents: Residents
) -> DivisionEvent:
    """Let another county-level unit run a division from today on. Raises 404, 412, 422."""
    tree = await service.lock_paths(pg, registry.divisions)
    if body.unit is not None:
        unit = _own(registry, caller, tree, body.unit)
        if unit is None or unit.level != "county":
            raise _unknown("/unit", "no county-level unit of yours", "辖区内无此县级单位")
    found = await service.locked(pg, registry, caller, code, expected)
    _check_day(registry, body.valid_from)
    handed_over = rules.managed_by(found, body.unit, body.valid_from)
    changed = await service.changed(pg, registry, caller, found, handed_over, body.reason)
    tree = service.with_changes(tree, [changed])
    await residents.follow(pg, caller, body.reason, tree, code, body.valid_from, {})
    return changed


async def move(
    pg: Pg, registry: Registry, caller: Caller, code: str, body: Move, expected: int, residents: Residents
) -> DivisionEvent:
    """Let a township or village lie below another division from today on. Raises 404, 412, 422."""
    tree = await service.lock_paths(pg, registry.divisions)
    parent = _own(registry, caller, tree, body.parent)
    if parent is None:
        raise _unknown("/parent", "no such division of yours", "辖区内无此区划")
    found = await service.locked(pg, registry, caller, code, expected)
    _check_day(registry, body.valid_from)
    moved = rules.moved(found, parent, body.valid_from)
    changed = await service.changed(pg, registry, caller, found, moved, body.reason)
    tree = service.with_changes(tree, [changed])
    await residents.follow(pg, caller, body.reason, tree, code, body.valid_from, {})
    return changed


async def end(
    pg: Pg, registry: Registry, caller: Caller, code: str, body: Ending, expected: int, residents: Residents
) -> DivisionEvent:
    """End a division that nothing depends on any more. Raises 404, 412, 422."""
    tree = await service.lock_paths(pg, registry.divisions)
    found = await service.locked(pg, registry, caller, code, expected)
    _check_day(registry, body.valid_to, "/valid_to")
    if _below(tree, code, body.valid_to) or any(code in _runs(each, body.valid_to) for each in tree):
        raise errors.invalid(fault("", "division_in_use", "divisions lie below it, or are run by it", "仍有下辖区划"))
    if await residents.any_in(pg, code, body.valid_to):
        raise errors.invalid(fault("", "division_inhabited", "people live there: merge it", "仍有农户或人员,请用合并"))
    rules.check_not_awaited(found, tree, body.valid_to, "/valid_to")
    return await service.changed(pg, registry, caller, found, rules.ended(found, body.valid_to), body.reason)


async def merge(
    pg: Pg, registry: Registry, caller: Caller, code: str, body: Merge, expected: int, residents: Residents
) -> DivisionEvent:
    """Merge a township or village into another one: its villages, or households, go there. Raises 404, 412, 422."""
    tree = await service.lock_paths(pg, registry.divisions)
    taking = _own(registry, caller, tree, body.into)
    found = await service.locked(pg, registry, caller, code, expected)
    _check_day(registry, body.valid_from)
    if taking is None or taking.level != found.level or taking.code == code:
        raise _unknown("/into", "no such division of yours on this level", "辖区内无此同级区划")
    below = await service.lock(pg, _below(tree, code, body.valid_from))
    rules.check_divisible(found, body.valid_from)
    rules.check_divisible(taking, body.valid_from)
    rules.check_not_awaited(found, tree, body.valid_from)
    changed = rules.ended(found, body.valid_from, body.into, "/valid_from")
    moved = [rules.moved(each, taking, body.valid_from) for each in below]
    made = [changed, *moved]
    await _store(pg, registry, caller, made, body.reason)
    tree = service.with_changes(tree, made)
    await residents.follow(pg, caller, body.reason, tree, code, body.valid_from, {})
    return changed


async def split(
    pg: Pg, registry: Registry, caller: Caller, code: str, body: Split, expected: int, residents: Residents
) -> DivisionEvent:
    """Cut new divisions out of a township or village. Raises 404, 409 for a code in use, 412, 422."""
    tree = await service.lock_paths(pg, registry.divisions)
    found = await service.locked(pg, registry, caller, code, expected)
    _check_day(registry, body.valid_from)
    below = {each.code: each for each in await service.lock(pg, _below(tree, code, body.valid_from))}
    faults = list(_split_faults(found, body, below, tree))
    if faults:
        raise errors.invalid(*faults)
    if any(tree.get(part.code) is not None for part in body.parts):
        raise Problem(rules.CODE_TAKEN)
    changed = _remaining(found, body, tree)
    parts = {
        part.code: rules.part_of(found, part.code, part.name, part.sort_order, body.valid_from) for part in body.parts
    }
    goes_to = {named: part.code for part in body.parts for named in part.divisions}
    homes = {child: goes_to.get(child, body.rest) for child in below}
    moved = [rules.moved(below[child], parts[home], body.valid_from) for child, home in homes.items() if home != code]
    made = [*([changed] if changed is not found else []), *parts.values(), *moved]
    await _store(pg, registry, caller, made, body.reason)
    households = {number: part.code for part in body.parts for number in part.households}
    tree = service.with_changes(tree, made)
    went = await residents.follow(pg, caller, body.reason, tree, code, body.valid_from, households)
    unknown = [
        fault(f"/parts/{i}/households/{j}", "household_unknown", "does not live there then", "当日不在该村")
        for i, part in enumerate(body.parts)
        for j, number in enumerate(part.households)
        if number not in went
    ]
    if unknown:
        raise errors.invalid(*unknown)
    return changed


def _remaining(division: DivisionEvent, body: Split, tree: DivisionTree) -> DivisionEvent:
    """What a split makes of the division itself: smaller, or at its end. Raises 422."""
    rules.check_divisible(division, body.valid_from)
    rules.check_settled(division, body.valid_from)
    if body.rest == division.code:
        return division
    rules.check_not_awaited(division, tree, body.valid_from)
    return rules.ended(division, body.valid_from, body.rest, "/valid_from")


def _split_faults(
    division: DivisionEvent, body: Split, below: Mapping[str, DivisionEvent], tree: DivisionTree
) -> Iterable[Fault]:
    codes = [part.code for part in body.parts]
    if body.rest not in (*codes, division.code):
        yield fault("/rest", "rest_unknown", "one of the parts, or the division itself", "须为新设区划之一或原区划")
    parent = tree.get(division.parent or "")
    seen: set[str] = set()
    for i, part in enumerate(body.parts):
        if codes.index(part.code) != i:
            yield fault(f"/parts/{i}/code", "repeated", "given twice", "重复")
        for each in rules.placement_faults(part.code, division.level, parent, body.valid_from):
            yield each.below(f"/parts/{i}") if each.pointer == "/code" else each
        villages = below.keys() if division.level == "township" else ()
        yield from _named_faults(f"/parts/{i}/divisions", part.divisions, villages, seen)
        # Who lives there is seen when they go.
        households = part.households if division.level == "village" else ()
        yield from _named_faults(f"/parts/{i}/households", part.households, households, seen)


def _named_faults(pointer: str, given: Sequence[str], known: Collection[str], seen: set[str]) -> Iterable[Fault]:
    """What speaks against naming these as going with a part; ``seen`` are those named before."""
    for place, entry in enumerate(given):
        if entry not in known:
            yield fault(f"{pointer}/{place}", "not_below", "not directly below it", "不属于该区划")
        elif entry in seen:
            yield fault(f"{pointer}/{place}", "repeated", "given twice", "重复")
        seen.add(entry)


def _below(tree: DivisionTree, code: str, day: date) -> list[str]:
    """The divisions that lie directly below one on a day, or will later."""
    return [
        each.code
        for each in tree
        if code in (each.parent, each.parent_on(day)) and (each.valid_to is None or each.valid_to > day)
    ]


def _runs(division: DivisionEvent, day: date) -> list[str]:
    """The units that run a division on a day or later."""
    return [entry.unit for entry in division.managing_units if entry.valid_to is None or entry.valid_to > day]


def _own(registry: Registry, caller: Caller, tree: DivisionTree, code: str) -> DivisionEvent | None:
    return tree.get(code) if within(caller, tree, code, today(registry)) else None


def _unknown(pointer: str, en: str, zh: str) -> Problem:
    return errors.invalid(fault(pointer, "division_unknown", en, zh))


def _check_day(registry: Registry, day: date, pointer: str = "/valid_from", *, ahead: bool = False) -> None:
    rules.check_day(day, today(registry), pointer, ahead=ahead)


async def _store(pg: Pg, registry: Registry, caller: Caller, made: Sequence[DivisionEvent], reason: str) -> None:
    """Write several divisions, those that exist locked before."""
    now = registry.runtime.clock.now()
    await service.store(pg, registry.runtime.settings, made, now, caller.key_id, reason)

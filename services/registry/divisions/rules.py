"""Decisions about divisions: what a change makes of one. Pure.

The register's own changes of a division never begin before today (issued papers stay true), nor before a change that
is dated already; designations alone may be entered after the fact, and names alone ahead of their day.
"""

from collections.abc import Iterable, Sequence
from datetime import date
from typing import TypeVar

from shared import errors
from shared.contracts.division import (
    Designation,
    DesignationKind,
    DivisionEvent,
    FormerName,
    FormerParent,
    Level,
    ManagingUnit,
)
from shared.errors import Fault, Problem, fault

BELOW: dict[str, Level] = {"city": "county", "county": "township", "township": "village"}
Former = TypeVar("Former", FormerName, FormerParent)
_MOVABLE: frozenset[Level] = frozenset({"township", "village"})
_SUFFIX: dict[Level, str] = {"county": "000000", "township": "000"}
_LEVELS: dict[DesignationKind, tuple[Level, ...]] = {
    "poor_village": ("village",),
    "deep_poverty_village": ("village",),
    "key_village": ("village",),
    "weak_village": ("village",),
    "national_poverty_county": ("county",),
    "provincial_poverty_county": ("county",),
    "zone": ("county",),
    "in_city_ranking": ("county",),
    "unranked": ("county", "township", "village"),
}

CODE_TAKEN = errors.kind(
    "division_code_taken", 409, "The code is in use", "该代码已使用",
    "A division with this code exists.", "该行政区划代码已存在。",
)  # fmt: skip


def placement_faults(code: str, level: Level, parent: DivisionEvent | None, valid_from: date) -> list[Fault]:
    """What speaks against a new division: its parent's level, the form of its code, its parent's validity."""
    found = []
    if parent is None or BELOW.get(parent.level) != level:
        found.append(fault("/parent", "parent_level", "not one level above", "上级行政区划级别不符"))
    elif not parent.holds_on(valid_from) or parent.valid_to is not None:
        found.append(fault("/valid_from", "parent_not_valid", "the division above is not valid then", "上级当日无效"))
    fits = code.endswith(_SUFFIX.get(level, "")) and not (level == "village" and code.endswith("000"))
    if not fits:
        found.append(fault("/code", "code_level", "the code is one of another level", "代码与级别不符"))
    return found


def designated(division: DivisionEvent, kind: DesignationKind, valid_from: date) -> DivisionEvent:
    """The division with a designation from a day on; itself if it has that very one. Raises 422."""
    if division.level not in _LEVELS[kind]:
        raise errors.invalid(fault("/kind", "designation_level", "not for this level", "该级别不适用此认定"))
    _check_valid(division, valid_from)
    made = Designation(kind=kind, valid_from=valid_from)
    if made in division.designations:
        return division
    for entry in division.designations:
        if entry.kind == kind and (entry.valid_to is None or entry.valid_to > valid_from):
            raise errors.invalid(fault("/valid_from", "designation_holds", "it holds then or later", "该认定已有效"))
    return _next(division, designations=[*division.designations, made])


def undesignated(division: DivisionEvent, kind: DesignationKind, valid_to: date) -> DivisionEvent:
    """The division without a designation from a day on. Raises 422."""
    ended = [
        entry.model_copy(update={"valid_to": valid_to})
        if entry.kind == kind and entry.valid_to is None and entry.valid_from < valid_to
        else entry
        for entry in division.designations
    ]
    if ended == division.designations:
        raise errors.invalid(fault("/valid_to", "designation_does_not_hold", "it does not hold", "该认定未生效"))
    return _next(division, designations=ended)


def managed_by(division: DivisionEvent, unit: str | None, valid_from: date) -> DivisionEvent:
    """The division run by another unit from a day on (None: by its county again). Raises 422."""
    _check_movable(division, valid_from)
    if unit is not None and division.level == "village":  # its township would count in two units: no sum adds up then
        en, zh = "townships only: move the village below one of that unit", "仅适用于乡级;村级请改变隶属关系"
        raise errors.invalid(fault("", "division_level", en, zh))
    entries = list(division.managing_units)
    if entries and (entries[-1].valid_to or entries[-1].valid_from) > valid_from:
        raise _before_last_change()
    if entries and entries[-1].valid_to is None:
        last = entries.pop()
        if last.valid_from < valid_from:
            entries.append(last.model_copy(update={"valid_to": valid_from}))
    if unit is not None:
        entries.append(ManagingUnit(unit=unit, valid_from=valid_from))
    if entries == division.managing_units:
        return division
    return _next(division, managing_units=entries)


def check_day(day: date, today: date, pointer: str, *, ahead: bool) -> None:
    """A change begins today or, where it may be entered ``ahead`` of its day, later. Raises 422."""
    if day < today:
        raise errors.invalid(fault(pointer, "backdated", "not before today", "不得早于今日"))
    if day > today and not ahead:
        raise errors.invalid(fault(pointer, "dated_ahead", "enter it on the day it takes effect", "须在生效当日录入"))


def check_not_awaited(
    division: DivisionEvent, others: Iterable[DivisionEvent], day: date, pointer: str = "/valid_from"
) -> None:
    """No other division is dated to go into this one after a day on which it ends. Raises 422."""
    going = [each.valid_to for each in others if each.successor == division.code and each.valid_to is not None]
    if any(each > day for each in going):
        raise _before_last_change(pointer)


def renamed(division: DivisionEvent, name: str, valid_from: date) -> DivisionEvent:
    """The division under another name from a day on 更名. Raises 422."""
    _check_valid(division, valid_from)
    if name == division.name:
        return division
    former = _with(division.former_names, FormerName(name=division.name, valid_to=valid_from))
    return _next(division, name=name, former_names=former)


def moved(division: DivisionEvent, parent: DivisionEvent | None, valid_from: date) -> DivisionEvent:
    """The division below another one from a day on 改变隶属关系; its code stays. Raises 422."""
    _check_movable(division, valid_from)
    if parent is None or BELOW.get(parent.level) != division.level:
        raise errors.invalid(fault("/parent", "parent_level", "not one level above", "上级行政区划级别不符"))
    if not parent.holds_on(valid_from) or parent.valid_to is not None:
        raise errors.invalid(
            fault("/parent", "parent_not_valid", "it is not valid then, or ends", "上级当日无效或将撤销")
        )
    if division.parent is None or parent.code == division.parent:
        return division
    former = _with(division.former_parents, FormerParent(parent=division.parent, valid_to=valid_from))
    return _next(division, parent=parent.code, former_parents=former)


def ended(
    division: DivisionEvent, valid_to: date, successor: str | None = None, pointer: str = "/valid_to"
) -> DivisionEvent:
    """The division no longer valid from a day on 撤销; its households go to ``successor``. Raises 422."""
    if division.valid_to is not None:
        raise errors.invalid(fault(pointer, "division_ends", "it ends already", "该区划已撤销"))
    if valid_to <= division.valid_from:
        raise errors.invalid(fault(pointer, "division_not_valid", "it is not valid before", "该区划此前未生效"))
    check_settled(division, valid_to)
    return _next(division, valid_to=valid_to, successor=successor)


def part_of(division: DivisionEvent, code: str, name: str, sort_order: int, valid_from: date) -> DivisionEvent:
    """A new division cut out of another 析置: below the same parent, run by the same unit, without designations."""
    unit = division.managed_by(valid_from)
    return DivisionEvent(
        code=code,
        version=1,
        name=name,
        level=division.level,
        parent=division.parent,
        valid_from=valid_from,
        sort_order=sort_order,
        source="local",
        origin=division.code,
        managing_units=[] if unit is None else [ManagingUnit(unit=unit, valid_from=valid_from)],
    )


def check_settled(division: DivisionEvent, day: date) -> None:
    """Nothing about the division is dated to change after a day. Raises 422."""
    units = division.managing_units
    days = [former.valid_to for former in division.former_names]
    days += [former.valid_to for former in division.former_parents]
    days += [each for unit in units for each in (unit.valid_from, unit.valid_to) if each is not None]
    if any(each > day for each in days):
        raise _before_last_change()


def check_divisible(division: DivisionEvent, valid_from: date) -> None:
    """Whether it can be split, or merged with another: a township or village, valid, that does not end. Raises 422."""
    _check_movable(division, valid_from)
    if division.valid_to is not None:
        raise errors.invalid(fault("/valid_from", "division_ends", "it ends already", "该区划将撤销"))


def _check_movable(division: DivisionEvent, day: date) -> None:
    if division.level not in _MOVABLE:
        raise errors.invalid(fault("", "division_level", "townships and villages only", "仅适用于乡级和村级"))
    _check_valid(division, day)


def _check_valid(division: DivisionEvent, day: date) -> None:
    if not division.holds_on(day):
        raise errors.invalid(fault("/valid_from", "division_not_valid", "the division is not valid then", "当日无效"))


def _with(entries: Sequence[Former], made: Former) -> list[Former]:
    """What was before, with one more; of two changes on one day the second replaces the first."""
    if entries and entries[-1].valid_to > made.valid_to:
        raise _before_last_change()
    found = list(entries)
    if not found or found[-1].valid_to < made.valid_to:
        found.append(made)
    return found


def _before_last_change(pointer: str = "/valid_from") -> Problem:
    return errors.invalid(fault(pointer, "before_last_change", "a later change stands", "早于已有变更"))


def _next(division: DivisionEvent, **changes: object) -> DivisionEvent:
    return division.model_copy(update={**changes, "version": division.version + 1})

"""Decisions about divisions: what a change makes of one. Pure."""

from datetime import date

from shared import errors
from shared.contracts.division import Designation, DesignationKind, DivisionEvent, Level, ManagingUnit
from shared.errors import Fault, fault

BELOW: dict[str, Level] = {"city": "county", "county": "township", "township": "village"}
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


class RefusedError(Exception):
    """A change that the rules refuse; ``fault`` says why."""

    def __init__(self, refusal: Fault) -> None:
        super().__init__(refusal.code)
        self.fault = refusal


def placement_faults(code: str, level: Level, parent: DivisionEvent | None, valid_from: date) -> list[Fault]:
    """What speaks against a new division: its parent's level, the form of its code, its parent's validity."""
    found = []
    if parent is None or BELOW.get(parent.level) != level:
        found.append(fault("/parent", "parent_level", "not one level above", "上级行政区划级别不符"))
    elif not parent.holds_on(valid_from):
        found.append(fault("/valid_from", "parent_not_valid", "the division above is not valid then", "上级当日无效"))
    fits = code.endswith(_SUFFIX.get(level, "")) and not (level == "village" and code.endswith("000"))
    if not fits:
        found.append(fault("/code", "code_level", "the code is one of another level", "代码与级别不符"))
    return found


def designated(division: DivisionEvent, kind: DesignationKind, valid_from: date) -> DivisionEvent:
    """The division with a designation from a day on; itself if it has that very one. Raises ``RefusedError``."""
    if division.level not in _LEVELS[kind]:
        raise RefusedError(fault("/kind", "designation_level", "not for this level", "该级别不适用此认定"))
    if not division.holds_on(valid_from):
        raise RefusedError(fault("/valid_from", "division_not_valid", "the division is not valid then", "当日无效"))
    made = Designation(kind=kind, valid_from=valid_from)
    if made in division.designations:
        return division
    for entry in division.designations:
        if entry.kind == kind and (entry.valid_to is None or entry.valid_to > valid_from):
            raise RefusedError(fault("/valid_from", "designation_holds", "it holds then or later", "该认定已有效"))
    return _next(division, designations=[*division.designations, made])


def undesignated(division: DivisionEvent, kind: DesignationKind, valid_to: date) -> DivisionEvent:
    """The division without a designation from a day on. Raises ``RefusedError``."""
    ended = [
        entry.model_copy(update={"valid_to": valid_to})
        if entry.kind == kind and entry.valid_to is None and entry.valid_from < valid_to
        else entry
        for entry in division.designations
    ]
    if ended == division.designations:
        raise RefusedError(fault("/valid_to", "designation_does_not_hold", "it does not hold", "该认定未生效"))
    return _next(division, designations=ended)


def managed_by(division: DivisionEvent, unit: str | None, valid_from: date) -> DivisionEvent:
    """The division run by another unit from a day on (None: by its county again). Raises ``RefusedError``."""
    if division.level not in ("township", "village"):
        raise RefusedError(fault("/unit", "handover_level", "townships and villages only", "仅适用于乡级和村级"))
    if not division.holds_on(valid_from):
        raise RefusedError(fault("/valid_from", "division_not_valid", "the division is not valid then", "当日无效"))
    entries = list(division.managing_units)
    if entries and (entries[-1].valid_to or entries[-1].valid_from) > valid_from:
        raise RefusedError(fault("/valid_from", "before_last_change", "a later change stands", "早于已有变更"))
    if entries and entries[-1].valid_to is None:
        last = entries.pop()
        if last.valid_from < valid_from:
            entries.append(last.model_copy(update={"valid_to": valid_from}))
    if unit is not None:
        entries.append(ManagingUnit(unit=unit, valid_from=valid_from))
    if entries == division.managing_units:
        return division
    return _next(division, managing_units=entries)


def _next(division: DivisionEvent, **changes: object) -> DivisionEvent:
    return division.model_copy(update={**changes, "version": division.version + 1})

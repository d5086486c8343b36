"""Decisions about divisions: what a change makes of one. Pure."""

from datetime import date

from shared import errors
from shared.contracts.division import Designation, DesignationKind, DivisionEvent, Level, ManagingUnit

BELOW: dict[str, Level] = {"city": "county", "county": "township", "township": "village"}

CODE_TAKEN = errors.kind(
    "division_code_taken", 409, "The code is in use", "该代码已使用",
    "A division with this code exists.", "该行政区划代码已存在。",
)  # fmt: skip


def designated(division: DivisionEvent, kind: DesignationKind, valid_from: date) -> DivisionEvent:
    """The division with a designation from a day on. Raises 422 where it holds already or later."""
    for entry in division.designations:
        if entry.kind == kind and (entry.valid_to is None or entry.valid_to > valid_from):
            raise errors.invalid(errors.fault("/valid_from", "designation_holds", "it holds then", "该认定已有效"))
    made = Designation(kind=kind, valid_from=valid_from)
    return _next(division, designations=[*division.designations, made])


def undesignated(division: DivisionEvent, kind: DesignationKind, valid_to: date) -> DivisionEvent:
    """The division without a designation from a day on. Raises 422 where it does not hold the day before."""
    ended = [
        entry.model_copy(update={"valid_to": valid_to})
        if entry.kind == kind and entry.valid_to is None and entry.valid_from < valid_to
        else entry
        for entry in division.designations
    ]
    if ended == division.designations:
        raise errors.invalid(errors.fault("/valid_to", "designation_does_not_hold", "it does not hold", "该认定未生效"))
    return _next(division, designations=ended)


def managed_by(division: DivisionEvent, unit: str | None, valid_from: date) -> DivisionEvent:
    """The division run by another unit from a day on (None: by its county again). Never backdated before the last."""
    entries = list(division.managing_units)
    if entries and (entries[-1].valid_to or entries[-1].valid_from) > valid_from:
        raise errors.invalid(errors.fault("/valid_from", "before_last_change", "a later change stands", "晚于已有变更"))
    if entries and entries[-1].valid_to is None:
        entries[-1] = entries[-1].model_copy(update={"valid_to": valid_from})
    if unit is not None:
        entries.append(ManagingUnit(unit=unit, valid_from=valid_from))
    return _next(division, managing_units=entries)


def _next(division: DivisionEvent, **changes: object) -> DivisionEvent:
    return division.model_copy(update={**changes, "version": division.version + 1})

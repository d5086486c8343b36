"""Decisions about programmes: pure values in, values out."""

from collections.abc import Collection, Iterable
from datetime import date

from services.assistance.catalogue.details import Check, compile_check, schema_faults
from shared.contracts.division import Path
from shared.contracts.programme import ActionKind, ProgrammeEvent, Serves
from shared.errors import Fault, fault


def reaches(programme: ProgrammeEvent, path: Path, day: date) -> bool:
    """Whether a programme applies at a place on a day: below its issuer, and rolled out there by then (试点, 推广).

    A county's programme follows the managing unit, as everything that is ranked does (ranking.md, "Units").
    """
    units = (path.city, path.managing_unit)
    if programme.issuer not in units:
        return False
    return not programme.rollout or any(step.division in units and step.valid_from <= day for step in programme.rollout)


def serves(programme: ProgrammeEvent, kind: ActionKind) -> Serves:
    """Whom an action of this kind is for."""
    return kind.serves or programme.serves


def programme_faults(
    programme: ProgrammeEvent, *, sectors: Collection[str], tags: Collection[str], divisions: Collection[str]
) -> list[Fault]:
    """What is wrong with an entry of the catalogue before it is published."""
    found: list[Fault] = []
    if programme.sector not in sectors:
        found.append(fault("/sector", "unknown_sector", "no such sector", "行业部门不存在"))
    found += [
        fault(f"/tags/{index}", "unknown_tag", "not in the policy vocabulary", "不在政策用语表中")
        for index, tag in enumerate(programme.tags)
        if tag not in tags
    ]
    places = [("/issuer", programme.issuer)]
    places += [(f"/rollout/{index}/division", step.division) for index, step in enumerate(programme.rollout)]
    found += [
        fault(pointer, "unknown_division", "no such division", "行政区划不存在")
        for pointer, code in places
        if code not in divisions
    ]
    if programme.valid_to is not None and programme.valid_to <= programme.valid_from:
        found.append(fault("/valid_to", "range", "must lie after valid_from", "须晚于生效日期"))
    return found + _kind_faults(programme.kinds)


def _kind_faults(kinds: Iterable[ActionKind]) -> list[Fault]:
    found: list[Fault] = []
    seen: set[str] = set()
    for index, kind in enumerate(kinds):
        if kind.code in seen:
            found.append(fault(f"/kinds/{index}/code", "repeated", "given twice", "代码重复"))
        seen.add(kind.code)
        found += [each.below(f"/kinds/{index}/details_schema") for each in schema_faults(kind.details_schema)]
    return found


class Catalogue:
    """The programmes of one moment, their details checks compiled."""

    def __init__(self, programmes: Iterable[ProgrammeEvent]) -> None:
        self.programmes = {programme.code: programme for programme in programmes}
        self._kinds: dict[tuple[str, str], tuple[ActionKind, Check]] = {
            (programme.code, kind.code): (kind, compile_check(kind.details_schema))
            for programme in self.programmes.values()
            for kind in programme.kinds
        }

    def kind(self, programme: str, kind: str) -> tuple[ActionKind, Check] | None:
        """A kind and the check of its details; None when the programme does not accept it."""
        return self._kinds.get((programme, kind))

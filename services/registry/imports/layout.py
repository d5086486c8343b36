"""How a sheet is read: which of its columns are which of ours, and which of its rows are no data. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations

from services.registry.imports.columns import COLUMNS, Column, Subject, by_header, by_name
from services.registry.imports.sheets.cells import Cell
from services.registry.imports.sheets.headers import Header, plain
from services.registry.imports.values import EthnicityCodes, Parser, Vocabulary, blank, parser, unit_of
from shared.faults import Fault, fault

_TOTALS = ("合计", "小计", "总计", "共计", "累计", "本页合计")
_FOOTERS = ("填表", "制表", "审核", "填报", "负责人", "单位盖章", "注:", "注：", "备注:", "备注：", "说明:", "说明：")
_VILLAGE = frozenset({"village", "village_code"})


@dataclass(frozen=True, slots=True)
class Binding:
    """A column of the sheet that is one of ours."""

    index: int
    header: str
    column: Column
    parse: Parser


@dataclass(frozen=True)
class Layout:
    """A sheet's header, understood."""

    header: Header
    bindings: Sequence[Binding]
    unknown: Sequence[str]
    """Headers that mean nothing to us: their columns are not taken in."""

    @classmethod
    def of(
        cls,
        header: Header,
        vocabulary: Vocabulary,
        columns: Mapping[str, str] | None = None,
        ethnicity_codes: EthnicityCodes | None = None,
    ) -> "Layout":
        """``columns`` is a saved mapping: header of the sheet to name of our column, or empty for none."""
        given = {plain(name): target for name, target in (columns or {}).items()}
        bindings, unknown = [], []
        for index, name in enumerate(header.names):
            if not name:
                continue
            target = given.get(plain(name))
            column = by_header().get(plain(name)) if target is None else by_name().get(target)
            if column is None:
                unknown += [name] if target is None else []
                continue
            bindings.append(Binding(index, name, column, parser(column, unit_of(name), vocabulary, ethnicity_codes)))
        return cls(header, bindings, unknown)

    def faults(self) -> list[Fault]:
        """What keeps the sheet from being read at all."""
        names = [binding.column.name for binding in self.bindings if binding.column.subject != "aside"]
        found = [
            fault(binding.header, "column_twice", "two columns mean the same", "两列含义相同")
            for place, binding in enumerate(self.bindings)
            if binding.column.subject != "aside" and binding.column.name in _names_before(self.bindings, place)
        ]
        wanted = [column.label_zh for column in COLUMNS if column.required and column.name not in names]
        wanted += [] if _VILLAGE & set(names) else [by_name()["village"].label_zh]
        found += [fault(label, "column_missing", "this column is needed", "缺少该列") for label in wanted]
        return found

    @cached_property
    def _by_subject(self) -> Mapping[Subject, Sequence[Binding]]:
        found: dict[Subject, list[Binding]] = {}
        for binding in self.bindings:
            found.setdefault(binding.column.subject, []).append(binding)
        return found

    def of_subject(self, subject: Subject) -> Sequence[Binding]:
        """The columns that describe a household, a member, an income or a place."""
        return self._by_subject.get(subject, ())

    @cached_property
    def of_household(self) -> Sequence[Binding]:
        """The columns that describe a household as a whole."""
        return [*self.of_subject("household"), *self.of_subject("income"), *self.of_subject("place")]

    @cached_property
    def alike(self) -> Sequence[tuple[Binding, Binding]]:
        """Two columns of the household that fill the same field."""
        pairs = combinations(self.of_subject("household"), 2)
        return [(one, other) for one, other in pairs if one.column.path == other.column.path]

    @cached_property
    def keys(self) -> Sequence[Binding]:
        """The columns that tell one household from the next."""
        names = ("number", "external_id", "head_name")
        return [b for b in self.bindings if b.column.subject != "member" and b.column.name in names]

    @cached_property
    def whole(self) -> str:
        """Header of the column a household is known by: its number, its name in the source, else members' names."""
        present = {binding.column.name for binding in self.bindings}
        known_by = next((name for name in ("number", "external_id") if name in present), "name")
        return self.header_of(by_name()[known_by])

    def header_of(self, column: Column) -> str:
        """What the sheet calls a column; its own name where the sheet has none."""
        wanted = _VILLAGE if column.name in _VILLAGE else {column.name}
        return next((b.header for b in self.bindings if b.column.name in wanted), column.label_zh)


def _names_before(bindings: Sequence[Binding], place: int) -> set[str]:
    """The columns named left of a place."""
    return {binding.column.name for binding in bindings[:place]}


def cell_at(cells: Sequence[Cell], index: int) -> Cell:
    """A cell of a row, which may be shorter than the header."""
    return cells[index] if index < len(cells) else ""


def passed_over(cells: Sequence[Cell], header: Header) -> str | None:
    """Why a row is no data, as the code of a remark: a total, a footer, the header again; None for data."""
    place = next((place for place, cell in enumerate(cells) if not blank(cell)), None)
    if place is None:
        return "blank_row"
    first = cells[place]
    if not isinstance(first, str):
        return None
    said = "".join(first.split())
    if said.startswith(_TOTALS):
        return "total_row"
    if not said.startswith(_FOOTERS) and first.strip() not in header.names:
        return None
    filled = {cell.strip() if isinstance(cell, str) else "" for cell in cells[place:] if not blank(cell)}
    if said.startswith(_FOOTERS) and len(filled) <= 3:
        return "footer_row"
    return "header_again" if len(filled) > 1 and filled <= set(header.names) - {""} else None

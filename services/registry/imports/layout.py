"""How a sheet is read: which of its columns are which of ours, and which of its rows are no data. Pure."""

import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations

from services.registry.imports.columns import COLUMNS, EXAMPLE, Column, Subject, by_header, by_name
from services.registry.imports.sheets.cells import Cell
from services.registry.imports.sheets.headers import Header, plain
from services.registry.imports.values import EthnicityCodes, Parser, Vocabulary, blank, parser, unit_of
from shared.faults import Fault, fault

_DAY_ALONE = re.compile(r"(?:19|20)[0-9]{2}年(?:[0-9]{1,2}月)?(?:[0-9]{1,2}[日号])?")
_TOTALS = re.compile(r"(?:合计|小计|总计|共计|累计|本页合计|共[0-9]+[户人]).*|.{1,20}(?:合计|小计|总计)[:0-9]*")
_FOOTERS = ("填表", "制表", "审核", "填报", "负责人", "单位盖章", "注:", "备注:", "说明:", "日期:", "时间:",
            "联系人:", "联系电话:")  # fmt: skip
_NUMBERED = 3
"""So many cells that count up make the row of column numbers 栏次 below a header."""
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
    def read(self) -> Sequence[int]:
        """Places of the columns that say something of a household or its members."""
        return [b.index for b in self.bindings if b.column.name not in ("sequence", "remark", "errors")]

    @cached_property
    def example(self) -> Sequence[tuple[int, str]]:
        """What the template's example row says and where, its ID number first; nothing in a sheet of other columns."""
        places = {binding.column.name: binding.index for binding in self.bindings}
        names = sorted(EXAMPLE, key=lambda name: name != "id_number")
        return [(places[name], str(EXAMPLE[name])) for name in names] if places.keys() >= EXAMPLE.keys() else []

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


def passed_over(cells: Sequence[Cell], layout: Layout) -> str | None:
    """Why a row is no data, as the code of a remark: a total, a footer, the header again; None for data."""
    place = next((place for place, cell in enumerate(cells) if not blank(cell)), None)
    if place is None:
        return "blank_row"
    if all(blank(cell_at(cells, index)) for index in layout.read):
        return "nothing_read"
    first = cells[place]
    said = "".join(unicodedata.normalize("NFKC", first).split()) if isinstance(first, str) else str(first)
    if said in ("1", "(1)") and _counts_up(cells[place:]):
        return "column_numbers"
    if layout.example and all(str(cell_at(cells, index)).strip() == text for index, text in layout.example):
        return "example_row"
    return _aside(said, cells[place:], layout.header) if isinstance(first, str) else None


def _aside(said: str, cells: Sequence[Cell], header: Header) -> str | None:
    """Why a row that begins with some words is no data."""
    if _TOTALS.fullmatch(said):
        return "total_row"
    footer, day = said.startswith(_FOOTERS), _DAY_ALONE.fullmatch(said)
    if not footer and not day and str(cells[0]).strip() not in header.names:
        return None
    filled = [cell.strip() if isinstance(cell, str) else "" for cell in cells if not blank(cell)]
    if (footer and len({*filled}) <= 3) or (day and len(filled) == 1):
        return "footer_row"
    return "header_again" if len({*filled}) > 1 and {*filled} <= {*header.names} - {""} else None


def _counts_up(cells: Sequence[Cell]) -> bool:
    """Whether the cells say 1, 2, 3 and so on, in brackets or circles as may be."""
    said = [unicodedata.normalize("NFKC", str(cell)).strip(" ()") for cell in cells if not blank(cell)]
    return len(said) >= _NUMBERED and said == [str(number) for number in range(1, len(said) + 1)]

"""Rows of a sheet as households: a row is a member, and what the household's columns say holds until the next one.

Pure, and part of the reading process. What a household says comes out in the shape of ``POST /v1/households``.
"""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from services.registry.imports.columns import Column, by_name, pointer_to
from services.registry.imports.layout import Binding, Layout, cell_at, passed_over
from services.registry.imports.sheets.cells import Cell
from services.registry.imports.values import CellError, as_text, blank, says_none
from services.registry.imports.villages import Villages
from shared.faults import Fault, fault

SheetRow = tuple[int, Sequence[Cell]]
CUT = 200
"""Rows that go on without a new household are cut here, so that what waits for its end stays small. So many members
are refused anyway (``households.schemas.MAX_MEMBERS``)."""
_UNLIKE = ("differs_within_household", "differs from the household's first row", "与该户首行不一致")
_AGAIN = fault(
    "", "household_again", "stood further up already: put its rows together", "该户在前面已出现,请将同户各行放在一起"
)
_NO_SOURCE = fault("/external_id", "source_missing", "goes with the source of the file", "须注明文件来源 source")
_INCOME = "/incomes/0/"
_NO_YEAR = fault(f"{_INCOME}year", "income_year_missing", "say of which year the income is", "须填收入年度")


@dataclass(frozen=True, slots=True)
class Located(Fault):
    """A fault where the clerk sees it; ``pointer`` says of which field of the household."""

    row: int
    column: str
    """Header of the column."""


@dataclass(slots=True)
class Rows:
    """The rows of one household."""

    rows: list[SheetRow]
    repeated: bool = False
    """Its number or name stood further up already."""


@dataclass(slots=True)
class Grouper:
    """Puts rows together as they come; remembers what it passed over."""

    layout: Layout
    passed: list[tuple[int, str]] = field(default_factory=list)
    """Rows that are no data, and why; taken away by who reports them."""
    _rows: list[SheetRow] = field(default_factory=list)
    _key: tuple[str, ...] = ()
    _seen: set[int] = field(default_factory=set)
    _has_head: bool = False

    def add(self, rows: Sequence[SheetRow]) -> Iterator[Rows]:
        """The households that these rows complete."""
        for row in rows:
            why = passed_over(row[1], self.layout)
            if why is not None:
                if why != "blank_row":
                    self.passed.append((row[0], why))
                continue
            key, is_head = self._key_of(row), self._is_head(row)
            if self._rows and (self._begins(key, is_head) or len(self._rows) == CUT):
                yield self._done()
            if not self._rows:
                self._key, self._has_head = key, False
            self._has_head |= is_head
            self._rows.append(row)

    def finish(self) -> Iterator[Rows]:
        """The last household."""
        if self._rows:
            yield self._done()

    def _begins(self, key: tuple[str, ...], is_head: bool) -> bool:
        """A row begins another household when a name differs, or a second head comes without a number."""
        named = any(text for text, binding in zip(key, self.layout.keys, strict=True) if binding.column.path)
        differs = any(text and text != held for text, held in zip(key, self._key, strict=True))
        return differs or (is_head and self._has_head and not named)

    def _done(self) -> Rows:
        group = Rows(self._rows)
        for text, binding in zip(self._key, self.layout.keys, strict=True):
            if text and binding.column.path:
                name = hash((binding.column.name, text))
                group.repeated |= name in self._seen
                self._seen.add(name)
        self._rows = []
        return group

    def _key_of(self, row: SheetRow) -> tuple[str, ...]:
        return tuple(_readable(cell_at(row[1], binding.index)) for binding in self.layout.keys)

    def _is_head(self, row: SheetRow) -> bool:
        for binding in self.layout.of_subject("member"):
            if binding.column.name == "relation":
                try:
                    return bool(binding.parse(cell_at(row[1], binding.index)) == "head")
                except CellError:
                    return False
        return False


def _readable(cell: Cell) -> str:
    """A cell as a key; one without a value is like a blank one, and refused later, with the household it stands in."""
    return "" if blank(cell) or says_none(cell) or type(cell) is dict else as_text(cell)


@dataclass(frozen=True, slots=True)
class Reader:
    """What it takes to make a household of a group."""

    layout: Layout
    villages: Villages
    source: str | None

    def household(self, group: Rows) -> tuple[dict[str, Any], list[Located]]:
        """The household as it would be sent, days and decimals in their own types, and what is wrong with its cells.

        What stands in those is left out, or not to be relied on.
        """
        found: list[Located] = []
        first = group.rows[0]
        if group.repeated:
            found.append(_located(first[0], self.layout.whole, _AGAIN))
        content: dict[str, Any] = {"attributes": {}}  # given, for the schema would copy a default deeply
        self._fill(content, self.layout.of_subject("household"), first, found)
        self._check_alike(first, found)
        self._check_below(group.rows, found)
        content["members"] = [self._member(row, place, found) for place, row in enumerate(group.rows)]
        self._place(content, first, found)
        self._income(content, first, found)
        if "external_id" in content:
            content["source_system"] = self.source
            if self.source is None:
                found.append(self._about("external_id", first[0], _NO_SOURCE))
        return content, found

    def _about(self, name: str, row: int, wrong: Fault) -> Located:
        return _located(row, self.layout.header_of(by_name()[name]), wrong)

    def _fill(
        self,
        target: dict[str, Any],
        bindings: Sequence[Binding],
        row: SheetRow,
        found: list[Located],
        member: int | None = None,
    ) -> None:
        number, cells = row
        width = len(cells)
        for binding in bindings:
            cell = cells[binding.index] if binding.index < width else ""
            if cell == "" or blank(cell):
                continue
            try:
                value = binding.parse(cell)
            except CellError as error:
                found.append(_cell_fault(number, binding, error, member))
                continue
            if value is not None:
                _assign(target, binding.column, value)

    def _member(self, row: SheetRow, place: int, found: list[Located]) -> dict[str, Any]:
        member: dict[str, Any] = {"attributes": {}}
        self._fill(member, self.layout.of_subject("member"), row, found, place)
        self._check_present(row, place, found)
        return member

    def _check_present(self, row: SheetRow, place: int, found: list[Located]) -> None:
        """What a sheet says of its members' presence 生存状态 is not taken in: they all are to be present."""
        number, cells = row
        for binding in self.layout.of_subject("aside"):
            if binding.column.kind != "presence" or blank(cell_at(cells, binding.index)):
                continue
            try:
                binding.parse(cell_at(cells, binding.index))
            except CellError as error:
                found.append(_located(number, binding.header, Fault(f"/members/{place}", error.code, error.text)))

    def _check_alike(self, row: SheetRow, found: list[Located]) -> None:
        """Two columns that say one thing of the household, as 社会救助类别 and 贫困户属性 do, do not contradict."""
        number, cells = row
        for first, second in self.layout.alike:
            one, other = cell_at(cells, first.index), cell_at(cells, second.index)
            if blank(one) or blank(other):
                continue
            with suppress(CellError):  # said of its own cell
                if first.parse(one) != second.parse(other):
                    wrong = ("contradicts_column", f"contradicts {first.header}", f"与“{first.header}”列矛盾")
                    found.append(_located(number, second.header, fault(pointer_to(second.column), *wrong)))

    def _check_below(self, rows: Sequence[SheetRow], found: list[Located]) -> None:
        """Below the first row, the household's columns are blank or say the same."""
        for binding in self.layout.of_household:
            first = cell_at(rows[0][1], binding.index)
            for number, cells in rows[1:]:
                cell = cell_at(cells, binding.index)
                if type(cell) is dict:
                    found += _no_value(number, binding, cell)
                elif cell != first and not blank(cell) and not _alike(binding, cell, first):
                    found.append(_located(number, binding.header, fault(pointer_to(binding.column), *_UNLIKE)))

    def _place(self, content: dict[str, Any], row: SheetRow, found: list[Located]) -> None:
        number, cells = row
        said: dict[str, str] = {}
        bindings = self.layout.of_subject("place")
        for binding in bindings:
            cell = cell_at(cells, binding.index)
            try:
                said[binding.column.name] = "" if blank(cell) else binding.parse(cell) or ""
            except CellError as error:
                found.append(_cell_fault(number, binding, error))
        if len(said) < len(bindings):
            return
        name, code = said.get("village", ""), said.get("village_code", "")
        if not code and len(name) == 12 and name.isdecimal():
            code = name
        if code or name:
            try:
                content["village"] = code or self.villages.find(said.get("county", ""), said.get("township", ""), name)
            except CellError as error:
                found.append(self._about("village", number, Fault("/village", error.code, error.text)))

    def _income(self, content: dict[str, Any], row: SheetRow, found: list[Located]) -> None:
        income: dict[str, Any] = {}
        self._fill(income, self.layout.of_subject("income"), row, found)
        wrong = {each.pointer.removeprefix(_INCOME) for each in found if each.pointer.startswith(_INCOME)}
        if not (income.keys() | wrong) - {"year", "people"}:
            return
        if "year" not in income and "year" not in wrong:
            found.append(self._about("income_year", row[0], _NO_YEAR))
        content["incomes"] = [{"people": len(content["members"]), **income}]


def _alike(binding: Binding, cell: Cell, first: Cell) -> bool:
    """Whether two cells say the same in other words, such as with a blank at the end."""
    try:
        return bool(binding.parse(cell) == binding.parse(first))
    except CellError:
        return False


def _assign(target: dict[str, Any], column: Column, value: Any) -> None:
    for step in column.path[:-1]:
        target = target.setdefault(step, {})
    if column.kind == "employable" and value == "skilled":
        target.setdefault("attributes", {})["skilled"] = True
        value = "full"
    target[column.path[-1]] = value


def _no_value(row: int, binding: Binding, cell: Cell) -> Iterator[Located]:
    """What is wrong with a formula without a value, and with an error value."""
    try:
        as_text(cell)
    except CellError as error:
        yield _cell_fault(row, binding, error)


def _cell_fault(row: int, binding: Binding, error: CellError, member: int | None = None) -> Located:
    return _located(row, binding.header, Fault(pointer_to(binding.column, member), error.code, error.text))


def _located(row: int, column: str, wrong: Fault) -> Located:
    return Located(wrong.pointer, wrong.code, wrong.message, row, column)

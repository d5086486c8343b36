"""A household between the reading process, which took it from its rows, and ours, which judges it."""

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, fields
from datetime import date
from decimal import Decimal
from typing import Any

from services.registry.imports.columns import LINE, by_header
from services.registry.imports.grouping import Grouper, Located, Reader, Rows, SheetRow
from services.registry.imports.layout import Layout
from services.registry.imports.sheets.cells import to_json
from services.registry.imports.sheets.headers import Header, plain
from services.registry.imports.values import EthnicityCodes, Vocabulary
from services.registry.imports.villages import Village, Villages
from shared.faults import Text


@dataclass(frozen=True, slots=True)
class Group:
    """The rows of one household."""

    numbers: Sequence[int]
    """Of its rows, as the clerk sees them."""
    content: str
    """The household as JSON in the shape of ``POST /v1/households``."""
    faults: Sequence[Located]
    """What is wrong with its cells; the content is not to be relied on where they point to."""
    cells: str
    """Of its rows, as JSON: they are sent back where it is refused."""

    def rows(self) -> list[tuple[int, list[Any]]]:
        """The rows with their cells, as ``cells.to_json`` wrote them."""
        return list(zip(self.numbers, json.loads(self.cells), strict=True))

    def dump(self) -> list[Any]:
        """As values that JSON has, to be sent between the processes."""
        faults = [[each.pointer, each.code, *each.message, each.row, each.column] for each in self.faults]
        return [self.numbers, self.content, faults, self.cells]

    @classmethod
    def load(cls, dumped: Sequence[Any]) -> "Group":
        """What ``dump`` made."""
        numbers, content, faults, cells = dumped
        located = [Located(pointer, code, Text(en, zh), *place) for pointer, code, en, zh, *place in faults]
        return cls(numbers, content, located, cells)


@dataclass(frozen=True, slots=True)
class Meaning:
    """What a sheet's columns, words and places mean: all that the reading process is told beside the file."""

    columns: dict[str, str]
    """A saved mapping: header of the sheet to name of our column, or empty for none."""
    ethnicity_codes: EthnicityCodes | None
    source: str | None
    """The system that external ids are of."""
    vocabulary: Vocabulary
    villages: Sequence[Village]
    """Those that the caller may name."""

    def dump(self) -> dict[str, Any]:
        """As values that JSON has, to be sent between the processes."""
        return {each.name: getattr(self, each.name) for each in fields(self)}

    @classmethod
    def load(cls, dumped: dict[str, Any]) -> "Meaning":
        """What ``dump`` made."""
        return cls(**{**dumped, "villages": [Village(*each) for each in dumped["villages"]]})

    def known(self) -> set[str]:
        """The names that tell a header from other rows."""
        return {*by_header(), plain(LINE), *map(plain, self.columns)}

    def layout(self, header: Header) -> Layout:
        """The sheet's header, understood."""
        return Layout.of(header, self.vocabulary, self.columns, self.ethnicity_codes)


@dataclass(slots=True)
class SheetGroups:
    """Groups of a sheet's rows."""

    grouper: Grouper
    reader: Reader

    @classmethod
    def of(cls, header: Header, meaning: Meaning) -> "SheetGroups":
        layout = meaning.layout(header)
        return cls(Grouper(layout), Reader(layout, Villages(meaning.villages), meaning.source))

    def add(self, rows: Sequence[SheetRow]) -> list[Group]:
        """The households that these rows complete."""
        return self._groups(self.grouper.add(rows))

    def finish(self) -> list[Group]:
        """The last household."""
        return self._groups(self.grouper.finish())

    def passed_over(self) -> list[tuple[int, str]]:
        """Rows since the last call that are no data, and why."""
        passed, self.grouper.passed = self.grouper.passed, []
        return passed

    def _groups(self, complete: Iterable[Rows]) -> list[Group]:
        return [_group(rows.rows, *self.reader.household(rows)) for rows in complete]


def _group(rows: Sequence[SheetRow], content: dict[str, Any], faults: Sequence[Located]) -> Group:
    cells = ",".join([to_json(cells) for _, cells in rows])
    return Group([number for number, _ in rows], _encode(content), faults, f"[{cells}]")


class LineGroups:
    """Groups of JSON lines: each is a household as it would be sent."""

    def add(self, rows: Sequence[SheetRow]) -> list[Group]:
        return [Group([number], str(cells[0]), [], f"[{to_json(cells)}]") for number, cells in rows]

    def finish(self) -> list[Group]:
        return []

    def passed_over(self) -> list[tuple[int, str]]:
        return []


def _plain(value: object) -> object:
    return float(value) if isinstance(value, Decimal) else value.isoformat() if isinstance(value, date) else value


_encode: Callable[[object], str] = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), default=_plain).encode

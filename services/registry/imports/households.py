"""Households out of a file: read as if they had been sent by HTTP, and faults found where the clerk sees them."""

import json
from contextlib import suppress
from dataclasses import dataclass

from pydantic import ValidationError

from services.registry.households.incoming import Read, read_household
from services.registry.households.schemas import MAX_MEMBERS, HouseholdIn
from services.registry.imports.columns import of_pointer
from services.registry.imports.grouping import Located
from services.registry.imports.layout import Layout
from services.registry.imports.sheets.groups import Group
from shared.errors import Fault, fault
from shared.http.body import parse_line

_TOO_MANY = fault("", "too_many_members", f"at most {MAX_MEMBERS} members", f"每户最多 {MAX_MEMBERS} 人")


@dataclass(frozen=True, slots=True)
class HouseholdReader:
    """Makes households of groups of rows."""

    layout: Layout | None
    """None for JSON lines, whose faults are located by JSON pointer."""

    def household(self, group: Group) -> Read:
        """The household, as far as its rows can be read, and everything that is wrong with them."""
        if self.layout is None:
            return parse_line(group.content.encode(), read_household)
        if len(group.numbers) > MAX_MEMBERS:
            return [_TOO_MANY]
        if not group.faults:
            with suppress(ValidationError):  # written by the reading process, not by strangers
                return HouseholdIn.model_validate_json(group.content)
        return read_household(json.loads(group.content), group.faults)

    def locate(self, group: Group, found: Fault) -> Located:
        """A fault in a household as one of its rows and columns."""
        if isinstance(found, Located):
            return found
        row, column = self._place(group, found.pointer)
        return Located(found.pointer, found.code, found.message, row, column)

    def _place(self, group: Group, pointer: str) -> tuple[int, str]:
        first = group.numbers[0]
        if self.layout is None:
            return first, pointer
        if not pointer:
            return first, self.layout.whole
        place = of_pointer(pointer)
        if place is None:
            return first, ""
        column, member = place
        return group.numbers[min(member or 0, len(group.numbers) - 1)], self.layout.header_of(column)

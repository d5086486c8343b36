"""Households out of a file: read as if they had been sent by HTTP, and faults found where the clerk sees them."""

from dataclasses import dataclass

from pydantic import ValidationError

from services.registry.households.schemas import MAX_MEMBERS, HouseholdIn
from services.registry.imports.columns import by_name, of_pointer
from services.registry.imports.grouping import Located
from services.registry.imports.layout import Layout
from services.registry.imports.sheets.groups import Group
from shared.errors import Fault, Problem, fault
from shared.http.body import parse_json
from shared.http.problems import faults_of

_TOO_MANY = fault("", "too_many_members", f"at most {MAX_MEMBERS} members", f"每户最多 {MAX_MEMBERS} 人")


@dataclass(frozen=True, slots=True)
class HouseholdReader:
    """Makes households of groups of rows."""

    layout: Layout | None
    """None for JSON lines, whose faults are located by JSON pointer."""

    def household(self, group: Group) -> HouseholdIn | list[Located]:
        """The household, or everything that is wrong with its rows."""
        if len(group.numbers) > MAX_MEMBERS and self.layout is not None:
            return [Located(group.numbers[0], self.layout.header_of(by_name()["name"]), _TOO_MANY)]
        if group.faults:
            return list(group.faults)
        try:
            if self.layout is not None:  # written by the reading process, not by strangers
                return HouseholdIn.model_validate_json(group.content)
            return HouseholdIn.model_validate(parse_json(group.content.encode()))
        except ValidationError as error:
            faults = faults_of(error.errors(include_input=False, include_url=False))
        except Problem as problem:
            faults = list(problem.faults) or [Fault("", problem.kind.code, problem.kind.title)]
        return [self.locate(group, each) for each in faults]

    def locate(self, group: Group, found: Fault) -> Located:
        """A fault in a household as one of its rows and columns."""
        first = group.numbers[0]
        if self.layout is None:
            return Located(first, found.pointer, found)
        place = of_pointer(found.pointer)
        if place is None:
            return Located(first, "", found)
        column, member = place
        row = group.numbers[min(member or 0, len(group.numbers) - 1)]
        return Located(row, self.layout.header_of(column), found)

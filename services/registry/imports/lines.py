"""JSON lines as an import: a household a line, in the shape of ``POST /v1/households``."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from pydantic import ValidationError

from services.registry.households.schemas import HouseholdIn
from services.registry.imports.grouping import Group, Located, SheetRow
from shared.errors import Fault, Problem
from shared.http.body import parse_json
from shared.http.problems import faults_of


@dataclass(slots=True)
class LineGrouper:
    """Every line is a household."""

    passed: list[tuple[int, str]] = field(default_factory=list)

    def add(self, rows: Sequence[SheetRow]) -> Iterator[Group]:
        return (Group([row]) for row in rows)

    def finish(self) -> Iterator[Group]:
        return iter(())


@dataclass(frozen=True, slots=True)
class LineReader:
    """Reads a line; faults are located by JSON pointer."""

    def household(self, group: Group) -> HouseholdIn | list[Located]:
        try:
            return HouseholdIn.model_validate(parse_json(str(group.rows[0][1][0]).encode()))
        except ValidationError as error:
            faults = faults_of(error.errors(include_input=False, include_url=False))
        except Problem as problem:
            faults = list(problem.faults) or [Fault("", problem.kind.code, problem.kind.title)]
        return [self.locate(group, each) for each in faults]

    def locate(self, group: Group, found: Fault) -> Located:
        return Located(group.rows[0][0], found.pointer, found)

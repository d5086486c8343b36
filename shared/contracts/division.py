"""Divisions 行政区划 as registry publishes them, and how to read a path out of them."""

from collections.abc import Iterable, Iterator
from datetime import date
from typing import Literal

from pydantic import Field

from shared.contracts.base import Contract, Day, DivisionCode, topic

Level = Literal["city", "county", "township", "village"]
DesignationKind = Literal[
    "poor_village",
    "deep_poverty_village",
    "key_village",
    "weak_village",
    "national_poverty_county",
    "provincial_poverty_county",
    "zone",
    "unranked",
    "in_city_ranking",
]


class Path(Contract):
    """Where something counts: the divisions above it, frozen as of the day it happened.

    ``managing_unit`` is the ranked county-level unit (管理单位): the county by default, another one where a
    zone runs townships without having codes of its own.
    """

    city: DivisionCode
    county: DivisionCode
    township: DivisionCode | None = None
    village: DivisionCode | None = None
    managing_unit: DivisionCode

    def scopes(self) -> tuple[str, ...]:
        """The codes a caller's division scope may name to reach this path."""
        return tuple(c for c in (self.city, self.managing_unit, self.township, self.village) if c is not None)


class ManagingUnit(Contract):
    """Which county-level unit runs a division, from a day on."""

    unit: DivisionCode
    valid_from: Day
    valid_to: Day | None = Field(default=None, description="First day it no longer holds.")


class Designation(Contract):
    """A dated quality of a division, for example poor village 贫困村."""

    kind: DesignationKind
    valid_from: Day
    valid_to: Day | None = Field(default=None, description="First day it no longer holds.")

    def holds_on(self, day: date) -> bool:
        return self.valid_from <= day and (self.valid_to is None or day < self.valid_to)


class FormerName(Contract):
    """A name that a division bore until a day."""

    name: str
    valid_to: Day = Field(description="First day it no longer holds.")


class FormerParent(Contract):
    """The division that one lay directly below until a day."""

    parent: DivisionCode
    valid_to: Day = Field(description="First day it no longer holds.")


class DivisionEvent(Contract):
    """The whole public state of a division.

    ``name`` and ``parent`` are the newest; what they were on a day tell ``name_on`` and ``parent_on``.
    """

    code: DivisionCode
    version: int = Field(ge=1)
    name: str
    level: Level
    parent: DivisionCode | None
    valid_from: Day
    valid_to: Day | None = None
    sort_order: int = Field(description="Official order among the divisions of one parent.")
    source: str = Field(description="Edition of the codes, or 'local' for units without a national code.")
    managing_units: list[ManagingUnit] = Field(default=[])
    designations: list[Designation] = Field(default=[])
    former_names: list[FormerName] = Field(default=[], description="Names before the newest, oldest first.")
    former_parents: list[FormerParent] = Field(default=[], description="Parents before the newest, oldest first.")
    successor: DivisionCode | None = Field(
        default=None, description="Whose its households are from `valid_to` on: it was merged, or split up."
    )
    origin: DivisionCode | None = Field(default=None, description="The division that it was cut out of when it began.")

    def holds_on(self, day: date) -> bool:
        return self.valid_from <= day and (self.valid_to is None or day < self.valid_to)

    def name_on(self, day: date) -> str:
        return next((former.name for former in self.former_names if day < former.valid_to), self.name)

    def parent_on(self, day: date) -> str | None:
        return next((former.parent for former in self.former_parents if day < former.valid_to), self.parent)

    def managed_by(self, day: date) -> str | None:
        for entry in self.managing_units:
            if entry.valid_from <= day and (entry.valid_to is None or day < entry.valid_to):
                return entry.unit
        return None

    def designated(self, kind: DesignationKind, day: date) -> bool:
        return any(entry.kind == kind and entry.holds_on(day) for entry in self.designations)


class DivisionTree:
    """Paths through a set of divisions, as of a day."""

    def __init__(self, divisions: Iterable[DivisionEvent]) -> None:
        self._by_code = {division.code: division for division in divisions}
        self.cities = frozenset(division.code for division in self if division.level == "city")
        """What everything else lies below."""

    def __len__(self) -> int:
        return len(self._by_code)

    def __iter__(self) -> Iterator[DivisionEvent]:
        return iter(self._by_code.values())

    def get(self, code: str) -> DivisionEvent | None:
        return self._by_code.get(code)

    def path(self, code: str, day: date) -> Path | None:
        """The path of a division on a day; None when it, or one above it, is unknown or not valid then."""
        levels: dict[str, str] = {}
        managing_unit: str | None = None
        current: str | None = code
        while current is not None:
            division = self._by_code.get(current)
            if division is None or not division.holds_on(day) or division.level in levels:
                return None
            levels[division.level] = division.code
            managing_unit = managing_unit or division.managed_by(day)
            current = division.parent_on(day)
        if "city" not in levels or "county" not in levels:
            return None
        return Path(
            city=levels["city"],
            county=levels["county"],
            township=levels.get("township"),
            village=levels.get("village"),
            managing_unit=managing_unit or levels["county"],
        )

    def turns(self, code: str) -> set[date]:
        """Every day on which the path of a division may become another one, or end."""
        found: set[date] = set()
        above = [code]
        while above:
            division = self._by_code.get(above.pop())
            if division is None:
                continue
            ends = [division.valid_to, *(entry.valid_to for entry in division.managing_units)]
            found |= {day for day in ends if day is not None}
            found |= {entry.valid_from for entry in division.managing_units}
            found |= {former.valid_to for former in division.former_parents}
            parents = {division.parent, *(former.parent for former in division.former_parents)}
            above += (parent for parent in parents if parent is not None)
        return found


DIVISION = topic(
    "registry.division",
    DivisionEvent,
    ("registered", "changed"),
    "Divisions 行政区划, whole state.",
    readers=("assistance-mirror", "ranking-mirror"),
)

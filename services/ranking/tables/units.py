"""The ranked units of a day: names, official order, peer groups. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from typing import Literal

from services.ranking.indicators.rule_sets import TableLevel
from shared.contracts.division import DivisionEvent, DivisionTree, Path

PeerGroup = Literal["poverty_counties", "other_counties", "zones", "poor_villages", "other_villages", "sectors"]
PEER_GROUPS_ZH: dict[PeerGroup, str] = {
    "poverty_counties": "贫困县", "other_counties": "非贫困县", "zones": "功能区",
    "poor_villages": "贫困村", "other_villages": "非贫困村", "sectors": "行业部门",
}  # fmt: skip
_LAST = 1_000_000
"""Sort order of what the mirror does not know."""
Order = tuple[tuple[int, ...], str]
"""Official order: the sort orders from the county down, then the code."""


@dataclass(frozen=True, slots=True)
class Unit:
    """A unit that can stand in a table."""

    code: str
    name: str
    order: Order
    peer_group: PeerGroup
    unranked: bool = False
    """Designated to stand apart (factories, farms, scenic areas), or not mirrored yet."""
    path: Path | None = None
    """Where it lies; None for sectors and for what is not mirrored yet."""


class Units:
    """The divisions as of one day, as units of tables."""

    def __init__(self, divisions: Iterable[DivisionEvent], day: date) -> None:
        known = list(divisions)
        held = [division for division in known if division.holds_on(day)]
        self._day = day
        self._names = {division.code: division.name_on(day) for division in known}
        self._tree = DivisionTree(held)
        city = next((division for division in held if division.level == "city"), None)
        self.city_code = city.code if city is not None else ""
        self.city_name = city.name_on(day) if city is not None else ""
        self._held = held
        self._by_level: dict[TableLevel, dict[str, Unit]] = {}

    def at(self, level: TableLevel, below: str | None = None) -> dict[str, Unit]:
        """The units of a level, by code; only those below (or run by) a division if one is named."""
        if level not in self._by_level:  # five thousand villages are made only for who asks for them
            made = (self._unit(division) for division in self._held if division.level == level)
            self._by_level[level] = {unit.code: unit for unit in made}
        units = self._by_level[level]
        if below is None:
            return dict(units)
        return {code: unit for code, unit in units.items() if unit.path is not None and lies_in(unit.path, (below,))}

    def knows(self, code: str) -> bool:
        """Whether a division exists on this day."""
        return self._tree.get(code) is not None

    def stranger(self, code: str) -> Unit:
        """A unit with figures that is not a unit of this day: ended before it, or not mirrored yet."""
        return Unit(code, self._names.get(code, code), ((_LAST,), code), "other_counties", unranked=True)

    def _unit(self, division: DivisionEvent) -> Unit:
        path = self._tree.path(division.code, self._day)
        return Unit(
            division.code,
            division.name_on(self._day),
            self._order(division, path),
            self._peer_group(division, path),
            division.designated("unranked", self._day),
            path,
        )

    def _order(self, division: DivisionEvent, path: Path | None) -> Order:
        if path is None:
            return (_LAST,), division.code
        above = [path.managing_unit] if division.level != "county" else []
        above += [path.township] if division.level == "village" and path.township is not None else []
        orders = [_LAST if (found := self._tree.get(code)) is None else found.sort_order for code in above]
        return (*orders, division.sort_order), division.code

    def _peer_group(self, division: DivisionEvent, path: Path | None) -> PeerGroup:
        if division.level == "village":
            return "poor_villages" if division.designated("poor_village", self._day) else "other_villages"
        county = division if division.level == "county" or path is None else self._tree.get(path.managing_unit)
        if county is None:
            return "other_counties"
        if county.designated("zone", self._day):
            return "zones"
        poor = any(
            county.designated(kind, self._day) for kind in ("national_poverty_county", "provincial_poverty_county")
        )
        return "poverty_counties" if poor else "other_counties"


def lies_in(path: Path, scope: Iterable[str]) -> bool:
    """Whether a place lies in a scope: by city, managing unit, township or village, never by code prefix."""
    return not set(scope).isdisjoint(path.scopes())


def sector(code: str) -> Unit:
    """A department 行业部门."""
    return Unit(code, code, ((), code), "sectors")

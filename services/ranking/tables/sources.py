"""What tables are made from, kept in memory as long as its live version stands."""

from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable, Mapping, Sequence
from datetime import date
from typing import TypeVar, cast

from services.ranking.indicators import service as indicators
from services.ranking.indicators.rule_sets import RuleSet
from services.ranking.mirror import service as mirror
from services.ranking.mirror.rules import Denominator, ServedLevel
from services.ranking.periods.rules import Period
from services.ranking.tables.units import Units
from services.ranking.versions.service import Mirrored, mirrored
from shared.contracts.division import DivisionEvent
from shared.contracts.programme import ProgrammeEvent, TargetEvent
from shared.db import Pg

T = TypeVar("T")
Versions = Mapping[str, int]
_KEPT = 64
"""Entries in memory; the largest holds five thousand villages."""


class Sources:
    """Reads the mirror and the rule sets once per version."""

    def __init__(self) -> None:
        self._held: OrderedDict[Hashable, object] = OrderedDict()

    async def units(self, pg: Pg, versions: Versions, day: date) -> Units:
        """The units as of a day."""
        version = versions[mirrored("division")]

        async def read() -> Units:
            return Units(await self._divisions(pg, version), day)

        return await self._once(("units", version, day), read)

    async def _divisions(self, pg: Pg, version: int) -> Sequence[DivisionEvent]:
        return await self._once(("division", version), lambda: mirror.divisions(pg))

    async def programmes(self, pg: Pg, versions: Versions) -> Mapping[str, ProgrammeEvent]:
        """Every programme by code."""
        return await self._once(_key("programme", versions), lambda: mirror.programmes(pg))

    async def targets(self, pg: Pg, versions: Versions, period: Period) -> Sequence[TargetEvent]:
        """The targets of a period."""
        return await self._once((*_key("target", versions), period), lambda: mirror.targets(pg, period))

    async def served(self, pg: Pg, versions: Versions, level: ServedLevel, day: date) -> Mapping[str, Denominator]:
        """The denominators of a level as of a day."""
        return await self._once((*_key("household", versions), level, day), lambda: mirror.served(pg, level, day))

    async def rule_sets(self, pg: Pg, versions: Versions) -> Sequence[RuleSet]:
        """Every rule set, oldest first."""
        return await self._once(_key("rule_set", versions), lambda: indicators.rule_sets(pg))

    async def _once(self, key: Hashable, read: Callable[[], Awaitable[T]]) -> T:
        if key not in self._held:
            self._held[key] = await read()
        self._held.move_to_end(key)
        while len(self._held) > _KEPT:
            self._held.popitem(last=False)
        return cast(T, self._held[key])


def _key(aggregate: Mirrored, versions: Versions) -> tuple[Hashable, ...]:
    return aggregate, versions[mirrored(aggregate)]

"""Households follow when divisions change: their dated paths, and whoever a split sends to another village."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from uuid import UUID

from services.registry.context import Registry
from services.registry.households import reading, rules, store
from services.registry.households.persons import following as persons
from services.registry.households.records import Household, next_version
from services.registry.households.rules import Since
from services.registry.households.service import author_of
from services.registry.statistics import service as statistics
from services.registry.statistics.service import PopulationChanges
from services.registry.turns import in_turns
from shared.auth import Caller
from shared.contracts.division import DivisionTree
from shared.db import Pg

_AT_ONCE = 125
"""Few enough that other requests need not wait for long while they are read."""
_LIVING = "(township = $1 OR village = $1) AND (valid_to IS NULL OR valid_to > $2)"


@dataclass(frozen=True, slots=True)
class Residents:
    """Who is on the register, with a household or without one, as divisions see them."""

    registry: Registry

    async def any_in(self, pg: Pg, code: str, day: date) -> bool:
        """Whether somebody lives in a division on a day or later."""
        living = await pg.fetchval(f"SELECT EXISTS (SELECT FROM household_period WHERE {_LIVING})", code, day)
        return bool(living) or await persons.any_in(pg, code, day)

    async def follow(
        self, pg: Pg, caller: Caller, reason: str, tree: DivisionTree, code: str, day: date, moves: Mapping[str, str]
    ) -> frozenset[str]:
        """Bring the paths of households and persons in a division in line with the tree, from a day on.

        ``moves`` names households by number that go into another village on that day; returns those that did.
        """
        rows = await pg.fetch(
            f"SELECT DISTINCT household_id FROM household_period WHERE {_LIVING} ORDER BY household_id", code, day
        )
        identifiers: Sequence[UUID] = [row["household_id"] for row in rows]
        author, change = author_of(self.registry, caller, reason), _Change(tree, code, day, moves)
        changes, went = PopulationChanges(), set[str]()
        for first in range(0, len(identifiers), _AT_ONCE):
            olds = await reading.several(pg, identifiers[first : first + _AT_ONCE], self.registry.vault, lock=True)
            pairs = await in_turns(olds, lambda some: [(old, change.applied(old)) for old in some])
            changed = [(old, next_version(old, new, author)) for old, new in pairs if new is not old]
            await store.change(pg, self.registry, changed, changes)
            went.update(old.number for old in olds if change.sends(old))
        await statistics.count(pg, changes)
        await persons.follow(pg, self.registry, author, tree, code, day)
        return frozenset(went)


@dataclass(frozen=True, slots=True)
class _Change:
    """What a change of a division means for the households there, from a day on."""

    tree: DivisionTree
    code: str
    day: date
    moves: Mapping[str, str]

    def sends(self, household: Household) -> bool:
        """Whether a household lives there then and goes into another village."""
        state = household.event.state_on(self.day) if household.number in self.moves else None
        return state is not None and state.path.village == self.code

    def applied(self, old: Household) -> Household:
        """What becomes of a household; itself where nothing does."""
        residences = old.residences
        if self.sends(old):
            residences = rules.dated(residences, Since(self.day, self.moves[old.number]))
        timeline = tuple(rules.timeline(self.tree, residences, old.standings))
        if (residences, timeline) == (old.residences, old.timeline):
            return old
        return replace(old, residences=residences, timeline=timeline)

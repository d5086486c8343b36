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
from shared.auth import Caller
from shared.contracts.division import DivisionTree
from shared.db import Pg

_AT_ONCE = 500
_LIVING = "(township = ANY($1) OR village = ANY($1)) AND (valid_to IS NULL OR valid_to > $2)"


@dataclass(frozen=True, slots=True)
class Residents:
    """Who is on the register, with a household or without one, as divisions see them; changes are the caller's."""

    registry: Registry
    caller: Caller
    reason: str

    async def any_in(self, pg: Pg, code: str, day: date) -> bool:
        """Whether somebody lives in a division on a day or later."""
        living = await pg.fetchval(f"SELECT EXISTS (SELECT FROM household_period WHERE {_LIVING})", [code], day)
        return bool(living) or await persons.any_in(pg, code, day)

    async def follow(
        self, pg: Pg, tree: DivisionTree, codes: Sequence[str], day: date, moves: Mapping[str, str]
    ) -> frozenset[str]:
        """Bring the paths of households and persons in these divisions in line with the tree, from a day on.

        ``moves`` names households by number that go into another village on that day; returns those that did.
        """
        rows = await pg.fetch(
            f"SELECT DISTINCT household_id FROM household_period WHERE {_LIVING} ORDER BY household_id", codes, day
        )
        identifiers: Sequence[UUID] = [row["household_id"] for row in rows]
        author, changes, went = author_of(self.registry, self.caller, self.reason), PopulationChanges(), set[str]()
        for first in range(0, len(identifiers), _AT_ONCE):
            piece = identifiers[first : first + _AT_ONCE]
            pairs = []
            for old in await reading.several(pg, piece, self.registry.vault, lock=True):
                residences = old.residences
                if old.number in moves and _lives_in(old, codes, day):
                    residences = rules.dated(residences, Since(day, moves[old.number]))
                    went.add(old.number)
                timeline = tuple(rules.timeline(tree, residences, old.standings))
                if (residences, timeline) != (old.residences, old.timeline):
                    new = replace(old, residences=residences, timeline=timeline)
                    pairs.append((old, next_version(old, new, author)))
            await store.change(pg, self.registry, pairs, changes)
        await statistics.count(pg, changes)
        await persons.follow(pg, self.registry, author, tree, codes, day)
        return frozenset(went)


def _lives_in(household: Household, codes: Sequence[str], day: date) -> bool:
    state = household.event.state_on(day)
    return state is not None and state.path.village in codes

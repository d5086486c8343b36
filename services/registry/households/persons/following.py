"""Persons without a household follow when divisions change, as households do."""

from dataclasses import replace
from datetime import date

from services.registry.context import Registry
from services.registry.households.persons import reading, store
from services.registry.households.persons.records import latest_path, next_version
from services.registry.households.records import Author
from shared.contracts.division import DivisionTree
from shared.db import Pg

_AT_ONCE = 50
"""Few enough that other requests need not wait for long."""
_BELONGING = (
    "FROM person WHERE household_id IS NULL AND (township = $1 OR village = $1) AND (left_on IS NULL OR left_on > $2)"
)


async def any_in(pg: Pg, code: str, day: date) -> bool:
    """Whether somebody without a household belongs to a division on a day or later."""
    return bool(await pg.fetchval(f"SELECT EXISTS (SELECT {_BELONGING})", code, day))


async def follow(pg: Pg, registry: Registry, author: Author, tree: DivisionTree, code: str, day: date) -> None:
    """Bring the paths of those who belong to a division in line with the tree, from a day on."""
    rows = await pg.fetch(f"SELECT * {_BELONGING} ORDER BY id FOR UPDATE", code, day)
    for first in range(0, len(rows), _AT_ONCE):
        olds = [reading.unattached_of(row, registry.vault) for row in rows[first : first + _AT_ONCE]]
        news = [(old, replace(old, path=latest_path(tree, old.residences))) for old in olds]
        await store.write(pg, registry, [next_version(old, new, author) for old, new in news if new != old])

"""The register of today as it may be published."""

from collections.abc import Mapping
from datetime import date
from typing import Any
from uuid import UUID

from services.registry.context import Registry, today
from services.registry.households import identifying, listing
from services.registry.households.listing import Filters
from services.registry.identity import Vault
from services.registry.publicity.rules import published_name
from services.registry.publicity.schemas import PublicHousehold, PublicQuery
from shared.auth import Caller
from shared.contracts.division import DivisionTree
from shared.contracts.household import HouseholdEvent
from shared.db import Pg


async def page(
    pg: Pg, registry: Registry, caller: Caller, query: PublicQuery, after: UUID | None
) -> list[tuple[UUID, PublicHousehold]]:
    """Households on the register today, in order of registration; one more than the page holds if there are more."""
    day = today(registry)
    rows = await listing.page(pg, _filters(query, day), caller, after=after, limit=query.limit + 1)
    births = await identifying.births(pg, [row["head_id"] for row in rows if row["head_id"] is not None])
    tree = await registry.divisions.get(pg)
    return [(row["id"], _published(row, births, tree, registry.vault, day)) for row in rows]


async def count(pg: Pg, registry: Registry, caller: Caller, query: PublicQuery) -> int:
    """How many there are."""
    return await listing.count(pg, _filters(query, today(registry)), caller)


def _filters(query: PublicQuery, day: date) -> Filters:
    return Filters(division=query.division, standing=query.standing, as_of=day)


def _published(row: Any, births: Mapping[UUID, date], tree: DivisionTree, vault: Vault, day: date) -> PublicHousehold:
    event = HouseholdEvent.model_validate_json(row["event"])
    state = event.state_on(day) or event.timeline[-1]
    village = tree.get(row["village"])
    return PublicHousehold(
        village=row["village"],
        village_name="" if village is None else village.name,
        head=_head(row, births, vault, day),
        people=row["people"],
        standing=state.standing,
        since=state.valid_from,
    )


def _head(row: Any, births: Mapping[UUID, date], vault: Vault, day: date) -> str | None:
    if row["head_name"] is None:
        return None
    return published_name(vault.open(row["head_name"], "name", row["head_id"]), births[row["head_id"]], day)

"""The register of today as it may be published."""

from collections.abc import Mapping, Sequence
from datetime import date
from itertools import takewhile
from typing import Any
from uuid import UUID

from services.registry.audit import service as audit
from services.registry.audit.rules import Entry, digest_of
from services.registry.commands import command
from services.registry.context import Registry, today, within
from services.registry.households import identifying, listing
from services.registry.households.listing import Filters
from services.registry.publicity.rules import PUBLIC, published_name
from services.registry.publicity.schemas import BoardQuery, PublicHousehold, PublicQuery
from shared import errors
from shared.auth import Caller
from shared.contracts.division import DivisionTree, Path
from shared.contracts.household import HouseholdEvent, HouseholdState
from shared.db import Pg
from shared.errors import Problem

Found = list[tuple[UUID, PublicHousehold]]


async def page(pg: Pg, registry: Registry, caller: Caller, query: PublicQuery, after: UUID | None) -> Found:
    """Households on the register today, in order of registration; one more than the page holds if there are more."""
    filters = _filters(query, query.division, today(registry))
    return await _found(pg, registry, caller, filters, after, query.limit + 1)


async def count(pg: Pg, registry: Registry, caller: Caller, query: PublicQuery) -> int:
    """How many there are."""
    filters = _filters(query, query.division, today(registry))
    return await listing.count(pg, filters, caller)


async def board(
    registry: Registry, caller: Caller, village: str, query: BoardQuery, after: UUID | None
) -> tuple[Found, int | None]:
    """What a village may put on its board 村公示栏, and how many there are if asked. Raises 404.

    Where heads are named in full (``full_names_on_boards``), the audit log knows who asked for whose names.
    """
    day = today(registry)
    filters = _filters(query, village, day)
    async with command(registry.runtime) as pg:
        path = village_path(await registry.divisions.get(pg), caller, village, day)
        full = registry.standing.full_names_on_boards
        found = await _found(pg, registry, caller, filters, after, query.limit + 1, full=full)
        if full:
            named = [household for household, _ in found[: query.limit]]
            await note_shown(pg, registry, caller, village, path, named)
        return found, await listing.count(pg, filters, caller) if query.count else None


def _filters(query: PublicQuery | BoardQuery, division: str | None, day: date) -> Filters:
    return Filters(division=division, standings=(query.standing,) if query.standing else PUBLIC, as_of=day)


def village_path(tree: DivisionTree, caller: Caller, village: str, day: date) -> Path:
    """Where a village of the caller's lies on a day. Raises 404."""
    path = tree.path(village, day)
    if path is None or path.village is None or not within(caller, tree, village, day):
        raise Problem(errors.NOT_FOUND)
    return path


async def note_shown(
    pg: Pg, registry: Registry, caller: Caller, village: str, path: Path, named: Sequence[UUID]
) -> None:
    """Tell the audit log for which households, or decisions on them, heads were named in full on a village's board."""
    entry = Entry(
        recorded_at=registry.runtime.clock.now(),
        key_id=caller.key_id,
        operation="board.shown",
        object_id=village,
        divisions=path.scopes(),
        digest=digest_of(named),
    )
    await audit.record(pg, [entry])


async def _found(
    pg: Pg, registry: Registry, caller: Caller, filters: Filters, after: UUID | None, limit: int, *, full: bool = False
) -> Found:
    rows = await listing.page(pg, filters, caller, after=after, limit=limit)
    births = await identifying.births(pg, [row["head_id"] for row in rows if row["head_id"] is not None])
    tree = await registry.divisions.get(pg)
    return [(row["id"], _published(row, births, tree, registry, full=full)) for row in rows]


def _published(
    row: Any, births: Mapping[UUID, date], tree: DivisionTree, registry: Registry, *, full: bool
) -> PublicHousehold:
    event, day = HouseholdEvent.model_validate_json(row["event"]), today(registry)
    state = event.state_on(day) or event.timeline[-1]
    village = tree.get(row["village"])
    return PublicHousehold(
        village=row["village"],
        village_name="" if village is None else village.name_on(day),
        head=_head(row, births, registry, day, full=full),
        people=row["people"],
        standing=state.standing,
        since=_since(event, state),
    )


def _since(event: HouseholdEvent, state: HouseholdState) -> date:
    """Since when the standing of a state holds: a state also begins with a move, or with a change of the divisions."""
    before = (each for each in reversed(event.timeline) if each.valid_from <= state.valid_from)
    return [each.valid_from for each in takewhile(lambda each: each.standing == state.standing, before)][-1]


def _head(row: Any, births: Mapping[UUID, date], registry: Registry, day: date, *, full: bool) -> str | None:
    if row["head_name"] is None:
        return None
    name = registry.vault.open(row["head_name"], "name", row["head_id"])
    return published_name(name, births[row["head_id"]], day, full=full)

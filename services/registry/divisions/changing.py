"""How a request changes a division: in a transaction, once a key, tried again where it lost a race; and its answer."""

from collections.abc import Awaitable, Callable
from datetime import date
from uuid import UUID

from fastapi import Response

from services.registry.commands import attempted, claim, command, complete
from services.registry.context import Registry, today
from services.registry.divisions import service
from services.registry.divisions.schemas import DivisionOut
from shared.contracts.division import DivisionEvent, DivisionTree
from shared.db import Pg
from shared.http.etag import set_etag
from shared.http.idempotency import IdempotencyKey, mark_replayed


async def carried_out(registry: Registry, change: Callable[[Pg], Awaitable[DivisionEvent]]) -> DivisionEvent:
    """Carry out a change of a division that only its version keeps from happening twice. Raises 409."""

    async def attempt() -> DivisionEvent:
        async with command(registry.runtime, dry_run=registry.dry_run) as pg:
            return await change(pg)

    return await attempted(attempt)


async def once(
    registry: Registry,
    response: Response,
    key: IdempotencyKey,
    code: str,
    change: Callable[[Pg], Awaitable[DivisionEvent]],
) -> DivisionEvent:
    """Carry out a change of a division once a key: the version it made, then and whenever it is asked again.

    Raises 409, and 422 for a key of another request.
    """

    async def attempt() -> DivisionEvent:
        async with command(registry.runtime, dry_run=registry.dry_run) as pg:
            earlier = await claim(pg, key)
            if earlier is not None:
                mark_replayed(response)
                return await service.at_version(pg, code, earlier.version)
            changed = await change(pg)
            await complete(pg, key, UUID(int=int(code)), changed.version)
        return changed

    return await attempted(attempt)


async def answer(registry: Registry, changed: DivisionEvent, response: Response) -> DivisionOut:
    """A division as it is now, or would be; its version as the ETag."""
    async with registry.runtime.database.driver() as pg:
        tree = await registry.divisions.latest(pg)
    if registry.dry_run:
        tree = service.with_changes(tree, [changed])
    set_etag(response, changed.version)
    return shown(changed, tree, today(registry))


def shown(division: DivisionEvent, tree: DivisionTree, day: date) -> DivisionOut:
    """A division with the names, and the divisions above it, of a day."""
    of_the_day = {"name": division.name_on(day), "parent": division.parent_on(day)}
    return DivisionOut(**{**dict(division), **of_the_day}, path=tree.path(division.code, day))

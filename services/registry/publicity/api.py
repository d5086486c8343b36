"""Routes of what may be published."""

from typing import Annotated
from uuid import UUID

from fastapi import Query, Request, Response

from services.registry.context import Reader, RegistryDep
from services.registry.publicity import service
from services.registry.publicity.schemas import PublicHousehold, PublicQuery
from shared.app import router
from shared.http.pagination import Page, page_of

routes = router("publicity")


@routes.get(
    "/public-register", operation_id="list_public_register", summary="The register as it may be published 公示名单"
)
async def list_public_register(
    request: Request, response: Response, query: Annotated[PublicQuery, Query()], caller: Reader, registry: RegistryDep
) -> Page[PublicHousehold]:
    """Households of your divisions on the register today: the head's name, masked, how many they are, and standing.

    Nothing else may be published: no ID, phone or card numbers, no cause, illness or disability, nothing of minors.
    """
    after = query.after(request)
    async with registry.runtime.database.driver() as pg:
        found = await service.page(pg, registry, caller, query, UUID(after[0]) if after else None)
        count = await service.count(pg, registry, caller, query) if query.count else None
    kept, cursor = page_of(
        found, limit=query.limit, key=lambda each: [str(each[0])], request=request, response=response
    )
    return Page[PublicHousehold](items=[shown for _, shown in kept], next_cursor=cursor, count=count)

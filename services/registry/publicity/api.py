"""Routes of what may be published."""

from collections.abc import Sequence
from typing import Annotated, TypeVar
from uuid import UUID

from fastapi import Depends, Path, Query, Request, Response

from services.registry.context import Reader, RegistryDep
from services.registry.publicity import notices, service
from services.registry.publicity.schemas import (
    BoardNoticeQuery,
    BoardQuery,
    NoticeQuery,
    PublicHousehold,
    PublicNotice,
    PublicQuery,
)
from shared.app import NOT_FOUND_RESPONSE, router
from shared.auth import Caller, requires
from shared.http.pagination import Page, page_of

routes = router("publicity")
T = TypeVar("T")
Publisher = Annotated[Caller, Depends(requires("recorder", "reviewer"))]
Village = Annotated[str, Path(pattern=r"^[0-9]{12}$", description="A village of your divisions 行政村.")]


@routes.get(
    "/public-register", operation_id="list_public_register", summary="The register as it may be published 公示名单"
)
async def list_public_register(
    request: Request, response: Response, query: Annotated[PublicQuery, Query()], caller: Reader, registry: RegistryDep
) -> Page[PublicHousehold]:
    """Poor and exited households of your divisions today: the head's name, masked, how many they are, and standing.

    Nothing else may be published: no ID, phone or card numbers, no cause, illness or disability, nothing of minors.
    """
    after = query.after(request)
    async with registry.runtime.database.driver() as pg:
        found = await service.page(pg, registry, caller, query, UUID(after[0]) if after else None)
        count = await service.count(pg, registry, caller, query) if query.count else None
    return _page(found, count, query.limit, request, response)


@routes.get(
    "/public-notices", operation_id="list_public_notices", summary="What is in public notice today 公示中的认定"
)
async def list_public_notices(
    request: Request, response: Response, query: Annotated[NoticeQuery, Query()], caller: Reader, registry: RegistryDep
) -> Page[PublicNotice]:
    """Identifications, exits and relapses of your divisions whose notice is up: whose, until when; to be posted.

    Of a household the head's name, masked, and how many they are; nothing else. A notice is listed from the day of its
    step for `BANGFU_REGISTRY_NOTICE_DAYS`, unless the decision has ended or gone on.
    """
    after = query.after(request)
    async with registry.runtime.database.driver() as pg:
        found = await notices.page(pg, registry, caller, query, UUID(after[0]) if after else None)
        count = await notices.count(pg, registry, caller, query) if query.count else None
    return _page(found, count, query.limit, request, response)


@routes.get(
    "/village-boards/{code}",
    operation_id="show_village_board",
    summary="What a village puts on its board 村公示栏名单",
    responses=NOT_FOUND_RESPONSE,
)
async def show_village_board(
    code: Village,
    request: Request,
    response: Response,
    query: Annotated[BoardQuery, Query()],
    caller: Publisher,
    registry: RegistryDep,
) -> Page[PublicHousehold]:
    """As `/v1/public-register`, of one village, to be posted there: never minors, and nothing else of anybody.

    Heads are named in full where `BANGFU_REGISTRY_FULL_NAMES_ON_BOARDS` is set, and each such page is in the audit
    log; by default their names are masked.
    """
    after = query.after(request)
    found, count = await service.board(registry, caller, code, query, UUID(after[0]) if after else None)
    response.headers["Cache-Control"] = "no-store"
    return _page(found, count, query.limit, request, response)


@routes.get(
    "/village-boards/{code}/notices",
    operation_id="show_village_notices",
    summary="What is in public notice on a village's board 村公示栏公示中的认定",
    responses=NOT_FOUND_RESPONSE,
)
async def show_village_notices(
    code: Village,
    request: Request,
    response: Response,
    query: Annotated[BoardNoticeQuery, Query()],
    caller: Publisher,
    registry: RegistryDep,
) -> Page[PublicNotice]:
    """As `/v1/public-notices`, of one village, to be posted there; heads named as on `/v1/village-boards/{code}`."""
    after = query.after(request)
    found, count = await notices.board(registry, caller, code, query, UUID(after[0]) if after else None)
    response.headers["Cache-Control"] = "no-store"
    return _page(found, count, query.limit, request, response)


def _page(
    found: Sequence[tuple[UUID, T]], count: int | None, limit: int, request: Request, response: Response
) -> Page[T]:
    """A page of what is found, by id, without the ids."""
    kept, cursor = page_of(found, limit=limit, key=lambda each: [str(each[0])], request=request, response=response)
    return Page(items=[shown for _, shown in kept], next_cursor=cursor, count=count)

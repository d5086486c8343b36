"""Routes of the intake: sources, and what became of a submission."""

from typing import Annotated
from uuid import UUID

from fastapi import Depends, Path, Query, Request, Response

from services.assistance.claiming import claim, complete
from services.assistance.context import Admin, Assistance, AssistanceDep, Reader
from services.assistance.intake import service
from services.assistance.intake.contracts import ActionOutcome
from services.assistance.intake.schemas import SourceContent, SourceIn, SourceOut
from services.assistance.scope import seat
from shared import errors
from shared.app import CONFLICT_RESPONSE, NOT_FOUND_RESPONSE, VERSION_RESPONSES, router
from shared.auth import Caller
from shared.clock import local_day
from shared.contracts.division import DivisionTree
from shared.db import Pg
from shared.errors import Problem, fault, invalid
from shared.http.etag import required_version, set_etag
from shared.http.fields import Id
from shared.http.idempotency import IdempotencyKey, idempotency_key, mark_replayed
from shared.http.listing import ListQuery
from shared.http.pagination import Page, page_of

routes = router("intake")
Key = Annotated[IdempotencyKey, Depends(idempotency_key)]


@routes.post(
    "/sources",
    operation_id="register_source",
    summary="Register a submission source 登记报送来源",
    status_code=201,
    response_model=SourceOut,
    responses=CONFLICT_RESPONSE,
)
async def register_source(
    content: SourceIn, response: Response, caller: Admin, key: Key, assistance: AssistanceDep
) -> SourceOut:
    """Let a system submit through Kafka, under its `ce_source`, within its divisions."""
    now = assistance.runtime.clock.now()
    async with assistance.runtime.database.driver() as pg, pg.transaction():
        if (earlier := await claim(pg, key)) is not None:
            mark_replayed(response)
            made = await service.find(pg, earlier.resource_id)
        else:
            await _check_divisions(pg, content, caller, assistance)
            made = await service.register(pg, content, name=content.name, by=caller.key_id, now=now)
            await complete(pg, key, made.id, made.version)
    response.headers["Location"] = f"/v1/sources/{made.id}"
    set_etag(response, made.version)
    return made


@routes.get("/sources", operation_id="list_sources", summary="List sources 报送来源", response_model=Page[SourceOut])
async def list_sources(
    request: Request,
    response: Response,
    query: Annotated[ListQuery, Query()],
    caller: Admin,
    assistance: AssistanceDep,
) -> Page[SourceOut]:
    """Sources that reach no further than you, in order of registration."""
    after = query.after(request)
    async with assistance.runtime.database.driver() as pg:
        tree = await assistance.divisions.get(pg)
        yours = [each for each in await service.listed(pg) if _is_within(each, caller, tree, assistance)]
    rest = [each for each in yours if after is None or str(each.id) > after[0]]
    kept, cursor = page_of(
        rest[: query.limit + 1],
        limit=query.limit,
        key=lambda row: [str(row.id)],
        request=request,
        response=response,
    )
    return Page(items=list(kept), next_cursor=cursor, count=len(yours) if query.count else None)


@routes.get(
    "/sources/{source_id}",
    operation_id="read_source",
    summary="Read a source 查看报送来源",
    response_model=SourceOut,
    responses=NOT_FOUND_RESPONSE,
)
async def read_source(source_id: Id, response: Response, caller: Admin, assistance: AssistanceDep) -> SourceOut:
    """One registered source that reaches no further than you."""
    async with assistance.runtime.database.driver() as pg:
        found = await _find(pg, source_id, caller, assistance)
    set_etag(response, found.version)
    return found


@routes.put(
    "/sources/{source_id}",
    operation_id="change_source",
    summary="Change a source 修改报送来源",
    response_model=SourceOut,
    responses={**NOT_FOUND_RESPONSE, **CONFLICT_RESPONSE, **VERSION_RESPONSES},
)
async def change_source(
    source_id: Id,
    content: SourceContent,
    response: Response,
    caller: Admin,
    expected: Annotated[int, Depends(required_version)],
    assistance: AssistanceDep,
) -> SourceOut:
    """Replace a source's scope, mode or status; from live to test and back takes effect within a second."""
    now = assistance.runtime.clock.now()
    async with assistance.runtime.database.driver() as pg, pg.transaction():
        await _find(pg, source_id, caller, assistance)
        await _check_divisions(pg, content, caller, assistance)
        made = await service.change(pg, source_id, content, expected=expected, by=caller.key_id, now=now)
    set_etag(response, made.version)
    return made


async def _find(pg: Pg, source_id: UUID, caller: Caller, assistance: Assistance) -> SourceOut:
    """A source that the caller may see. Raises 404."""
    found = await service.find(pg, source_id)
    if not _is_within(found, caller, await assistance.divisions.get(pg), assistance):
        raise Problem(errors.NOT_FOUND)
    return found


def _is_within(source: SourceOut, caller: Caller, tree: DivisionTree, assistance: Assistance) -> bool:
    """Whether a source reaches no further than the caller."""
    today = local_day(assistance.runtime.clock.now())
    seats = [seat(tree, code, today) for code in source.divisions]
    return all(place is not None and place.within(caller) for place in seats)


async def _check_divisions(pg: Pg, content: SourceContent, caller: Caller, assistance: Assistance) -> None:
    """A source reaches no further than whoever registers it. Raises 422."""
    tree = await assistance.divisions.get(pg)
    today = local_day(assistance.runtime.clock.now())
    seats = [seat(tree, code, today) for code in content.divisions]
    unknown = [
        fault(
            f"/divisions/{index}",
            "unknown_reference",
            "not known, or outside your divisions",
            "不存在,或不在您的辖区内",
        )
        for index, place in enumerate(seats)
        if place is None or not place.within(caller)
    ]
    if unknown:
        raise invalid(*unknown)


@routes.get(
    "/submissions/{source:path}/{id:path}",
    operation_id="read_submission",
    summary="What became of a submission 报送回执",
    response_model=ActionOutcome,
    responses=NOT_FOUND_RESPONSE,
)
async def read_submission(
    source: Annotated[str, Path(description="`ce_source` of the submission.")],
    submission: Annotated[str, Path(alias="id", description="`ce_id` of the submission.")],
    caller: Reader,
    assistance: AssistanceDep,
) -> ActionOutcome:
    """The receipt of one submission, once it is decided. `source` may hold slashes, encoded or not."""
    async with assistance.runtime.database.driver() as pg:
        found, outcome = await service.find_outcome(pg, f"{source}/{submission}")
        if not await _may_see(pg, found, caller, assistance):
            raise Problem(errors.NOT_FOUND)
    return outcome


async def _may_see(pg: Pg, source: SourceOut, caller: Caller, assistance: Assistance) -> bool:
    tree = await assistance.divisions.get(pg)
    seats = [seat(tree, code, local_day(assistance.runtime.clock.now())) for code in source.divisions]
    return any(place is not None and place.within(caller) for place in seats)

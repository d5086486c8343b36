"""Routes of actors."""

from typing import Annotated, Literal
from uuid import UUID

from fastapi import Depends, Query, Request, Response
from pydantic import Field

from services.assistance.actors import service
from services.assistance.actors.schemas import ActorContent, ActorIn, ActorKind, ActorOut
from services.assistance.context import AssistanceDep, CommandDep, Reader, Recorder
from shared.app import CONFLICT_RESPONSE, NOT_FOUND_RESPONSE, VERSION_RESPONSES, router
from shared.commands import command
from shared.http.claiming import claim, complete
from shared.http.etag import required_version, set_etag
from shared.http.fields import Division, ExternalName, Id
from shared.http.idempotency import IdempotencyKey, idempotency_key, mark_replayed
from shared.http.listing import ListQuery
from shared.http.pagination import Page, page_of

routes = router("actors")
Key = Annotated[IdempotencyKey, Depends(idempotency_key)]


class ActorQuery(ListQuery):
    """Filters of actors."""

    kind: ActorKind | None = Field(default=None, description="Kind 类别.")
    status: Literal["active", "retired"] | None = Field(default=None, description="Status 状态.")
    division: Division | None = Field(default=None, description="Division it belongs to 所属行政区划.")
    source_system: ExternalName | None = Field(default=None, description="System that knows it 来源系统.")
    external_id: ExternalName | None = Field(default=None, description="Its name there 来源编号.")

    def filters(self) -> dict[str, str | None]:
        return self.model_dump(exclude={"limit", "cursor", "count"})


@routes.post(
    "/actors",
    operation_id="create_actor",
    summary="Add an actor 登记帮扶主体",
    status_code=201,
    response_model=ActorOut,
    responses=CONFLICT_RESPONSE,
)
async def create_actor(
    content: ActorIn, response: Response, caller: Recorder, key: Key, assistance: CommandDep
) -> ActorOut:
    """Add a helper, enterprise, department, work team or secretary; `(source_system, external_id)` is unique."""
    now = assistance.runtime.clock.now()
    async with command(assistance.runtime, dry_run=assistance.dry_run) as pg:
        if (earlier := await claim(pg, key)) is not None:
            mark_replayed(response)
            made = await service.find(pg, earlier.resource_id, caller)
        else:
            place = service.seat_of(content, caller, await assistance.divisions.get(pg), now)
            made = await service.create(pg, content, place, by=caller.key_id, now=now)
            await complete(pg, key, made.id, made.version)
    response.headers["Location"] = f"/v1/actors/{made.id}"
    set_etag(response, made.version)
    return made


@routes.get("/actors", operation_id="list_actors", summary="List actors 查询帮扶主体", response_model=Page[ActorOut])
async def list_actors(
    request: Request,
    response: Response,
    query: Annotated[ActorQuery, Query()],
    caller: Reader,
    assistance: AssistanceDep,
) -> Page[ActorOut]:
    """Actors within your divisions, in order of creation."""
    after = query.after(request)
    async with assistance.runtime.database.driver() as pg:
        rows = await service.listed(
            pg, caller, query.filters(), after=UUID(after[0]) if after else None, limit=query.limit + 1
        )
        count = await service.count(pg, caller, query.filters()) if query.count else None
    kept, cursor = page_of(rows, limit=query.limit, key=lambda row: [str(row.id)], request=request, response=response)
    return Page(items=list(kept), next_cursor=cursor, count=count)


@routes.get(
    "/actors/{actor_id}",
    operation_id="read_actor",
    summary="Read an actor 查看帮扶主体",
    response_model=ActorOut,
    responses=NOT_FOUND_RESPONSE,
)
async def read_actor(actor_id: Id, response: Response, caller: Reader, assistance: AssistanceDep) -> ActorOut:
    """One actor."""
    async with assistance.runtime.database.driver() as pg:
        found = await service.find(pg, actor_id, caller)
    set_etag(response, found.version)
    return found


@routes.put(
    "/actors/{actor_id}",
    operation_id="change_actor",
    summary="Change an actor 修改帮扶主体",
    response_model=ActorOut,
    responses={**NOT_FOUND_RESPONSE, **VERSION_RESPONSES},
)
async def change_actor(
    actor_id: Id,
    content: ActorContent,
    response: Response,
    caller: Recorder,
    expected: Annotated[int, Depends(required_version)],
    assistance: AssistanceDep,
) -> ActorOut:
    """Replace what is known of an actor; what it did stays recorded."""
    now = assistance.runtime.clock.now()
    async with assistance.runtime.database.driver() as pg, pg.transaction():
        place = service.seat_of(content, caller, await assistance.divisions.get(pg), now)
        changed = await service.change(pg, actor_id, content, place, expected=expected, caller=caller, now=now)
    set_etag(response, changed.version)
    return changed

"""Routes of targets."""

from typing import Annotated, Literal
from uuid import UUID

from fastapi import Depends, Query, Request, Response
from pydantic import Field

from services.assistance.context import AssistanceDep, CommandDep, Reader, TargetSetter
from services.assistance.importing import JSONL, MAX_LINES, ImportReport, Mode, Order
from services.assistance.targets import service
from services.assistance.targets.schemas import TargetChange, TargetIn
from shared.app import CONFLICT_RESPONSE, NOT_FOUND_RESPONSE, VERSION_RESPONSES, router
from shared.commands import command
from shared.contracts.programme import Cadence, Metric, TargetEvent
from shared.http.body import read_lines
from shared.http.claiming import claim, complete
from shared.http.etag import required_version, set_etag
from shared.http.fields import Division, Id
from shared.http.idempotency import IdempotencyKey, idempotency_key, mark_replayed
from shared.http.listing import ListQuery
from shared.http.pagination import Page, page_of
from shared.http.problems import language_of

routes = router("targets")
Key = Annotated[IdempotencyKey, Depends(idempotency_key)]
Expected = Annotated[int, Depends(required_version)]
CHANGE_RESPONSES = {**NOT_FOUND_RESPONSE, **CONFLICT_RESPONSE, **VERSION_RESPONSES}


class TargetQuery(ListQuery):
    """Filters of targets."""

    unit: Division | None = Field(default=None, description="Who is to do it 责任单位.")
    programme: str | None = Field(default=None, max_length=60, description="Programme code or `*` 帮扶项目.")
    cadence: Cadence | None = Field(default=None, description="Cadence 周期.")
    period: str | None = Field(default=None, max_length=10, description="Period id 期次.")
    metric: Metric | None = Field(default=None, description="Metric 指标.")
    status: Literal["active", "withdrawn"] | None = Field(default=None, description="Status 状态.")

    def filters(self) -> dict[str, str | None]:
        return self.model_dump(exclude={"limit", "cursor", "count"})


@routes.post(
    "/targets",
    operation_id="set_target",
    summary="Set a target 下达任务",
    status_code=201,
    response_model=TargetEvent,
    responses=CONFLICT_RESPONSE,
)
async def set_target(
    target: TargetIn, response: Response, caller: TargetSetter, key: Key, assistance: CommandDep
) -> TargetEvent:
    """Say how much is due from a unit in a period; one target a unit, programme, period and metric."""
    async with command(assistance.runtime, dry_run=assistance.dry_run) as pg:
        if (earlier := await claim(pg, key)) is not None:
            mark_replayed(response)
            made = await service.find(pg, earlier.resource_id, caller)
        else:
            made = await service.set_one(pg, assistance, target, caller)
            await complete(pg, key, made.id, made.version)
    response.headers["Location"] = f"/v1/targets/{made.id}"
    return _answer(made, response)


@routes.post(
    "/targets/bulk",
    operation_id="set_targets_in_bulk",
    summary="Set many targets 批量下达任务",
    response_model=ImportReport,
    openapi_extra={"requestBody": {"required": True, "content": {JSONL: {"schema": {"type": "string"}}}}},
)
async def set_targets_in_bulk(
    request: Request,
    caller: TargetSetter,
    key: Key,
    assistance: CommandDep,
    mode: Annotated[Mode, Query(description="all 全部或全不, each 逐条.")] = "all",
) -> Response:
    """Up to 100,000 targets, one JSON object a line; the report names every fault by row and field."""
    lines = await read_lines(request, limit=MAX_LINES)
    report, replayed = await service.set_lines(
        assistance, lines, Order(caller, mode, assistance.dry_run, key, language_of(request))
    )
    headers = {"Idempotency-Replayed": "true"} if replayed else {}
    return Response(report, headers=headers, media_type="application/json")


@routes.get("/targets", operation_id="list_targets", summary="List targets 查询任务", response_model=Page[TargetEvent])
async def list_targets(
    request: Request,
    response: Response,
    query: Annotated[TargetQuery, Query()],
    caller: Reader,
    assistance: AssistanceDep,
) -> Page[TargetEvent]:
    """Targets within your divisions, in order of setting; withdrawn ones included unless `status=active`."""
    after = query.after(request)
    async with assistance.runtime.database.driver() as pg:
        rows = await service.listed(
            pg, caller, query.filters(), after=UUID(after[0]) if after else None, limit=query.limit + 1
        )
        count = await service.count(pg, caller, query.filters()) if query.count else None
    kept, cursor = page_of(rows, limit=query.limit, key=lambda row: [str(row.id)], request=request, response=response)
    return Page(items=list(kept), next_cursor=cursor, count=count)


@routes.get(
    "/targets/{target_id}",
    operation_id="read_target",
    summary="Read a target 查看任务",
    response_model=TargetEvent,
    responses=NOT_FOUND_RESPONSE,
)
async def read_target(target_id: Id, response: Response, caller: Reader, assistance: AssistanceDep) -> TargetEvent:
    """One target as it stands."""
    async with assistance.runtime.database.driver() as pg:
        return _answer(await service.find(pg, target_id, caller), response)


@routes.put(
    "/targets/{target_id}",
    operation_id="change_target",
    summary="Change a target 调整任务",
    response_model=TargetEvent,
    responses=CHANGE_RESPONSES,
)
async def change_target(
    target_id: Id,
    change: TargetChange,
    response: Response,
    caller: TargetSetter,
    expected: Expected,
    assistance: AssistanceDep,
) -> TargetEvent:
    """Another amount or another deadline."""
    async with command(assistance.runtime) as pg:
        changed = await service.change(pg, assistance, target_id, change, expected=expected, caller=caller)
    return _answer(changed, response)


@routes.post(
    "/targets/{target_id}/withdrawal",
    operation_id="withdraw_target",
    summary="Withdraw a target 撤销任务",
    response_model=TargetEvent,
    responses=CHANGE_RESPONSES,
)
async def withdraw_target(
    target_id: Id, response: Response, caller: TargetSetter, expected: Expected, assistance: CommandDep
) -> TargetEvent:
    """Take a target back: it is due from nobody any more, and stays readable."""
    async with command(assistance.runtime, dry_run=assistance.dry_run) as pg:
        withdrawn = await service.withdraw(pg, assistance, target_id, expected=expected, caller=caller)
    return _answer(withdrawn, response)


def _answer(target: TargetEvent, response: Response) -> TargetEvent:
    set_etag(response, target.version)
    return target

"""Routes of rule runs."""

from typing import Annotated
from uuid import UUID

from fastapi import Depends, Query, Request, Response
from fastapi.responses import StreamingResponse

from services.registry.commands import claim, command, complete
from services.registry.context import CommandDep, Divisions, Reader, RegistryDep, scopes, today, within
from services.registry.rule_runs import service
from services.registry.rule_runs.schemas import FindingRow, RuleRunIn, RuleRunOut
from shared import errors
from shared.app import CONFLICT_RESPONSE, NOT_FOUND_RESPONSE, router
from shared.auth import Caller, requires
from shared.errors import Problem, fault
from shared.http.fields import Id
from shared.http.idempotency import Key, mark_replayed
from shared.http.listing import ListQuery
from shared.http.pagination import Page, page_of
from shared.http.problems import language_of

routes = router("checks")
Checker = Annotated[Caller, Depends(requires("recorder", "reviewer", "importer"))]
CSV = "text/csv"


@routes.post(
    "/rule-runs",
    operation_id="start_rule_run",
    summary="Run the rules over the register 发起规则核查",
    status_code=202,
    responses=CONFLICT_RESPONSE,
)
async def start_rule_run(
    body: RuleRunIn, response: Response, caller: Checker, tree: Divisions, registry: CommandDep, key: Key
) -> RuleRunOut:
    """Every rule of `/v1/rules` over every household registered in a division of yours; `Location` tells how it goes.

    Then those that read one person, over everybody there who has no household. A run survives restarts, and sees each
    as they are when their turn comes.
    """
    if tree.get(body.division) is None or not within(caller, tree, body.division, today(registry)):
        raise errors.invalid(fault("/division", "division_unknown", "no such division of yours", "辖区内无此区划"))
    async with command(registry.runtime, dry_run=registry.dry_run) as pg:
        earlier = await claim(pg, key)
        if earlier is None:
            concerned, now = scopes(tree, [body.division], today(registry)), registry.runtime.clock.now()
            run_id = await service.ask(pg, caller, body.division, concerned, now)
            await complete(pg, key, run_id, 1)
        else:
            mark_replayed(response)
            run_id = earlier.resource_id
        found = await service.find(pg, run_id)
    response.headers["Location"] = f"/v1/rule-runs/{run_id}"
    response.headers["Retry-After"] = "2"
    return found


@routes.get("/rule-runs", operation_id="list_rule_runs", summary="List rule runs 查询规则核查")
async def list_rule_runs(
    request: Request,
    response: Response,
    query: Annotated[ListQuery, Query()],
    caller: Reader,
    tree: Divisions,
    registry: RegistryDep,
) -> Page[RuleRunOut]:
    """Runs over divisions of yours, newest first."""
    after, day = query.after(request), today(registry)
    yours = [division.code for division in tree if within(caller, tree, division.code, day)]
    async with registry.runtime.database.driver() as pg:
        found = await service.listed(pg, yours, UUID(after[0]) if after else None, query.limit + 1)
        count = await service.count(pg, yours) if query.count else None
    kept, cursor = page_of(found, limit=query.limit, key=lambda r: [str(r.id)], request=request, response=response)
    return Page[RuleRunOut](items=list(kept), next_cursor=cursor, count=count)


@routes.get(
    "/rule-runs/{run}",
    operation_id="get_rule_run",
    summary="One rule run 规则核查进度",
    responses=NOT_FOUND_RESPONSE,
)
async def get_rule_run(run: Id, caller: Reader, tree: Divisions, registry: RegistryDep) -> RuleRunOut:
    """How far it is, and how often each rule found something."""
    async with registry.runtime.database.driver() as pg:
        found = await service.find(pg, run)
    if not within(caller, tree, found.division, today(registry)):
        raise Problem(errors.NOT_FOUND)
    return found


@routes.get(
    "/rule-runs/{run}/findings",
    operation_id="list_findings",
    summary="What a rule run found 疑点清单",
    response_model=Page[FindingRow],
    responses={
        200: {
            "description": "A page; with `Accept: text/csv` all of them as a table.",
            "content": {CSV: {"schema": {"type": "string", "description": "UTF-8 with a byte order mark."}}},
        },
        **NOT_FOUND_RESPONSE,
    },
)
async def list_findings(
    run: Id,
    request: Request,
    response: Response,
    query: Annotated[ListQuery, Query()],
    caller: Reader,
    tree: Divisions,
    registry: RegistryDep,
) -> Page[FindingRow] | Response:
    """Findings in the order they were made, so far; numbers, never names. Tables are audited."""
    whole = await get_rule_run(run, caller, tree, registry)
    language = language_of(request)
    if CSV in request.headers.get("accept", ""):
        concerned, now = scopes(tree, [whole.division], today(registry)), registry.runtime.clock.now()
        async with command(registry.runtime) as pg:
            await service.note_download(pg, caller, run, concerned, now)
        headers = {"Content-Disposition": f'attachment; filename="rule-run-{run}.csv"'}
        return StreamingResponse(service.as_csv(registry, run, language), media_type=CSV, headers=headers)
    after = query.after(request)
    async with registry.runtime.database.driver() as pg:
        found = await service.findings(pg, run, after[0] if after else 0, query.limit + 1, language)
    kept, cursor = page_of(found, limit=query.limit, key=lambda f: [f[0]], request=request, response=response)
    count = sum(rule.findings for rule in whole.rules) if query.count else None
    return Page[FindingRow](items=[finding for _, finding in kept], next_cursor=cursor, count=count)

"""Routes of single actions."""

import json
from collections.abc import AsyncIterator
from typing import Annotated, Literal
from uuid import UUID

from fastapi import Depends, Query, Request, Response
from fastapi.responses import StreamingResponse
from pydantic import Field

from services.assistance.actions import bulk, changing, ledger, queries
from services.assistance.actions.changing import Change
from services.assistance.actions.queries import Filters
from services.assistance.actions.recording import Answer, Recording
from services.assistance.actions.recording import Request as RecordingRequest
from services.assistance.actions.schemas import (
    ActionIn,
    ActionOut,
    Correction,
    Reason,
    Verification,
    VersionOut,
    VersionsOut,
)
from services.assistance.context import Assistance, AssistanceDep, CommandDep, Reader, Recorder, Reviewer
from services.assistance.importing import JSONL, MAX_LINES, ImportReport, Mode, Order
from services.assistance.mirror import service as mirror
from shared import errors
from shared.app import CONFLICT_RESPONSE, NOT_FOUND_RESPONSE, VERSION_RESPONSES, router
from shared.auth import Caller
from shared.contracts.programme import ProgrammeClass
from shared.db import Pg
from shared.errors import Problem
from shared.http.body import read_lines
from shared.http.dryrun import DryRun
from shared.http.etag import required_version
from shared.http.fields import Code, Day, ExternalName, Id, Instant
from shared.http.idempotency import IdempotencyKey, idempotency_key
from shared.http.listing import Digits, ListQuery, link_headers
from shared.http.pagination import Page, page_of
from shared.http.problems import language_of

routes = router("actions")
Key = Annotated[IdempotencyKey, Depends(idempotency_key)]
Expected = Annotated[int, Depends(required_version)]
CHANGE_RESPONSES = {**NOT_FOUND_RESPONSE, **CONFLICT_RESPONSE, **VERSION_RESPONSES}
LINES = {"type": "string", "description": "One action a line, each as in `items`."}
NOBODY = UUID(int=0)
"""Stands for a household nobody knows: nothing is listed for it."""


async def _recording(request: Request) -> Recording:
    recording: Recording = request.app.state.recording
    return recording


RecordingDep = Annotated[Recording, Depends(_recording)]


class ActionQuery(ListQuery):
    """Filters of the ledger; together they narrow."""

    programme: Code | None = Field(default=None, description="Programme code 帮扶项目.")
    tag: str | None = Field(default=None, max_length=100, description="Policy vocabulary 政策用语, `/v1/taxonomy`.")
    programme_class: ProgrammeClass | None = Field(default=None, alias="class", description="Class 类别.")
    sector: Code | None = Field(default=None, description="Sector 行业部门.")
    kind: Code | None = Field(default=None, description="Kind of action 行动类型.")
    household: str | None = Field(
        default=None, pattern=r"^([0-9]{14}|[0-9a-f-]{36})$", description="Household by number or id 农户."
    )
    actor: Id | None = Field(default=None, description="Actor id 帮扶主体.")
    division: str | None = Field(
        default=None,
        pattern=r"^[0-9]{2,12}$",
        description="A whole 12-digit code (a county by what it manages), or a prefix of village codes 行政区划.",
    )
    occurred_from: Day | None = Field(default=None, description="First day 起始日, Asia/Shanghai.")
    occurred_to: Day | None = Field(default=None, description="Last day, included 截止日.")
    status: Literal["recorded", "revoked"] | None = Field(default=None, description="Status 状态.")
    verified: bool | None = Field(default=None, description="Verified by a reviewer 已核实.")
    updated_since: Instant | None = Field(default=None, description="Changed at or after 更新时间起.")
    source_system: ExternalName | None = Field(default=None, description="System that knows it 来源系统.")
    external_id: ExternalName | None = Field(default=None, description="Its name there 来源编号.")


@routes.post(
    "/actions",
    operation_id="record_action",
    summary="Record an aid action 登记帮扶行动",
    status_code=201,
    response_model=ActionOut,
    responses={
        200: {"model": ActionOut, "description": "There already, or a dry run 已存在或仅校验"},
        **CONFLICT_RESPONSE,
    },
)
async def record_action(
    content: ActionIn, caller: Recorder, key: Key, recording: RecordingDep, dry_run: DryRun
) -> Response:
    """Record an action; it counts for the village responsible for the household on the day it happened.

    A second request with the same `(source_system, external_id)` answers 200 with the first action when it says
    the same, 409 otherwise. A household registered a moment ago is awaited for two seconds.
    """
    return created(await recording.record(RecordingRequest(content, caller, key), dry_run=dry_run))


@routes.get(
    "/actions",
    operation_id="list_actions",
    summary="List aid actions 查询帮扶行动",
    response_model=Page[ActionOut],
    responses={200: {"description": "A page; or every action, one a line.", "content": {JSONL: {"schema": LINES}}}},
)
async def list_actions(
    request: Request, query: Annotated[ActionQuery, Query()], caller: Reader, assistance: AssistanceDep
) -> Response:
    """Actions within your divisions, oldest first, as pages; with `Accept: application/jsonl` all, as of now."""
    database = assistance.runtime.database
    async with database.driver() as pg:
        filters = await _filters(pg, query, assistance)
        if JSONL not in request.headers.get("accept", ""):
            return await _page(pg, request, query, filters, caller)
    return await _streamed(queries.stream(database, filters, caller))


async def _filters(pg: Pg, query: ActionQuery, assistance: Assistance) -> Filters:
    household_id = None
    if query.household is not None:
        by_number = len(query.household) == 14
        found = await mirror.household_id(pg, query.household) if by_number else UUID(query.household)
        household_id = found or NOBODY
    programmes = None if query.programme is None else [query.programme]
    if query.tag is not None:
        catalogue = await assistance.catalogue.get(pg)
        tagged = [each.code for each in catalogue.programmes.values() if query.tag in each.tags]
        programmes = [code for code in tagged if query.programme in (None, code)]
    return Filters(
        programmes=programmes, programme_class=query.programme_class, sector=query.sector, kind=query.kind,
        household_id=household_id, actor_id=query.actor, division=query.division,
        occurred_from=query.occurred_from, occurred_to=query.occurred_to, status=query.status,
        verified=query.verified, updated_since=query.updated_since, source_system=query.source_system,
        external_id=query.external_id,
    )  # fmt: skip


async def _page(pg: Pg, request: Request, query: ActionQuery, filters: Filters, caller: Caller) -> Response:
    after = query.after(request)
    rows = await queries.page(pg, filters, caller, after=UUID(after[0]) if after else None, limit=query.limit + 1)
    count = await queries.count(pg, filters, caller) if query.count else None
    holder = Response()
    kept, cursor = page_of(rows, limit=query.limit, key=lambda row: [str(row[0])], request=request, response=holder)
    tail = json.dumps({"next_cursor": cursor, "count": count})
    body = f'{{"items": [{", ".join(body for _, body in kept)}], {tail[1:]}'
    return Response(body, headers=link_headers(holder), media_type="application/json")


async def _streamed(chunks: AsyncIterator[bytes]) -> Response:
    first = await anext(chunks)  # fails before the answer begins, while it can still be a problem

    async def whole() -> AsyncIterator[bytes]:
        yield first
        async for chunk in chunks:
            yield chunk

    return StreamingResponse(whole(), media_type=JSONL)


@routes.post(
    "/actions/bulk",
    operation_id="record_actions_in_bulk",
    summary="Record many aid actions 批量登记帮扶行动",
    response_model=ImportReport,
    responses=CONFLICT_RESPONSE,
    openapi_extra={"requestBody": {"required": True, "content": {JSONL: {"schema": LINES}}}},
)
async def record_actions_in_bulk(
    request: Request,
    caller: Recorder,
    key: Key,
    assistance: CommandDep,
    mode: Annotated[Mode, Query(description="all 全部或全不, each 逐条.")] = "all",
) -> Response:
    """Up to 100,000 actions, one JSON object a line; the report names every fault by row and field.

    `mode=all` writes everything or nothing, `mode=each` every row that may be recorded. Rows that are there already
    with the same content are unchanged, so that a file can be sent again.
    """
    lines = await read_lines(request, limit=MAX_LINES)
    order = Order(caller, mode, assistance.dry_run, key, language_of(request))
    report, replayed = await bulk.record_lines(assistance, lines, order)
    headers = {"Idempotency-Replayed": "true"} if replayed else {}
    return Response(report, headers=headers, media_type="application/json")


@routes.get(
    "/actions/{action_id}",
    operation_id="read_action",
    summary="Read an aid action 查看帮扶行动",
    response_model=ActionOut,
    responses=NOT_FOUND_RESPONSE,
)
async def read_action(
    action_id: Id,
    caller: Reader,
    assistance: AssistanceDep,
    version: Annotated[Digits | None, Query(ge=1, description="An earlier version 历史版本.")] = None,
) -> Response:
    """The action as it is now, or as one version said."""
    async with assistance.runtime.database.driver() as pg:
        stored = await changing.find(pg, action_id, caller)
        if version is None:
            return respond(Answer(action_id, stored.state.version, stored.state.model_dump_json(by_alias=True)))
        body = await ledger.load_version(pg, action_id, version)
    if body is None:
        raise Problem(errors.NOT_FOUND)
    return respond(Answer(action_id, version, body))


@routes.get(
    "/actions/{action_id}/versions",
    operation_id="list_action_versions",
    summary="History of an aid action 变更记录",
    response_model=VersionsOut,
    responses=NOT_FOUND_RESPONSE,
)
async def list_action_versions(action_id: Id, caller: Reader, assistance: AssistanceDep) -> VersionsOut:
    """Every version, oldest first: what it said, who made it, and why."""
    async with assistance.runtime.database.driver() as pg:
        await changing.find(pg, action_id, caller)
        rows = await queries.versions(pg, action_id)
    return VersionsOut(
        items=[VersionOut(**{**row, "action": ActionOut.model_validate_json(row["body"])}) for row in map(dict, rows)]
    )


@routes.post(
    "/actions/{action_id}/corrections",
    operation_id="correct_action",
    summary="Correct an aid action 更正帮扶行动",
    response_model=ActionOut,
    responses=CHANGE_RESPONSES,
)
async def correct_action(
    action_id: Id, correction: Correction, caller: Recorder, expected: Expected, key: Key, assistance: CommandDep
) -> Response:
    """Replace the whole content, with the reason. Where it counts is determined anew; a verification lapses."""
    change = Change(action_id, expected, caller, key)
    return respond(await changing.correct(assistance, change, correction))


@routes.post(
    "/actions/{action_id}/revocation",
    operation_id="revoke_action",
    summary="Revoke an aid action 撤销帮扶行动",
    response_model=ActionOut,
    responses=CHANGE_RESPONSES,
)
async def revoke_action(
    action_id: Id, reason: Reason, caller: Recorder, expected: Expected, key: Key, assistance: CommandDep
) -> Response:
    """Undo an action: it stays readable, and counts nowhere."""
    change = Change(action_id, expected, caller, key)
    return respond(await changing.revoke(assistance, change, reason.reason))


@routes.post(
    "/actions/{action_id}/verification",
    operation_id="verify_action",
    summary="Verify an aid action 核实帮扶行动",
    response_model=ActionOut,
    responses=CHANGE_RESPONSES,
)
async def verify_action(
    action_id: Id, verification: Verification, caller: Reviewer, expected: Expected, key: Key, assistance: CommandDep
) -> Response:
    """Vouch for an action as someone who neither recorded nor corrected it."""
    change = Change(action_id, expected, caller, key)
    return respond(await changing.verify(assistance, change, verification.note))


def created(answer: Answer) -> Response:
    """201 with the place of what was recorded now, or earlier by this very request; else 200."""
    response = respond(answer, 201 if answer.created or answer.replayed else 200)
    response.headers["Location"] = f"/v1/actions/{answer.action_id}"
    return response


def respond(answer: Answer, status: int = 200) -> Response:
    """A version as the ledger holds it, with its ETag."""
    headers = {"ETag": f'"{answer.version}"'}
    if answer.replayed:
        headers["Idempotency-Replayed"] = "true"
    return Response(answer.body, status, headers, media_type="application/json")

"""Routes of households and members."""

from collections.abc import AsyncIterator
from typing import Annotated
from uuid import UUID

from fastapi import Depends, Query, Request, Response
from fastapi.responses import StreamingResponse
from pydantic import Field
from sqlalchemy.ext.asyncio import AsyncConnection

from services.registry.context import Divisions, Importer, Reader, Recorder, Registry, RegistryDep, today
from services.registry.households import bulk, changing, queries, service
from services.registry.households.bulk import Mode
from services.registry.households.checking import check
from services.registry.households.queries import Filters
from services.registry.households.schemas import (
    Deregistration,
    HouseholdDetail,
    HouseholdIn,
    HouseholdOut,
    HouseholdPatch,
    ImportReport,
    MemberIn,
    MemberOut,
    MemberPatch,
)
from services.registry.households.service import Author
from shared import errors
from shared.app import CONFLICT_RESPONSE, NOT_FOUND_RESPONSE, VERSION_RESPONSES, Transaction, router
from shared.auth import Caller
from shared.contracts.base import Contract
from shared.contracts.household import HouseholdEvent, Standing
from shared.errors import Problem
from shared.http.body import read_lines
from shared.http.etag import required_version, set_etag
from shared.http.fields import Day, ExternalName, Instant
from shared.http.idempotency import IdempotencyKey, idempotency_key, mark_replayed
from shared.http.listing import ListQuery
from shared.http.pagination import Page, page_of
from shared.http.problems import language_of

routes = router("households")
Expected = Annotated[int, Depends(required_version)]
Key = Annotated[IdempotencyKey, Depends(idempotency_key)]
DryRun = Annotated[bool, Query(description="Check only; nothing is written 仅校验.")]
CHANGES = {**NOT_FOUND_RESPONSE, **CONFLICT_RESPONSE, **VERSION_RESPONSES}
JSONL = "application/jsonl"
_LINES = {"requestBody": {"content": {JSONL: {"schema": {"type": "string"}}}, "required": True}}


class HouseholdQuery(ListQuery):
    """Filters of households; together they narrow."""

    division: str | None = Field(
        default=None,
        pattern=r"^[0-9]{2,12}$",
        description="A whole 12-digit code (a county by what it manages), or a prefix of village codes 行政区划.",
    )
    standing: Standing | None = Field(default=None, description="Standing 状态.")
    as_of: Day | None = Field(default=None, description="Registered, and of this standing, on this day 截至日期.")
    number: str | None = Field(default=None, pattern=r"^[0-9]{14}$", description="Household number 户编号.")
    updated_since: Instant | None = Field(default=None, description="Changed at or after 更新时间起.")
    source_system: ExternalName | None = Field(default=None, description="System that knows it 来源系统.")
    external_id: ExternalName | None = Field(default=None, description="Its name there 来源编号.")


class VersionOut(Contract):
    """One entry of a household's history 变更记录."""

    version: int
    recorded_at: Instant
    changed_by: UUID = Field(description="API key that made it.")
    reason: str | None = Field(description="Why 原因.")
    household: HouseholdEvent


class VersionsOut(Contract):
    """All versions, oldest first."""

    items: list[VersionOut]


@routes.post(
    "/households",
    operation_id="register_household",
    summary="Register a household 登记农户",
    status_code=201,
    responses=CONFLICT_RESPONSE,
)
async def register_household(
    body: HouseholdIn,
    response: Response,
    caller: Recorder,
    key: Key,
    tree: Divisions,
    registry: RegistryDep,
    conn: Transaction,
    dry_run: DryRun = False,
) -> HouseholdDetail:
    """Register a household with its members. Names, ID numbers and phones are encrypted and shown masked."""
    earlier = await key.claim(conn)
    if earlier is not None:
        mark_replayed(response)
        return await _detail(conn, registry, str(earlier.resource_id), caller, response)
    [checked] = await check(conn, [body], tree=tree, vault=registry.vault, caller=caller, today=today(registry))
    if checked.faults:
        raise errors.invalid(*checked.faults)
    author = Author(caller.key_id, registry.runtime.clock.now())
    [made] = await service.register(conn, registry.runtime.settings, registry.vault, [checked], author)
    await key.complete(conn, made.id, 1)
    shown = await _detail(conn, registry, str(made.id), caller, response)
    if dry_run:
        response.status_code = 200
        await conn.rollback()
    else:
        response.headers["Location"] = f"/v1/households/{made.id}"
    return shown


@routes.post(
    "/households/bulk",
    operation_id="register_households",
    summary="Register many households 批量登记农户",
    openapi_extra=_LINES,
)
async def register_households(
    request: Request,
    caller: Importer,
    tree: Divisions,
    registry: RegistryDep,
    conn: Transaction,
    mode: Annotated[Mode, Query(description="all: all or none; each: the good ones.")] = "all",
    dry_run: DryRun = False,
) -> ImportReport:
    """JSON lines in the shape of `POST /v1/households`, up to 100,000 and 64 MB. Answers with the import report."""
    lines = await read_lines(request, limit=bulk.MAX_LINES)
    report = await bulk.register_lines(
        conn, registry, tree, lines, caller, mode=mode, dry_run=dry_run, language=language_of(request)
    )
    if dry_run or report.status == "rejected":
        await conn.rollback()
    return report


@routes.get(
    "/households",
    operation_id="list_households",
    summary="List households 查询农户",
    response_model=Page[HouseholdOut],
    responses={200: {"content": {JSONL: {"schema": {"type": "string"}}}}},
)
async def list_households(
    request: Request,
    response: Response,
    query: Annotated[HouseholdQuery, Query()],
    caller: Reader,
    registry: RegistryDep,
    conn: Transaction,
) -> Page[HouseholdOut] | Response:
    """Households within your divisions, in order of registration; with `Accept: application/jsonl` all of them."""
    filters = Filters(**{name: getattr(query, name) for name in Filters.__slots__})
    if JSONL in request.headers.get("accept", ""):
        return StreamingResponse(_lines(registry, filters, caller), media_type=JSONL)
    after = query.after(request)
    rows = await queries.page(conn, filters, caller, after=UUID(after[0]) if after else None, limit=query.limit + 1)
    kept, cursor = page_of(rows, limit=query.limit, key=lambda r: [str(r.id)], request=request, response=response)
    count = await queries.count(conn, filters, caller) if query.count else None
    items = [queries.shown(row, registry.vault) for row in kept]
    return Page[HouseholdOut](items=items, next_cursor=cursor, count=count)


async def _lines(registry: Registry, filters: Filters, caller: Caller) -> AsyncIterator[bytes]:
    async for row in queries.stream(registry.runtime.database, filters, caller):
        yield queries.shown(row, registry.vault).model_dump_json().encode() + b"\n"


@routes.get(
    "/households/{household}",
    operation_id="get_household",
    summary="One household with its members 农户详情",
    responses=NOT_FOUND_RESPONSE,
)
async def get_household(
    household: str, response: Response, caller: Reader, registry: RegistryDep, conn: Transaction
) -> HouseholdDetail:
    """By id, or by its 14-digit number. Members are masked; births are shown as years."""
    return await _detail(conn, registry, household, caller, response)


async def _detail(
    conn: AsyncConnection, registry: Registry, key: str, caller: Caller, response: Response
) -> HouseholdDetail:
    row = await queries.found(conn, key, caller)
    people = await queries.members(conn, row.id)
    set_etag(response, row.version)
    return queries.detailed(row, people, registry.vault)


@routes.get(
    "/households/{household}/versions",
    operation_id="list_household_versions",
    summary="The history of a household 农户变更记录",
    responses=NOT_FOUND_RESPONSE,
)
async def list_household_versions(household: str, caller: Reader, conn: Transaction) -> VersionsOut:
    """Every version as it was recorded: when, by which key, and why."""
    row = await queries.found(conn, household, caller)
    items = [
        VersionOut(
            version=version.version,
            recorded_at=version.recorded_at,
            changed_by=version.changed_by,
            reason=version.reason,
            household=queries.event_of(version),
        )
        for version in await queries.versions(conn, row.id)
    ]
    return VersionsOut(items=items)


@routes.patch(
    "/households/{household}",
    operation_id="change_household",
    summary="Change a household 变更农户",
    responses=CHANGES,
)
async def change_household(
    household: str,
    body: HouseholdPatch,
    expected: Expected,
    response: Response,
    caller: Recorder,
    tree: Divisions,
    registry: RegistryDep,
    conn: Transaction,
) -> HouseholdDetail:
    """Standing, responsible village, cause or welfare, from a day on. What happened before keeps its village."""
    changed = await changing.change(conn, registry, tree, household, body, caller, expected)
    return await _detail(conn, registry, str(changed), caller, response)


@routes.post(
    "/households/{household}/deregistration",
    operation_id="deregister_household",
    summary="Take a household off the register 注销农户",
    responses=CHANGES,
)
async def deregister_household(
    household: str,
    body: Deregistration,
    expected: Expected,
    response: Response,
    caller: Recorder,
    registry: RegistryDep,
    conn: Transaction,
) -> HouseholdDetail:
    """From a day on it counts nowhere; its past stays."""
    gone = await changing.deregister(conn, registry, household, body, caller, expected)
    return await _detail(conn, registry, str(gone), caller, response)


@routes.get(
    "/households/{household}/members",
    operation_id="list_members",
    summary="The members of a household 家庭成员",
    responses=NOT_FOUND_RESPONSE,
)
async def list_members(household: str, caller: Reader, registry: RegistryDep, conn: Transaction) -> list[MemberOut]:
    """Present and former members, masked."""
    row = await queries.found(conn, household, caller)
    return [queries.member(person, registry.vault) for person in await queries.members(conn, row.id)]


@routes.post(
    "/households/{household}/members",
    operation_id="add_member",
    summary="Add a member 新增家庭成员",
    status_code=201,
    responses=CHANGES,
)
async def add_member(
    household: str,
    body: MemberIn,
    expected: Expected,
    response: Response,
    caller: Recorder,
    key: Key,
    registry: RegistryDep,
    conn: Transaction,
) -> HouseholdDetail:
    """A birth or an arrival, from today on. `If-Match` names the household's version."""
    earlier = await key.claim(conn)
    if earlier is not None:
        mark_replayed(response)
        return await _detail(conn, registry, str(earlier.resource_id), caller, response)
    home, _ = await changing.add_member(conn, registry, household, body, caller, expected)
    await key.complete(conn, home, expected + 1)
    return await _detail(conn, registry, str(home), caller, response)


@routes.patch(
    "/households/{household}/members/{member}",
    operation_id="change_member",
    summary="Change a member 变更家庭成员",
    responses=CHANGES,
)
async def change_member(
    household: str,
    member: UUID,
    body: MemberPatch,
    expected: Expected,
    response: Response,
    caller: Recorder,
    registry: RegistryDep,
    conn: Transaction,
) -> HouseholdDetail:
    """Labour ability, school, disability, phone, death or departure. `If-Match` names the household's version."""
    if not body.model_fields_set:
        raise Problem(errors.INVALID)
    home = await changing.change_member(conn, registry, household, member, body, caller, expected)
    return await _detail(conn, registry, str(home), caller, response)


@routes.post(
    "/households/{household}/members/{member}/head",
    operation_id="make_head",
    summary="Make a member the head 变更户主",
    responses=CHANGES,
)
async def make_head(
    household: str,
    member: UUID,
    expected: Expected,
    response: Response,
    caller: Recorder,
    registry: RegistryDep,
    conn: Transaction,
) -> HouseholdDetail:
    """The former head stays a member. `If-Match` names the household's version."""
    home = await changing.make_head(conn, registry, household, member, caller, expected)
    return await _detail(conn, registry, str(home), caller, response)

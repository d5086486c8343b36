"""Routes of households."""

from collections.abc import AsyncIterator
from typing import Annotated
from uuid import UUID

from fastapi import Query, Request, Response
from fastapi.responses import StreamingResponse
from pydantic import Field

from services.registry.context import CommandDep, Importer, Reader, Recorder, RegistryDep, day_known, today
from services.registry.households import bulk, changing, listing, presenting, reading, service
from services.registry.households.bulk import BulkRegistration
from services.registry.households.listing import Filters
from services.registry.households.schemas import (
    Deregistration,
    HouseholdDetail,
    HouseholdIn,
    HouseholdOut,
    HouseholdPatch,
    VersionsOut,
)
from services.registry.identities.quota import QUOTA_RESPONSE
from services.registry.instants import SETTLED_RESPONSE, settled
from services.registry.reports import ImportReport, Mode
from services.registry.rowsecurity import scoped
from shared.app import CONFLICT_RESPONSE, NOT_FOUND_RESPONSE, VERSION_RESPONSES, router
from shared.contracts.household import Standing
from shared.http.body import read_lines
from shared.http.etag import Expected, set_etag
from shared.http.fields import Day, ExternalName, Instant
from shared.http.idempotency import Key, mark_replayed
from shared.http.listing import ListQuery
from shared.http.pagination import Page, page_of
from shared.http.problems import language_of
from shared.openapi import json_lines

routes = router("households")
CHANGES = {**NOT_FOUND_RESPONSE, **CONFLICT_RESPONSE, **VERSION_RESPONSES}
JSONL = "application/jsonl"
_LINES = json_lines(
    "A household a line 每行一户, as registered singly.",
    {
        "village": "411323102217", "standing": "poor", "registered_on": "2014-05-01", "cause": "illness",
        "members": [{"name": "测试甲", "relation": "head", "sex": "male", "birth_date": "1968-03-12"}],
    },
)  # fmt: skip


class HouseholdQuery(ListQuery):
    """Filters of households; together they narrow."""

    division: str | None = Field(
        default=None,
        pattern=r"^[0-9]{2,12}$",
        description="A whole 12-digit code (a county by what it manages), or a prefix of village codes 行政区划.",
    )
    standing: Standing | None = Field(default=None, description="Standing 状态.")
    as_of: Day | None = Field(default=None, description="Registered, and of this standing, on this day 截至日期.")
    known_at: Instant | None = Field(default=None, description="As was known then; default now 已知时点.")
    number: str | None = Field(default=None, pattern=r"^[0-9]{14}$", description="Household number 户编号.")
    updated_since: Instant | None = Field(
        default=None,
        description="Changed at or after 更新时间起. To follow changes without a gap, give `known_at` too, and "
        "next time that `known_at` here 增量查询须同时给出 known_at,下次以其作为本参数.",
    )
    source_system: ExternalName | None = Field(default=None, description="System that knows it 来源系统.")
    external_id: ExternalName | None = Field(default=None, description="Its name there 来源编号.")

    def filters(self) -> Filters:
        return Filters(
            division=self.division,
            standings=(self.standing,) if self.standing else (),
            as_of=self.as_of,
            known_at=self.known_at,
            number=self.number,
            updated_since=self.updated_since,
            source_system=self.source_system,
            external_id=self.external_id,
        )


@routes.post(
    "/households",
    operation_id="register_household",
    summary="Register a household 登记农户",
    status_code=201,
    responses={
        200: {"model": HouseholdDetail, "description": "There already, or a dry run 已登记或仅校验"},
        **CONFLICT_RESPONSE,
        **QUOTA_RESPONSE,
    },
)
async def register_household(
    body: HouseholdIn, response: Response, caller: Recorder, key: Key, registry: CommandDep
) -> HouseholdDetail:
    """Register a household with its members. Names, ID numbers and phones are encrypted and shown masked.

    The same content sent again answers 200 with the household it made, if it names a number, an external name or
    an ID number; other content under one of these is a conflict. To learn of an ID number that it belongs to somebody
    outside your divisions counts as a look-up (`POST /v1/persons/lookup`), here and wherever it is told.
    """
    household, status, replayed = await service.register_one(registry, caller, body, key)
    response.status_code = status
    if replayed:
        mark_replayed(response)
    response.headers["Location"] = f"/v1/households/{household.id}"
    set_etag(response, household.version)
    return presenting.detailed(household, today(registry))


@routes.post(
    "/households/bulk",
    operation_id="register_households",
    summary="Register many households 批量登记农户",
    responses={**CONFLICT_RESPONSE, **QUOTA_RESPONSE},
    openapi_extra=_LINES,
)
async def register_households(
    request: Request,
    response: Response,
    caller: Importer,
    key: Key,
    registry: CommandDep,
    mode: Annotated[Mode, Query(description="all: all or none; each: the good ones.")] = "all",
) -> ImportReport:
    """JSON lines in the shape of `POST /v1/households`, up to 100,000 and 64 MB. Answers with the import report.

    Households sent before with the same content are reported as unchanged. Past the quota of look-ups 429; in mode
    `each` what was registered by then stays.
    """
    lines = await read_lines(request, limit=bulk.MAX_LINES)
    work = BulkRegistration(registry, caller, key, mode, language_of(request))
    report, replayed = await work.run(lines)
    if replayed:
        mark_replayed(response)
    return report


@routes.get(
    "/households",
    operation_id="list_households",
    summary="List households 查询农户",
    response_model=Page[HouseholdOut],
    responses={
        200: {
            "description": "A page; or every household, one a line.",
            "content": {JSONL: {"schema": {"type": "string", "description": "One household a line."}}},
        },
        **SETTLED_RESPONSE,
    },
)
async def list_households(
    request: Request,
    response: Response,
    query: Annotated[HouseholdQuery, Query()],
    caller: Reader,
    registry: RegistryDep,
) -> Page[HouseholdOut] | Response:
    """Households within your divisions, in order of registration; with `Accept: application/jsonl` all of them.

    With `as_of`, village, standing, welfare and members are those of the day; with `known_at`, as was known then.
    Both list what was within your divisions on that day, or by what was known then: what a list said, it says again.
    An answer with `known_at` is final: while what was known then is still being recorded, 503 `not_settled`.
    """
    filters = query.filters()
    await settled(registry.runtime, filters.known_at)
    if JSONL in request.headers.get("accept", ""):
        return await _streamed(listing.stream(registry.runtime, filters, caller, registry.vault))
    after = query.after(request)
    async with scoped(registry.runtime, caller) as pg:
        rows = await listing.page(pg, filters, caller, after=UUID(after[0]) if after else None, limit=query.limit + 1)
        count = await listing.count(pg, filters, caller) if query.count else None
    kept, cursor = page_of(rows, limit=query.limit, key=lambda r: [str(r["id"])], request=request, response=response)
    items = [presenting.shown(row, registry.vault, filters.as_of) for row in kept]
    return Page[HouseholdOut](items=items, next_cursor=cursor, count=count)


async def _streamed(chunks: AsyncIterator[bytes]) -> Response:
    first = await anext(chunks)  # fails before the answer begins, while it can still be a problem

    async def whole() -> AsyncIterator[bytes]:
        yield first
        async for chunk in chunks:
            yield chunk

    return StreamingResponse(whole(), media_type=JSONL)


@routes.get(
    "/households/{household}",
    operation_id="get_household",
    summary="One household with its members 农户详情",
    responses={**NOT_FOUND_RESPONSE, **SETTLED_RESPONSE},
)
async def get_household(
    household: str,
    response: Response,
    caller: Reader,
    registry: RegistryDep,
    as_of: Annotated[Day | None, Query(description="As it was on this day 截至日期; default: latest.")] = None,
    known_at: Annotated[Instant | None, Query(description="As was known then; default now 已知时点.")] = None,
) -> HouseholdDetail:
    """By id, or by its 14-digit number. Members are masked; births are shown as years.

    `as_of` shows village, standing, welfare and members of the day, and nothing dated later; `known_at` leaves out what
    was recorded later. The two go together: as it was on a day, as we knew at an instant. Attributes without a day of
    their own are as known. A household that moved to another unit is still shown as of the days on which it was yours.
    An answer with `known_at` is final: while what was known then is still being recorded, 503 `not_settled`.
    """
    await settled(registry.runtime, known_at)
    async with scoped(registry.runtime, caller) as pg:
        found = await reading.find_as_of(pg, household, caller, registry.vault, as_of, known_at)
    set_etag(response, found.version)
    return presenting.detailed(found, day_known(registry, known_at), as_of)


@routes.get(
    "/households/{household}/versions",
    operation_id="list_household_versions",
    summary="The history of a household 农户变更记录",
    responses=NOT_FOUND_RESPONSE,
)
async def list_household_versions(household: str, caller: Reader, registry: RegistryDep) -> VersionsOut:
    """Every version as it was recorded: when, by which key, and why."""
    async with scoped(registry.runtime, caller) as pg:
        found = await reading.find(pg, household, caller, registry.vault)
        rows = await reading.versions(pg, found.id)
    return VersionsOut(items=[presenting.version(row) for row in rows])


@routes.patch(
    "/households/{household}",
    operation_id="change_household",
    summary="Change a household 变更农户",
    responses=CHANGES,
)
async def change_household(
    household: str,
    body: HouseholdPatch,
    response: Response,
    caller: Recorder,
    expected: Expected,
    registry: RegistryDep,
) -> HouseholdDetail:
    """Standing, village and welfare (from a day on), cause, relations. What happened before keeps its village.

    A change dated back holds until the next change that is already there.
    """
    decide = changing.patched(body)
    changed = await service.change(registry, caller, household, expected, decide, body.reason)
    set_etag(response, changed.version)
    return presenting.detailed(changed, today(registry))


@routes.post(
    "/households/{household}/deregistration",
    operation_id="deregister_household",
    summary="Take a household off the register 注销农户",
    responses=CHANGES,
)
async def deregister_household(
    household: str,
    body: Deregistration,
    response: Response,
    caller: Recorder,
    expected: Expected,
    registry: CommandDep,
) -> HouseholdDetail:
    """From a day on it counts nowhere; its past stays."""
    decide = changing.deregistered(body)
    gone = await service.change(registry, caller, household, expected, decide, body.reason)
    set_etag(response, gone.version)
    return presenting.detailed(gone, today(registry))

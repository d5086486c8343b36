"""Routes of divisions."""

from collections.abc import Iterable
from datetime import date
from typing import Annotated

from fastapi import Depends, Query, Request, Response
from pydantic import Field, ValidationError

from services.registry.context import Admin, Divisions, Reader, RegistryDep, today
from services.registry.divisions import service
from services.registry.divisions.schemas import (
    DesignationEnd,
    DesignationIn,
    DesignationLine,
    DesignationsReport,
    DivisionIn,
    DivisionOut,
    Handover,
)
from shared import errors
from shared.app import CONFLICT_RESPONSE, NOT_FOUND_RESPONSE, VERSION_RESPONSES, Transaction, router
from shared.contracts.division import DesignationKind, DivisionEvent, DivisionTree, Level
from shared.errors import Problem
from shared.http.body import parse_json, read_lines
from shared.http.etag import required_version, set_etag
from shared.http.fields import Day
from shared.http.listing import ListQuery
from shared.http.pagination import Page, page_of
from shared.http.problems import faults_of

routes = router("divisions")
Expected = Annotated[int, Depends(required_version)]
CHANGES = {**NOT_FOUND_RESPONSE, **VERSION_RESPONSES}
MAX_LINES = 10_000


class DivisionQuery(ListQuery):
    """Filters of divisions; together they narrow."""

    level: Level | None = Field(default=None, description="city 市, county 县级, township 乡级, village 村级.")
    parent: str | None = Field(default=None, pattern=r"^[0-9]{12}$", description="Directly below this one 上级.")
    division: str | None = Field(default=None, pattern=r"^[0-9]{2,12}$", description="Prefix of the code 代码前缀.")
    designation: DesignationKind | None = Field(default=None, description="Holding this designation 认定.")
    q: str | None = Field(default=None, min_length=1, max_length=50, description="Part of the name 名称.")
    as_of: Day | None = Field(default=None, description="The day it must be valid; default today 截至日期.")


@routes.get("/divisions", operation_id="list_divisions", summary="List divisions 查询行政区划")
async def list_divisions(
    request: Request,
    response: Response,
    query: Annotated[DivisionQuery, Query()],
    _: Reader,
    tree: Divisions,
    registry: RegistryDep,
) -> Page[DivisionOut]:
    """Divisions in official order. `designation=poor_village` with `as_of` tells the poor villages of a day."""
    day = query.as_of or today(registry)
    found = sorted(_matching(tree, query, day), key=_order)
    after = query.after(request, length=2)
    rest = [d for d in found if after is None or list(_order(d)) > after]
    kept, cursor = page_of(rest[: query.limit + 1], limit=query.limit, key=_order, request=request, response=response)
    count = len(found) if query.count else None
    return Page[DivisionOut](items=[_shown(d, tree, day) for d in kept], next_cursor=cursor, count=count)


def _matching(tree: DivisionTree, query: DivisionQuery, day: date) -> Iterable[DivisionEvent]:
    for division in tree:
        if (
            division.holds_on(day)
            and query.level in (None, division.level)
            and query.parent in (None, division.parent)
            and division.code.startswith(query.division or "")
            and (query.q or "") in division.name
            and (query.designation is None or division.designated(query.designation, day))
        ):
            yield division


def _order(division: DivisionEvent) -> tuple[int, str]:
    return division.sort_order, division.code


def _shown(division: DivisionEvent, tree: DivisionTree, day: date) -> DivisionOut:
    return DivisionOut(**dict(division), path=tree.path(division.code, day))


@routes.get(
    "/divisions/{code}",
    operation_id="get_division",
    summary="One division as of a day 行政区划详情",
    responses=NOT_FOUND_RESPONSE,
)
async def get_division(
    code: str, response: Response, _: Reader, tree: Divisions, registry: RegistryDep, as_of: Day | None = None
) -> DivisionOut:
    """The division with its whole dated past, and its path on the day."""
    division = tree.get(code)
    if division is None:
        raise Problem(errors.NOT_FOUND)
    set_etag(response, division.version)
    return _shown(division, tree, as_of or today(registry))


@routes.post(
    "/divisions",
    operation_id="register_division",
    summary="Add a division 新增行政区划",
    status_code=201,
    responses=CONFLICT_RESPONSE,
)
async def register_division(
    body: DivisionIn, response: Response, caller: Admin, tree: Divisions, registry: RegistryDep, conn: Transaction
) -> DivisionOut:
    """Add a unit that has no national code, or a division of a newer edition."""
    made = DivisionEvent(**body.model_dump(), version=1, source="local")
    now = registry.runtime.clock.now()
    await service.register(conn, registry.runtime.settings, made, tree.get(body.parent), now, str(caller.key_id))
    registry.divisions.expire()
    set_etag(response, 1)
    response.headers["Location"] = f"/v1/divisions/{made.code}"
    return DivisionOut(**dict(made), path=None)


@routes.post(
    "/divisions/{code}/designations",
    operation_id="designate_division",
    summary="Give a designation 认定",
    responses=CHANGES,
)
async def designate_division(
    code: str,
    body: DesignationIn,
    expected: Expected,
    response: Response,
    caller: Admin,
    tree: Divisions,
    registry: RegistryDep,
    conn: Transaction,
) -> DivisionOut:
    """From a day on, for example poor village 贫困村. A designation that holds already is refused."""
    changed = await service.designate(
        conn, registry.runtime.settings, code, body.kind, body.valid_from,
        expected=expected, now=registry.runtime.clock.now(), by=str(caller.key_id),
    )  # fmt: skip
    return _changed(changed, tree, registry, response)


@routes.post(
    "/divisions/{code}/designations/{kind}/end",
    operation_id="end_designation",
    summary="End a designation 退出认定",
    responses=CHANGES,
)
async def end_designation(
    code: str,
    kind: DesignationKind,
    body: DesignationEnd,
    expected: Expected,
    response: Response,
    caller: Admin,
    tree: Divisions,
    registry: RegistryDep,
    conn: Transaction,
) -> DivisionOut:
    """From a day on it no longer holds; it still held on the days before."""
    changed = await service.end_designation(
        conn, registry.runtime.settings, code, kind, body.valid_to,
        expected=expected, now=registry.runtime.clock.now(), by=str(caller.key_id),
    )  # fmt: skip
    return _changed(changed, tree, registry, response)


@routes.post(
    "/divisions/{code}/managing-unit",
    operation_id="hand_over_division",
    summary="Let another unit run a division 变更管理单位",
    responses=CHANGES,
)
async def hand_over_division(
    code: str,
    body: Handover,
    expected: Expected,
    response: Response,
    caller: Admin,
    tree: Divisions,
    registry: RegistryDep,
    conn: Transaction,
) -> DivisionOut:
    """From a day on; what happened before still counts for the unit of its day."""
    unit = tree.get(body.unit) if body.unit is not None else None
    if body.unit is not None and (unit is None or unit.level != "county"):
        raise errors.invalid(errors.fault("/unit", "division_unknown", "no county-level unit", "不是县级单位"))
    changed = await service.hand_over(
        conn, registry.runtime.settings, code, body.unit, body.valid_from,
        expected=expected, now=registry.runtime.clock.now(), by=str(caller.key_id),
    )  # fmt: skip
    return _changed(changed, tree, registry, response)


def _changed(changed: DivisionEvent, tree: DivisionTree, registry: RegistryDep, response: Response) -> DivisionOut:
    registry.divisions.expire()
    set_etag(response, changed.version)
    return _shown(changed, tree, today(registry))


@routes.post(
    "/divisions/designations/bulk",
    operation_id="designate_divisions",
    summary="Give many designations at once 批量认定",
    openapi_extra={"requestBody": {"content": {"application/jsonl": {"schema": {"type": "string"}}}, "required": True}},
)
async def designate_divisions(
    request: Request, caller: Admin, registry: RegistryDep, conn: Transaction
) -> DesignationsReport:
    """JSON lines `{"code", "kind", "valid_from"}`, at most 10,000; all or none."""
    lines = [_line(number, raw) for number, raw in enumerate(await read_lines(request, limit=MAX_LINES), start=1)]
    now = registry.runtime.clock.now()
    for line in lines:
        await service.designate(
            conn, registry.runtime.settings, line.code, line.kind, line.valid_from,
            expected=None, now=now, by=str(caller.key_id),
        )  # fmt: skip
    registry.divisions.expire()
    return DesignationsReport(received=len(lines), created=len(lines))


def _line(number: int, raw: bytes) -> DesignationLine:
    try:
        return DesignationLine.model_validate(parse_json(raw))
    except ValidationError as error:
        faults = faults_of(error.errors(include_input=False, include_url=False), root=f"/{number}")
        raise Problem(errors.INVALID, faults=faults) from error

"""Routes of divisions."""

from collections.abc import Iterable
from datetime import date
from typing import Annotated, Any

from fastapi import Query, Request, Response
from pydantic import Field

from services.registry.commands import attempted, claim, command, complete, forget
from services.registry.context import Admin, CommandDep, Divisions, Reader, RegistryDep, day_known
from services.registry.divisions import service
from services.registry.divisions.changing import answer, carried_out, once, shown
from services.registry.divisions.schemas import (
    DesignationEnd,
    DesignationIn,
    DesignationLine,
    DivisionIn,
    DivisionOut,
    DivisionVersion,
    DivisionVersions,
)
from services.registry.instants import SETTLED_RESPONSE
from services.registry.reports import ImportReport, Mode, keep, kept
from shared import errors
from shared.app import CONFLICT_RESPONSE, NOT_FOUND_RESPONSE, VERSION_RESPONSES, router
from shared.contracts.division import DesignationKind, DivisionEvent, DivisionTree, Level
from shared.errors import Problem
from shared.http.body import parse_line, read_lines
from shared.http.etag import Expected, set_etag
from shared.http.fields import Day, Instant
from shared.http.idempotency import Key, mark_replayed
from shared.http.listing import ListQuery
from shared.http.pagination import Page, page_of
from shared.http.problems import language_of
from shared.ids import uuid7
from shared.openapi import json_lines

routes = router("divisions")
CHANGES = {**NOT_FOUND_RESPONSE, **VERSION_RESPONSES}
MAX_LINES = 10_000


class DivisionQuery(ListQuery):
    """Filters of divisions; together they narrow."""

    level: Level | None = Field(default=None, description="city 市, county 县级, township 乡级, village 村级.")
    parent: str | None = Field(default=None, pattern=r"^[0-9]{12}$", description="Directly below this one 上级.")
    division: str | None = Field(default=None, pattern=r"^[0-9]{2,12}$", description="Prefix of the code 代码前缀.")
    designation: DesignationKind | None = Field(default=None, description="Holding this designation 认定.")
    q: str | None = Field(default=None, min_length=1, max_length=50, description="Part of the name 名称.")
    as_of: Day | None = Field(
        default=None, description="The day it must be valid; default that of `known_at` 截至日期."
    )
    known_at: Instant | None = Field(default=None, description="As was known then; default now 已知时点.")


@routes.get(
    "/divisions",
    operation_id="list_divisions",
    summary="List divisions 查询行政区划",
    responses=SETTLED_RESPONSE,
)
async def list_divisions(
    request: Request,
    response: Response,
    query: Annotated[DivisionQuery, Query()],
    _: Reader,
    tree: Divisions,
    registry: RegistryDep,
) -> Page[DivisionOut]:
    """Divisions in official order. `designation=poor_village` with `as_of` tells the poor villages of a day.

    Names and parents are those of the day. `known_at` answers as the register would have answered then: finally, hence
    503 `not_settled` while what was known then is still being recorded.
    """
    tree = await service.known_tree(registry, tree, query.known_at)
    day = query.as_of or day_known(registry, query.known_at)
    found = sorted(_matching(tree, query, day), key=_order)
    after = query.after(request, length=2)
    rest = [d for d in found if after is None or list(_order(d)) > after]
    kept, cursor = page_of(rest[: query.limit + 1], limit=query.limit, key=_order, request=request, response=response)
    count = len(found) if query.count else None
    return Page[DivisionOut](items=[shown(d, tree, day) for d in kept], next_cursor=cursor, count=count)


def _matching(tree: DivisionTree, query: DivisionQuery, day: date) -> Iterable[DivisionEvent]:
    for division in tree:
        if (
            division.holds_on(day)
            and query.level in (None, division.level)
            and query.parent in (None, division.parent_on(day))
            and division.code.startswith(query.division or "")
            and (query.q or "") in division.name_on(day)
            and (query.designation is None or division.designated(query.designation, day))
        ):
            yield division


def _order(division: DivisionEvent) -> tuple[int, str]:
    return division.sort_order, division.code


@routes.get(
    "/divisions/{code}",
    operation_id="get_division",
    summary="One division as of a day 行政区划详情",
    responses={**NOT_FOUND_RESPONSE, **SETTLED_RESPONSE},
)
async def get_division(
    code: str,
    response: Response,
    _: Reader,
    tree: Divisions,
    registry: RegistryDep,
    as_of: Annotated[Day | None, Query(description="Day 截至日期; default that of `known_at`.")] = None,
    known_at: Annotated[Instant | None, Query(description="As was known then; default now 已知时点.")] = None,
) -> DivisionOut:
    """The division with its whole dated past; name, parent and path are those of the day. Ended ones stay readable."""
    tree = await service.known_tree(registry, tree, known_at)
    division = tree.get(code)
    if division is None:
        raise Problem(errors.NOT_FOUND)
    set_etag(response, division.version)
    return shown(division, tree, as_of or day_known(registry, known_at))


@routes.get(
    "/divisions/{code}/versions",
    operation_id="list_division_versions",
    summary="The history of a division 行政区划变更记录",
    responses=NOT_FOUND_RESPONSE,
)
async def list_division_versions(code: str, _: Reader, registry: RegistryDep) -> DivisionVersions:
    """Every version as it was recorded: when, by which key, and why."""
    async with registry.runtime.database.driver() as pg:
        rows = await service.versions(pg, code)
    if not rows:
        raise Problem(errors.NOT_FOUND)
    return DivisionVersions(items=[_version(row) for row in rows])


def _version(row: Any) -> DivisionVersion:
    return DivisionVersion(
        version=row["version"],
        recorded_at=row["recorded_at"],
        changed_by=row["changed_by"],
        reason=row["reason"],
        division=DivisionEvent.model_validate_json(row["body"]),
    )


@routes.post(
    "/divisions",
    operation_id="register_division",
    summary="Add a division 新增行政区划",
    status_code=201,
    responses=CONFLICT_RESPONSE,
)
async def register_division(
    body: DivisionIn, response: Response, caller: Admin, registry: CommandDep, key: Key
) -> DivisionOut:
    """Add a unit that has no national code, or a division of a newer edition."""
    made = await once(registry, response, key, body.code, lambda pg: service.register(pg, registry, caller, body))
    response.headers["Location"] = f"/v1/divisions/{made.code}"
    return await answer(registry, made, response)


@routes.post(
    "/divisions/{code}/designations",
    operation_id="designate_division",
    summary="Give a designation 认定",
    responses=CHANGES,
)
async def designate_division(
    code: str,
    body: DesignationIn,
    response: Response,
    caller: Admin,
    expected: Expected,
    registry: CommandDep,
    key: Key,
) -> DivisionOut:
    """From a day on, for example poor village 贫困村. A designation that holds already is refused."""
    changed = await once(
        registry,
        response,
        key,
        code,
        lambda pg: service.designate(pg, registry, caller, code, body.kind, body.valid_from, expected),
    )
    return await answer(registry, changed, response)


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
    response: Response,
    caller: Admin,
    expected: Expected,
    registry: CommandDep,
) -> DivisionOut:
    """From a day on it no longer holds; it still held on the days before."""
    changed = await carried_out(
        registry, lambda pg: service.end_designation(pg, registry, caller, code, kind, body.valid_to, expected)
    )
    return await answer(registry, changed, response)


@routes.post(
    "/divisions/designations/bulk",
    operation_id="designate_divisions",
    summary="Give many designations at once 批量认定",
    openapi_extra=json_lines(
        "A designation a line 每行一项认定.",
        {"code": "411323102217", "kind": "poor_village", "valid_from": "2014-01-01"},
    ),
)
async def designate_divisions(
    request: Request,
    response: Response,
    caller: Admin,
    registry: CommandDep,
    key: Key,
    mode: Annotated[Mode, Query(description="all: all or none; each: the good ones.")] = "all",
) -> ImportReport:
    """JSON lines `{"code", "kind", "valid_from"}`, at most 10,000. Answers with the import report."""
    lines = [parse_line(raw, DesignationLine.model_validate) for raw in await read_lines(request, limit=MAX_LINES)]

    async def attempt() -> ImportReport:
        async with command(registry.runtime, dry_run=registry.dry_run) as pg:
            earlier = await claim(pg, key)
            if earlier is not None:
                mark_replayed(response)
                return await kept(pg, earlier.resource_id)
            tally = await service.designate_many(pg, registry, caller, lines, each=mode == "each")
            report = tally.report(mode, dry_run=registry.dry_run, language=language_of(request), identifier=uuid7())
            if report.id is not None:
                await keep(pg, report, registry.runtime.clock.now(), caller.key_id)
                await complete(pg, key, report.id, 1)
            else:
                await forget(pg, key)
        return report

    report = await attempted(attempt)
    registry.divisions.expire()
    return report

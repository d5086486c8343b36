"""Routes of the denominators of incidence."""

from typing import Annotated

from fastapi import Query, Request, Response
from pydantic import Field

from services.registry.commands import command
from services.registry.context import CommandDep, Importer, Reader, RegistryDep
from services.registry.reports import ImportReport, Mode
from services.registry.statistics import denominators
from services.registry.statistics.schemas import DenominatorLine, DenominatorOut
from shared.app import router
from shared.http.body import parse_line, read_lines
from shared.http.listing import ListQuery
from shared.http.pagination import Page, page_of
from shared.http.problems import language_of
from shared.openapi import json_lines

routes = router("statistics")
MAX_LINES = 20_000
"""Every division of a city, for some years."""


class DenominatorQuery(ListQuery):
    """Filters of rural populations."""

    year: int | None = Field(default=None, ge=2000, le=2100, description="Year 年度.")


@routes.put(
    "/statistics/denominators",
    operation_id="put_denominators",
    summary="Load rural populations 导入农村人口数",
    openapi_extra=json_lines(
        "A division's population a line 每行一个区划.", {"division": "411300000000", "year": 2017, "people": 10411215}
    ),
)
async def put_denominators(
    request: Request,
    caller: Importer,
    registry: CommandDep,
    mode: Annotated[Mode, Query(description="all: all or none; each: the good ones.")] = "all",
) -> ImportReport:
    """JSON lines `{"division", "year", "people"}`, at most 20,000. Sending them again changes nothing.

    A division may be on any level; one without a figure has the sum of those below it. A newer figure replaces the
    one before, which `known_at` still finds.
    """
    lines = [parse_line(raw, DenominatorLine.model_validate) for raw in await read_lines(request, limit=MAX_LINES)]
    async with command(registry.runtime, dry_run=registry.dry_run) as pg:
        tally = await denominators.put(pg, registry, caller, lines, each=mode == "each")
    return tally.report(mode, dry_run=registry.dry_run, language=language_of(request), identifier=None)


@routes.get(
    "/statistics/denominators",
    operation_id="list_denominators",
    summary="List rural populations 查询农村人口数",
)
async def list_denominators(
    request: Request,
    response: Response,
    query: Annotated[DenominatorQuery, Query()],
    _: Reader,
    registry: RegistryDep,
) -> Page[DenominatorOut]:
    """By division and year, as recorded last."""
    after = query.after(request, length=2) or ["", 0]
    async with registry.runtime.database.driver() as pg:
        rows = await denominators.listed(pg, (after[0], after[1]), query.year, query.limit + 1)
        count = await denominators.counted(pg, query.year) if query.count else None
    kept, cursor = page_of(
        rows, limit=query.limit, key=lambda row: [row["division"], row["year"]], request=request, response=response
    )
    items = [DenominatorOut(**dict(row)) for row in kept]
    return Page[DenominatorOut](items=items, next_cursor=cursor, count=count)

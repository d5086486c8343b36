"""Routes of league tables."""

from dataclasses import replace
from typing import Annotated, Literal

from fastapi import Depends, Header, Path, Query, Request, Response

from services.ranking.context import RankingDep
from services.ranking.indicators.rule_sets import TableLevel
from services.ranking.periods import rules as periods
from services.ranking.tables import explanation, service
from services.ranking.tables.assembly import TableKey
from services.ranking.tables.live import LiveTables, Snapshot
from services.ranking.tables.presentation import present
from services.ranking.tables.rules import Standing
from services.ranking.tables.schemas import Explanation, LeagueTable
from services.ranking.tables.units import lies_in
from shared import errors
from shared.app import NOT_FOUND_RESPONSE, router
from shared.auth import AnyCaller, Caller
from shared.contracts.programme import Cadence
from shared.errors import Problem, Text
from shared.http.etag import holds
from shared.http.pagination import Limit, page_of, place_after

routes = router("league-tables")

NO_EDITION = errors.kind(
    "no_edition", 404, "No edition has been issued", "尚未印发",
    "Editions are frozen, signed and issued tables; none exists for this period. Read `edition=live`.",
    "该期排名尚未印发,请读取实时数据(edition=live)。",
)  # fmt: skip

CadenceName = Literal["daily", "weekly", "monthly", "quarterly", "yearly"]
CADENCES: dict[CadenceName, Cadence] = {
    "daily": "day", "weekly": "week", "monthly": "month", "quarterly": "quarter", "yearly": "year"
}  # fmt: skip
NOT_MODIFIED: dict[int | str, dict[str, str]] = {304: {"description": "The version you hold is the newest 未变化"}}
ETAG_HEADERS = {"ETag": {"description": "The table's version.", "schema": {"type": "string"}}}
Level = Annotated[
    TableLevel,
    Query(description="Counties 县区, townships 乡镇, villages 村 or departments 行业部门; more may be added."),
]
DivisionFilter = Annotated[
    str | None,
    Query(pattern=r"^[0-9]{12}$", description="Only units below this division; they are ranked among themselves."),
]
RuleSetName = Annotated[
    str | None,
    Query(max_length=40, description="Compute with this rule set instead of the one in force 试算."),
]
IfNoneMatch = Annotated[str | None, Header(alias="If-None-Match", description="The ETag you hold.")]


async def table_key(
    cadence: Annotated[CadenceName, Path(description="Cadence 周期.")],
    period: Annotated[
        str,
        Path(
            max_length=10,
            description="Period id: `2018-10-05`, `2018-W40` (ISO week), `2018-10`, `2018-Q4`, `2018`.",
            examples=["2018-W40"],
        ),
    ],
    level: Level = "county",
    division: DivisionFilter = None,
    rule_set: RuleSetName = None,
) -> TableKey:
    """Which table the request names. Raises 422 for an id that is none of the cadence's."""
    try:
        named = periods.parse(CADENCES[cadence], period)
    except ValueError as error:
        raise errors.invalid(
            errors.fault("path:period", "period", f"not the id of a {cadence} period", "不是该周期的期号")
        ) from error
    return TableKey(level, named, None if level == "sector" else division, rule_set)


Key = Annotated[TableKey, Depends(table_key)]


async def snapshot_of(tables: LiveTables, key: TableKey) -> Snapshot:
    """The live table. Raises 404 for a division and 422 for a rule set that does not exist."""
    try:
        return await tables.snapshot(key)
    except service.UnknownDivisionError as error:
        raise Problem(errors.NOT_FOUND, Text("no such division", "无此行政区划")) from error
    except service.UnknownRuleSetError as error:
        raise errors.invalid(errors.fault("query:rule_set", "unknown", "no such rule set", "无此评分规则")) from error


def is_visible(line: Standing, key: TableKey, caller: Caller) -> bool:
    """Whether a caller may see a line: villages only within its divisions, everything else always."""
    if key.level != "village":
        return True
    return line.unit.path is not None and lies_in(line.unit.path, caller.divisions)


def visible_body(snapshot: Snapshot, caller: Caller, demonstration: bool) -> bytes:
    """The table's JSON as this caller may see it: villages outside its divisions are left out."""
    table = snapshot.table
    if table.key.level != "village" or all(is_visible(line, table.key, caller) for line in table.lines()):
        return snapshot.body
    visible = replace(
        table,
        rows=[row for row in table.rows if is_visible(row.standing, table.key, caller)],
        not_ranked=[line for line in table.not_ranked if is_visible(line, table.key, caller)],
    )
    return present(visible, snapshot.version, demonstration).model_dump_json().encode()


@routes.get(
    "/league-tables/{cadence}/{period}",
    operation_id="get_league_table",
    summary="A league table 评比排名表",
    response_model=LeagueTable,
    responses={200: {"headers": ETAG_HEADERS}, **NOT_MODIFIED, **NOT_FOUND_RESPONSE},
)
async def get_league_table(
    caller: AnyCaller,
    key: Key,
    ranking: RankingDep,
    request: Request,
    edition: Annotated[
        str, Query(pattern=r"^(live|latest|[1-9][0-9]{0,5})$", description="`live`, `latest` or an edition's number.")
    ] = "live",
    _: IfNoneMatch = None,
) -> Response:
    """The live table: units with scores, ranks, figures and terms; those not ranked apart.

    Counties, townships and departments are open to every key. Villages outside the key's divisions are left out.
    """
    if edition != "live":
        raise Problem(NO_EDITION)

    async def again(request: Request, caller: Caller) -> Response:
        snapshot = await snapshot_of(ranking.tables, key)
        body = visible_body(snapshot, caller, ranking.runtime.settings.demonstration)
        return answer(request, body, {"ETag": snapshot.etag, "Cache-Control": "private, no-cache"})

    response = await again(request, caller)
    ranking.table_answers.remember(request, again)
    return response


def answer(request: Request, body: bytes, headers: dict[str, str]) -> Response:
    """JSON that is rendered already; 304 when the caller holds this very version."""
    held = request.headers.get("if-none-match")
    if held is not None and holds(held, headers["ETag"]):
        return Response(status_code=304, headers=headers)
    return Response(body, media_type="application/json", headers=headers)


@routes.get(
    "/league-tables/{cadence}/{period}/units/{code}",
    operation_id="explain_league_table_row",
    summary="A row explained to the last term 逐项说明",
    responses=NOT_FOUND_RESPONSE,
)
async def explain_league_table_row(
    caller: AnyCaller,
    key: Key,
    code: Annotated[str, Path(max_length=100, description="The unit's code.", examples=["411323000000"])],
    ranking: RankingDep,
    request: Request,
    response: Response,
    limit: Limit = 100,
    cursor: Annotated[str | None, Query(max_length=1000, description="From `next_cursor`.")] = None,
) -> Explanation:
    """Every numerator, denominator and weight of a row, what is due, and the counted actions behind it.

    Actions are those within the key's divisions; a village outside them is not found.
    """
    snapshot = await snapshot_of(ranking.tables, key)
    line = snapshot.table.standing(code)
    if line is None or not is_visible(line, key, caller):
        raise Problem(errors.NOT_FOUND)
    place = place_after(request, cursor, length=2)
    after = None if place is None else explanation.read_cursor(place)
    async with ranking.runtime.database.driver() as pg:
        found = await explanation.actions_behind(pg, key, code, caller.divisions, after, limit + 1)
    page, next_cursor = page_of(found, limit=limit, key=explanation.cursor_key, request=request, response=response)
    return explanation.explain(snapshot, line, page, next_cursor, ranking.runtime.settings.demonstration)

"""Routes of statistics: as JSON or as files.

Figures of counties and townships are open to every authenticated caller, those of villages to whose divisions they
lie in (architecture rule 9).
"""

import asyncio
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Annotated, Any

from fastapi import Depends, Header, Query, Request, Response

from services.registry.context import Divisions, Registry, RegistryDep, day_known, watermark
from services.registry.divisions.service import known_tree
from services.registry.instants import SETTLED_RESPONSE
from services.registry.standing.rules import MONITORING_OFF
from services.registry.statistics import export, reading, units
from services.registry.statistics.reading import Asked
from services.registry.statistics.schemas import (
    DayQuery,
    ExitStatistics,
    Format,
    MonitoringStatistics,
    PovertyStatistics,
    ProfileQuery,
    ProfileStatistics,
    SpanQuery,
    VillageStatistics,
)
from shared import errors
from shared.app import CONFLICT_RESPONSE, NOT_FOUND_RESPONSE, router
from shared.auth import AnyCaller, Caller
from shared.clock import SHANGHAI
from shared.contracts.division import DivisionTree
from shared.errors import Problem
from shared.http.etag import holds

routes = router("statistics")
CSV, XLSX = "text/csv", "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
MEDIA_TYPES: Mapping[Format, str] = {"json": "application/json", "csv": f"{CSV}; charset=utf-8", "xlsx": XLSX}
Answer = PovertyStatistics | ExitStatistics | ProfileStatistics | MonitoringStatistics | VillageStatistics
IfNoneMatch = Annotated[str | None, Header(alias="If-None-Match", description="The ETag you hold.")]
ANSWERS: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The figures; as a file with `format` or `Accept`.",
        "content": {
            CSV: {"schema": {"type": "string", "description": "UTF-8 with byte-order mark."}},
            XLSX: {"schema": {"type": "string", "format": "binary", "description": "One sheet."}},
        },
        "headers": {"ETag": {"description": "Of these figures.", "schema": {"type": "string"}}},
    },
    304: {"description": "You hold these very figures 未变化"},
    **NOT_FOUND_RESPONSE,
    **SETTLED_RESPONSE,
}


@dataclass(frozen=True, slots=True)
class Asking:
    """Who asks for figures, and how: the same for every table."""

    request: Request
    caller: Caller
    tree: DivisionTree
    registry: Registry
    if_none_match: str | None

    async def asked(self, query: DayQuery | SpanQuery, day: date | None) -> Asked:
        """What the query asks. Raises what ``known_tree`` does, 404, also for a village that is not the caller's, and
        422 for a level not below.
        """
        tree = await known_tree(self.registry, self.tree, query.known_at)
        division = tree.get(query.division)
        if division is None:
            raise Problem(errors.NOT_FOUND)
        level = query.level or units.next_level(division.level)
        if query.level is not None and units.LEVELS.index(query.level) <= units.LEVELS.index(division.level):
            raise errors.invalid(
                errors.fault("query:level", "level_not_below", "not below the division", "须低于所查区划级别")
            )
        day = day or day_known(self.registry, query.known_at)
        asked = Asked(self.caller, tree, division, level, day, query.known_at, watermark(self.registry))
        if not asked.visible():
            raise Problem(errors.NOT_FOUND)
        return asked

    async def answer(self, wanted: Format | None, found: Answer, title: str, day: date) -> Response:
        """The figures in the format asked for; 304 when the caller holds these very ones."""
        form = wanted or _accepted(self.request.headers.get("accept", ""))
        figures, tag = await asyncio.to_thread(_rendered, found, form)
        headers = {"ETag": tag, "Cache-Control": "private, no-cache", "Vary": "Accept"}
        if self.if_none_match is not None and holds(self.if_none_match, tag):
            return Response(status_code=304, headers=headers)
        if form == "json":
            return Response(figures, media_type=MEDIA_TYPES["json"], headers=headers)
        name = f"{self.request.url.path.rsplit('/', 1)[-1]}-{found.division.code}.{form}"
        headers["Content-Disposition"] = f'attachment; filename="{name}"'
        file = await asyncio.to_thread(_file, found, title, day, form)
        return Response(file, media_type=MEDIA_TYPES[form], headers=headers)


async def _asking(
    request: Request, caller: AnyCaller, tree: Divisions, registry: RegistryDep, if_none_match: IfNoneMatch = None
) -> Asking:
    return Asking(request, caller, tree, registry, if_none_match)


AskingDep = Annotated[Asking, Depends(_asking)]


@routes.get(
    "/statistics/poverty",
    operation_id="poverty_statistics",
    summary="Poor and served households of a day, and incidence 贫困统计",
    response_model=PovertyStatistics,
    responses=ANSWERS,
)
async def poverty_statistics(query: Annotated[DayQuery, Query()], asking: AskingDep) -> Response:
    """Counted for the village responsible on the day, and so for the unit that runs it.

    Incidence 贫困发生率 is the stock's people over the rural population of the year, or of the newest year loaded
    before it. `known_at` leaves out what was recorded later, so that an earlier answer can be had again. Such
    an answer is final: while what was known then is still being recorded, 503 `not_settled`.
    """
    asked = await asking.asked(query, query.as_of)
    async with asking.registry.runtime.database.driver() as pg:
        found = await reading.poverty(pg, asked)
    return await asking.answer(query.format, found, "贫困人口统计表", asked.day)


@routes.get(
    "/statistics/exits",
    operation_id="exit_statistics",
    summary="Exits, relapses, additions and removals in a span of days 脱贫返贫统计",
    response_model=ExitStatistics,
    responses=ANSWERS,
)
async def exit_statistics(query: Annotated[SpanQuery, Query()], asking: AskingDep) -> Response:
    """By the day on which a standing changed. A household that left and came back within the span counts for both."""
    until = query.until or day_known(asking.registry, query.known_at)
    since = query.since or date(until.year, 1, 1)
    if since > until:
        raise errors.invalid(errors.fault("query:since", "day_out_of_range", "after `until`", "晚于截止日期"))
    asked = await asking.asked(query, until)
    async with asking.registry.runtime.database.driver() as pg:
        found = await reading.exits(pg, asked, since)
    return await asking.answer(query.format, found, "脱贫返贫统计表", asked.day)


@routes.get(
    "/statistics/causes",
    operation_id="cause_statistics",
    summary="Main causes of poverty on a day 致贫原因统计",
    response_model=ProfileStatistics,
    responses=ANSWERS,
)
async def cause_statistics(query: Annotated[ProfileQuery, Query()], asking: AskingDep) -> Response:
    """The main cause is an attribute without a day of its own: each household counts with the one known."""
    asked = await asking.asked(query, query.as_of)
    async with asking.registry.runtime.database.driver() as pg:
        found = await reading.causes(pg, asked, query.among)
    return await asking.answer(query.format, found, "主要致贫原因统计表", asked.day)


@routes.get(
    "/statistics/welfare",
    operation_id="welfare_statistics",
    summary="Welfare categories on a day 社会救助类别统计",
    response_model=ProfileStatistics,
    responses=ANSWERS,
)
async def welfare_statistics(query: Annotated[ProfileQuery, Query()], asking: AskingDep) -> Response:
    """Each household counts with the welfare category it had on the day."""
    asked = await asking.asked(query, query.as_of)
    async with asking.registry.runtime.database.driver() as pg:
        found = await reading.welfare(pg, asked, query.among)
    return await asking.answer(query.format, found, "社会救助类别统计表", asked.day)


@routes.get(
    "/statistics/monitoring",
    operation_id="monitoring_statistics",
    summary="Monitored households on a day, by category 监测对象统计",
    response_model=MonitoringStatistics,
    responses={**ANSWERS, **CONFLICT_RESPONSE},
)
async def monitoring_statistics(query: Annotated[DayQuery, Query()], asking: AskingDep) -> Response:
    """脱贫不稳定户, 边缘易致贫户, 突发严重困难户 by dated decisions. Refused where monitoring is not turned on."""
    if not asking.registry.standing.monitoring:
        raise Problem(MONITORING_OFF)
    asked = await asking.asked(query, query.as_of)
    async with asking.registry.runtime.database.driver() as pg:
        found = await reading.monitoring(pg, asked)
    return await asking.answer(query.format, found, "监测对象统计表", asked.day)


@routes.get(
    "/statistics/villages",
    operation_id="village_statistics",
    summary="Villages by designation on a day 村认定统计",
    response_model=VillageStatistics,
    responses=ANSWERS,
)
async def village_statistics(query: Annotated[DayQuery, Query()], asking: AskingDep) -> Response:
    """Poor 贫困村, deep-poverty 深度贫困村, key 重点村, weak and lax 软弱涣散村 villages; one may be several."""
    asked = await asking.asked(query, query.as_of)
    found = await reading.villages(asked)
    return await asking.answer(query.format, found, "村认定情况统计表", asked.day)


def _rendered(found: Answer, form: Format) -> tuple[bytes, str]:
    """The figures as JSON, and the ETag of a form of them."""
    figures = found.model_dump_json().encode()
    return figures, f'"{hashlib.sha256(figures + form.encode()).hexdigest()[:32]}"'


def _file(found: Answer, title: str, day: date, form: Format) -> bytes:
    notes = f"{found.since} 至 {day}" if isinstance(found, ExitStatistics) else f"截至 {day}"
    if found.known_at is not None:
        notes += f"(按 {found.known_at.astimezone(SHANGHAI):%Y-%m-%d %H:%M:%S} 所知)"
    table = export.sheet(f"{found.division.name}{title}", notes, found.division, found.below, found.watermark)
    return export.as_csv(table) if form == "csv" else export.as_xlsx(table, day)


def _accepted(accept: str) -> Format:
    return "csv" if CSV in accept else "xlsx" if XLSX in accept else "json"

"""Routes of statistics: aggregates, open to every authenticated caller."""

from typing import Annotated

from fastapi import Query

from services.registry.context import Divisions, RegistryDep, today
from services.registry.statistics import service
from services.registry.statistics.schemas import PovertyStatistics
from shared.app import NOT_FOUND_RESPONSE, router
from shared.auth import AnyCaller
from shared.http.fields import Day

routes = router("statistics")


@routes.get(
    "/statistics/poverty",
    operation_id="poverty_statistics",
    summary="Poor and served households of a day 贫困统计",
    responses=NOT_FOUND_RESPONSE,
)
async def poverty_statistics(
    _: AnyCaller,
    tree: Divisions,
    registry: RegistryDep,
    division: Annotated[str, Query(pattern=r"^[0-9]{12}$", description="Division 行政区划.")] = "411300000000",
    as_of: Annotated[Day | None, Query(description="Day 截至日期; default today.")] = None,
) -> PovertyStatistics:
    """Counted for the village responsible on the day, and so for the unit that runs it."""
    watermark = "演示数据" if registry.runtime.settings.demonstration else None
    async with registry.runtime.database.driver() as pg:
        return await service.poverty(pg, tree, division, as_of or today(registry), watermark)

"""Routes of locked years."""

from typing import Annotated

from fastapi import Path

from services.registry.commands import command
from services.registry.context import CityAdmin, Reader, RegistryDep
from services.registry.years import service
from services.registry.years.schemas import LockedYear, LockedYearsOut, LockIn
from shared.app import router

routes = router("households")


@routes.get("/locked-years", operation_id="list_locked_years", summary="Locked years 已锁定年度")
async def list_locked_years(_: Reader, registry: RegistryDep) -> LockedYearsOut:
    """Years whose incomes are neither entered nor changed any more."""
    async with registry.runtime.database.driver() as pg:
        return LockedYearsOut(items=list(await service.listed(pg)))


@routes.put("/locked-years/{year}", operation_id="lock_year", summary="Lock a year 锁定年度数据")
async def lock_year(
    year: Annotated[int, Path(ge=2010, le=2100, description="Year 年度.")],
    body: LockIn,
    caller: CityAdmin,
    registry: RegistryDep,
) -> LockedYear:
    """For good and everywhere, so that it takes an admin of the whole city: incomes that were reported must stay.

    Locking it again changes nothing. The past of households may still be corrected; what was reported of them comes
    back with the `known_at` of the day.
    """
    async with command(registry.runtime) as pg:
        return await service.lock(pg, year, body.reason, registry.runtime.clock.now(), caller.key_id)

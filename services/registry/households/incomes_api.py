"""Routes of incomes by year. ``If-Match`` names the household's version: incomes belong to it."""

from typing import Annotated

from fastapi import Path, Response

from services.registry.context import Reader, Recorder, RegistryDep
from services.registry.households import changing, reading, service
from services.registry.households.api import CHANGES
from services.registry.households.incomes import IncomeOut, IncomeReport, IncomesOut
from services.registry.rowsecurity import scoped
from shared.app import NOT_FOUND_RESPONSE, router
from shared.http.etag import Expected, set_etag

routes = router("households")


@routes.get(
    "/households/{household}/incomes",
    operation_id="list_incomes",
    summary="Incomes of a household 家庭年收入",
    responses=NOT_FOUND_RESPONSE,
)
async def list_incomes(household: str, response: Response, caller: Reader, registry: RegistryDep) -> IncomesOut:
    """By year, oldest first, with gross, net and net per head as the national register adds them up."""
    async with scoped(registry.runtime, caller) as pg:
        found = await reading.find(pg, household, caller, registry.vault)
    set_etag(response, found.version)
    return IncomesOut(items=[IncomeOut.of(income) for income in found.incomes])


@routes.put(
    "/households/{household}/incomes/{year}",
    operation_id="set_income",
    summary="Report a year's income 填报年收入",
    responses=CHANGES,
)
async def set_income(
    household: str,
    year: Annotated[int, Path(ge=2010, le=2100, description="Year 年度.")],
    body: IncomeReport,
    response: Response,
    caller: Recorder,
    expected: Expected,
    registry: RegistryDep,
) -> IncomeOut:
    """The whole income of the year, reported for the first time or anew; refused once the year is locked."""
    income = body.income(year)
    changed = await service.change(registry, caller, household, expected, changing.income_set(income), body.reason)
    set_etag(response, changed.version)
    return IncomeOut.of(income)

"""Routes that change divisions themselves. Each says a reason and a day.

The day is today: people follow a change at once, so it is entered on the day it takes effect. Only a name may be dated
ahead.
"""

from typing import Annotated

from fastapi import Depends, Request, Response

from services.registry.context import Admin, CommandDep
from services.registry.divisions import reorganising
from services.registry.divisions.api import CHANGES
from services.registry.divisions.changing import answer, carried_out, once
from services.registry.divisions.reorganising import Residents
from services.registry.divisions.schemas import DivisionOut, Ending, Handover, Merge, Move, Rename, Split
from shared.app import CONFLICT_RESPONSE, router
from shared.http.etag import Expected
from shared.http.idempotency import Key

routes = router("divisions")


async def _residents(request: Request) -> Residents:
    """The households, as the application hands them over: divisions know nothing of them."""
    residents: Residents = request.app.state.residents
    return residents


ResidentsDep = Annotated[Residents, Depends(_residents)]


@routes.post(
    "/divisions/{code}/name", operation_id="rename_division", summary="Rename a division 更名", responses=CHANGES
)
async def rename_division(
    code: str, body: Rename, response: Response, caller: Admin, expected: Expected, registry: CommandDep
) -> DivisionOut:
    """From a day on, today or later. Whatever is asked as of an earlier day shows the name of that day."""
    changed = await carried_out(registry, lambda pg: reorganising.rename(pg, registry, caller, code, body, expected))
    return await answer(registry, changed, response)


@routes.post(
    "/divisions/{code}/parent",
    operation_id="move_division",
    summary="Move a division below another 改变隶属关系",
    responses=CHANGES,
)
async def move_division(
    code: str,
    body: Move,
    response: Response,
    caller: Admin,
    expected: Expected,
    registry: CommandDep,
    residents: ResidentsDep,
) -> DivisionOut:
    """A township to another county, a village to another township. Its code stays.

    Entered on the day it takes effect, not ahead of it (`dated_ahead`): from then on the new county has the households
    living there in its scope. They get the new path into their dated states, and are published again.
    """
    changed = await carried_out(
        registry, lambda pg: reorganising.move(pg, registry, caller, code, body, expected, residents)
    )
    return await answer(registry, changed, response)


@routes.post(
    "/divisions/{code}/managing-unit",
    operation_id="hand_over_division",
    summary="Let another unit run a division 变更管理单位",
    responses=CHANGES,
)
async def hand_over_division(
    code: str,
    body: Handover,
    response: Response,
    caller: Admin,
    expected: Expected,
    registry: CommandDep,
    residents: ResidentsDep,
) -> DivisionOut:
    """From today on; what happened before still counts for the unit of its day.

    Entered on the day it takes effect, not ahead of it (`dated_ahead`): from then on the new unit has the households
    living there in its scope. They get the new unit into their dated states, and are published again.
    """
    changed = await carried_out(
        registry, lambda pg: reorganising.hand_over(pg, registry, caller, code, body, expected, residents)
    )
    return await answer(registry, changed, response)


@routes.post(
    "/divisions/{code}/end", operation_id="end_division", summary="End a division 撤销行政区划", responses=CHANGES
)
async def end_division(
    code: str,
    body: Ending,
    response: Response,
    caller: Admin,
    expected: Expected,
    registry: CommandDep,
    residents: ResidentsDep,
) -> DivisionOut:
    """Only where no division lies below it or is run by it, and no household lives there: merge it otherwise.

    Entered on the day it takes effect, not ahead of it (`dated_ahead`). Its code is never given out again, and stays
    readable as of the days it held.
    """
    changed = await carried_out(
        registry, lambda pg: reorganising.end(pg, registry, caller, code, body, expected, residents)
    )
    return await answer(registry, changed, response)


@routes.post(
    "/divisions/{code}/merge",
    operation_id="merge_division",
    summary="Merge a division into another 合并行政区划",
    responses=CHANGES,
)
async def merge_division(
    code: str,
    body: Merge,
    response: Response,
    caller: Admin,
    expected: Expected,
    registry: CommandDep,
    residents: ResidentsDep,
) -> DivisionOut:
    """It ends today, and all that lives or lies in it goes into the other one.

    Entered on the day it takes effect, not ahead of it (`dated_ahead`).
    Several villages become a new one by adding that first (`POST /v1/divisions`) and merging each into it.
    """
    changed = await carried_out(
        registry, lambda pg: reorganising.merge(pg, registry, caller, code, body, expected, residents)
    )
    return await answer(registry, changed, response)


@routes.post(
    "/divisions/{code}/split",
    operation_id="split_division",
    summary="Split a division 析置行政区划",
    responses={**CHANGES, **CONFLICT_RESPONSE},
)
async def split_division(
    code: str,
    body: Split,
    response: Response,
    caller: Admin,
    expected: Expected,
    registry: CommandDep,
    residents: ResidentsDep,
    key: Key,
) -> DivisionOut:
    """Makes new divisions out of a part of it, and names what goes with each: villages, or households by number.

    `rest` says where everybody else goes; unless that is the division itself, it ends today. New divisions hold no
    designation 认定 until they are given one. Entered on the day it takes effect, not ahead of it (`dated_ahead`).
    """
    changed = await once(
        registry,
        response,
        key,
        code,
        lambda pg: reorganising.split(pg, registry, caller, code, body, expected, residents),
    )
    return await answer(registry, changed, response)

"""Routes of the code lists: what every field of the register may say."""

from typing import Annotated

from fastapi import Path, Query

from services.registry.codes import service
from services.registry.codes.schemas import CodeListOut, CodeListsOut
from shared import errors
from shared.app import NOT_FOUND_RESPONSE, router
from shared.auth import AnyCaller
from shared.errors import Problem

routes = router("codes")
Year = Annotated[
    int | None, Query(ge=2010, le=2100, description="Terms of this year alone 年度; all years when it is left out.")
]


@routes.get("/code-lists", operation_id="list_code_lists", summary="Code lists 代码表")
async def list_code_lists(_: AnyCaller, year: Year = None) -> CodeListsOut:
    """Every list with its terms: words of this interface, national codes, labels, and the years they hold in."""
    found = service.code_lists().values()
    return CodeListsOut(items=[CodeListOut.of(each if year is None else each.in_year(year)) for each in found])


@routes.get(
    "/code-lists/{name}",
    operation_id="get_code_list",
    summary="One code list 代码表详情",
    responses=NOT_FOUND_RESPONSE,
)
async def get_code_list(
    name: Annotated[str, Path(max_length=60, description="Name of the list.", examples=["cause"])],
    _: AnyCaller,
    year: Year = None,
) -> CodeListOut:
    """The terms of one list."""
    found = service.code_lists().get(name)
    if found is None:
        raise Problem(errors.NOT_FOUND)
    return CodeListOut.of(found if year is None else found.in_year(year))

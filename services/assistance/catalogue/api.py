"""Routes of the catalogue."""

from typing import Annotated
from uuid import UUID

from fastapi import Depends, Path, Query, Request, Response
from pydantic import Field

from services.assistance.catalogue import service
from services.assistance.catalogue.schemas import (
    ProgrammeContent,
    ProgrammeIn,
    SectorOut,
    SectorsOut,
    TaxonomyOut,
    TermOut,
)
from services.assistance.catalogue.vocabulary import sectors, terms
from services.assistance.context import Admin, Assistance, AssistanceDep, CommandDep, Reader
from services.assistance.scope import seat
from shared import errors
from shared.app import CONFLICT_RESPONSE, NOT_FOUND_RESPONSE, VERSION_RESPONSES, router
from shared.auth import Caller
from shared.clock import local_day
from shared.commands import command
from shared.contracts.division import DivisionTree
from shared.contracts.programme import ProgrammeClass, ProgrammeEvent
from shared.db import Pg
from shared.errors import Problem, Text
from shared.http.claiming import claim, complete
from shared.http.etag import required_version, set_etag
from shared.http.fields import Code
from shared.http.idempotency import IdempotencyKey, idempotency_key, mark_replayed
from shared.http.listing import ListQuery
from shared.http.pagination import Page, page_of

routes = router("programmes")
Key = Annotated[IdempotencyKey, Depends(idempotency_key)]
NAMED_BY_CODE = UUID(int=0)
"""What an idempotency row names a programme by: its request holds the code."""
ProgrammeCode = Annotated[str, Path(pattern=r"^[a-z][a-z0-9_]{0,59}$", description="Programme code 项目代码.")]


class ProgrammeQuery(ListQuery):
    """Filters of the catalogue."""

    programme_class: ProgrammeClass | None = Field(default=None, alias="class", description="Class 类别.")
    sector: Code | None = Field(default=None, description="Sector 行业部门.")
    tag: str | None = Field(default=None, max_length=100, description="Policy vocabulary 政策用语.")

    def admits(self, programme: ProgrammeEvent) -> bool:
        return (
            self.programme_class in (None, programme.programme_class)
            and self.sector in (None, programme.sector)
            and (self.tag is None or self.tag in programme.tags)
        )


@routes.get("/sectors", operation_id="list_sectors", summary="List sectors 行业部门", response_model=SectorsOut)
async def list_sectors(_: Reader) -> SectorsOut:
    """Departments that answer for policies, in the order tables list them."""
    return SectorsOut(items=[SectorOut(code=code, label_zh=label) for code, label in sectors().items()])


@routes.get("/taxonomy", operation_id="list_taxonomy", summary="Policy vocabulary 政策用语", response_model=TaxonomyOut)
async def list_taxonomy(_: Reader) -> TaxonomyOut:
    """Five batches, six precisions, four battles, the province's and the city's six actions, four projects."""
    return TaxonomyOut(items=[TermOut(tag=t.tag, group_zh=t.group_zh, label_zh=t.label_zh) for t in terms()])


@routes.get(
    "/programmes",
    operation_id="list_programmes",
    summary="List programmes 帮扶项目目录",
    response_model=Page[ProgrammeEvent],
)
async def list_programmes(
    request: Request,
    response: Response,
    query: Annotated[ProgrammeQuery, Query()],
    _: Reader,
    assistance: AssistanceDep,
) -> Page[ProgrammeEvent]:
    """The catalogue in order of code: what may be recorded, for whom, where and since when."""
    async with assistance.runtime.database.driver() as pg:
        catalogue = await assistance.catalogue.get(pg)
    after = query.after(request)
    admitted = [catalogue.programmes[code] for code in sorted(catalogue.programmes)]
    admitted = [programme for programme in admitted if query.admits(programme)]
    rows = [programme for programme in admitted if after is None or programme.code > after[0]]
    kept, cursor = page_of(
        rows[: query.limit + 1], limit=query.limit, key=lambda row: [row.code], request=request, response=response
    )
    return Page(items=list(kept), next_cursor=cursor, count=len(admitted) if query.count else None)


@routes.get(
    "/programmes/{code}",
    operation_id="read_programme",
    summary="Read a programme 查看帮扶项目",
    response_model=ProgrammeEvent,
    responses=NOT_FOUND_RESPONSE,
)
async def read_programme(
    code: ProgrammeCode, response: Response, _: Reader, assistance: AssistanceDep
) -> ProgrammeEvent:
    """One programme with the kinds it accepts and the JSON Schema of their details."""
    async with assistance.runtime.database.driver() as pg:
        programme = await service.find(pg, code)
    return _answer(programme, response)


@routes.post(
    "/programmes",
    operation_id="create_programme",
    summary="Publish a programme 发布帮扶项目",
    status_code=201,
    response_model=ProgrammeEvent,
    responses=CONFLICT_RESPONSE,
)
async def create_programme(
    content: ProgrammeIn, response: Response, caller: Admin, key: Key, assistance: CommandDep
) -> ProgrammeEvent:
    """Add a programme to the catalogue; its code names it for ever."""
    programme = _event(content.code, content, version=1)
    runtime = assistance.runtime
    async with command(runtime, dry_run=assistance.dry_run) as pg:
        if await claim(pg, key) is not None:
            mark_replayed(response)
            programme = await service.find(pg, content.code)
        else:
            tree = await assistance.divisions.get(pg)
            service.check(programme, tree)
            _check_issuer(programme, caller, tree, assistance)
            await service.publish(pg, runtime.settings, programme, by=caller.key_id, now=runtime.clock.now())
            await complete(pg, key, NAMED_BY_CODE, programme.version)
    assistance.catalogue.expire()
    response.headers["Location"] = f"/v1/programmes/{programme.code}"
    return _answer(programme, response)


@routes.put(
    "/programmes/{code}",
    operation_id="change_programme",
    summary="Change a programme 修改帮扶项目",
    response_model=ProgrammeEvent,
    responses={**NOT_FOUND_RESPONSE, **VERSION_RESPONSES},
)
async def change_programme(
    code: ProgrammeCode,
    content: ProgrammeContent,
    response: Response,
    caller: Admin,
    expected: Annotated[int, Depends(required_version)],
    assistance: AssistanceDep,
) -> ProgrammeEvent:
    """Replace what a programme says; actions recorded before keep what held then."""
    programme = _event(code, content, version=expected + 1)
    async with command(assistance.runtime) as pg:
        tree = await assistance.divisions.get(pg)
        _check_issuer(await service.find(pg, code), caller, tree, assistance)
        service.check(programme, tree)
        _check_issuer(programme, caller, tree, assistance)
        await _change(pg, assistance, programme, expected, caller)
    assistance.catalogue.expire()
    return _answer(programme, response)


def _check_issuer(programme: ProgrammeEvent, caller: Caller, tree: DivisionTree, assistance: Assistance) -> None:
    """A programme is its issuer's: raises 403 where the issuer lies outside the caller's divisions."""
    place = seat(tree, programme.issuer, local_day(assistance.runtime.clock.now()))
    if place is None or not place.within(caller):
        raise Problem(errors.FORBIDDEN, Text("issued by a division that is not yours", "发文单位不在您的辖区内"))


async def _change(pg: Pg, assistance: Assistance, programme: ProgrammeEvent, expected: int, caller: Caller) -> None:
    runtime = assistance.runtime
    await service.change(pg, runtime.settings, programme, expected=expected, by=caller.key_id, now=runtime.clock.now())


def _event(code: str, content: ProgrammeContent, *, version: int) -> ProgrammeEvent:
    said = content.model_dump(by_alias=True, exclude={"code"})
    return ProgrammeEvent.model_validate({**said, "code": code, "version": version})


def _answer(programme: ProgrammeEvent, response: Response) -> ProgrammeEvent:
    set_etag(response, programme.version)
    return programme

"""Routes of imports, templates and saved mappings."""

from typing import Annotated, Any
from uuid import UUID

from fastapi import Depends, Path, Query, Request, Response
from pydantic import Field

from services.registry.commands import command
from services.registry.context import CommandDep, Importer, RegistryDep
from services.registry.imports import auditing, journal, mappings, service, workbooks
from services.registry.imports.columns import LINE
from services.registry.imports.records import Status
from services.registry.imports.running import Runner
from services.registry.imports.schemas import ImportForm, ImportOut, MappingIn, MappingOut
from services.registry.imports.uploading import read_form
from shared import errors
from shared.app import CONFLICT_RESPONSE, NOT_FOUND_RESPONSE, VERSION_RESPONSES, router
from shared.auth import AnyCaller
from shared.errors import Problem
from shared.http.etag import named_version, set_etag
from shared.http.fields import ExternalName, Id
from shared.http.idempotency import IdempotencyKey, mark_replayed, parse_key
from shared.http.listing import ListQuery
from shared.http.pagination import Page, page_of
from shared.http.problems import language_of

routes = router("imports")
XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
RETRY_AFTER = "2"
_WORKBOOK: dict[int | str, dict[str, Any]] = {
    200: {"description": "A workbook.", "content": {XLSX: {"schema": {"type": "string", "format": "binary"}}}}
}
_KEY_HEADER = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "description": "Names this request; repeating it has no further effect for 7 days. 幂等键",
    "schema": {"type": "string"},
}


def _form() -> dict[str, object]:
    """The form as OpenAPI describes it: our own reading of it leaves nothing for the framework to find."""
    schema = ImportForm.model_json_schema(ref_template="#/components/schemas/{model}")
    properties = {**schema["properties"], "file": {"type": "string", "format": "binary", "description": "文件."}}
    body = {"type": "object", "required": ["file"], "properties": properties, "additionalProperties": False}
    content = {"multipart/form-data": {"schema": body}}
    return {"requestBody": {"required": True, "content": content}, "parameters": [_KEY_HEADER]}


class ImportQuery(ListQuery):
    """Filters of imports."""

    status: Status | None = Field(default=None, description="Status 状态.")


@routes.post(
    "/imports",
    operation_id="import_file",
    summary="Import a file of households 导入文件",
    status_code=202,
    responses={200: {"model": ImportOut, "description": "Sent before 已提交过"}, **CONFLICT_RESPONSE},
    openapi_extra=_form(),
)
async def import_file(request: Request, response: Response, caller: Importer, registry: RegistryDep) -> ImportOut:
    """XLSX, old XLS, CSV or JSON lines, up to 64 MB; a row is a person, rows of a household stand together.

    The answer names the status resource (`Location`). The same file with the same options, sent again within a week,
    is the same import. Title rows, totals, yuan, Chinese dates, names of villages and labels of code lists are read
    as clerks write them: `GET /v1/templates/households.xlsx` shows the columns.
    """
    upload = await read_form(request)
    form = service.form_of(upload)
    header = request.headers.get("idempotency-key")
    scope = f"{caller.key_id} POST /v1/imports"
    key = IdempotencyKey(
        None if header is None else parse_key(header), scope, service.fingerprint(registry.vault, upload)
    )
    language = language_of(request)
    job, replayed = await service.send(registry, caller, upload, form, key, language)
    if replayed:
        mark_replayed(response)
        response.status_code = 200
    runner: Runner = request.app.state.imports
    runner.wake()
    response.headers["Location"] = f"/v1/imports/{job.id}"
    response.headers["Retry-After"] = RETRY_AFTER
    async with registry.runtime.database.driver() as pg:
        return await service.shown(pg, job, language)


@routes.get("/imports", operation_id="list_imports", summary="Imports 导入任务")
async def list_imports(
    request: Request,
    response: Response,
    query: Annotated[ImportQuery, Query()],
    caller: Importer,
    registry: RegistryDep,
) -> Page[ImportOut]:
    """Newest first; reports without their rows."""
    after = query.after(request)
    async with registry.runtime.database.driver() as pg:
        before = UUID(after[0]) if after else None
        jobs, count = await service.page(
            pg, registry, caller, query.status, before, query.limit + 1, counted=query.count
        )
        kept, cursor = page_of(jobs, limit=query.limit, key=lambda j: [str(j.id)], request=request, response=response)
        items = [await service.shown(pg, job, language_of(request), listed=True) for job in kept]
    return Page[ImportOut](items=items, next_cursor=cursor, count=count)


@routes.get(
    "/imports/{job}", operation_id="get_import", summary="One import 导入任务详情", responses=NOT_FOUND_RESPONSE
)
async def get_import(
    job: Id, request: Request, response: Response, caller: Importer, registry: RegistryDep
) -> ImportOut:
    """Progress while it runs (`Retry-After`), the report when it has ended."""
    async with registry.runtime.database.driver() as pg:
        found = await service.find(pg, registry, job, caller)
        shown = await service.shown(pg, found, language_of(request))
    if found.status in ("queued", "running", "undoing"):
        response.headers["Retry-After"] = RETRY_AFTER
    return shown


@routes.get(
    "/imports/{job}/rejected.xlsx",
    operation_id="get_rejected_rows",
    summary="Rows that were not taken in 退回行工作簿",
    response_class=Response,
    responses={**_WORKBOOK, **NOT_FOUND_RESPONSE},
)
async def get_rejected_rows(job: Id, request: Request, caller: Importer, registry: RegistryDep) -> Response:
    """The clerk's own columns and order, and what is wrong; for a time (30 days by default), and only for the key that
    sent the file.

    Whole households are given back, so that the workbook, corrected, can be imported as it is; lines of JSON come in
    a column `JSON`. Each download is in the audit log.
    """
    async with command(registry.runtime) as pg:
        found = await service.find_own(pg, registry, job, caller)
        await auditing.note(pg, registry, job, "rejected_rows_downloaded", key_id=caller.key_id)
        names = found.layout.names if found.layout else []
        header = names if found.layout and found.layout.format != "jsonl" else [LINE]
        rows = journal.rejected(pg, registry.vault, job)
        content = await workbooks.rejected(header, rows, language_of(request))
    headers = {"Content-Disposition": f'attachment; filename="rejected-{job}.xlsx"', "Cache-Control": "no-store"}
    return Response(content, media_type=XLSX, headers=headers)


@routes.post(
    "/imports/{job}/undo",
    operation_id="undo_import",
    summary="Take an import back 撤销导入",
    status_code=202,
    responses={**NOT_FOUND_RESPONSE, **CONFLICT_RESPONSE},
)
async def undo_import(
    job: Id, request: Request, response: Response, caller: Importer, registry: CommandDep
) -> ImportOut:
    """What it registered is taken off the register, what it changed becomes what it was, where nobody changed it since.

    What could not be taken back is listed under `undoing`. Repeating it has no further effect.
    """
    found = await service.undo(registry, caller, job)
    runner: Runner = request.app.state.imports
    runner.wake()
    response.headers["Location"] = f"/v1/imports/{job}"
    response.headers["Retry-After"] = RETRY_AFTER
    async with registry.runtime.database.driver() as pg:
        return await service.shown(pg, found, language_of(request))


@routes.get(
    "/templates/{kind}.xlsx",
    operation_id="get_template",
    summary="Template of an import 导入模板",
    response_class=Response,
    responses={**_WORKBOOK, **NOT_FOUND_RESPONSE},
)
async def get_template(
    kind: Annotated[str, Path(description="What it is for; `households`.", examples=["households"])], _: AnyCaller
) -> Response:
    """Columns with drop-downs from the code lists, long numbers as text, an example row, and notes."""
    if kind != "households":
        raise Problem(errors.NOT_FOUND)
    headers = {"Content-Disposition": f'attachment; filename="{kind}.xlsx"'}
    return Response(workbooks.template(), media_type=XLSX, headers=headers)


Source = Annotated[ExternalName, Path(description="System or office 来源.", examples=["西峡县扶贫办"])]


@routes.get(
    "/imports/mappings/{source}",
    operation_id="get_import_mapping",
    summary="How a source's sheets are read 列映射",
    responses=NOT_FOUND_RESPONSE,
)
async def get_import_mapping(source: Source, response: Response, caller: Importer, registry: RegistryDep) -> MappingOut:
    """As your divisions saved it."""
    async with registry.runtime.database.driver() as pg:
        found = await mappings.find(pg, source, caller)
    if found is None:
        raise Problem(errors.NOT_FOUND)
    set_etag(response, found.version)
    return found


@routes.put(
    "/imports/mappings/{source}",
    operation_id="put_import_mapping",
    summary="Save how a source's sheets are read 保存列映射",
    responses=VERSION_RESPONSES,
)
async def put_import_mapping(
    source: Source,
    body: MappingIn,
    response: Response,
    caller: Importer,
    expected: Annotated[int | None, Depends(named_version)],
    registry: RegistryDep,
) -> MappingOut:
    """Headers that we do not know, policies, and how ethnicities are numbered; later imports of the source use it.

    A mapping that is there changes only with `If-Match`.
    """
    async with command(registry.runtime) as pg:
        saved = await mappings.put(pg, registry, source, caller, body, expected)
    set_etag(response, saved.version)
    return saved

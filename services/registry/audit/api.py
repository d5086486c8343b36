"""Routes of the audit log."""

from typing import Annotated

from fastapi import Query, Request, Response

from services.registry.audit import service
from services.registry.audit.schemas import AuditEntryOut, AuditFilters, AuditHeadOut
from services.registry.context import Admin, Divisions, RegistryDep, reaches_all
from shared.app import router
from shared.http.pagination import Page, page_of

routes = router("audit")


@routes.get("/audit", operation_id="list_audit_entries", summary="Who did what 查询审计日志")
async def list_audit_entries(
    request: Request,
    response: Response,
    query: Annotated[AuditFilters, Query()],
    caller: Admin,
    tree: Divisions,
    registry: RegistryDep,
) -> Page[AuditEntryOut]:
    """Entries of your divisions in the order of the chain; a new one shows about a second later.

    Every admin sees what holds for all, such as changes of divisions and locked years; those of the whole city see
    everything. Nothing ever appears before a position already read: reading on from the last one misses nothing.
    """
    after, sight = query.after(request), service.Sight(reaches_all(caller, tree), caller.divisions)
    async with registry.runtime.database.driver() as pg:
        found = await service.listed(pg, sight, query, int(after[0]) if after else 0, query.limit + 1)
        count = await service.counted(pg, sight, query) if query.count else None
    kept, cursor = page_of(
        found, limit=query.limit, key=lambda sealed: [sealed.position], request=request, response=response
    )
    return Page[AuditEntryOut](items=[AuditEntryOut.of(each) for each in kept], next_cursor=cursor, count=count)


@routes.get("/audit/head", operation_id="get_audit_head", summary="The head of the audit chain 审计链首")
async def get_audit_head(_: Admin, registry: RegistryDep) -> AuditHeadOut:
    """Note it outside this database from time to time; `verify-audit --head` compares with what was noted."""
    async with registry.runtime.database.driver() as pg, pg.transaction(isolation="repeatable_read", readonly=True):
        head = await service.head(pg)
        waiting = await service.unsealed(pg)
    return AuditHeadOut(position=head.position, hash=head.hash.hex(), unsealed=waiting)

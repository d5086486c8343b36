"""Routes of API keys."""

from typing import Annotated
from uuid import UUID

from fastapi import Depends, Query, Request, Response

from services.registry.context import Admin, Divisions, RegistryDep, today
from services.registry.keys import service
from services.registry.keys.schemas import KeyIn, KeyOut, NewKeyOut
from shared.app import NOT_FOUND_RESPONSE, VERSION_RESPONSES, Transaction, router
from shared.auth import new_secret
from shared.contracts.key import KeyEvent
from shared.http.etag import required_version, set_etag
from shared.http.listing import ListQuery
from shared.http.pagination import Page, page_of
from shared.ids import uuid7

routes = router("keys")
Expected = Annotated[int, Depends(required_version)]


@routes.post("/keys", operation_id="issue_key", summary="Issue an API key 签发密钥", status_code=201)
async def issue_key(
    body: KeyIn, response: Response, caller: Admin, tree: Divisions, registry: RegistryDep, conn: Transaction
) -> NewKeyOut:
    """The whole key is shown in this answer and never again. It can do no more than the key that issues it."""
    service.check_grant(caller, body.roles, body.divisions, tree, today(registry))
    prefix, plain, digest = new_secret()
    key = KeyEvent(id=uuid7(), version=1, status="active", prefix=prefix, secret_sha256=digest, **body.model_dump())
    await service.store(conn, registry.runtime.settings, key, "issued", registry.runtime.clock.now())
    set_etag(response, 1)
    return NewKeyOut(**_shown(key).model_dump(), key=plain)


@routes.get("/keys", operation_id="list_keys", summary="List API keys 查询密钥")
async def list_keys(
    request: Request, response: Response, query: Annotated[ListQuery, Query()], _: Admin, conn: Transaction
) -> Page[KeyOut]:
    """Keys in order of issue, without secrets."""
    after = query.after(request)
    found = await service.listed(conn, UUID(after[0]) if after else None, query.limit + 1)
    kept, cursor = page_of(found, limit=query.limit, key=lambda k: [str(k.id)], request=request, response=response)
    return Page[KeyOut](items=[_shown(key) for key in kept], next_cursor=cursor)


@routes.post(
    "/keys/{key_id}/revocation",
    operation_id="revoke_key",
    summary="Revoke an API key 吊销密钥",
    responses={**NOT_FOUND_RESPONSE, **VERSION_RESPONSES},
)
async def revoke_key(
    key_id: UUID, expected: Expected, response: Response, _: Admin, registry: RegistryDep, conn: Transaction
) -> KeyOut:
    """Takes effect in every service within 30 seconds."""
    revoked = await service.revoke(conn, registry.runtime.settings, key_id, expected, registry.runtime.clock.now())
    set_etag(response, revoked.version)
    return _shown(revoked)


def _shown(key: KeyEvent) -> KeyOut:
    return KeyOut(**key.model_dump(exclude={"secret_sha256"}))

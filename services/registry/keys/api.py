"""Routes of API keys."""

from typing import Annotated
from uuid import UUID

from fastapi import Query, Request, Response

from services.registry.commands import attempted, claim, command, complete
from services.registry.context import Admin, CommandDep, RegistryDep
from services.registry.keys import service
from services.registry.keys.schemas import KeyIn, KeyOut, NewKeyOut
from shared.app import CONFLICT_RESPONSE, NOT_FOUND_RESPONSE, VERSION_RESPONSES, router
from shared.contracts.key import KeyEvent
from shared.http.etag import Expected, set_etag
from shared.http.fields import Id
from shared.http.idempotency import Key, mark_replayed
from shared.http.listing import ListQuery
from shared.http.pagination import Page, page_of

routes = router("keys")


@routes.post(
    "/keys", operation_id="issue_key", summary="Issue an API key 签发密钥", status_code=201, responses=CONFLICT_RESPONSE
)
async def issue_key(body: KeyIn, response: Response, caller: Admin, registry: CommandDep, key: Key) -> NewKeyOut:
    """The whole key is shown in this answer and never again.

    It can do no more than the key that issues it, nor for longer: where yours expires, say an `expires_at` that is no
    later. A key issued with a token of an OpenID Connect issuer may outlast that token.
    """

    async def attempt() -> tuple[KeyEvent, str | None]:
        async with command(registry.runtime, dry_run=registry.dry_run) as pg:
            earlier = await claim(pg, key)
            if earlier is not None:
                mark_replayed(response)
                return await service.find(pg, earlier.resource_id), None
            issued, plain = await service.issue(pg, registry, caller, body)
            await complete(pg, key, issued.id, issued.version)
        return issued, None if registry.dry_run else plain

    issued, plain = await attempted(attempt)
    set_etag(response, issued.version)
    return NewKeyOut(**_shown(issued).model_dump(), key=plain)


@routes.get("/keys", operation_id="list_keys", summary="List API keys 查询密钥")
async def list_keys(
    request: Request, response: Response, query: Annotated[ListQuery, Query()], caller: Admin, registry: RegistryDep
) -> Page[KeyOut]:
    """Keys within your divisions in order of issue, without secrets."""
    after = query.after(request)
    async with registry.runtime.database.driver() as pg:
        found = await service.listed(pg, registry, caller, UUID(after[0]) if after else None)
        count = len(await service.listed(pg, registry, caller, None)) if query.count else None
    kept, cursor = page_of(
        found[: query.limit + 1], limit=query.limit, key=lambda k: [str(k.id)], request=request, response=response
    )
    return Page[KeyOut](items=[_shown(key) for key in kept], next_cursor=cursor, count=count)


@routes.post(
    "/keys/{key_id}/revocation",
    operation_id="revoke_key",
    summary="Revoke an API key 吊销密钥",
    responses={**NOT_FOUND_RESPONSE, **VERSION_RESPONSES},
)
async def revoke_key(key_id: Id, response: Response, caller: Admin, expected: Expected, registry: CommandDep) -> KeyOut:
    """Takes effect in every service within 30 seconds."""

    async def attempt() -> KeyEvent:
        async with command(registry.runtime, dry_run=registry.dry_run) as pg:
            return await service.revoke(pg, registry, caller, key_id, expected)

    revoked = await attempted(attempt)
    set_etag(response, revoked.version)
    return _shown(revoked)


def _shown(key: KeyEvent) -> KeyOut:
    return KeyOut(**key.model_dump(exclude={"secret_sha256"}))

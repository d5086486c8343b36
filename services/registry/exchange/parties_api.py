"""Routes by which an administrator registers parties."""

from typing import Annotated
from uuid import UUID

from fastapi import Query, Request, Response

from services.registry.commands import attempted, claim, command, complete
from services.registry.context import Admin, CommandDep, RegistryDep
from services.registry.exchange import auditing, parties, tasks
from services.registry.exchange.parties import Party
from services.registry.exchange.schemas import CallbackOut, NewPartyOut, PartyIn, PartyOut
from shared.app import CONFLICT_RESPONSE, NOT_FOUND_RESPONSE, VERSION_RESPONSES, router
from shared.http.etag import Expected, set_etag
from shared.http.fields import Id
from shared.http.idempotency import Key, mark_replayed
from shared.http.listing import ListQuery
from shared.http.pagination import Page, page_of

routes = router("exchange")


@routes.post(
    "/exchange/parties",
    operation_id="register_exchange_party",
    summary="Register a DCI party 登记交换方",
    status_code=201,
    responses=CONFLICT_RESPONSE,
)
async def register_party(
    body: PartyIn, response: Response, caller: Admin, registry: CommandDep, key: Key
) -> NewPartyOut:
    """The client secret is shown in this answer and never again."""

    async def attempt() -> tuple[Party, str | None]:
        async with command(registry.runtime, dry_run=registry.dry_run) as pg:
            earlier = await claim(pg, key)
            if earlier is not None:
                mark_replayed(response)
                return await parties.managed(pg, registry, caller, earlier.resource_id), None
            party, secret = await parties.add(pg, registry, caller, body)
            await auditing.note_party(pg, registry, party, "registered", caller.key_id, registry.runtime.clock.now())
            await complete(pg, key, party.id, party.version)
        return party, None if registry.dry_run else secret

    party, secret = await attempted(attempt)
    set_etag(response, party.version)
    return NewPartyOut(**dict(party.shown()), client_secret=secret)


@routes.get("/exchange/parties", operation_id="list_exchange_parties", summary="List DCI parties 查询交换方")
async def list_parties(
    request: Request, response: Response, query: Annotated[ListQuery, Query()], caller: Admin, registry: RegistryDep
) -> Page[PartyOut]:
    """Parties within your divisions in order of registration, without secrets."""
    after = query.after(request)
    async with registry.runtime.database.driver() as pg:
        found = await parties.listed(pg, registry, caller, UUID(after[0]) if after else None)
        count = len(await parties.listed(pg, registry, caller, None)) if query.count else None
    kept, cursor = page_of(
        found[: query.limit + 1], limit=query.limit, key=lambda p: [str(p.id)], request=request, response=response
    )
    return Page[PartyOut](items=[party.shown() for party in kept], next_cursor=cursor, count=count)


@routes.get(
    "/exchange/parties/{party_id}",
    operation_id="get_exchange_party",
    summary="One DCI party 查看交换方",
    responses=NOT_FOUND_RESPONSE,
)
async def get_party(party_id: Id, response: Response, caller: Admin, registry: RegistryDep) -> PartyOut:
    """With the ETag that a change needs."""
    async with registry.runtime.database.driver() as pg:
        party = await parties.managed(pg, registry, caller, party_id)
    set_etag(response, party.version)
    return party.shown()


@routes.put(
    "/exchange/parties/{party_id}",
    operation_id="replace_exchange_party",
    summary="Change a DCI party 变更交换方",
    responses={**NOT_FOUND_RESPONSE, **CONFLICT_RESPONSE, **VERSION_RESPONSES},
)
async def replace_party(
    party_id: Id, body: PartyIn, response: Response, caller: Admin, expected: Expected, registry: RegistryDep
) -> PartyOut:
    """Effective at once, also for tokens already issued, subscriptions and callbacks under way; `status: blocked`
    shuts the party out."""

    async def attempt() -> Party:
        async with command(registry.runtime) as pg:
            party = await parties.replace(pg, registry, caller, party_id, expected, body)
            await auditing.note_party(pg, registry, party, "changed", caller.key_id, registry.runtime.clock.now())
        return party

    party = await attempted(attempt)
    set_etag(response, party.version)
    return party.shown()


@routes.post(
    "/exchange/parties/{party_id}/secret",
    operation_id="renew_exchange_party_secret",
    summary="Another client secret 更换交换方密钥",
    responses={**NOT_FOUND_RESPONSE, **VERSION_RESPONSES},
)
async def renew_party_secret(
    party_id: Id, response: Response, caller: Admin, expected: Expected, registry: RegistryDep
) -> NewPartyOut:
    """For a secret that was lost or has leaked. The one before gets no tokens from now on; tokens already issued run
    out within 15 minutes, or at once with `status: blocked`."""

    async def attempt() -> tuple[Party, str]:
        async with command(registry.runtime) as pg:
            renewed = await parties.renew_secret(pg, registry, caller, party_id, expected)
            now = registry.runtime.clock.now()
            await auditing.note_party(pg, registry, renewed[0], "secret_issued", caller.key_id, now)
        return renewed

    party, secret = await attempted(attempt)
    set_etag(response, party.version)
    return NewPartyOut(**dict(party.shown()), client_secret=secret)


@routes.get(
    "/exchange/parties/{party_id}/callbacks",
    operation_id="list_exchange_callbacks",
    summary="Callbacks not delivered 未送达的回调",
    responses=NOT_FOUND_RESPONSE,
)
async def list_callbacks(
    party_id: Id,
    request: Request,
    response: Response,
    query: Annotated[ListQuery, Query()],
    caller: Admin,
    registry: RegistryDep,
) -> Page[CallbackOut]:
    """What the party has not taken yet, and what was given up: why, and when it is tried again. Empty when all of it
    was delivered."""
    after = query.after(request)
    async with registry.runtime.database.driver() as pg:
        await parties.managed(pg, registry, caller, party_id)
        found = await tasks.undelivered(pg, party_id, UUID(after[0]) if after else None, query.limit + 1)
        count = await tasks.count_undelivered(pg, party_id) if query.count else None
    kept, cursor = page_of(found, limit=query.limit, key=lambda row: [str(row.id)], request=request, response=response)
    return Page[CallbackOut](items=list(kept), next_cursor=cursor, count=count)

"""Routes of persons without a household. ``If-Match`` names the person's version, or that of the household left."""

from typing import Annotated
from uuid import UUID

from fastapi import Query, Request, Response
from pydantic import Field

from services.registry.context import CommandDep, Reader, Recorder, RegistryDep, today
from services.registry.households import presenting as households
from services.registry.households.api import CHANGES
from services.registry.households.persons import changing, presenting, reading, service
from services.registry.households.persons.reading import Filters
from services.registry.households.persons.schemas import (
    DepartedOut,
    Departure,
    PersonIn,
    PersonOut,
    PersonPatch,
    Placement,
)
from services.registry.households.records import PersonStatus
from services.registry.households.schemas import Deregistration
from services.registry.identities.quota import QUOTA_RESPONSE
from services.registry.rowsecurity import scoped
from shared.app import CONFLICT_RESPONSE, NOT_FOUND_RESPONSE, router
from shared.http.etag import Expected, set_etag
from shared.http.fields import Id, Instant
from shared.http.idempotency import Key, mark_replayed
from shared.http.listing import ListQuery
from shared.http.pagination import Page, page_of

routes = router("persons")


class PersonQuery(ListQuery):
    """Filters of persons without a household; together they narrow."""

    division: str | None = Field(
        default=None,
        pattern=r"^[0-9]{2,12}$",
        description="A whole 12-digit code (a county by what it manages), or a prefix of village codes 行政区划.",
    )
    status: PersonStatus | None = Field(default=None, description="Status 生存状态.")
    number: str | None = Field(default=None, pattern=r"^[0-9]{14}$", description="Person number 人编号.")
    updated_since: Instant | None = Field(default=None, description="Changed at or after 更新时间起.")


@routes.post(
    "/persons",
    operation_id="register_person",
    summary="Register a person without a household 登记无户人员",
    status_code=201,
    responses={**CONFLICT_RESPONSE, **QUOTA_RESPONSE},
)
async def register_person(
    body: PersonIn, response: Response, caller: Recorder, key: Key, registry: CommandDep
) -> PersonOut:
    """Somebody on their own, in a village. Identity data is encrypted and shown masked.

    Statistics count households and their members: a person without one is in none of their figures.
    """
    person, replayed = await service.register(registry, caller, body, key)
    if replayed:
        mark_replayed(response)
    response.headers["Location"] = f"/v1/persons/{person.id}"
    set_etag(response, person.version)
    return presenting.shown(reading.alone(person), today(registry))


@routes.get("/persons", operation_id="list_persons", summary="List persons without a household 查询无户人员")
async def list_persons(
    request: Request,
    response: Response,
    query: Annotated[PersonQuery, Query()],
    caller: Reader,
    registry: RegistryDep,
) -> Page[PersonOut]:
    """Within your divisions, masked, as they are now. Members are listed with their households."""
    filters = Filters(**{name: getattr(query, name) for name in Filters.__slots__})
    last = query.after(request)
    async with scoped(registry.runtime, caller) as pg:
        after = UUID(last[0]) if last else None
        rows = await reading.page(pg, filters, caller, registry.vault, after=after, limit=query.limit + 1)
        count = await reading.count(pg, filters, caller) if query.count else None
    kept, cursor = page_of(rows, limit=query.limit, key=lambda p: [str(p.id)], request=request, response=response)
    day = today(registry)
    items = [presenting.shown(reading.alone(person), day) for person in kept]
    return Page[PersonOut](items=items, next_cursor=cursor, count=count)


@routes.get("/persons/{person}", operation_id="get_person", summary="One person 人员详情", responses=NOT_FOUND_RESPONSE)
async def get_person(person: str, response: Response, caller: Reader, registry: RegistryDep) -> PersonOut:
    """By id, or by the 14-digit number; masked. Also a member of a household, which is named then.

    As the person is now. How a member was on a day, or as known then, is asked of the household: `as_of`, `known_at`.
    """
    async with scoped(registry.runtime, caller) as pg:
        found = await reading.find(pg, person, caller, registry.vault)
    set_etag(response, found.person.version)
    return presenting.shown(found, today(registry))


@routes.patch(
    "/persons/{person}",
    operation_id="change_person",
    summary="Change a person without a household 变更无户人员",
    responses={**CHANGES, **QUOTA_RESPONSE},
)
async def change_person(
    person: str, body: PersonPatch, response: Response, caller: Recorder, expected: Expected, registry: RegistryDep
) -> PersonOut:
    """Attributes, identity, village, death, departure, return. Members change with their household: 409.

    Who is `active` again belongs where they did, as if they had never left, or to a `village` from `effective_on` on.
    """
    changed = await service.change(registry, caller, person, expected, changing.patched(body), body.reason)
    set_etag(response, changed.version)
    return presenting.shown(reading.alone(changed), today(registry))


@routes.post(
    "/persons/{person}/deregistration",
    operation_id="deregister_person",
    summary="Take a person without a household off the register 注销无户人员",
    responses=CHANGES,
)
async def deregister_person(
    person: str, body: Deregistration, response: Response, caller: Recorder, expected: Expected, registry: CommandDep
) -> PersonOut:
    """From a day on; the past stays, and the ID number is free again."""
    gone = await service.change(registry, caller, person, expected, changing.deregistered(body), body.reason)
    set_etag(response, gone.version)
    return presenting.shown(reading.alone(gone), today(registry))


@routes.post(
    "/persons/{person}/placement",
    operation_id="place_person",
    summary="Place a person into a household 落户",
    responses=CHANGES,
)
async def place_person(
    person: str, body: Placement, response: Response, caller: Recorder, expected: Expected, registry: CommandDep
) -> PersonOut:
    """From a day on the person is a member of the household, which gets a new version; id and number stay."""
    found = await service.place(registry, caller, person, expected, body)
    set_etag(response, found.person.version)
    return presenting.shown(found, today(registry))


@routes.post(
    "/households/{household}/members/{member}/departure",
    operation_id="release_member",
    summary="Let a member leave a household for none 离户",
    responses=CHANGES,
)
async def release_member(
    household: str,
    member: Id,
    body: Departure,
    response: Response,
    caller: Recorder,
    expected: Expected,
    registry: CommandDep,
) -> DepartedOut:
    """From a day on; id and number stay, and the household keeps the days it had the member.

    Who moved away from the register's places is another thing: change the member's status.
    """
    left, alone = await service.depart(registry, caller, household, member, expected, body)
    set_etag(response, left.version)
    return DepartedOut(
        household=households.detailed(left, today(registry)),
        person=presenting.shown(reading.alone(alone), today(registry)),
    )

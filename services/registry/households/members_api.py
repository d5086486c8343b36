"""Routes of the members of a household. ``If-Match`` names the household's version: members belong to it."""

from fastapi import Response

from services.registry.context import CommandDep, Reader, Recorder, RegistryDep, today
from services.registry.households import changing, presenting, reading, service
from services.registry.households.api import CHANGES
from services.registry.households.schemas import HouseholdDetail, MemberIn, MemberOut, MemberPatch
from services.registry.identities.quota import QUOTA_RESPONSE
from services.registry.rowsecurity import scoped
from shared import errors
from shared.app import NOT_FOUND_RESPONSE, router
from shared.errors import Problem
from shared.http.etag import Expected, set_etag
from shared.http.fields import Id
from shared.http.idempotency import Key, mark_replayed

routes = router("households")


@routes.get(
    "/households/{household}/members",
    operation_id="list_members",
    summary="The members of a household 家庭成员",
    responses=NOT_FOUND_RESPONSE,
)
async def list_members(household: str, response: Response, caller: Reader, registry: RegistryDep) -> list[MemberOut]:
    """Present and former members, masked."""
    async with scoped(registry.runtime, caller) as pg:
        found = await reading.find(pg, household, caller, registry.vault)
    set_etag(response, found.version)
    return [presenting.member(each) for each in found.members]


@routes.get(
    "/households/{household}/members/{member}",
    operation_id="get_member",
    summary="One member 家庭成员详情",
    responses=NOT_FOUND_RESPONSE,
)
async def get_member(
    household: str, member: Id, response: Response, caller: Reader, registry: RegistryDep
) -> MemberOut:
    """A present or former member, masked; the ETag is the household's."""
    async with scoped(registry.runtime, caller) as pg:
        found = await reading.find(pg, household, caller, registry.vault)
    person = found.member(member)
    if person is None:
        raise Problem(errors.NOT_FOUND)
    set_etag(response, found.version)
    return presenting.member(person)


@routes.post(
    "/households/{household}/members",
    operation_id="add_member",
    summary="Add a member 新增家庭成员",
    status_code=201,
    responses={**CHANGES, **QUOTA_RESPONSE},
)
async def add_member(
    household: str,
    body: MemberIn,
    response: Response,
    caller: Recorder,
    expected: Expected,
    key: Key,
    registry: CommandDep,
) -> HouseholdDetail:
    """A birth or an arrival, from `joined_on` (default today) on."""
    changed, replayed = await service.add_member(registry, caller, household, expected, body, key)
    if replayed:
        mark_replayed(response)
    set_etag(response, changed.version)
    return presenting.detailed(changed, today(registry))


@routes.patch(
    "/households/{household}/members/{member}",
    operation_id="change_member",
    summary="Change a member 变更家庭成员",
    responses={**CHANGES, **QUOTA_RESPONSE},
)
async def change_member(
    household: str,
    member: Id,
    body: MemberPatch,
    response: Response,
    caller: Recorder,
    expected: Expected,
    registry: RegistryDep,
) -> HouseholdDetail:
    """Attributes, identity, death, departure, return. To change the head, patch the household's `relations`.

    Where nobody else is left, deregister the household: with the last member's death or departure it ends 销户.

    Who moved away and is back is `active` from `effective_on` on: a second stay, and two versions, the first of which
    keeps the stay that ended. `active` without a day undoes a death or departure that was entered by mistake.

    Who joined on the day of birth joined on the corrected one; nobody else is born after joining.
    """
    if body.status == "active" and body.effective_on is not None:
        changed = await service.take_back(registry, caller, household, expected, member, body)
    else:
        decide = changing.member_patched(member, body)
        changed = await service.change(registry, caller, household, expected, decide, body.reason)
    set_etag(response, changed.version)
    return presenting.detailed(changed, today(registry))

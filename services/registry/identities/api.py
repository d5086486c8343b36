"""Routes of identity data. Nothing here is kept by caches; ID numbers travel in bodies, never in addresses."""

from typing import Annotated

from fastapi import Depends, Request, Response

from services.registry.context import READERS, Admin, CommandDep, RegistryDep, today
from services.registry.households import erasing, presenting
from services.registry.households.persons import erasing as persons_erasing
from services.registry.households.persons import presenting as persons
from services.registry.households.persons.reading import alone
from services.registry.households.records import Individual
from services.registry.identities import service
from services.registry.identities.denials import admitted
from services.registry.identities.quota import QUOTA_RESPONSE, Left
from services.registry.identities.rules import latest_expired
from services.registry.identities.schemas import (
    ErasedMemberOut,
    ErasedPersonOut,
    ErasureIn,
    ExpiryIn,
    ExpiryOut,
    IdentityOut,
    LookupIn,
    LookupOut,
    RevealIn,
)
from shared import errors
from shared.app import CONFLICT_RESPONSE, NOT_FOUND_RESPONSE, VERSION_RESPONSES, router
from shared.auth import AnyCaller, Caller
from shared.errors import fault
from shared.http.etag import Expected, set_etag
from shared.http.fields import Id
from shared.ids import uuid7

routes = router("identities")


async def _revealer(request: Request, caller: AnyCaller, registry: RegistryDep) -> Caller:
    name = request.path_params.get("member") or request.path_params["person"]
    return await admitted(registry, caller, "person.reveal_denied", name, "identity:reveal")


async def _looker(caller: AnyCaller, registry: RegistryDep) -> Caller:
    return await admitted(registry, caller, "persons.look_up_denied", str(uuid7()), *READERS)


def _never_kept(response: Response, left: Left) -> None:
    """No cache keeps the answer, which says how much of the quota is left."""
    response.headers["Cache-Control"] = "no-store"
    left.tell(response)


def _seen(response: Response, person: Individual, left: Left) -> IdentityOut:
    _never_kept(response, left)
    return IdentityOut(**{name: getattr(person, name) for name in IdentityOut.model_fields})


@routes.post(
    "/households/{household}/members/{member}/reveal",
    operation_id="reveal_member",
    summary="Reveal a member's identity 查看身份信息明文",
    responses={**NOT_FOUND_RESPONSE, **QUOTA_RESPONSE},
)
async def reveal_member(
    household: str,
    member: Id,
    body: RevealIn,
    response: Response,
    caller: Annotated[Caller, Depends(_revealer)],
    registry: RegistryDep,
) -> IdentityOut:
    """In the clear, for the role `identity:reveal` alone; who saw it, what for and why stays in the audit log."""
    return _seen(response, *await service.reveal(registry, caller, household, member, body))


@routes.post(
    "/persons/{person}/reveal",
    operation_id="reveal_person",
    summary="Reveal a person's identity 查看身份信息明文",
    responses={**NOT_FOUND_RESPONSE, **QUOTA_RESPONSE},
)
async def reveal_person(
    person: str,
    body: RevealIn,
    response: Response,
    caller: Annotated[Caller, Depends(_revealer)],
    registry: RegistryDep,
) -> IdentityOut:
    """As of a member, of anybody by id or number, with or without a household."""
    return _seen(response, *await service.reveal_person(registry, caller, person, body))


@routes.post(
    "/persons/lookup",
    operation_id="look_up_persons",
    summary="Look persons up by ID number 按身份号码查询",
    responses=QUOTA_RESPONSE,
)
async def look_up_persons(
    body: LookupIn, response: Response, caller: Annotated[Caller, Depends(_looker)], registry: RegistryDep
) -> LookupOut:
    """Up to 1,000 at a time; answers in the order asked, masked. The quota counts ID numbers.

    Unknown ones and those of other divisions look alike. Every look-up, and everyone it found, is in the audit log.
    """
    found, left = await service.look_up(registry, caller, body)
    _never_kept(response, left)
    return found


@routes.post(
    "/households/{household}/members/{member}/erasure",
    operation_id="erase_member",
    summary="Erase a member's identity 删除身份信息",
    responses={**NOT_FOUND_RESPONSE, **CONFLICT_RESPONSE, **VERSION_RESPONSES},
)
async def erase_member(
    household: str,
    member: Id,
    body: ErasureIn,
    response: Response,
    caller: Admin,
    expected: Expected,
    registry: CommandDep,
) -> ErasedMemberOut:
    """For good, in every version: name, numbers, phone, card, day of birth. Id, version and what is counted stay.

    Also of a household off the register. Backups made before keep the identity until they are deleted.
    """
    changed, entries = await erasing.erase(registry, caller, household, member, expected, body.reason)
    set_etag(response, changed.version)
    return ErasedMemberOut(**dict(presenting.detailed(changed, today(registry))), audit_entries=entries)


@routes.post(
    "/persons/{person}/erasure",
    operation_id="erase_person",
    summary="Erase the identity of a person without a household 删除无户人员身份信息",
    responses={**NOT_FOUND_RESPONSE, **CONFLICT_RESPONSE, **VERSION_RESPONSES},
)
async def erase_person(
    person: str, body: ErasureIn, response: Response, caller: Admin, expected: Expected, registry: CommandDep
) -> ErasedPersonOut:
    """As of a member, for good, in every version; also of somebody off the register. Members are erased there: 409."""
    changed, entries = await persons_erasing.erase(registry, caller, person, expected, body.reason)
    set_etag(response, changed.version)
    return ErasedPersonOut(**dict(persons.shown(alone(changed), today(registry))), audit_entries=entries)


@routes.post(
    "/households/erasures",
    operation_id="erase_expired_households",
    summary="Erase after retention 到期删除",
    responses=CONFLICT_RESPONSE,
)
async def erase_expired_households(body: ExpiryIn, caller: Admin, registry: CommandDep) -> ExpiryOut:
    """Everyone of your households that left the register so long ago that the retention period 保存期 is over.

    And everyone without a household who did. At most 200 of each a call: call again while `more` is true. Safe to
    repeat.
    """
    latest = latest_expired(today(registry), registry.retention_years)
    if body.deregistered_before > latest:
        wrong = fault("/deregistered_before", "still_retained", f"at most {latest}", f"保存期未满,不得晚于 {latest}")
        raise errors.invalid(wrong)
    members = await erasing.erase_expired(registry, caller, body.deregistered_before, body.reason)
    others = await persons_erasing.erase_expired(registry, caller, body.deregistered_before, body.reason)
    return ExpiryOut(
        households=members.households,
        persons=members.persons + others.persons,
        more=members.more or others.more,
        audit_entries=members.entries + others.entries,
    )

"""Routes of people who go from one household to another. ``If-Match`` names the version of the household left."""

from fastapi import Response

from services.registry.context import CommandDep, Recorder, RegistryDep, today
from services.registry.households import moves, presenting
from services.registry.households.api import CHANGES
from services.registry.households.moves_schemas import HouseholdMerger, HouseholdSplit, MemberTransfer, MovedOut
from services.registry.households.moving import Moved
from shared.app import router
from shared.http.etag import Expected, set_etag
from shared.http.fields import Id
from shared.http.idempotency import Key, mark_replayed

routes = router("households")


@routes.post(
    "/households/{household}/members/{member}/transfer",
    operation_id="transfer_member",
    summary="Move a member to another household 人员转户",
    responses=CHANGES,
)
async def transfer_member(
    household: str,
    member: Id,
    body: MemberTransfer,
    response: Response,
    caller: Recorder,
    expected: Expected,
    registry: CommandDep,
) -> MovedOut:
    """From a day on; id and number stay. Both households get a new version; each keeps the days it had the member."""
    return _shown(await moves.transfer(registry, caller, household, member, expected, body), response, registry)


@routes.post(
    "/households/{household}/split",
    operation_id="split_household",
    summary="Split a household 分户",
    status_code=201,
    responses=CHANGES,
)
async def split_household(
    household: str,
    body: HouseholdSplit,
    response: Response,
    caller: Recorder,
    expected: Expected,
    key: Key,
    registry: CommandDep,
) -> MovedOut:
    """Members make a household of their own from a day on, with a number of its own; somebody has to stay."""
    moved, replayed = await moves.split(registry, caller, household, expected, body, key)
    if replayed:
        mark_replayed(response)
    response.headers["Location"] = f"/v1/households/{moved.joined.id}"
    return _shown(moved, response, registry)


@routes.post(
    "/households/{household}/merger",
    operation_id="merge_households",
    summary="Merge a household into another one 并户",
    responses=CHANGES,
)
async def merge_households(
    household: str,
    body: HouseholdMerger,
    response: Response,
    caller: Recorder,
    expected: Expected,
    registry: CommandDep,
) -> MovedOut:
    """Every member goes to the other household, and this one is off the register from that day on."""
    return _shown(await moves.merge(registry, caller, household, expected, body), response, registry)


def _shown(moved: Moved, response: Response, registry: RegistryDep) -> MovedOut:
    set_etag(response, moved.left.version)
    day = today(registry)
    return MovedOut(left=presenting.detailed(moved.left, day), joined=presenting.detailed(moved.joined, day))

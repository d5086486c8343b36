"""What is in public notice 公示 today: decisions that are to be objected to, told with what may be published."""

from uuid import UUID

from services.registry.commands import command
from services.registry.context import Registry, today
from services.registry.households import reading
from services.registry.households.records import Household
from services.registry.publicity import service
from services.registry.publicity.rules import published_name
from services.registry.publicity.schemas import BoardNoticeQuery, NoticeQuery, PublicNotice
from services.registry.standing import rules
from services.registry.standing import service as standing
from services.registry.standing.records import Decision
from shared.auth import Caller
from shared.contracts.division import DivisionTree
from shared.db import Pg

Found = list[tuple[UUID, PublicNotice]]


async def page(pg: Pg, registry: Registry, caller: Caller, query: NoticeQuery, after: UUID | None) -> Found:
    """In the order in which they were proposed; one more than the page holds if there are more."""
    return await _found(pg, registry, caller, query, query.division, after)


async def board(
    registry: Registry, caller: Caller, village: str, query: BoardNoticeQuery, after: UUID | None
) -> tuple[Found, int | None]:
    """What a village posts on its board 村公示栏, and how many there are if asked. Raises 404.

    Heads are named, and the audit log learns of it, as ``service.board`` has it.
    """
    async with command(registry.runtime) as pg:
        path = service.village_path(await registry.divisions.get(pg), caller, village, today(registry))
        full = registry.standing.full_names_on_boards
        found = await _found(pg, registry, caller, query, village, after, full=full)
        if full:
            named = [decision for decision, _ in found[: query.limit]]
            await service.note_shown(pg, registry, caller, village, path, named)
        counted = await standing.count_in_notice(pg, registry, caller, query.kind, village) if query.count else None
        return found, counted


async def _found(
    pg: Pg,
    registry: Registry,
    caller: Caller,
    query: BoardNoticeQuery,
    division: str | None,
    after: UUID | None,
    *,
    full: bool = False,
) -> Found:
    decisions = await standing.in_notice(pg, registry, caller, query.kind, division, after=after, limit=query.limit + 1)
    about = [each.household_id for each in decisions if each.household_id is not None]
    households: dict[UUID | None, Household] = {
        each.id: each for each in await reading.several(pg, about, registry.vault)
    }
    tree = await registry.divisions.get(pg)
    return [
        (each.id, _published(registry, tree, each, households.get(each.household_id), full=full)) for each in decisions
    ]


async def count(pg: Pg, registry: Registry, caller: Caller, query: NoticeQuery) -> int:
    """How many there are."""
    return await standing.count_in_notice(pg, registry, caller, query.kind, query.division)


def _published(
    registry: Registry, tree: DivisionTree, decision: Decision, household: Household | None, *, full: bool
) -> PublicNotice:
    day = today(registry)
    code = decision.division if household is None else household.latest.path.village
    division = tree.get(code) if code is not None else None
    posted_on, last_day = rules.notice_of(decision, registry.standing.notice_days)
    return PublicNotice(
        kind=decision.kind,
        notice=decision.steps[-1].step,
        year=decision.year,
        division=code,
        division_name="" if division is None else division.name_on(day),
        head=None if household is None else _head(household, registry, full=full),
        people=None if household is None else sum(member.present for member in household.members),
        posted_on=posted_on,
        last_day=last_day,
    )


def _head(household: Household, registry: Registry, *, full: bool) -> str | None:
    head = next((each for each in household.members if each.present and each.relation == "head"), None)
    if head is None or head.status == "erased":
        return None
    return published_name(head.name, head.birth_date, today(registry), full=full)

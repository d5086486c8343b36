"""Routes of decisions on standing, and of the exit test."""

from typing import Annotated
from uuid import UUID

from fastapi import Depends, Path, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from services.registry.context import CommandDep, Reader, Registry, RegistryDep, Reviewer, today
from services.registry.households import reading
from services.registry.standing import judging, rules, service, store
from services.registry.standing.exit_tests import failing
from services.registry.standing.records import Decision
from services.registry.standing.schemas import (
    CheckOut,
    DecisionOut,
    ExitTestOut,
    NextStep,
    ObjectionIn,
    Proposal,
    ResolutionIn,
    StepIn,
    WithdrawalIn,
)
from services.registry.standing.store import Filters
from shared.app import CONFLICT_RESPONSE, NOT_FOUND_RESPONSE, VERSION_RESPONSES, router
from shared.auth import Caller, requires
from shared.contracts.standing import DecisionKind, DecisionState
from shared.http.etag import Expected, set_etag
from shared.http.fields import Id
from shared.http.idempotency import Key, mark_replayed
from shared.http.listing import Digits, ListQuery
from shared.http.pagination import Page, page_of
from shared.http.problems import language_of

routes = router("standing")
Proposer = Annotated[Caller, Depends(requires("recorder"))]
Clerk = Annotated[Caller, Depends(requires("recorder", "reviewer"))]
CHANGES = {**NOT_FOUND_RESPONSE, **CONFLICT_RESPONSE, **VERSION_RESPONSES}


class DecisionQuery(ListQuery):
    """Filters of decisions; together they narrow."""

    kind: DecisionKind | None = Field(default=None, description="Kind 类别.")
    state: DecisionState | None = Field(default=None, description="State 办理状态.")
    division: str | None = Field(
        default=None,
        pattern=r"^[0-9]{2,12}$",
        description="A whole 12-digit code (a county by what it manages), or a prefix 行政区划.",
    )
    household: Id | None = Field(default=None, description="Id of the household 农户.")


class ExitTestQuery(BaseModel):
    """What an exit test asks for."""

    model_config = ConfigDict(extra="forbid")

    year: Digits = Field(ge=2010, le=2100, description="Year whose income counts 脱贫年度.")


@routes.get("/standing/decisions", operation_id="list_standing_decisions", summary="List decisions 查询认定")
async def list_standing_decisions(
    request: Request,
    response: Response,
    query: Annotated[DecisionQuery, Query()],
    caller: Reader,
    registry: RegistryDep,
) -> Page[DecisionOut]:
    """Decisions within your divisions, in the order in which they were proposed."""
    filters = Filters(query.kind, query.state, query.division, query.household)
    after = query.after(request)
    async with registry.runtime.database.driver() as pg:
        found = await store.page(pg, filters, caller, after=UUID(after[0]) if after else None, limit=query.limit + 1)
        count = await store.count(pg, filters, caller) if query.count else None
    kept, cursor = page_of(found, limit=query.limit, key=lambda d: [str(d.id)], request=request, response=response)
    return Page[DecisionOut](items=[_shown(each, registry) for each in kept], next_cursor=cursor, count=count)


@routes.post(
    "/standing/decisions",
    operation_id="propose_standing_decision",
    summary="Propose a decision 提出认定",
    status_code=201,
    responses=CONFLICT_RESPONSE,
)
async def propose_standing_decision(
    body: Proposal, response: Response, caller: Proposer, key: Key, registry: CommandDep
) -> DecisionOut:
    """Identification, exit, relapse or monitoring of a household, exit of a village or county; takes the first step.

    An exit whose test is not passed is refused with every check that fails; nothing overrides it. One decision at
    a time of each household, village and county. Monitoring 监测对象 is refused where it is not turned on.
    """
    decision, replayed = await service.propose(registry, caller, body, key)
    if replayed:
        mark_replayed(response)
    response.headers["Location"] = f"/v1/standing/decisions/{decision.id}"
    return _answer(decision, response, registry)


@routes.get(
    "/standing/decisions/{decision_id}",
    operation_id="get_standing_decision",
    summary="One decision 认定详情",
    responses=NOT_FOUND_RESPONSE,
)
async def get_standing_decision(
    decision_id: Id, response: Response, caller: Reader, registry: RegistryDep
) -> DecisionOut:
    """With every step and objection: day, key, note and documents; and what comes next."""
    async with registry.runtime.database.driver() as pg:
        decision = await store.find(pg, decision_id, caller)
    return _answer(decision, response, registry)


@routes.post(
    "/standing/decisions/{decision_id}/steps",
    operation_id="take_standing_step",
    summary="Take the next step 办理下一环节",
    responses=CHANGES,
)
async def take_standing_step(
    decision_id: Id, body: StepIn, response: Response, caller: Clerk, expected: Expected, registry: CommandDep
) -> DecisionOut:
    """In the order of the procedure, each dated not before the last one, nor before a public notice has run.

    Reviews need the role `reviewer` and another key than the proposer's; those of a township, a county or the city, one
    that has the whole of it in its scope (`next.level`). A county's assessment may state what it counted; it is refused
    where the county does not pass by that. The last step concludes: the household's standing, or the designation of the
    village or county, changes from its day on.
    """
    return _answer(await service.advance(registry, caller, decision_id, expected, body), response, registry)


@routes.post(
    "/standing/decisions/{decision_id}/objections",
    operation_id="object_to_standing_decision",
    summary="Enter an objection 提出异议",
    responses=CHANGES,
)
async def object_to_standing_decision(
    decision_id: Id, body: ObjectionIn, response: Response, caller: Clerk, expected: Expected, registry: CommandDep
) -> DecisionOut:
    """It blocks the decision until it is resolved."""
    return _answer(await service.object_to(registry, caller, decision_id, expected, body), response, registry)


@routes.post(
    "/standing/decisions/{decision_id}/objections/{number}/resolution",
    operation_id="resolve_standing_objection",
    summary="Resolve an objection 处理异议",
    responses=CHANGES,
)
async def resolve_standing_objection(
    decision_id: Id,
    number: Annotated[int, Path(ge=1, le=10_000, description="Number of the objection 异议序号.")],
    body: ResolutionIn,
    response: Response,
    caller: Reviewer,
    expected: Expected,
    registry: CommandDep,
) -> DecisionOut:
    """Upheld, the decision ends; dismissed, it goes on. By another key than the proposer's."""
    return _answer(await service.resolve(registry, caller, decision_id, number, expected, body), response, registry)


@routes.post(
    "/standing/decisions/{decision_id}/withdrawal",
    operation_id="withdraw_standing_decision",
    summary="Take a decision back 撤回认定",
    responses=CHANGES,
)
async def withdraw_standing_decision(
    decision_id: Id, body: WithdrawalIn, response: Response, caller: Proposer, expected: Expected, registry: CommandDep
) -> DecisionOut:
    """While it is open. What was concluded is not taken back: propose its opposite."""
    return _answer(await service.withdraw(registry, caller, decision_id, expected, body), response, registry)


@routes.get(
    "/households/{household}/exit-test",
    operation_id="test_household_exit",
    summary="Whether a household may exit 退出测评",
    responses=NOT_FOUND_RESPONSE,
)
async def test_household_exit(
    household: str,
    request: Request,
    caller: Reader,
    registry: RegistryDep,
    query: Annotated[ExitTestQuery, Query()],
) -> ExitTestOut:
    """Each check with what it read: income of the year above its line, safe housing and water, insurance, schooling."""
    async with registry.runtime.database.driver() as pg:
        found = await reading.find(pg, household, caller, registry.vault)
    checks = judging.household_test(registry, found, query.year, today(registry))
    language = language_of(request)
    return ExitTestOut(
        year=query.year, passed=not failing(checks), checks=[CheckOut.of(each, language) for each in checks]
    )


def _answer(decision: Decision, response: Response, registry: Registry) -> DecisionOut:
    set_etag(response, decision.version)
    return _shown(decision, registry)


def _shown(decision: Decision, registry: Registry) -> DecisionOut:
    due = rules.next_step(decision)
    following = due and NextStep(
        step=due.code,
        title=due.title,
        role=due.role,
        level=due.level,
        not_before=rules.earliest(decision, registry.standing.notice_days),
    )
    return DecisionOut(**dict(decision), next=following)

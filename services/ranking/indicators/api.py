"""Routes of indicators and rule sets."""

from datetime import date
from typing import Annotated

from fastapi import Depends, Header, Path, Response

from services.ranking.indicators import service
from services.ranking.indicators.library import LIBRARY
from services.ranking.indicators.rule_sets import RuleSet
from services.ranking.indicators.schemas import IndicatorBody, IndicatorList, RuleSetBody, RuleSetList, State
from services.ranking.indicators.service import Stored
from services.ranking.mirror import service as mirror
from shared import errors
from shared.app import CONFLICT_RESPONSE, NOT_FOUND_RESPONSE, VERSION_RESPONSES, RuntimeDep, Transaction, router
from shared.auth import AnyCaller, Caller, requires
from shared.clock import local_day
from shared.errors import Problem, Text
from shared.http.etag import check_version, required_version, set_etag

routes = router("rule-sets")
IN_FORCE = errors.kind(
    "rule_set_in_force", 409, "Rule sets can only be set for the future", "评分规则只能面向未来制定",
    "A rule set that is in force, or was, never changes: set another one with a later `valid_from`.",
    "已生效的评分规则不得修改,请另行制定并设定更晚的生效日期。",
)  # fmt: skip
Code = Annotated[
    str, Path(pattern=r"^[a-z0-9][a-z0-9._-]{0,39}$", description="Name of the rule set.", examples=["2018-v1"])
]


async def _city_admin(caller: Annotated[Caller, Depends(requires("admin"))], runtime: RuntimeDep) -> Caller:
    """An admin with the whole city in scope: a rule set scores every unit there is. Raises 403."""
    async with runtime.database.driver() as pg:
        cities = await mirror.cities(pg)
    if not cities or not cities.issubset(caller.divisions):
        raise Problem(errors.FORBIDDEN, Text("it concerns the whole city, which is not yours", "涉及全市,超出您的辖区"))
    return caller


@routes.get("/indicators", operation_id="list_indicators", summary="The library of indicators 指标库")
async def list_indicators(_: AnyCaller) -> IndicatorList:
    """Every named indicator with its numerator, denominator and source."""
    return IndicatorList(
        items=[
            IndicatorBody(
                code=indicator.code,
                label_zh=indicator.label.zh,
                label_en=indicator.label.en,
                numerator_zh=indicator.numerator.zh,
                numerator_en=indicator.numerator.en,
                denominator_zh=indicator.denominator.zh,
                denominator_en=indicator.denominator.en,
                source=indicator.source,
            )
            for indicator in LIBRARY.values()
        ]
    )


@routes.get("/rule-sets", operation_id="list_rule_sets", summary="Rule sets 评分规则")
async def list_rule_sets(_: AnyCaller, conn: Transaction, runtime: RuntimeDep) -> RuleSetList:
    """Every rule set, oldest first. A period is scored by the one in force on its first day."""
    today = local_day(runtime.clock.now())
    found = await service.listed(conn)
    return RuleSetList(items=[_body(stored, found, today) for stored in found])


@routes.get(
    "/rule-sets/{code}", operation_id="get_rule_set", summary="A rule set 评分规则", responses=NOT_FOUND_RESPONSE
)
async def get_rule_set(
    code: Code, _: AnyCaller, conn: Transaction, runtime: RuntimeDep, response: Response
) -> RuleSetBody:
    """One rule set; its ETag is needed to change it."""
    found = await service.listed(conn)
    stored = next((stored for stored in found if stored.rules.code == code), None)
    if stored is None:
        raise Problem(errors.NOT_FOUND)
    set_etag(response, stored.version)
    return _body(stored, found, local_day(runtime.clock.now()))


@routes.put(
    "/rule-sets/{code}",
    operation_id="put_rule_set",
    summary="Set a rule set for the future 制定评分规则",
    responses={201: {"model": RuleSetBody, "description": "Created"}, **CONFLICT_RESPONSE, **VERSION_RESPONSES},
)
async def put_rule_set(
    code: Code,
    rules: RuleSet,
    _: Annotated[Caller, Depends(_city_admin)],
    conn: Transaction,
    runtime: RuntimeDep,
    response: Response,
    if_match: Annotated[
        str | None, Header(description="The `ETag` you read; needed when the rule set exists.", examples=['"1"'])
    ] = None,
) -> RuleSetBody:
    """Create a rule set, or change one that is not in force yet. `valid_from` must lie in the future.

    It scores the whole city, which must be in your divisions.
    """
    if rules.code != code:
        raise errors.invalid(
            errors.fault("/code", "mismatch", "must be the code in the address", "须与地址中的名称一致")
        )
    held = await service.lock(conn, code)
    if held is not None:
        check_version(held.version, await required_version(if_match))
    today = local_day(runtime.clock.now())
    try:
        stored = await service.put(conn, rules, held, today)
    except service.InForceError as error:
        raise Problem(IN_FORCE) from error
    except service.DayTakenError as error:
        raise Problem(
            errors.CONFLICT, Text("another rule set begins on that day", "该日已有其他评分规则生效")
        ) from error
    response.status_code = 200 if held is not None else 201
    set_etag(response, stored.version)
    return _body(stored, await service.listed(conn), today)


def _body(stored: Stored, found: list[Stored], today: date) -> RuleSetBody:
    current = service.in_force([other.rules for other in found], today)
    state: State = "past"
    if stored.rules.code == current.code:
        state = "in_force"
    elif stored.rules.valid_from > today:
        state = "future"
    return RuleSetBody(**stored.rules.model_dump(), version=stored.version, state=state)

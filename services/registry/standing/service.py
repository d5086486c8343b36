"""Use cases of decisions: propose, go on, object, resolve, take back; each in one transaction."""

from collections.abc import Callable
from datetime import date, datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

from services.registry.commands import attempted, claim, command, complete
from services.registry.context import Registry, today
from services.registry.divisions import service as divisions
from services.registry.households import reading
from services.registry.households.judging import EARLIEST
from services.registry.households.problems import HOUSEHOLD_DEREGISTERED
from services.registry.households.records import Author, Household
from services.registry.standing import concluding, judging, rules, store
from services.registry.standing.records import Act, Decision, Objection, Resolution, Step
from services.registry.standing.schemas import ActIn, ObjectionIn, Proposal, ResolutionIn, StepIn, WithdrawalIn
from services.registry.standing.store import Filters
from shared import errors
from shared.auth import Caller
from shared.contracts.division import Path
from shared.contracts.standing import DecisionKind
from shared.db import Pg
from shared.errors import Problem, fault
from shared.http.etag import check_version
from shared.http.idempotency import IdempotencyKey
from shared.ids import uuid7

republish = store.republish
_NEEDED: dict[str, frozenset[str]] = {
    "identification": frozenset({"household"}),
    "exit": frozenset({"household", "year"}),
    "relapse": frozenset({"household", "cause"}),
    "village_exit": frozenset({"division", "village"}),
    "county_exit": frozenset({"division", "county"}),
    "monitoring": frozenset({"household", "category", "cause"}),
    "monitoring_end": frozenset({"household"}),
}
_ALLOWED = {**_NEEDED, "identification": frozenset({"household", "cause"})}
_SUBJECT = ("household", "division", "year", "cause", "category", "village", "county")


class _Moment(NamedTuple):
    """When a decision is acted on, and what has become of its household or division by then."""

    now: datetime
    today: date
    place: Path
    on_register: bool


async def in_notice(
    pg: Pg,
    registry: Registry,
    caller: Caller,
    kind: DecisionKind | None,
    division: str | None,
    *,
    after: UUID | None,
    limit: int,
) -> list[Decision]:
    """Decisions whose public notice 公示 is up today, in the order in which they were proposed."""
    return await store.page(pg, _posted(registry, kind, division), caller, after=after, limit=limit)


async def count_in_notice(
    pg: Pg, registry: Registry, caller: Caller, kind: DecisionKind | None, division: str | None
) -> int:
    """How many there are."""
    return await store.count(pg, _posted(registry, kind, division), caller)


def _posted(registry: Registry, kind: DecisionKind | None, division: str | None) -> Filters:
    day = today(registry) - timedelta(days=registry.standing.notice_days)
    return Filters(kind=kind, division=division, posted_after=day)


async def propose(registry: Registry, caller: Caller, body: Proposal, key: IdempotencyKey) -> tuple[Decision, bool]:
    """Open a decision; the decision, and whether it answers an earlier request. Raises 409, 422."""
    if body.kind in ("monitoring", "monitoring_end") and not registry.standing.monitoring:
        raise Problem(rules.MONITORING_OFF)
    _check_fields(body)
    async with command(registry.runtime, dry_run=registry.dry_run) as pg:
        earlier = await claim(pg, key)
        if earlier is not None:
            return (await store.find(pg, earlier.resource_id, caller)).as_proposed(), True
        now, last = registry.runtime.clock.now(), today(registry)
        step = Step(
            **_act(body, caller, now, last), step=rules.PROCEDURES[body.kind][0].code, evidence=tuple(body.evidence)
        )
        rules.check_day(step.on, EARLIEST, last)
        rules.check_year(body.year, step.on, "/year", concluded=False)
        _check_window(registry, body.kind, step.on)
        decision = Decision(
            id=uuid7(),
            version=1,
            kind=body.kind,
            state="open",
            **await _subject(pg, registry, caller, body, step.on),
            year=body.year,
            cause=body.cause,
            category=body.category,
            village=body.village,
            county=body.county,
            steps=(step,),
            objections=(),
            withdrawal=None,
            certificate=None,
        )
        await store.add(pg, registry, decision, Author(caller.key_id, now, body.note))
        await complete(pg, key, decision.id, decision.version)
    return decision, False


def _check_fields(body: Proposal) -> None:
    """Raises 422 where a field is missing, or goes with another kind of decision."""
    given = {name for name in _SUBJECT if getattr(body, name) is not None}
    missing = [fault(f"/{name}", "missing", "required", "必填") for name in sorted(_NEEDED[body.kind] - given)]
    beside = [
        fault(f"/{name}", "other_kind", "goes with another kind", "不适用于此类认定")
        for name in sorted(given - _ALLOWED[body.kind])
    ]
    if missing or beside:
        raise errors.invalid(*missing, *beside)


def _check_window(registry: Registry, kind: str, day: date) -> None:
    if kind in ("identification", "exit") and not registry.standing.open_for(day, today(registry)):
        raise Problem(rules.OUTSIDE_WINDOW)


async def _subject(pg: Pg, registry: Registry, caller: Caller, body: Proposal, day: date) -> dict[str, Any]:
    """What the decision is about, after it has passed its test. Raises 409, 422."""
    if body.household is not None:
        household = await _household(pg, registry, caller, body.household)
        judging.check_household(registry, household, body.kind, day, body.year, body.category)
        if body.kind == "identification" and body.cause is None and household.cause is None:
            raise errors.invalid(fault("/cause", "missing", "required", "必填"))
        path = household.latest.path
        return {
            "household_id": household.id,
            "household_number": household.number,
            "division": path.village,
            "path": path,
        }
    code = body.division or ""
    tree = await divisions.current_tree(pg, registry.divisions)
    _, path = judging.located(tree, caller, body.kind, code, day)
    await judging.check_division(pg, registry, tree, code, day, village=body.village, county=body.county)
    return {"household_id": None, "household_number": None, "division": code, "path": path}


async def _household(pg: Pg, registry: Registry, caller: Caller, name: str) -> Household:
    try:
        return await reading.find(pg, name, caller, registry.vault)
    except Problem as problem:
        unknown = fault("/household", "household_unknown", "no such household of yours", "辖区内无此户")
        raise errors.invalid(unknown) from problem


async def _check_survey(pg: Pg, registry: Registry, decision: Decision) -> None:
    """Raises 422 where a county does not pass by what its assessment counted."""
    tree, day = await divisions.current_tree(pg, registry.divisions), decision.steps[-1].on
    await judging.check_division(pg, registry, tree, decision.division, day, village=None, county=decision.survey)


async def advance(registry: Registry, caller: Caller, decision_id: UUID, expected: int, body: StepIn) -> Decision:
    """Take the next step; the last one brings the decision about. Raises 403, 404, 409, 412, 422."""

    def act(old: Decision, moment: _Moment) -> Decision:
        due = rules.next_step(old)
        if due is not None and not caller.may(due.role):
            raise Problem(errors.FORBIDDEN, extensions={"required_roles": [due.role]})
        if body.county is not None and body.step != "special_assessment":
            beside = fault("/county", "other_kind", "goes with the assessment alone", "仅适用于专项评估环节")
            raise errors.invalid(beside)
        if due is not None:
            rules.check_level(due, moment.place, caller.divisions)
            if not moment.on_register:
                raise Problem(HOUSEHOLD_DEREGISTERED)
        act_of = _act(body, caller, moment.now, moment.today)
        step = Step(**act_of, step=body.step, evidence=tuple(body.evidence), county=body.county)
        new = rules.with_step(old, step, registry.standing.notice_days, moment.today)
        if new.state == "concluded":
            _check_window(registry, new.kind, step.on)
        return new

    return await _changed(registry, caller, decision_id, expected, body, act)


async def object_to(
    registry: Registry, caller: Caller, decision_id: UUID, expected: int, body: ObjectionIn
) -> Decision:
    """Enter an objection. Raises 404, 409, 412, 422."""

    def act(old: Decision, moment: _Moment) -> Decision:
        objection = Objection(
            **_act(body, caller, moment.now, moment.today),
            number=len(old.objections) + 1,
            evidence=tuple(body.evidence),
        )
        return rules.with_objection(old, objection, moment.today)

    return await _changed(registry, caller, decision_id, expected, body, act)


async def resolve(
    registry: Registry, caller: Caller, decision_id: UUID, number: int, expected: int, body: ResolutionIn
) -> Decision:
    """Resolve an objection. Raises 403, 404, 409, 412, 422."""

    def act(old: Decision, moment: _Moment) -> Decision:
        resolution = Resolution(**_act(body, caller, moment.now, moment.today), outcome=body.outcome)
        return rules.with_resolution(old, number, resolution, moment.today)

    return await _changed(registry, caller, decision_id, expected, body, act)


async def withdraw(
    registry: Registry, caller: Caller, decision_id: UUID, expected: int, body: WithdrawalIn
) -> Decision:
    """Take a decision back. Raises 404, 409, 412, 422."""

    def act(old: Decision, moment: _Moment) -> Decision:
        return rules.withdrawn(old, Act(**_act(body, caller, moment.now, moment.today)), moment.today)

    return await _changed(registry, caller, decision_id, expected, body, act)


def _act(body: ActIn, caller: Caller, now: datetime, last: date) -> dict[str, Any]:
    return {"on": body.on or last, "recorded_at": now, "by": caller.key_id, "note": body.note}


async def _changed(
    registry: Registry,
    caller: Caller,
    decision_id: UUID,
    expected: int,
    body: ActIn,
    act: Callable[[Decision, _Moment], Decision],
) -> Decision:
    async def attempt() -> Decision:
        async with command(registry.runtime, dry_run=registry.dry_run) as pg:
            old = await store.find(pg, decision_id, caller, lock=True)
            check_version(old.version, expected)
            place, on_register = old.path, True
            if old.household_id is not None:
                event = await reading.event_of(pg, old.household_id)
                place, on_register = event.timeline[-1].path, event.status == "active"
            moment = _Moment(registry.runtime.clock.now(), today(registry), place, on_register)
            new = act(old, moment)
            if new.state == "concluded":
                new = await concluding.conclude(pg, registry, caller, new)
            elif new.survey != old.survey:
                await _check_survey(pg, registry, new)
            await store.change(pg, registry, new, Author(caller.key_id, moment.now, body.note), place)
        return new

    new = await attempted(attempt)
    if new.state == "concluded" and new.household_id is None:
        registry.divisions.expire()  # a designation ended
    return new

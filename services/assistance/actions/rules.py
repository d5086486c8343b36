"""What may be recorded: pure decisions over one action's content and what it refers to."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from uuid import UUID

from services.assistance.actions.schemas import ActionContent, ActorRef, RegisterRef
from services.assistance.catalogue.rules import Catalogue, reaches, serves
from shared.auth import Caller
from shared.clock import SHANGHAI, local_day
from shared.contracts.division import DivisionTree, Path
from shared.contracts.household import HouseholdEvent, PersonEvent
from shared.contracts.programme import ActionKind, ProgrammeEvent, Serves
from shared.errors import Fault, fault

CLOCK_SKEW = timedelta(minutes=5)
EARLIEST = datetime(2010, 1, 1, tzinfo=SHANGHAI)
"""Divisions are known from 2010 on; nothing older can be placed."""


@dataclass(frozen=True, slots=True)
class References:
    """What the named references stand for; what is missing is unknown."""

    households: Mapping[UUID | str, HouseholdEvent]
    persons: Mapping[UUID | str, PersonEvent]
    actors: Mapping[UUID | tuple[str, str], UUID]

    def household(self, ref: RegisterRef) -> HouseholdEvent | None:
        return self.households.get(ref.id or ref.number or "")

    def person(self, ref: RegisterRef) -> PersonEvent | None:
        return self.persons.get(ref.id or ref.number or "")

    def actor(self, ref: ActorRef) -> UUID | None:
        return self.actors.get(ref.id or (ref.source_system or "", ref.external_id or ""))


@dataclass(frozen=True, slots=True)
class World:
    """What an action is judged against."""

    catalogue: Catalogue
    divisions: DivisionTree
    references: References
    now: datetime


@dataclass(frozen=True, slots=True)
class Placed:
    """An action that may be recorded: what it refers to, and where it counts."""

    programme: ProgrammeEvent
    kind: ActionKind
    household: HouseholdEvent | None
    persons: tuple[PersonEvent, ...]
    actor_id: UUID | None
    path: Path

    @property
    def division(self) -> str:
        """The responsible village, or the place it is for."""
        return self.path.village or self.path.township or self.path.county


UNKNOWN = "unknown_reference"
"""Not known here (yet), or outside the caller's divisions: the two look alike."""


def judge(content: ActionContent, world: World, caller: Caller) -> Placed | list[Fault]:
    """Where an action counts, or everything that speaks against recording it."""
    day = local_day(content.occurred_at)
    found = _time_faults(content.occurred_at, world.now)
    programme = world.catalogue.programmes.get(content.programme)
    if programme is None:
        return [*found, fault("/programme", "unknown_programme", "no such programme", "帮扶项目不存在")]
    accepted = world.catalogue.kind(content.programme, content.kind)
    if accepted is None:
        return [*found, fault("/kind", "unknown_kind", "the programme accepts no such kind", "项目不包含该行动类型")]
    kind, details_faults = accepted
    if programme.status != "active" or not programme.holds_on(day):
        found.append(fault("/programme", "not_in_force", "not in force on that day", "该项目在发生日未生效"))
    found += [each.below("/details") for each in details_faults(content.details)]
    found += _shape_faults(content, serves(programme, kind))
    persons, unknown = _persons(content, world.references)
    actor_id = None if content.actor is None else world.references.actor(content.actor)
    if content.actor is not None and actor_id is None:
        unknown.append(_unknown("/actor"))
    if content.place is not None and world.divisions.path(content.place, day) is None:
        unknown.append(_unknown("/place"))
    household, path, unplaced = _place(content, persons, world, day, serves(programme, kind))
    found += unknown + unplaced
    if path is not None:
        if not caller.reaches(path):
            found.append(_unknown(_beneficiary(content)))
        elif not reaches(programme, path, day):
            found.append(fault("/programme", "not_rolled_out", "does not apply there that day", "该项目在当地尚未推行"))
    if found or path is None:
        return found
    return Placed(programme, kind, household, persons, actor_id, path)


def _unknown(pointer: str) -> Fault:
    return fault(pointer, UNKNOWN, "not known, or outside your divisions", "不存在,或不在您的辖区内")


def _beneficiary(content: ActionContent) -> str:
    if content.household is not None:
        return "/household"
    return "/division" if content.division is not None else "/persons/0"


def _time_faults(occurred_at: datetime, now: datetime) -> list[Fault]:
    if occurred_at > now + CLOCK_SKEW:
        return [fault("/occurred_at", "in_future", "has not happened yet", "发生时间不得晚于当前时间")]
    if occurred_at < EARLIEST:
        return [fault("/occurred_at", "too_early", "lies before 2010", "发生时间不得早于 2010 年")]
    return []


def _shape_faults(content: ActionContent, served: Serves) -> list[Fault]:
    """Whether the action names the kind of beneficiary its kind is for, and no other."""
    found: list[Fault] = []
    if served == "household" and content.household is None:
        found.append(fault("/household", "household_required", "this kind is for a household", "该类型须指明农户"))
    if served == "person" and not content.persons:
        found.append(fault("/persons", "persons_required", "this kind is for persons", "该类型须指明人员"))
    if served in ("village", "township"):
        if content.division is None:
            found.append(fault("/division", "division_required", f"it is for a {served}", "该类型须指明村或乡镇"))
        if content.household is not None:
            found.append(fault("/household", "not_for_household", f"it is for a {served}", "该类型不针对农户"))
    elif content.household is not None and content.division is not None:
        found.append(fault("/division", "division_derived", "follows from the household", "由农户所在村确定,不得另填"))
    return found


def _persons(content: ActionContent, references: References) -> tuple[tuple[PersonEvent, ...], list[Fault]]:
    known: list[PersonEvent] = []
    found: list[Fault] = []
    seen: set[UUID] = set()
    for index, ref in enumerate(content.persons):
        person = references.person(ref)
        if person is None or person.status == "erased":
            found.append(_unknown(f"/persons/{index}"))
        elif person.id in seen:
            found.append(fault(f"/persons/{index}", "repeated", "named twice", "人员重复"))
        else:
            seen.add(person.id)
            known.append(person)
    return tuple(known), found


def _place(
    content: ActionContent, persons: tuple[PersonEvent, ...], world: World, day: date, served: Serves
) -> tuple[HouseholdEvent | None, Path | None, list[Fault]]:
    """The beneficiary household and the path that was responsible on the day."""
    if content.household is not None:
        household = world.references.household(content.household)
        return _place_household(household, day, "/household")
    if content.division is not None:
        path = world.divisions.path(content.division, day)
        if path is None:
            return None, None, [_unknown("/division")]
        if not _fits(path, served):
            return None, None, [fault("/division", "level", f"must be a {served}", "行政区划级别不符")]
        return None, path, []
    homes = {person.household_id for person in persons}
    if served == "person" and len(homes) == 1 and None not in homes:
        return _place_household(world.references.households.get(homes.pop() or ""), day, "/persons/0")
    if served == "person" and len(persons) == len(content.persons) > 0:
        message = fault("/division", "division_required", "the persons share no household", "人员不属同一农户,须指明村")
        return None, None, [message]
    return None, None, []


def _place_household(
    household: HouseholdEvent | None, day: date, pointer: str
) -> tuple[HouseholdEvent | None, Path | None, list[Fault]]:
    if household is None or household.status == "erased":
        return None, None, [_unknown(pointer)]
    state = household.state_on(day)
    if state is None:
        message = fault(pointer, "not_registered_then", "not on the register on that day", "该农户当日不在册")
        return household, None, [message]
    return household, state.path, []


def _fits(path: Path, served: Serves) -> bool:
    if served == "township":
        return path.township is not None and path.village is None
    return path.village is not None

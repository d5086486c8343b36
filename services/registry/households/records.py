"""A household and its members as the register holds them, and how a change makes the next version of them. Pure."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, fields, replace
from datetime import date, datetime, timedelta
from functools import cached_property
from typing import Any, Literal
from uuid import UUID

from services.registry.codes.rules import Welfare, poverty_attribute
from services.registry.households import rules
from services.registry.households.attributes import Cause, HouseholdAttributes, PersonAttributes
from services.registry.households.incomes import Income
from services.registry.households.monitoring import Monitored
from services.registry.households.rules import (
    Employable,
    Membership,
    Period,
    Relation,
    Residences,
    Sex,
    Standings,
    Welfares,
)
from shared.contracts.division import Path
from shared.contracts.household import HouseholdEvent, HouseholdState, PersonEvent

Verb = Literal["registered", "changed", "deregistered"]
HouseholdStatus = Literal["active", "deregistered", "erased"]
PersonStatus = Literal["active", "deceased", "moved_away", "deregistered", "erased", "transferred"]
"""transferred: went to another household of the register, or to none; a stay that ended, kept where it was."""


@dataclass(frozen=True, slots=True)
class Author:
    """Who changes the register, when, and why."""

    key_id: UUID
    now: datetime
    reason: str | None = None

    def after(self, before: datetime) -> "Author":
        """As this one, but later: who waited for a lock looked at the clock before whoever held it wrote."""
        return self if self.now > before else replace(self, now=before + timedelta(microseconds=1))


@dataclass(frozen=True, slots=True, kw_only=True)
class Individual:
    """What the register holds of somebody, in a household or not. Identity data is left out of its representation."""

    id: UUID
    version: int
    number: str
    status: PersonStatus
    sex: Sex
    birth_date: date
    employable: Employable
    in_school: bool
    disability_level: int | None
    joined_on: date
    left_on: date | None
    name: str = field(repr=False)
    """Empty once it was erased."""
    id_number: str | None = field(repr=False)
    phone: str | None = field(repr=False)
    disability_number: str | None = field(repr=False)
    bank_card: str | None = field(repr=False)
    attributes: PersonAttributes
    author: Author

    @property
    def present(self) -> bool:
        return self.left_on is None

    def verb(self) -> Verb:
        return _verb(self.version, self.status)

    def common(self) -> dict[str, Any]:
        """What stays when somebody comes into a household, or leaves one for none."""
        return {each.name: getattr(self, each.name) for each in fields(Individual)}

    def _event(self, household_id: UUID | None, path: Path | None) -> PersonEvent:
        """The public state: coded attributes only. An ended stay has none: what came after it tells of the person."""
        assert self.status != "transferred"
        return PersonEvent(
            id=self.id,
            version=self.version,
            status=self.status,
            number=self.number,
            household_id=household_id,
            path=path,
            sex=self.sex,
            birth_year=self.birth_date.year,
            employable=self.employable,
            in_school=self.in_school,
            disability_level=self.disability_level,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Person(Individual):
    """A member of a household."""

    household_id: UUID
    household_version: int
    """The version of the household that this version of the person came with."""
    position: int
    relation: Relation

    def event(self) -> PersonEvent:
        """The public state; where a member belongs, the household tells."""
        return self._event(self.household_id, None)


@dataclass(frozen=True, kw_only=True)
class Household:
    """A household with all who ever were its members."""

    id: UUID
    version: int
    seq: int
    number: str
    status: HouseholdStatus
    source_system: str | None
    external_id: str | None
    content: bytes
    """Blind index of what it was registered with, to recognise the same record sent again."""
    residences: Residences
    standings: Standings
    timeline: tuple[HouseholdState, ...]
    valid_to: date | None
    cause: Cause | None
    welfares: Welfares
    attributes: HouseholdAttributes
    incomes: tuple[Income, ...]
    """By year, oldest first."""
    monitoring: Monitored = ()
    """Oldest first."""
    seen_in: frozenset[str] = frozenset()
    """Divisions in which versions before this one had it."""
    first_recorded_at: datetime
    author: Author
    members: tuple[Person, ...]

    @property
    def registered_on(self) -> date:
        return self.timeline[0].valid_from

    @property
    def former_divisions(self) -> frozenset[str]:
        """Divisions in which it lay at another time, or was said to by a version before, and does not lie now."""
        if len(self.timeline) == 1 and not self.seen_in:
            return self.seen_in
        lay_in = (code for state in self.timeline for code in state.path.scopes())
        return self.seen_in.union(lay_in).difference(self.latest.path.scopes())

    @property
    def latest(self) -> HouseholdState:
        """The state of today: none begins later, but where a change of divisions was once dated ahead."""
        return self.timeline[-1]

    @property
    def welfare(self) -> Welfare:
        """The category of today: none begins later."""
        return self.welfares[-1].value

    @property
    def next_position(self) -> int:
        """Where the next member stands, after all who ever were."""
        return 1 + max((member.position for member in self.members), default=-1)

    def village_on(self, day: date) -> str:
        """Where it lived on a day: the village that it came to, or the one that this went into before."""
        state = self.event.state_on(day) or self.timeline[0]
        assert state.path.village is not None  # of households, always
        return state.path.village

    def poverty_attribute(self, day: date) -> str | None:
        """贫困户属性 AAC006 as of a day, by the labels of its year; None where the year has no code for such."""
        return poverty_attribute(rules.value_on(self.standings, day), rules.value_on(self.welfares, day), day.year)

    def member(self, person_id: UUID) -> Person | None:
        """A member, present or former; one who went to another household is found there."""
        return next((m for m in self.members if m.id == person_id and m.status != "transferred"), None)

    @cached_property
    def periods(self) -> Sequence[Period]:
        """The stretches of its past to count."""
        memberships = (Membership(member.joined_on, member.left_on) for member in self.members)
        return rules.periods(self.timeline, self.welfares, self.valid_to, memberships)

    @cached_property
    def event(self) -> HouseholdEvent:
        """The public state: no names, no ID numbers."""
        return HouseholdEvent(
            id=self.id,
            version=self.version,
            status=self.status,
            number=self.number,
            seq=self.seq,
            timeline=list(self.timeline),
            valid_to=self.valid_to,
        )

    def verb(self) -> Verb:
        return _verb(self.version, self.status)


def _verb(version: int, status: HouseholdStatus | PersonStatus) -> Verb:
    """What a version did, as its event says."""
    if version == 1:
        return "registered"
    return "deregistered" if status == "deregistered" else "changed"


def next_version(old: Household, new: Household, author: Author) -> Household:
    """``new`` as the version after ``old``, recorded later; members that differ get a new version too."""
    version, stays, author = old.version + 1, _Stays(old), author.after(old.author.now)
    members = tuple(_next_person(stays.before(member), member, version, author) for member in new.members)
    seen_in = old.former_divisions.union(old.latest.path.scopes())
    return replace(new, version=version, author=author, members=members, seen_in=seen_in)


def _next_person(old: Person | None, new: Person, household_version: int, author: Author) -> Person:
    if old == new:
        return new
    if old is None:  # who is new says which version that is
        return replace(new, household_version=household_version, author=author)
    later = author.after(old.author.now)
    return replace(new, version=old.version + 1, household_version=household_version, author=later)


def changed_members(old: Household, new: Household) -> Iterable[Person]:
    """The members that ``new`` adds or changes."""
    stays = _Stays(old)
    return (each for each in new.members if (before := stays.before(each)) is None or before.version != each.version)


def new_members(old: Household, new: Household) -> Iterable[Person]:
    """The members that ``new`` adds, whether they are new to the register or come from elsewhere on it."""
    stays = _Stays(old)
    return (member for member in new.members if stays.before(member) is None)


class _Stays:
    """A person may belong to a household more than once: stays that ended are kept, one at most goes on.

    Those that ended never change. Of the one that goes on everything may be corrected, its first day too.
    """

    def __init__(self, household: Household) -> None:
        self._as_they_were = {(member.id, member.version): member for member in household.members}
        self._going_on = {member.id: member for member in household.members if member.status != "transferred"}

    def before(self, member: Person) -> Person | None:
        """What the household held of a member's stay; None of one that begins."""
        return self._as_they_were.get((member.id, member.version)) or self._going_on.get(member.id)

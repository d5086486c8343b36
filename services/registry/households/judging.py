"""Whether a household may be registered, as far as that can be said without asking the register. Pure."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date

from services.registry.checks import catalogue
from services.registry.checks.rules import Facts, MemberFacts, pointer_of
from services.registry.checks.standings import by_decision
from services.registry.households import rules
from services.registry.households.attributes import Relocation
from services.registry.households.facts import stay_of
from services.registry.households.incomes import Income
from services.registry.households.incoming import PartlyRead, Read
from services.registry.households.problems import UNKNOWN_VILLAGE
from services.registry.households.rules import NotValidThenError, Sex, Since
from services.registry.households.schemas import HouseholdIn, PersonFields
from services.registry.households.unread import holds, rests_on
from services.registry.identity import Vault
from shared import errors
from shared.auth import Caller
from shared.contracts.division import DivisionTree
from shared.contracts.household import HouseholdState
from shared.errors import Fault, fault
from shared.idnumbers import BadIdNumberError, read_id_number

EARLIEST = date(2010, 1, 1)
_EARLIEST_BIRTH = date(1850, 1, 1)


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a household is judged against."""

    tree: DivisionTree
    vault: Vault
    caller: Caller
    today: date
    locked_years: frozenset[int] = frozenset()
    """Years whose figures do not change any more."""
    standing_by_decision: bool = False
    """Identifications, exits and relapses come of decisions alone."""
    states: dict[tuple[str, str, date], tuple[HouseholdState, ...]] = field(default_factory=dict, compare=False)
    """Of households that never moved, by village, standing and first day: a batch has many that are alike."""


@dataclass(frozen=True, slots=True)
class Identity:
    """Who a member is: what the ID number says, or what was stated where there is none."""

    id_number: str | None = field(repr=False)
    index: bytes | None
    sex: Sex
    birth_date: date


_NOBODY = Identity(None, None, "unknown", _EARLIEST_BIRTH)
"""A member of whom it is not known who that is."""


@dataclass(frozen=True, slots=True)
class Judged:
    """A household as it would be registered, and what speaks against that so far."""

    content: HouseholdIn
    digest: bytes
    """Blind index of the whole content, which recognises it when it is sent again."""
    states: tuple[HouseholdState, ...]
    identities: tuple[Identity, ...]
    joined: tuple[date, ...]
    incomes: tuple[Income, ...]
    """By year, oldest first."""
    if_new: tuple[Fault, ...] = ()
    """What speaks against registering it, though not against updating one that is there."""
    faults: tuple[Fault, ...] = ()
    """What speaks against taking it in at all."""


def judge(given: HouseholdIn | PartlyRead, around: Surroundings) -> Judged | list[Fault]:
    """The household as it would be registered, with everything that speaks against it.

    Of one that was read in part, what can be said whatever the rest may be. Faults alone where the register cannot be
    asked about it: what its own names are is not known, so it may itself hold what is taken.
    """
    partly = given if isinstance(given, PartlyRead) else PartlyRead(given, frozenset(), ())
    content, unknown, found = partly.content, {*partly.unknown}, [*partly.faults]
    day = content.registered_on or around.today
    if wrong := day_faults("/registered_on", day, EARLIEST, around.today):
        found += wrong
        unknown.add("/registered_on")
    states = _states(content, day, around)
    if not states and not rests_on(unknown, "/village", ("village", "registered_on")):
        found.append(UNKNOWN_VILLAGE)
    identities: list[Identity] = []
    joined: list[date] = []
    for position, member in enumerate(content.members):
        identity = identify(member.id_number, member.sex, member.birth_date, around)
        if isinstance(identity, list):
            found += (each.below(f"/members/{position}") for each in identity)
            unknown |= _who(position)
            identity = _NOBODY
        elif unknown and identity.id_number is not None:
            unknown -= _who(position)
        identities.append(identity)
        first = max(day, identity.birth_date)
        joined.append(member.joined_on or first)
        if not first <= joined[-1] <= max(first, around.today) and not holds(unknown, "/registered_on"):
            found += day_faults(f"/members/{position}/joined_on", joined[-1], first, around.today)
    incomes = [each.income() for each in content.incomes]
    if_new: list[Fault] = []
    for finding in catalogue.errors(_facts(content, identities, incomes, day, around)):
        if not rests_on(unknown, finding.pointer, finding.reads):
            (if_new if finding.rule is by_decision else found).append(finding.fault())
    found += (each for each in _income_faults(content, around) if not holds(unknown, each.pointer))
    resettled = relocation_faults(content.attributes.relocation, content.village, around)
    found += (each for each in resettled if not rests_on(unknown, each.pointer, ("village",)))
    if holds(unknown, "/number") or holds(unknown, "/external_id"):
        return found
    digest = around.vault.index(content.model_dump_json(exclude_defaults=True), "content")
    in_order = tuple(sorted(incomes, key=lambda income: income.year))
    return Judged(content, digest, states, tuple(identities), tuple(joined), in_order, tuple(if_new), tuple(found))


def _who(position: int) -> set[str]:
    """The fields that tell who a member is."""
    return {f"/members/{position}/{name}" for name in ("id_number", "sex", "birth_date")}


def judge_all(given: Iterable[Read], around: Surroundings) -> list[Judged | list[Fault]]:
    """Several of them; faults of one of which nothing else can be said pass through."""
    return [each if isinstance(each, list) else judge(each, around) for each in given]


def _facts(
    content: HouseholdIn, identities: Sequence[Identity], incomes: Sequence[Income], day: date, around: Surroundings
) -> Facts:
    """What the rules of the catalogue read of a household that is to be registered."""
    return Facts(
        day=day,
        standing=content.standing,
        welfare=content.welfare,
        cause=content.cause,
        attributes=content.attributes,
        incomes=incomes,
        members=[
            MemberFacts(
                pointer=pointer_of(place),
                relation=member.relation,
                sex=identity.sex,
                birth_date=identity.birth_date,
                id_number=identity.id_number,
                phone=member.phone,
                disability_number=member.disability_number,
                employable=member.employable,
                in_school=in_school(member),
                disability_level=member.disability_level,
                attributes=member.attributes,
            )
            for place, (member, identity) in enumerate(zip(content.members, identities, strict=True))
        ],
        stays=[
            stay_of(member.joined_on or day, None, identity.birth_date, day)
            for member, identity in zip(content.members, identities, strict=True)
        ],
        undecided=[(None, content.standing)] if around.standing_by_decision else [],
    )


def in_school(person: PersonFields) -> bool:
    """Whether somebody goes to school: as stated, else as the grade says."""
    stated = person.in_school
    return person.attributes.schooling not in (None, "none") if stated is None else stated


def _income_faults(content: HouseholdIn, around: Surroundings) -> Iterator[Fault]:
    for position, income in enumerate(content.incomes):
        yield from year_faults(f"/incomes/{position}/year", income.year, around)


def year_faults(pointer: str, year: int, around: Surroundings) -> list[Fault]:
    """What speaks against figures of a year: it was locked 锁定, so that they do not change any more, or is to come."""
    if year in around.locked_years:
        return [fault(pointer, "year_locked", "the figures of this year are locked", "该年度数据已锁定")]
    if year > around.today.year:
        return [fault(pointer, "year_out_of_range", "the year has not begun", "该年度尚未开始")]
    return []


def relocation_faults(relocation: Relocation | None, village: str, around: Surroundings) -> Iterator[Fault]:
    """What speaks against where a household is said to live now 现居住地, and since when 入住日期.

    Other cities' divisions are not known here; those of the responsible village's city are.
    """
    if relocation is None:
        return
    place, day = relocation.lives_in, relocation.moved_on
    if place is not None and place[:4] == village[:4] and around.tree.get(place) is None:
        yield fault("/attributes/relocation/lives_in", "division_unknown", "no such division", "无此行政区划")
    if day is not None and day > around.today:
        yield fault("/attributes/relocation/moved_on", "day_out_of_range", "not after today", "不得晚于今日")


def _states(content: HouseholdIn, day: date, around: Surroundings) -> tuple[HouseholdState, ...]:
    """The states of the household; none where the village is not one of the caller's."""
    alike = (content.village, content.standing, day)
    if alike not in around.states:
        try:
            states = rules.timeline(around.tree, [Since(day, content.village)], [Since(day, content.standing)])
        except NotValidThenError:
            return ()
        around.states[alike] = tuple(states) if around.caller.reaches(states[-1].path) else ()
    return around.states[alike]


def identify(
    id_number: str | None, sex: Sex | None, birth_date: date | None, around: Surroundings
) -> Identity | list[Fault]:
    """Who a member is, or what does not fit together. One without an ID number states sex and day of birth."""
    if id_number is None:
        if sex is None or birth_date is None:
            return [fault("", "identity", "without an ID number, sex and birth_date are needed", "须填性别和出生日期")]
        return day_faults("/birth_date", birth_date, _EARLIEST_BIRTH, around.today) or Identity(
            None, None, sex, birth_date
        )
    try:
        number = read_id_number(id_number)
    except BadIdNumberError as error:
        return [error.fault("/id_number")]
    if not _EARLIEST_BIRTH <= number.birth_date <= around.today:
        return [BadIdNumberError("id_number_birth").fault("/id_number")]
    found = []
    if sex in ("male", "female") and sex != number.sex:
        found.append(fault("/sex", "sex_differs", "differs from the ID number", "与身份号码不符"))
    if birth_date is not None and birth_date != number.birth_date:
        found.append(fault("/birth_date", "birth_differs", "differs from the ID number", "与身份号码不符"))
    index = around.vault.index(number.text, "id_number")
    return found or Identity(number.text, index, number.sex, number.birth_date)


def day_faults(pointer: str, day: date, first: date, last: date) -> list[Fault]:
    """What speaks against a day outside its bounds."""
    if first <= day <= last:
        return []
    return [fault(pointer, "day_out_of_range", f"between {first} and {last}", f"须在 {first} 至 {last} 之间")]


def day_of(pointer: str, given: date | None, first: date, last: date) -> date:
    """The day given, by default the last one possible. Raises 422 for a day outside."""
    day = given or last
    faults = day_faults(pointer, day, first, last)
    if faults:
        raise errors.invalid(*faults)
    return day

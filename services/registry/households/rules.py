"""Decisions about households and persons: ID numbers, who may be whose, dated states. Pure."""

import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Literal

from shared.contracts.division import Path
from shared.contracts.household import HouseholdState, Standing
from shared.errors import Fault, fault

Sex = Literal["unknown", "male", "female", "unspecified"]
Relation = Literal[
    "head", "spouse", "son", "daughter", "daughter_in_law", "son_in_law", "grandson", "granddaughter",
    "daughters_son", "daughters_daughter", "father", "mother", "wifes_father", "wifes_mother", "husbands_father",
    "husbands_mother", "grandfather", "grandmother", "mothers_father", "mothers_mother", "other",
]  # fmt: skip
"""与户主关系, national codes 01 to 20 and 99 in this order (domain.md 1.3)."""

_MALE: frozenset[Relation] = frozenset(
    {"son", "son_in_law", "grandson", "daughters_son", "father", "wifes_father", "husbands_father", "grandfather",
     "mothers_father"}
)  # fmt: skip
_FEMALE: frozenset[Relation] = frozenset(
    {"daughter", "daughter_in_law", "granddaughter", "daughters_daughter", "mother", "wifes_mother",
     "husbands_mother", "grandmother", "mothers_mother"}
)  # fmt: skip
_WEIGHTS = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
_CHECK = "10X98765432"


def normalised_id_number(raw: str) -> str:
    """Full-width digits and a small x as everyone means them."""
    return unicodedata.normalize("NFKC", raw).strip().upper()


def id_number_fault(number: str, day: date) -> tuple[str, str, str] | None:
    """What is wrong with a citizen ID number 公民身份号码 (GB 11643), as code and messages; None when nothing is."""
    if len(number) != 18 or not (number[:17].isascii() and number[:17].isdigit()) or number[17] not in "0123456789X":
        return "id_number_format", "17 digits and a digit or X", "须为 17 位数字加校验位"
    if _CHECK[sum(int(d) * w for d, w in zip(number, _WEIGHTS, strict=False)) % 11] != number[17]:
        return "id_number_check", "the check digit does not fit", "校验位不符"
    born = birth_date(number)
    if born is None or not date(1850, 1, 1) <= born <= day:
        return "id_number_birth", "not a date of birth", "出生日期无效"
    return None


def birth_date(number: str) -> date | None:
    """The day of birth in an ID number."""
    try:
        return date(int(number[6:10]), int(number[10:12]), int(number[12:14]))
    except ValueError:
        return None


def sex_of(number: str) -> Sex:
    """The sex in an ID number: its seventeenth digit is odd for men."""
    return "male" if int(number[16]) % 2 else "female"


@dataclass(frozen=True, slots=True)
class Kin:
    """What the rules on kinship read of a member."""

    relation: Relation
    sex: Sex


def kinship_faults(members: Sequence[Kin]) -> Iterator[Fault]:
    """Exactly one head, at most one spouse, opposite sexes, relations that fit the sex (domain.md 1.5)."""
    heads = [member for member in members if member.relation == "head"]
    spouses = [member for member in members if member.relation == "spouse"]
    if len(heads) != 1:
        yield fault("/members", "one_head", "a household has exactly one head", "须有且仅有一名户主")
    if len(spouses) > 1:
        yield fault("/members", "one_spouse", "a household has at most one spouse of its head", "配偶至多一名")
    if len(heads) == len(spouses) == 1 and heads[0].sex == spouses[0].sex and heads[0].sex in ("male", "female"):
        yield fault("/members", "spouse_sex", "head and spouse have the same sex", "户主与配偶性别相同")
    for position, member in enumerate(members):
        expected = "male" if member.relation in _MALE else "female" if member.relation in _FEMALE else member.sex
        if member.sex in ("male", "female") and member.sex != expected:
            yield fault(f"/members/{position}/relation", "relation_sex", "does not fit the sex", "与性别不符")


def with_state(timeline: Sequence[HouseholdState], state: HouseholdState) -> list[HouseholdState]:
    """The timeline with a state from its day on; what was to hold later than that day is replaced."""
    return [entry for entry in timeline if entry.valid_from < state.valid_from] + [state]


@dataclass(frozen=True, slots=True)
class Membership:
    """When a person belonged to a household; ``left_on`` is the first day of no longer."""

    joined_on: date
    left_on: date | None

    def holds_on(self, day: date) -> bool:
        return self.joined_on <= day and (self.left_on is None or day < self.left_on)


@dataclass(frozen=True, slots=True)
class Period:
    """A stretch of days in which nothing that statistics count changed."""

    valid_from: date
    valid_to: date | None
    standing: Standing
    path: Path
    people: int


def periods(
    timeline: Sequence[HouseholdState], valid_to: date | None, memberships: Iterable[Membership]
) -> list[Period]:
    """A household's past as stretches, with how many people it had in each."""
    members = list(memberships)
    if not timeline:
        return []
    start = timeline[0].valid_from
    cuts = {state.valid_from for state in timeline}
    cuts |= {m.joined_on for m in members} | {m.left_on for m in members if m.left_on is not None}
    days = sorted(day for day in cuts if day >= start and (valid_to is None or day < valid_to))
    ends = [*days[1:], valid_to]
    found = []
    for day, end in zip(days, ends, strict=True):
        state = next(entry for entry in reversed(timeline) if entry.valid_from <= day)
        people = sum(member.holds_on(day) for member in members)
        found.append(Period(day, end, state.standing, state.path, people))
    return found

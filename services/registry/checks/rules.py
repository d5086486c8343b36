"""What a rule is, and what it reads. Pure.

A rule reads a household as it is on a day and yields JSON pointers to what is wrong. The same rules run over HTTP,
bulk, files and Kafka, where errors refuse a record, and over the register as it stands.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date
from functools import cache
from typing import Literal, NamedTuple

from services.registry.codes.rules import Welfare
from services.registry.households.attributes import Cause, HouseholdAttributes, PersonAttributes
from services.registry.households.incomes import Income
from services.registry.households.rules import Employable, Membership, Relation, Sex, age
from shared.contracts.household import Standing
from shared.errors import Fault, Text

Severity = Literal["error", "warning", "exit_blocker"]
"""error: the record is refused; warning: look at it 疑点; exit_blocker: the household cannot exit 退出障碍."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MemberFacts:
    """A member who is present. Identity data is left out of its representation."""

    pointer: str
    """Where the household has them: the same for as long as it lasts, whoever leaves it."""
    relation: Relation | None
    """None: belongs to no household."""
    sex: Sex
    birth_date: date
    id_number: str | None = field(repr=False)
    phone: str | None = field(repr=False)
    disability_number: str | None = field(repr=False)
    employable: Employable
    in_school: bool
    disability_level: int | None
    attributes: PersonAttributes

    def age(self, day: date) -> int:
        """Full years on a day."""
        return age(self.birth_date, day)


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """A household as it is on a day."""

    day: date
    standing: Standing
    welfare: Welfare
    cause: Cause | None
    attributes: HouseholdAttributes
    incomes: Sequence[Income]
    members: Sequence[MemberFacts]
    """Those present."""
    stays: Sequence[Membership] = ()
    """Of all who ever were members; of those who came with the household, from their birth on."""
    undecided: Sequence[tuple[Standing | None, Standing]] = ()
    """Standings given directly where decisions alone may: what held before (None: not registered), what is given."""

    def people_on(self, day: date) -> int:
        """How many members it had on a day."""
        return sum(stay.holds_on(day) for stay in self.stays)

    def last_day(self, year: int) -> date:
        """The last day of a year, or the day it is judged on while the year runs."""
        return min(date(year, 12, 31), self.day)


YUAN = 100
"""Fen."""
Check = Callable[[Facts], Iterable[str]]


@dataclass(frozen=True, slots=True)
class Rule:
    """A check with its name, how grave it is, and what it says."""

    code: str
    severity: Severity
    message: Text
    reads: tuple[str, ...]
    """The fields it looks at."""
    source: str
    """The standard, code list or procedure it follows, as a user of the register knows it."""
    check: Check


def rule(
    code: str, severity: Severity, en: str, zh: str, *reads: str, source: str = "建档立卡数据核查"
) -> Callable[[Check], Rule]:
    """Make a rule of the check that follows; by default one of those that the national register's data are held to."""
    return lambda check: Rule(code, severity, Text(en, zh), reads, source, check)


@cache  # every household has the same few
def pointer_of(place: int) -> str:
    """Where a household has the member who stands at this place among all who ever were members."""
    return f"/members/{place}"


class Finding(NamedTuple):
    """Something a rule found, and where."""

    rule: Rule
    pointer: str
    failed: Rule | None = None
    """The rule that could not be evaluated, where that is what was found."""

    @property
    def reads(self) -> tuple[str, ...]:
        """The fields it rests on."""
        return (self.failed or self.rule).reads

    @property
    def message(self) -> Text:
        said = self.rule.message
        return said if self.failed is None else Text(f"{said.en}: {self.failed.code}", f"{said.zh}:{self.failed.code}")

    def fault(self) -> Fault:
        """As the fault of a field."""
        return Fault(self.pointer, self.rule.code, self.message)

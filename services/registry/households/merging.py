"""A household given meets the one held: what differs is written or kept, column by column.

A member is recognised by number, by ID number, or, without either, by name and day of birth; nobody is meant twice.
Members that are not named stay as they are.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal
from uuid import UUID

from pydantic import BaseModel

from services.registry.households import monitoring, registering, rules
from services.registry.households.incomes import with_income
from services.registry.households.judging import Identity, Surroundings, identify, in_school
from services.registry.households.records import Author, Household, Person
from services.registry.households.rules import Since, Welfares
from services.registry.households.schemas import HouseholdIn, MemberIn
from shared.db import Pg
from shared.errors import Fault, fault

Policy = Literal["never", "if_empty", "always"]
"""What a value given does to one that is held: nothing, fill a gap, replace it."""
Path = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Overwriting:
    """A policy, and others for some fields: paths from the household, or from the member below ``members``."""

    default: Policy = "never"
    exceptions: Mapping[Path, Policy] = field(default_factory=dict)

    def of(self, path: Path) -> Policy:
        return self.exceptions.get(path, self.default)


class HouseholdMerge:
    """One household given meets the one held."""

    def __init__(self, old: Household, content: HouseholdIn, around: Surroundings, overwriting: Overwriting) -> None:
        self._old, self._content, self._around, self._overwriting = old, content, around, overwriting
        self._day = max(around.today, old.registered_on)
        """From which village, standing and welfare hold where they are overwritten."""
        self.kept: list[str] = []
        self.positions: dict[UUID, int] = {}
        """Where in the content the household's members stand, as far as they were given."""
        self._unheld: dict[int, str] = {}
        """Persons' numbers given that the members at these positions do not hold so far."""

    async def run(self, pg: Pg, author: Author) -> Household:
        """The household as it is to be. Raises ``NotValidThenError`` where it would live in a village that is gone."""
        old, content = self._old, self._content
        if content.number not in (None, old.number):
            self.kept.append("/number")
        new = self._placed(old)
        if "cause" in content.model_fields_set:
            new = replace(new, cause=self._decided(("cause",), "", old.cause, content.cause))
        if "welfare" in content.model_fields_set:
            new = replace(new, welfares=self._welfares(old))
        attributes = self._attributes(old.attributes, content.attributes, (), "")
        new = replace(new, attributes=attributes, incomes=self._incomes(old))
        members = await self._members(pg, author)
        return replace(new, members=members)

    async def numbers_taken(self, pg: Pg) -> list[Fault]:
        """The persons' numbers given that are another person's, or were given further up."""
        if not self._unheld:
            return []
        given = list(self._unheld.values())
        taken = {row["number"] for row in await pg.fetch("SELECT number FROM person WHERE number = ANY($1)", given)}
        return [
            fault(f"/members/{position}/number", "number_taken", "registered already", "已登记")
            for place, (position, number) in enumerate(self._unheld.items())
            if number in taken or number in given[:place]
        ]

    def _decided(self, path: Path, pointer: str, held: Any, given: Any, empty: Any = None) -> Any:
        """The value that stays, by the policy of its field."""
        if held == given:
            return held
        policy = self._overwriting.of(path)
        if policy == "always" or (policy == "if_empty" and held == empty):
            return given
        self.kept.append(f"{pointer}/{'/'.join(path[1:] if path[0] == 'members' else path)}")
        return held

    def _placed(self, old: Household) -> Household:
        content, day = self._content, self._day
        village = self._decided(("village",), "", rules.value_on(old.residences, day), content.village)
        standing = self._decided(("standing",), "", rules.value_on(old.standings, day), content.standing)
        residences = rules.dated(old.residences, Since(day, village))
        standings = rules.dated(old.standings, Since(day, standing))
        if (residences, standings) == (old.residences, old.standings):
            return old
        timeline = tuple(rules.timeline(self._around.tree, residences, standings))
        monitored = monitoring.unless_poor(old.monitoring, standings)
        return replace(old, residences=residences, standings=standings, timeline=timeline, monitoring=monitored)

    def _welfares(self, old: Household) -> Welfares:
        held = rules.value_on(old.welfares, self._day)
        welfare = self._decided(("welfare",), "", held, self._content.welfare, "none")
        return rules.dated(old.welfares, Since(self._day, welfare))

    def _attributes(self, held: Any, given: BaseModel, path: Path, pointer: str) -> Any:
        """Attributes field by field, nested ones too; what is not given stays."""
        changed: dict[str, Any] = {}
        for name in given.model_fields_set:
            value, before = getattr(given, name), getattr(held, name)
            empty = type(given).model_fields[name].get_default()
            below = (*path, "attributes", name) if not path or path[-1] == "members" else (*path, name)
            if isinstance(value, BaseModel) and isinstance(before, BaseModel):
                changed[name] = self._attributes(before, value, below, pointer)
            else:
                changed[name] = self._decided(below, pointer, before, value, empty)
        return held.model_copy(update=changed) if changed else held

    def _incomes(self, old: Household) -> Any:
        incomes = old.incomes
        held = {income.year: income for income in incomes}
        for position, given in enumerate(self._content.incomes):
            income, before = given.income(), held.get(given.year)
            if before is None or self._decided(("incomes",), "", before, income) == income:
                incomes = with_income(incomes, income)
            else:
                self.kept[-1] = f"/incomes/{position}"
        return incomes

    async def _members(self, pg: Pg, author: Author) -> tuple[Person, ...]:
        # What was erased does not come back: such a member is nobody's match.
        present = {each.id: each for each in self._old.members if each.present and each.status != "erased"}
        fresh: list[tuple[int, MemberIn, Identity]] = []
        members = [(given, self._identified(given)) for given in self._content.members]
        matches = _matches(members, present.values())
        for position, (given, identity) in enumerate(members):
            held = matches.get(position)
            if given.number is not None and (held is None or held.number != given.number):
                self._unheld[position] = given.number
            if held is None:
                fresh.append((position, given, identity))
            else:
                self.positions[held.id] = position
                present[held.id] = self._member(held, given, identity, f"/members/{position}")
        added = await self._added(pg, fresh, author) if fresh else []
        self.positions |= {person.id: position for person, (position, _, _) in zip(added, fresh, strict=True)}
        return (*(present.get(each.id, each) if each.present else each for each in self._old.members), *added)

    def _identified(self, given: MemberIn) -> Identity:
        identity = identify(given.id_number, given.sex, given.birth_date, self._around)
        assert isinstance(identity, Identity)  # judged before
        return identity

    def _member(self, held: Person, given: MemberIn, identity: Identity, pointer: str) -> Person:
        changed: dict[str, Any] = {}
        if given.number not in (None, held.number):
            self.kept.append(f"{pointer}/number")
        for name, empty in _PLAIN.items():
            if name in given.model_fields_set:
                value = getattr(given, name)
                changed[name] = self._decided(("members", name), pointer, getattr(held, name), value, empty)
        if in_school(given) and "in_school" not in given.model_fields_set:
            changed["in_school"] = self._decided(("members", "in_school"), pointer, held.in_school, True, False)
        changed |= self._identity(held, identity, pointer)
        changed["attributes"] = self._attributes(held.attributes, given.attributes, ("members",), pointer)
        return replace(held, **changed)

    def _identity(self, held: Person, given: Identity, pointer: str) -> dict[str, Any]:
        """ID number, sex and day of birth; what an ID number says of them goes with it."""
        if given.id_number is not None:
            number = self._decided(("members", "id_number"), pointer, held.id_number, given.id_number)
            same = number == held.id_number
            return {} if same else {"id_number": number, "sex": given.sex, "birth_date": given.birth_date}
        if held.id_number is None:
            sex = self._decided(("members", "sex"), pointer, held.sex, given.sex, "unknown")
            return {
                "sex": sex,
                "birth_date": self._decided(("members", "birth_date"), pointer, held.birth_date, given.birth_date),
            }
        stated = (("sex", held.sex, given.sex), ("birth_date", held.birth_date, given.birth_date))
        self.kept += [f"{pointer}/{name}" for name, kept, value in stated if kept != value]
        return {}

    async def _added(self, pg: Pg, fresh: Sequence[tuple[int, MemberIn, Identity]], author: Author) -> list[Person]:
        old = self._old
        county = old.latest.path.county[:6]
        numbers = await registering.draw_numbers(pg, "person", [county] * len(fresh))
        return [
            registering.new_person(
                member,
                identity,
                old.id,
                number=number,
                place=old.next_position + offset,
                joined_on=member.joined_on or max(self._around.today, identity.birth_date),
                author=author,
            )
            for offset, ((_, member, identity), (_, number)) in enumerate(zip(fresh, numbers, strict=True))
        ]


def _matches(members: Sequence[tuple[MemberIn, Identity]], present: Collection[Person]) -> dict[int, Person]:
    """Who is meant by the members given, by their places: nobody twice, and the surest signs of all of them first."""
    free = {each.id: each for each in present}
    found: dict[int, Person] = {}
    for means in (_by_number, _by_id_number, _by_birth):
        for position, (given, identity) in enumerate(members):
            if position not in found and (held := next((p for p in free.values() if means(given, identity, p)), None)):
                found[position] = free.pop(held.id)
    return found


def _by_number(given: MemberIn, _: Identity, held: Person) -> bool:
    return given.number is not None and held.number == given.number


def _by_id_number(_: MemberIn, identity: Identity, held: Person) -> bool:
    return identity.id_number is not None and held.id_number == identity.id_number


def _by_birth(given: MemberIn, identity: Identity, held: Person) -> bool:
    born = (given.name, identity.birth_date)
    return (held.name, held.birth_date) == born and None in (held.id_number, identity.id_number)


_PLAIN: Mapping[str, Any] = {
    "name": None, "relation": None, "employable": "none", "in_school": False, "disability_level": None,
    "phone": None, "disability_number": None, "bank_card": None,
}  # fmt: skip
"""A member's plain fields, and what counts as a gap."""

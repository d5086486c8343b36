"""A household as the rules of the catalogue read it. Pure."""

from collections.abc import Sequence
from datetime import date

from services.registry.checks.rules import Facts, MemberFacts
from services.registry.households.records import Household, Individual, Person
from services.registry.households.rules import Relation, value_on
from shared.contracts.household import Standing


def facts_of(household: Household, day: date, undecided: Sequence[tuple[Standing | None, Standing]] = ()) -> Facts:
    """A registered household with the members present, judged as on a day."""
    return Facts(
        day=day,
        standing=value_on(household.standings, day),  # type: ignore[arg-type]  # entered as one, stored as text
        welfare=household.welfare,
        cause=household.cause,
        attributes=household.attributes,
        incomes=household.incomes,
        members=member_facts([member for member in household.members if member.present]),
        places=[place for place, member in enumerate(household.members) if member.present],
        undecided=undecided,
    )


def member_facts(members: Sequence[Person]) -> list[MemberFacts]:
    """Members, in their order."""
    return [person_facts(member, member.relation) for member in members]


def person_facts(person: Individual, relation: Relation | None) -> MemberFacts:
    """Anybody, with the relation to the head if there is one."""
    return MemberFacts(
        relation=relation,
        sex=person.sex,
        birth_date=person.birth_date,
        id_number=person.id_number,
        phone=person.phone,
        disability_number=person.disability_number,
        employable=person.employable,
        in_school=person.in_school,
        disability_level=person.disability_level,
        attributes=person.attributes,
    )

"""A household as the rules of the catalogue read it. Pure."""

from collections.abc import Sequence
from datetime import date

from services.registry.checks.rules import Facts, MemberFacts
from services.registry.households.records import Household, Person
from services.registry.households.rules import value_on
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
    return [
        MemberFacts(
            relation=member.relation,
            sex=member.sex,
            birth_date=member.birth_date,
            id_number=member.id_number,
            phone=member.phone,
            disability_number=member.disability_number,
            employable=member.employable,
            in_school=member.in_school,
            disability_level=member.disability_level,
            attributes=member.attributes,
        )
        for member in members
    ]

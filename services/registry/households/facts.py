"""A household as the rules of the catalogue read it. Pure."""

from collections.abc import Sequence
from datetime import date

from services.registry.checks.rules import Facts, MemberFacts, pointer_of
from services.registry.households.records import Household, Individual
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
        members=[
            person_facts(member, member.relation, pointer_of(place))
            for place, member in enumerate(household.members)
            if member.present
        ],
        undecided=undecided,
    )


def person_facts(person: Individual, relation: Relation | None, pointer: str) -> MemberFacts:
    """Anybody, with the relation to the head if there is one, and with what faults point to."""
    return MemberFacts(
        pointer=pointer,
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

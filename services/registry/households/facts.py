"""A household, or somebody without one, as the rules of the catalogue read them. Pure."""

from collections.abc import Sequence
from datetime import date

from services.registry.checks.rules import Facts, MemberFacts, pointer_of
from services.registry.households.attributes import HouseholdAttributes
from services.registry.households.records import Household, Individual
from services.registry.households.rules import Membership, Relation, value_on
from shared.contracts.household import Standing


def facts_of(household: Household, day: date, undecided: Sequence[tuple[Standing | None, Standing]] = ()) -> Facts:
    """A registered household with the members present, judged as on a day."""
    return Facts(
        day=day,
        standing=value_on(household.standings, day),
        welfare=value_on(household.welfares, day),
        cause=household.cause,
        attributes=household.attributes,
        incomes=household.incomes,
        members=[
            person_facts(member, member.relation, pointer_of(place))
            for place, member in enumerate(household.members)
            if member.present
        ],
        stays=[
            stay_of(member.joined_on, member.left_on, member.birth_date, household.registered_on)
            for member in household.members
        ],
        undecided=undecided,
    )


def stay_of(joined_on: date, left_on: date | None, birth_date: date, registered_on: date) -> Membership:
    """When somebody belonged to a household: who was registered with it belonged to it before, from birth on."""
    return Membership(birth_date if joined_on <= registered_on else joined_on, left_on)


def facts_alone(person: Individual, day: date) -> Facts:
    """Somebody without a household, judged as on a day; pointers lead into the person."""
    return Facts(
        day=day,
        standing="ordinary",
        welfare="none",
        cause=None,
        attributes=HouseholdAttributes(),
        incomes=(),
        members=[person_facts(person, None, "")],
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

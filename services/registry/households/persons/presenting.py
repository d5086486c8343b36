"""Persons as others may see them: masked."""

from datetime import date

from services.registry.checks import catalogue
from services.registry.households.facts import facts_alone
from services.registry.households.persons.reading import Found
from services.registry.households.persons.schemas import PersonOut
from services.registry.households.presenting import found_by_rules, masked


def shown(found: Found, day: date) -> PersonOut:
    """One person, with where they belong; judged as on a day."""
    person, path, member_of = found
    alone = member_of is None and person.present
    return PersonOut(
        village=path.village or "",
        path=path,
        member_of=member_of,
        since=person.joined_on,
        until=person.left_on,
        changed_at=person.author.now,
        findings=found_by_rules(catalogue.all_findings_alone(facts_alone(person, day))) if alone else None,
        **masked(person),
    )

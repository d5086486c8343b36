"""Persons as others may see them: masked."""

from services.registry.households.persons.reading import Found
from services.registry.households.persons.schemas import PersonOut
from services.registry.households.presenting import masked


def shown(found: Found) -> PersonOut:
    """One person, with where they belong."""
    person, path, member_of = found
    return PersonOut(
        village=path.village or "",
        path=path,
        member_of=member_of,
        since=person.joined_on,
        until=person.left_on,
        changed_at=person.author.now,
        **masked(person),
    )

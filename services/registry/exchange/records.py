"""Households and persons as DCI records. Pure. Names are masked for every party, whatever its purposes."""

from typing import Any

from services.registry.households.records import Household, Person
from services.registry.masking import masked_name
from shared.contracts.base import rfc3339

REG_TYPE = "ns:org:RegistryType:Social"


def group(household: Household) -> dict[str, Any]:
    """A household 农户 as a Group record."""
    present = [member for member in household.members if member.present]
    head = next((member for member in present if member.relation == "head"), None)
    path = household.latest.path
    return {
        "group_identifier": [{"identifier_type": "household_number", "identifier_value": household.number}],
        "group_type": "household",
        "place": {"division": path.village, "township": path.township, "county": path.managing_unit, "city": path.city},
        "group_head_info": None if head is None else member(head),
        "group_size": len(present),
        "member_list": [member(person) for person in present],
        "registration_date": household.registered_on.isoformat(),
        "last_updated": rfc3339(household.author.now),
        "additional_attributes": _pairs(
            standing=household.latest.standing, welfare=household.welfare, cause=household.cause
        ),
    }


def member(person: Person) -> dict[str, Any]:
    """A person 人员 as a Member record."""
    return {
        "member_identifier": [{"identifier_type": "person_number", "identifier_value": person.number}],
        "demographic_info": {
            "name": masked_name(person.name),
            "sex": person.sex,
            "birth_year": person.birth_date.year,
        },
        "relationship_type": person.relation,
        "is_disabled": person.disability_level is not None,
        "registration_date": person.joined_on.isoformat(),
        "last_updated": rfc3339(person.author.now),
        "additional_attributes": _pairs(
            employable=person.employable, in_school=person.in_school, disability_level=person.disability_level
        ),
    }


def _pairs(**values: Any) -> list[dict[str, Any]]:
    return [{"key": name, "value": value} for name, value in values.items() if value is not None]

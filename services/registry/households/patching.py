"""What a patch makes of attributes, and of anybody: identity, death, departure, return. Pure."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import date
from typing import Any, TypeVar

from pydantic import ValidationError

from services.registry.households import births
from services.registry.households.attributes import HouseholdAttributes, PersonAttributes
from services.registry.households.judging import Surroundings, day_of, identify
from services.registry.households.records import Individual
from services.registry.households.schemas import PersonChanges
from shared import errors
from shared.errors import fault
from shared.http.problems import faults_of

A = TypeVar("A", HouseholdAttributes, PersonAttributes)
P = TypeVar("P", bound=Individual)


def merged(model: type[A], held: A, changes: Mapping[str, Any]) -> A:
    """Attributes after a JSON merge patch (RFC 7396): objects are merged, null makes a field unknown."""
    try:
        return model.model_validate(_merge(held.model_dump(mode="json", exclude_defaults=True), changes))
    except ValidationError as error:
        faults = faults_of(error.errors(include_input=False, include_url=False))
        raise errors.invalid(*(each.below("/attributes") for each in faults)) from error


def _merge(held: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(held)
    for name, change in changes.items():
        if change is None:
            merged.pop(name, None)
        elif isinstance(change, Mapping):
            inner = merged.get(name)
            merged[name] = _merge(inner if isinstance(inner, Mapping) else {}, change)
        else:
            merged[name] = change
    return merged


_PLAIN = (
    "name", "relation", "employable", "in_school", "disability_level", "phone", "disability_number", "bank_card"
)  # fmt: skip
_IDENTITY = frozenset({"id_number", "sex", "birth_date"})


def patched_person(person: P, patch: PersonChanges, around: Surroundings, first: date) -> P:
    """Attributes, identity, death, departure or return of anybody, who may have come on ``first``. Raises 422."""
    corrected = _with_identity(_with_attributes(person, patch), patch, around)
    changed = _with_status(births.followed(person, corrected, first), patch, around)
    late = births.late(person, changed, birth_pointer(patch))
    if late:
        raise errors.invalid(*late)
    return changed


def birth_pointer(patch: PersonChanges) -> str:
    """To the field that says when somebody was born."""
    return "/birth_date" if "birth_date" in patch.model_fields_set else "/id_number"


def _with_attributes(person: P, patch: PersonChanges) -> P:
    given: dict[str, Any] = {name: getattr(patch, name) for name in _PLAIN if name in patch.model_fields_set}
    if patch.attributes is not None:
        given["attributes"] = merged(PersonAttributes, person.attributes, patch.attributes)
    return replace(person, **given)


def _with_identity(person: P, patch: PersonChanges, around: Surroundings) -> P:
    if not _IDENTITY & patch.model_fields_set:
        return person
    new_number = "id_number" in patch.model_fields_set
    id_number = patch.id_number if new_number else person.id_number
    # What is not stated follows a new number; without a number it stays as it was.
    stays = not new_number or id_number is None
    identity = identify(
        id_number,
        patch.sex or (person.sex if stays else None),
        patch.birth_date or (person.birth_date if stays else None),
        around,
    )
    if isinstance(identity, list):
        raise errors.invalid(*identity)
    return replace(person, id_number=identity.id_number, sex=identity.sex, birth_date=identity.birth_date)


def _with_status(person: P, patch: PersonChanges, around: Surroundings) -> P:
    if patch.status is None:
        if patch.effective_on is not None:
            raise errors.invalid(fault("/effective_on", "without_status", "goes with a status", "须与状态一并填写"))
        return person
    if patch.status == "active":
        return replace(person, status="active", left_on=None)
    if not person.present and patch.effective_on is None:
        return replace(person, status=patch.status)
    day = day_of("/effective_on", patch.effective_on, person.joined_on, around.today)
    return replace(person, status=patch.status, left_on=day)

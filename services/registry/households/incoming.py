"""Households as they come, in lines and in sheets: read whole, or as far as they can be read.

What is wrong with some fields does not keep the others from being judged, so that whoever sent a household is told
everything at once. Stand-ins take the place of what cannot be read, and what rests on them is not told. Pure.
"""

from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from services.registry.households.schemas import HouseholdIn
from services.registry.households.unread import holds
from shared.errors import Fault
from shared.http.problems import faults_of

MAX_FAULTS = 500
"""Of a household with more faults nothing else is looked for: it was never filled in as one."""
_ROUNDS = 8
"""How often a household is looked at: a member or an income as a whole once its fields are good, then all of them,
then the household. One that is not good by then is not judged further."""
Steps = Sequence[int | str]

_NEEDED: Mapping[Steps, Mapping[str, Any]] = {
    (): {"village": "000000000000", "standing": "ordinary", "members": [{}]},
    ("members",): {"name": "-", "relation": "other"},
    ("incomes",): {"year": 2100, "people": 1},
}
"""Stand-ins for fields that must be there, of the household, of a member, of an income."""
_TOGETHER: Mapping[str, Mapping[str, Any]] = {
    "identity": {"id_number": None, "sex": "unknown", "birth_date": "1900-01-01"},
    "reference": {"source_system": None, "external_id": None},
    "income_identity": {"gross_fen": None, "net_fen": None, "per_capita_fen": None},
}
"""By the code of a fault that several fields make together: stand-ins for these."""


@dataclass(frozen=True, slots=True)
class PartlyRead:
    """A household some fields of which cannot be read."""

    content: HouseholdIn
    """With stand-ins for them."""
    unknown: frozenset[str]
    """JSON pointers to them."""
    faults: tuple[Fault, ...]
    """What is wrong with them."""


Read = HouseholdIn | PartlyRead | list[Fault]
"""A list: what is wrong with a household of which nothing else can be said."""


def read_household(value: Any, faults: Sequence[Fault] = ()) -> Read:
    """A household in the shape of ``POST /v1/households``, as parsed from JSON; ``value`` is changed.

    ``faults`` are what was wrong where the value comes from; the fields they point to are unknown, and no fault again.
    """
    found = list(faults)
    unknown = {each.pointer for each in faults}
    for pointer in unknown:
        _mend(value, [int(step) if step.isdecimal() else step for step in pointer.split("/")[1:]])
    for _ in range(_ROUNDS):
        if "" in unknown or len(found) > MAX_FAULTS:
            break
        try:
            content = HouseholdIn.model_validate(value)
        except ValidationError as error:
            found += _mended(value, error, unknown)
        else:
            return PartlyRead(content, frozenset(unknown), tuple(found)) if found else content
    return found


def _mended(value: Any, error: ValidationError, unknown: set[str]) -> list[Fault]:
    """Put stand-ins where something is wrong, and note those fields as unknown.

    Returns what is wrong, but for what comes of a stand-in or of a field that was unknown before.
    """
    entries = error.errors(include_input=False, include_url=False)
    known, found = frozenset(unknown), []
    for entry, told in zip(entries, faults_of(entries), strict=True):
        together = _TOGETHER.get(told.code, {})
        pointers = [f"{told.pointer}/{name}" for name in together] or [told.pointer]
        if not any(holds(known, each) for each in pointers):
            found.append(told)
        unknown.update(pointers)
        if together:
            _at(value, entry["loc"]).update(together)
        else:
            _mend(value, entry["loc"], missing=entry["type"] == "missing")
    return found


def _mend(value: Any, steps: Steps, *, missing: bool = False) -> None:
    """Take away what stands somewhere, or put a stand-in there.

    ``missing``: where there is no stand-in for what is needed, what needs it is taken away.
    """
    if not steps:
        return
    *above, last = steps
    holder = _at(value, above)
    if above[:1] == ["incomes"] and len(above) > 1:
        _at(value, above[:2]).update(_TOGETHER["income_identity"])
    if isinstance(last, int):
        if isinstance(holder, list) and (*above,) in _NEEDED:
            holder[last] = {}
        else:
            _mend(value, above)
    elif isinstance(holder, dict):
        needed = _NEEDED.get(tuple(step for step in above if isinstance(step, str)), {})
        if last in needed:
            holder[last] = deepcopy(needed[last])
        elif missing:
            _mend(value, above)
        else:
            holder.pop(last, None)


def _at(value: Any, steps: Steps) -> Any:
    """What stands somewhere in a household; nothing that anybody keeps where there is no such place."""
    for step in steps:
        try:
            value = value[step]
        except (LookupError, TypeError):
            return {}
    return value

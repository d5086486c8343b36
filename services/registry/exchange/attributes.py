"""What can be searched for, and the columns it is found in."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Kind = Literal["text", "integer", "day", "instant", "truth", "secret"]
"""``secret``: found through its blind index, by exact value only."""
_PEOPLE = "(SELECT count(*) FROM person p WHERE p.household_id = household.id AND p.left_on IS NULL)::int"


@dataclass(frozen=True, slots=True)
class Attribute:
    """One attribute; with several columns, any of them may hold the value.

    ``{record}`` in a column is the table of the records sought: households or persons.
    """

    columns: tuple[str, ...]
    kind: Kind
    member: bool = False
    """It is a person's rather than a household's."""

    @property
    def sortable(self) -> bool:
        return self.kind != "secret" and len(self.columns) == 1


def _household(column: str, kind: Kind = "text") -> Attribute:
    return Attribute((f"household.{column}",), kind)


def _member(column: str, kind: Kind = "text") -> Attribute:
    return Attribute((f"person.{column}",), kind, member=True)


_PLACES = ("city", "managing_unit", "township", "village")
ATTRIBUTES: Mapping[str, Attribute] = {
    "household_number": _household("number"),
    "village": _household("village"),
    "township": _household("township"),
    "county": _household("managing_unit"),
    "division": Attribute(tuple(f"household.{place}" for place in _PLACES), "text"),
    "standing": _household("standing"),
    "welfare": _household("welfare"),
    "cause": _household("cause"),
    "registered_on": _household("registered_on", "day"),
    "people": Attribute((_PEOPLE,), "integer"),
    "last_updated": Attribute(("{record}.recorded_at",), "instant"),
    "person_number": _member("number"),
    "sex": _member("sex"),
    "birth_year": Attribute(("extract(year FROM person.birth_date)::int",), "integer", member=True),
    "relation": _member("relation"),
    "employable": _member("employable"),
    "in_school": _member("in_school", "truth"),
    "disability_level": _member("disability_level", "integer"),
    "national_id": _member("id_number_index", "secret"),
}
"""Standing and welfare are those of the latest state. There is no ``poverty_score``: the register scores nobody.

``last_updated`` is what the records say: so is found what changed since the last time, of what is there still.
"""

IDENTIFIERS: Mapping[str, str] = {
    "household_number": "household_number",
    "group_identifier": "household_number",
    "person_number": "person_number",
    "member_identifier": "person_number",
    "national_id": "national_id",
    "nid": "national_id",
    "uin": "national_id",
}
"""``type`` of an ``idtype-value`` query, in lower case, and the attribute it means."""

AS_IN_RECORDS: Mapping[str, str] = {"group_size": "people", "relationship_type": "relation"}
"""What the specification, and so our records, call otherwise."""


def ours_of(name: str) -> str:
    """The attribute that a name means: its own, that of an identifier, or as records have it."""
    return name if name in ATTRIBUTES else {**IDENTIFIERS, **AS_IN_RECORDS}.get(name.lower(), name)

"""Columns of the register's tables. Direct identifiers are sealed; everything else may be published in events.

``household`` and ``person`` hold the newest version of each; ``household_version`` and ``person_version`` have the
same columns and hold the versions before. A person without a household has a place of its own instead of a
household, a relation and a position. ``household_period`` is derived: stretches in which nothing changed that
statistics count.
"""

from collections.abc import Mapping

HOUSEHOLD: Mapping[str, str] = {
    "id": "uuid", "version": "int", "seq": "bigint", "number": "text", "status": "text", "source_system": "text",
    "external_id": "text", "content": "bytea", "city": "text", "managing_unit": "text", "township": "text",
    "village": "text", "standing": "text", "registered_on": "date", "valid_to": "date", "cause": "text",
    "welfare": "text", "welfares": "text", "residences": "text", "standings": "text", "event": "text",
    "attributes": "text", "incomes": "text", "monitoring": "text", "former_divisions": "text",
    "first_recorded_at": "timestamptz", "recorded_at": "timestamptz", "changed_by": "uuid", "reason": "text",
}  # fmt: skip
PERSON: Mapping[str, str] = {
    "id": "uuid", "version": "int", "household_id": "uuid", "household_version": "int", "position": "smallint",
    "relation": "text", "city": "text", "county": "text", "managing_unit": "text", "township": "text",
    "village": "text", "residences": "text", "number": "text", "status": "text", "sex": "text", "birth_date": "date",
    "employable": "text", "in_school": "boolean", "disability_level": "smallint", "joined_on": "date",
    "left_on": "date", "name": "bytea", "id_number": "bytea", "id_number_index": "bytea", "phone": "bytea",
    "disability_number": "bytea", "bank_card": "bytea", "attributes": "text",
    "recorded_at": "timestamptz", "changed_by": "uuid", "reason": "text",
}  # fmt: skip
PERIOD: Mapping[str, str] = {
    "household_id": "uuid", "valid_from": "date", "valid_to": "date", "city": "text", "managing_unit": "text",
    "township": "text", "village": "text", "standing": "text", "people": "smallint",
}  # fmt: skip


def given(columns: Mapping[str, str]) -> str:
    """A row source ``given`` out of one array a column, in the order of the columns."""
    arrays = ", ".join(f"${i}::{kind}[]" for i, kind in enumerate(columns.values(), start=1))
    return f"unnest({arrays}) AS given ({', '.join(columns)})"


def insert(table: str, columns: Mapping[str, str]) -> str:
    """Insert the rows given."""
    return f"INSERT INTO {table} ({', '.join(columns)}) SELECT * FROM {given(columns)}"


def supersede(table: str, columns: Mapping[str, str]) -> str:
    """Write the rows given over their versions before, which go to the history; one row for each that moved on."""
    names = [name for name in columns if name != "id"]
    return (
        f"WITH changed AS (UPDATE {table} SET ({', '.join(names)}) = ({', '.join(f'given.{n}' for n in names)}) "
        f"FROM {given(columns)} WHERE {table}.id = given.id AND {table}.version = given.version - 1 "
        f"RETURNING {', '.join(f'old.{name}' for name in columns)}) "
        f"INSERT INTO {table}_version ({', '.join(columns)}) SELECT * FROM changed RETURNING id"
    )

"""A condition as SQL: one statement with parameters, within the caller's divisions."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from services.registry.exchange.attributes import ATTRIBUTES, Attribute
from services.registry.exchange.criteria import Entity
from services.registry.exchange.queries import Compare, Condition, Every, Not, Some
from services.registry.households.reading import scope
from services.registry.identity import Vault

Order = Sequence[tuple[str, bool]]
"""Attributes to sort by, and whether downwards."""
_SQL = {"lt": "<", "gt": ">", "le": "<=", "ge": ">="}
_TYPES = {
    "text": "text", "integer": "int", "day": "date", "instant": "timestamptz", "truth": "boolean", "secret": "bytea",
}  # fmt: skip
_SOURCES: Mapping[Entity, tuple[str, str]] = {
    "Group": ("household.id", "household"),
    "Member": (
        "person.id",
        "person JOIN household ON household.id = person.household_id AND person.left_on IS NULL",
    ),
}
"""What names a record, and the rows that it is found in."""


@dataclass(slots=True)
class Statement:
    """Collects the arguments of one statement."""

    entity: Entity
    vault: Vault
    divisions: Sequence[str]
    arguments: list[Any] = field(default_factory=list)

    def find(self, condition: Condition, order: Order, limit: int, offset: int) -> str:
        """Selects how many match in all, and the ids of one page of them."""
        keys = [self._columns(ATTRIBUTES[name])[0] for name, _ in order]
        columns = "".join(f", {column} AS key{i}" for i, column in enumerate(keys))
        ordered = "".join(
            f"key{i} {'DESC' if down else 'ASC'} NULLS LAST, " for i, (_, down) in enumerate(order)
        )  # fmt: skip
        row, source = _SOURCES[self.entity]
        return (
            f"WITH matching AS MATERIALIZED (SELECT {row} AS id{columns} FROM {source} "
            f"WHERE {self._reach()} AND {self.sql(condition)}) "
            f"SELECT (SELECT count(*) FROM matching) AS total, ARRAY(SELECT id FROM matching "
            f"ORDER BY {ordered}id LIMIT {self._argument(limit, 'int')} OFFSET {self._argument(offset, 'int')}) AS ids"
        )

    def among(self, condition: Condition, ids: Sequence[UUID]) -> str:
        """Selects those of some ids that match."""
        row, source = _SOURCES[self.entity]
        return (
            f"SELECT {row} AS id FROM {source} WHERE {self._reach()} "
            f"AND {row} = ANY({self._argument(list(ids), 'uuid[]')}) AND {self.sql(condition)} ORDER BY 1"
        )

    def _reach(self) -> str:
        self._argument(list(self.divisions), "text[]")
        return f"household.status = 'active' AND {scope(len(self.arguments))}"

    def sql(self, condition: Condition) -> str:
        """The condition; unknown values make it false, also below a negation of it."""
        match condition:
            case Compare():
                return self._comparison(condition)
            case Not(part):
                return f"(({self.sql(part)}) IS NOT TRUE)"
            case Every(parts):
                return "(" + " AND ".join(map(self.sql, parts)) + ")" if parts else "true"
            case Some(parts):
                return self._some(parts)

    def _some(self, parts: Sequence[Condition]) -> str:
        """What is said of a household's members is looked for once: somebody of whom one of it holds."""
        of_members = [part for part in parts if isinstance(part, Compare) and self._is_of_a_member(part)]
        tests = [self.sql(part) for part in parts if part not in of_members]
        if of_members:
            tests.append(self._somebody(" OR ".join(map(self._test, of_members))))
        return "(" + " OR ".join(tests) + ")"

    def _comparison(self, compare: Compare) -> str:
        test = self._test(compare)
        return self._somebody(test) if self._is_of_a_member(compare) else test

    def _is_of_a_member(self, compare: Compare) -> bool:
        return ATTRIBUTES[compare.attribute].member and self.entity == "Group"

    def _somebody(self, test: str) -> str:
        of = "person.household_id = household.id AND person.left_on IS NULL"
        return f"EXISTS (SELECT FROM person WHERE {of} AND ({test}))"

    def _test(self, compare: Compare) -> str:
        attribute = ATTRIBUTES[compare.attribute]
        columns, kind = self._columns(attribute), _TYPES[attribute.kind]
        values: list[Any] = list(compare.values)
        if attribute.kind == "secret":
            values = [self.vault.index(str(value), "id_number") for value in values]
        if compare.operator in _SQL:
            value = self._argument(values[0], kind)
            tests = [f"{column} {_SQL[compare.operator]} {value}" for column in columns]
        else:
            given = self._argument(values, f"{kind}[]")
            tests = [f"{column} = ANY({given})" for column in columns]
        test = "(" + " OR ".join(tests) + ")"
        return f"({test} IS NOT TRUE)" if compare.operator == "ne" else test

    def _columns(self, attribute: Attribute) -> Sequence[str]:
        record = "household" if self.entity == "Group" else "person"
        return [column.replace("{record}", record) for column in attribute.columns]

    def _argument(self, value: Any, kind: str) -> str:
        self.arguments.append(value)
        return f"${len(self.arguments)}::{kind}"

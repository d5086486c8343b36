"""Reading the three kinds of DCI query into one tree of conditions. Pure.

Raises ``Rejected``: ``rjct.search_criteria.invalid`` for a query of no known form, ``rjct.filter.invalid`` for
attributes, operators and values that do not exist, and for whatever else stands in a query: a condition that is read
over makes it another query.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Literal, TypeAlias

from pydantic import TypeAdapter, ValidationError

from services.registry.exchange.attributes import ATTRIBUTES, IDENTIFIERS, Attribute, ours_of
from services.registry.exchange.faults import Rejected
from shared.http.fields import Day, Instant
from shared.idnumbers import normalised_id_number

Operator = Literal["lt", "gt", "le", "ge", "eq", "ne", "in"]
Value: TypeAlias = str | int | bool | date | datetime
MOST_CONDITIONS = 100
MOST_VALUES = 100
EXPRESSION_OPERATORS: Mapping[str, Operator] = {
    "$lt": "lt", "$gt": "gt", "$lte": "le", "$le": "le", "$gte": "ge", "$ge": "ge", "$eq": "eq", "$ne": "ne",
    "$in": "in",
}  # fmt: skip
PREDICATE_OPERATORS: Mapping[str, Operator] = {"gt": "gt", "lt": "lt", "eq": "eq", "ge": "ge", "le": "le", "in": "in"}
_DAY, _INSTANT = TypeAdapter[date](Day), TypeAdapter[datetime](Instant)
_DIGITS = re.compile(r"-?[0-9]{1,9}")


@dataclass(frozen=True, slots=True)
class Compare:
    """An attribute held against values; several only for ``in``."""

    attribute: str
    operator: Operator
    values: tuple[Value, ...]


@dataclass(frozen=True, slots=True)
class Every:
    """All of its parts hold; without parts it always does."""

    parts: tuple["Condition", ...]


@dataclass(frozen=True, slots=True)
class Some:
    """One of its parts holds at least."""

    parts: tuple["Condition", ...]


@dataclass(frozen=True, slots=True)
class Not:
    """Its part does not hold; where a value is unknown it does not."""

    part: "Condition"


Condition: TypeAlias = Compare | Every | Some | Not


def read_query(query_type: str, query: Any) -> Condition:
    """The condition a query states.

    An array is a predicate whatever it is labelled: published samples send arrays as ``expression``.
    """
    if isinstance(query, list):
        if query_type == "idtype-value":
            raise Rejected("rjct.search_criteria.invalid", "idtype-value is an object of type and value")
        condition = _predicate(query)
    elif not isinstance(query, dict) or query_type == "predicate":
        raise Rejected("rjct.search_criteria.invalid", "the query is not of its query_type's form")
    elif query_type == "idtype-value":
        condition = _identifier(query)
    else:
        condition = _expression(_inner(query))
    if sum(1 for _ in comparisons(condition)) > MOST_CONDITIONS:
        raise Rejected("rjct.filter.invalid", f"more than {MOST_CONDITIONS} conditions")
    return condition


def comparisons(condition: Condition) -> Iterator[Compare]:
    """Every comparison in a condition."""
    if isinstance(condition, Compare):
        yield condition
    elif isinstance(condition, Not):
        yield from comparisons(condition.part)
    else:
        for part in condition.parts:
            yield from comparisons(part)


def _identifier(query: Mapping[str, Any]) -> Condition:
    kind = query.get("type")
    name = IDENTIFIERS.get(kind.lower()) if isinstance(kind, str) else None
    if name is None or "value" not in query:
        raise Rejected("rjct.search_criteria.invalid", "no such identifier type, or no value")
    _check_names(query, ("type", "value"))
    return _compare(name, "eq", query["value"])


def _predicate(items: list[Any]) -> Condition:
    """Elements in the order of ``seq_num``, all of which must hold."""
    if not items or not all(isinstance(item, dict) for item in items):
        raise Rejected("rjct.search_criteria.invalid", "a predicate is an array of objects")
    numbers = [item.get("seq_num") or 0 for item in items]
    if not all(isinstance(number, int | float) for number in numbers):
        raise Rejected("rjct.search_criteria.invalid", "seq_num is a number")
    ordered = sorted(zip(numbers, items, strict=True), key=lambda pair: pair[0])
    return Every(tuple(_element(item) for _, item in ordered))


def _element(item: Mapping[str, Any]) -> Condition:
    """``not`` joins as *and not*; with one expression only it negates that one.

    ``or`` joins the two expressions of an element. Elements are joined by *and*: an ``or`` between two of them would
    leave open how far it reaches among several, so it is refused rather than guessed. Blanks, which published samples
    send, say nothing.
    """
    _check_names(item, ("seq_num", "expression1", "condition", "expression2"))
    first, word, other = (item.get(name) or None for name in ("expression1", "condition", "expression2"))
    if word not in (None, "and", "or", "not"):
        raise Rejected("rjct.filter.invalid", "a condition is one of and, or, not")
    one = _term(first)
    if other is None:
        if word == "or":
            raise Rejected("rjct.filter.invalid", "or joins expression1 and expression2 of one element")
        return Not(one) if word == "not" else one
    two = _term(other)
    if word == "or":
        return Some((one, two))
    return Every((one, Not(two) if word == "not" else two))


def _term(term: Any) -> Condition:
    if not isinstance(term, dict) or "attribute_value" not in term:
        raise Rejected("rjct.filter.invalid", "an expression has attribute_name, operator and attribute_value")
    _check_names(term, ("attribute_name", "operator", "attribute_value"))
    operator = term.get("operator")
    if not isinstance(operator, str) or operator not in PREDICATE_OPERATORS:
        raise Rejected("rjct.filter.invalid", f"an operator is one of {', '.join(PREDICATE_OPERATORS)}")
    return _compare(term.get("attribute_name"), PREDICATE_OPERATORS[operator], term["attribute_value"])


def _inner(query: Mapping[str, Any]) -> Any:
    """The expression below the wrappings that the specification and its samples put around it."""
    inner: Any = query
    for name in ("value", "expression", "query"):
        if isinstance(inner, dict) and name in inner:
            _check_names(inner, (name, "type", "collection"))
            inner = inner[name]
    return inner


def _check_names(given: Iterable[str], known: Sequence[str]) -> None:
    """Only those known; annotations of JSON-LD (``@type``) say nothing to us."""
    if any(name not in known and not name.startswith("@") for name in given):
        raise Rejected("rjct.filter.invalid", f"here are read only {', '.join(known)}")


def _expression(node: Any) -> Condition:
    if not isinstance(node, dict) or not node:
        raise Rejected("rjct.search_criteria.invalid", "an expression is an object of attributes and $-operators")
    return _every([_entry(name, value) for name, value in node.items()])


def _every(parts: Sequence[Condition]) -> Condition:
    return parts[0] if len(parts) == 1 else Every(tuple(parts))


def _entry(name: str, value: Any) -> Condition:
    if name in ("$and", "$or"):
        if not isinstance(value, list) or not value:
            raise Rejected("rjct.filter.invalid", "$and and $or take an array")
        parts = tuple(map(_expression, value))
        return Every(parts) if name == "$and" else Some(parts)
    if name == "$not":
        return Not(_expression(value))
    if not isinstance(value, dict):
        return _compare(name, "eq", value)
    if not value:
        raise Rejected("rjct.filter.invalid", "an attribute needs an operator")
    return _every([_operation(name, operator, operand) for operator, operand in value.items()])


def _operation(name: str, operator: str, operand: Any) -> Condition:
    if operator == "$not":
        return Not(_entry(name, operand))
    if operator not in EXPRESSION_OPERATORS:
        raise Rejected(
            "rjct.filter.invalid", f"an operator is one of {', '.join(EXPRESSION_OPERATORS)}, $and, $or, $not"
        )
    return _compare(name, EXPRESSION_OPERATORS[operator], operand)


def _compare(name: Any, operator: Operator, value: Any) -> Compare:
    ours = ours_of(name) if isinstance(name, str) else ""
    attribute = ATTRIBUTES.get(ours)
    if attribute is None:
        raise Rejected("rjct.filter.invalid", f"an attribute is one of {', '.join(ATTRIBUTES)}")
    exact = attribute.kind in ("secret", "truth") or len(attribute.columns) > 1
    if exact and operator not in ("eq", "ne", "in"):
        raise Rejected("rjct.filter.invalid", "this attribute is compared by exact value only")
    given = value if operator == "in" and isinstance(value, list) else [value]
    if not 1 <= len(given) <= MOST_VALUES:
        raise Rejected("rjct.filter.invalid", f"in takes 1 to {MOST_VALUES} values")
    return Compare(ours, operator, tuple(_value(attribute, item) for item in given))


def _value(attribute: Attribute, value: Any) -> Value:
    """A value as its attribute holds it; numbers may come as text."""
    kind = attribute.kind
    if kind == "truth" and isinstance(value, bool):
        return value
    if kind == "integer" and isinstance(value, int | str) and not isinstance(value, bool):
        if _DIGITS.fullmatch(str(value)):
            return int(value)
    elif kind in ("day", "instant") and isinstance(value, str):
        return _day(value) if kind == "day" else _instant(value)
    elif kind in ("text", "secret") and isinstance(value, str) and 0 < len(value) <= 100:
        return normalised_id_number(value) if kind == "secret" else value
    raise Rejected("rjct.filter.invalid", "a value is not of its attribute's type")


def _day(text: str) -> date:
    """A day, or the day of an instant as it is written there."""
    try:
        return _DAY.validate_python(text if len(text) == 10 else _INSTANT.validate_python(text).date())
    except ValidationError as error:
        raise Rejected("rjct.filter.invalid", "a day is written YYYY-MM-DD") from error


def _instant(text: str) -> datetime:
    try:
        return _INSTANT.validate_python(text)
    except ValidationError as error:
        raise Rejected("rjct.filter.invalid", "an instant is written as in RFC 3339, with its offset") from error

"""Details of actions against the JSON Schema of their kind.

Schemas are a closed subset of JSON Schema 2020-12: nothing that fetches (``$ref``) or backtracks (``pattern``).
"""

import math
import re
import sys
from collections.abc import Callable, Mapping
from datetime import date
from typing import Any, cast

from jsonschema import Draft202012Validator, FormatChecker
from jsonschema.exceptions import SchemaError, ValidationError
from referencing import Registry

from shared.errors import Fault, Text, fault

MAX_FAULTS = 20
_KEYWORDS = frozenset(
    {
        "type", "title", "description", "properties", "required", "additionalProperties", "enum", "minimum",
        "maximum", "minLength", "maxLength", "items", "minItems", "maxItems", "uniqueItems", "format",
    }
)  # fmt: skip
_FORMATS = FormatChecker(formats=())
_MONTH = re.compile(r"\d{4}-(0[1-9]|1[0-2])", re.ASCII)
_DIVISION = re.compile(r"\d{12}", re.ASCII)

Check = Callable[[Mapping[str, Any]], list[Fault]]


@_FORMATS.checks("date", raises=ValueError)
def _is_date(value: object) -> bool:
    return not isinstance(value, str) or (len(value) == 10 and bool(date.fromisoformat(value)))


@_FORMATS.checks("month")
def _is_month(value: object) -> bool:
    return not isinstance(value, str) or _MONTH.fullmatch(value) is not None


@_FORMATS.checks("division")
def _is_division(value: object) -> bool:
    return not isinstance(value, str) or _DIVISION.fullmatch(value) is not None


def schema_faults(schema: Mapping[str, Any]) -> list[Fault]:
    """What is wrong with a details schema: not JSON Schema, open to unknown fields, or outside the subset."""
    try:
        Draft202012Validator.check_schema(schema)
    except SchemaError as error:
        return [fault(_pointer(error), "json_schema", "not a JSON Schema 2020-12", "不是有效的 JSON Schema")]
    if schema.get("type") != "object" or schema.get("additionalProperties") is not False:
        return [fault("", "open_schema", "must be an object with additionalProperties false", "须为封闭的对象")]
    return _unknown_keywords(schema, "")


def _unknown_keywords(schema: Any, pointer: str) -> list[Fault]:
    if not isinstance(schema, dict):
        return [fault(pointer, "json_schema", "must be an object", "须为对象")]
    found = [
        fault(pointer, "keyword", "uses a keyword outside the subset", "使用了不支持的关键字")
        for keyword in schema
        if keyword not in _KEYWORDS
    ]
    for name, inner in schema.get("properties", {}).items():
        found += _unknown_keywords(inner, f"{pointer}/properties/{name}")
    if "items" in schema:
        found += _unknown_keywords(schema["items"], f"{pointer}/items")
    return found[:MAX_FAULTS]


def compile_check(schema: Mapping[str, Any]) -> Check:
    """The check of one schema, made once. Details that are plainly right never meet the validator."""
    validator = Draft202012Validator(schema, registry=Registry(), format_checker=_FORMATS)
    plain = {name: _plainly_right(field) for name, field in schema.get("properties", {}).items()}
    required = frozenset(schema.get("required", ()))

    def check(details: Mapping[str, Any]) -> list[Fault]:
        if required <= details.keys() and all(plain.get(name, _never)(value) for name, value in details.items()):
            return []
        found: dict[tuple[str, str], Fault] = {}
        for error in validator.iter_errors(details):
            for each in _faults(error):
                found[each.pointer, each.code] = each
            if len(found) >= MAX_FAULTS:
                break
        return list(found.values())

    return check


def _plainly_right(field: Mapping[str, Any]) -> Callable[[Any], bool]:
    """Whether a value is right without doubt, for the common fields; the validator judges the others.

    One validation costs as much as the rest of an action's rules together (performance.md, B1 and B2).
    """
    match {name: value for name, value in field.items() if name not in ("title", "description")}:
        case {"enum": [*words], **rest} if not rest and all(isinstance(word, str) for word in words):
            known = frozenset(words)
            return lambda value: isinstance(value, str) and value in known
        case {"type": "string", **rest} if rest.keys() <= {"minLength", "maxLength"}:
            shortest, longest = rest.get("minLength", 0), rest.get("maxLength", sys.maxsize)
            return lambda value: isinstance(value, str) and shortest <= len(value) <= longest
        case {"type": "integer", **rest} if rest.keys() <= {"minimum", "maximum"}:
            least, most = rest.get("minimum", -math.inf), rest.get("maximum", math.inf)
            return lambda value: type(value) is int and least <= value <= most
    return _never


def _never(_: Any) -> bool:
    return False


def _faults(error: ValidationError) -> list[Fault]:
    """One error as faults. The library's own message quotes the value sent, so it is never used."""
    pointer = _pointer(error)
    if error.validator == "required":
        missing = sorted(set(cast("list[str]", error.validator_value)) - set(cast("dict[str, Any]", error.instance)))
        return [fault(f"{pointer}/{name}", "missing", "required", "必填") for name in missing]
    message = _MESSAGES.get(str(error.validator), _OTHER)
    limit = error.validator_value
    shown = ", ".join(map(str, limit)) if isinstance(limit, list) else str(limit)
    text = Text(message.en.format(shown), message.zh.format(shown))
    return [Fault(pointer, _CODES.get(str(error.validator), str(error.validator)), text)]


def _pointer(error: ValidationError | SchemaError) -> str:
    return "".join(f"/{step}" for step in error.absolute_path)


_CODES = {"additionalProperties": "extra_forbidden"}
_OTHER = Text("not valid", "不符合要求")
_MESSAGES = {
    "type": Text("must be of type {}", "类型须为 {}"),
    "enum": Text("must be one of {}", "须为 {} 之一"),
    "additionalProperties": Text("holds an unknown field", "包含未知字段"),
    "minimum": Text("must be at least {}", "不得小于 {}"),
    "maximum": Text("must be at most {}", "不得大于 {}"),
    "minLength": Text("at least {} characters", "至少 {} 个字符"),
    "maxLength": Text("at most {} characters", "最多 {} 个字符"),
    "minItems": Text("at least {} entries", "至少 {} 项"),
    "maxItems": Text("at most {} entries", "最多 {} 项"),
    "uniqueItems": Text("entries must differ", "各项不得重复"),
    "format": Text("must be a {}", "须符合格式 {}"),
}

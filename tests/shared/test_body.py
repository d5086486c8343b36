"""Strict JSON: every input that a lenient parser lets through (reliability.md 3, 1 to 12)."""

import json

import pytest
from pydantic import BaseModel

from shared.errors import Problem
from shared.http.body import MAX_DEPTH, parse_json, parse_line


@pytest.mark.parametrize(
    ("raw", "status"),
    [
        (b"", 400),
        (b'{"a": ', 400),
        (b'{"a": NaN}', 422),
        (b'{"a": -Infinity}', 422),
        (b'{"a": 1e999}', 422),
        (b'{"a": "\\ud800"}', 422),
        (b'{"\\ud800": 1}', 422),
        (b'{"a": "\\u0000"}', 422),
        (b"[" * 33 + b"]" * 33, 422),
        (b'{"a":' * 300 + b"1" + b"}" * 300, 422),
        (b"[" * 100_000 + b"]" * 100_000, 400),
        (b'{"a": ' + b"9" * 5000 + b"}", 400),
        (b'{"a": 1, "a": 2}', 400),
        ('{"a": 1}'.encode("utf-16"), 400),
        (b'{"a": "\xff"}', 400),
        (b"\x89PNG\r\n", 400),
    ],
)
def test_refused(raw: bytes, status: int) -> None:
    with pytest.raises(Problem) as caught:
        parse_json(raw)
    assert caught.value.kind.status == status


@pytest.mark.parametrize(
    "value",
    [None, [], {"a": [{"b": 1.5}]}, "𠀀 rare character", "\U0001f600", {"n": 2**62}, [[[]]] * 40],
)
def test_read_as_any_parser_would(value: object) -> None:
    assert parse_json(json.dumps(value).encode()) == value
    assert parse_json(json.dumps(value, ensure_ascii=False).encode()) == value


def test_depth_is_counted_not_brackets() -> None:
    assert parse_json(json.dumps([[]] * 100).encode()) == [[]] * 100
    deep = b"[" * MAX_DEPTH + b"]" * MAX_DEPTH
    with pytest.raises(Problem):
        parse_json(b"[" + deep + b"]")


class Line(BaseModel):
    """What a line may hold."""

    a: int


@pytest.mark.parametrize(
    ("raw", "faults"),
    [
        (b'{"a": "x"}', [("/a", "int_parsing")]),
        (b"{}", [("/a", "missing")]),
        (b"{", [("", "malformed_request")]),
        (b'{"a": 1, "a": 2}', [("", "malformed_request")]),
        (b'{"a": NaN}', [("", "number")]),
    ],
)
def test_a_line_is_a_model_or_everything_that_is_wrong_with_it(raw: bytes, faults: list[tuple[str, str]]) -> None:
    assert parse_line(b'{"a": 1}', Line.model_validate) == Line(a=1)
    found = parse_line(raw, Line.model_validate)
    assert isinstance(found, list)
    assert [(each.pointer, each.code) for each in found] == faults
    assert all(each.message.zh for each in found)

"""Reading JSON strictly: what a lenient parser would let through is refused before it can do harm.

Duplicate keys, NaN and infinities, lone surrogates, NUL characters, absurd nesting and integers have all been
seen to lose data or to raise deep inside (reliability.md 3, inputs 5 to 12).
"""

import codecs
import json
import re
from collections.abc import Callable, Coroutine
from typing import Any, NoReturn, TypeVar, get_args

from fastapi import Request, Response
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute
from pydantic import BaseModel, ValidationError

from shared import errors
from shared.errors import INVALID, MALFORMED, Fault, Problem, Text
from shared.http.dryrun import told
from shared.http.problems import faults_of, told_name

T = TypeVar("T")
MAX_DEPTH = 32
MAX_DIGITS = 40
_ESCAPED = re.compile(rb"\\u", re.IGNORECASE)


def parse_json(raw: bytes) -> Any:
    """The value in ``raw``. Raises ``Problem``: 400 when it is not JSON, 422 for values no field can hold."""
    try:
        value = _decoder.decode(raw.decode("utf-8"))
    except (UnicodeDecodeError, json.JSONDecodeError, RecursionError) as error:
        raise Problem(MALFORMED, Text("the body is not JSON in UTF-8", "请求体不是 UTF-8 编码的 JSON")) from error
    if _ESCAPED.search(raw) or raw.count(b"{") + raw.count(b"[") > MAX_DEPTH or b"\x00" in raw:
        _check(value, MAX_DEPTH)
    return value


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        raise Problem(MALFORMED, Text("a name appears twice in one object", "同一对象内字段重复"))
    return result


def _constant(_: str) -> NoReturn:
    raise _unusable("number", "NaN and infinities are not numbers", "不接受 NaN 或无穷大")


def _integer(digits: str) -> int:
    if len(digits) > MAX_DIGITS:
        raise Problem(MALFORMED, Text("an integer is absurdly long", "整数过长"))
    return int(digits)


def _float(digits: str) -> float:
    value = float(digits)
    if value in (float("inf"), float("-inf")):
        raise _unusable("number", "a number is out of range", "数值超出范围")
    return value


_decoder = json.JSONDecoder(object_pairs_hook=_object, parse_constant=_constant, parse_int=_integer, parse_float=_float)


def _unusable(code: str, en: str, zh: str) -> Problem:
    return Problem(INVALID, faults=[Fault("", code, Text(en, zh))])


def _check(value: Any, depth: int) -> None:
    if depth == 0:
        raise _unusable("nesting", f"nested deeper than {MAX_DEPTH}", f"嵌套超过 {MAX_DEPTH} 层")
    if isinstance(value, str):
        _check_text(value)
    elif isinstance(value, list):
        for item in value:
            _check(item, depth - 1)
    elif isinstance(value, dict):
        for name, item in value.items():
            _check_text(name)
            _check(item, depth - 1)


def _check_text(text: str) -> None:
    if "\x00" in text:
        raise _unusable("nul", "NUL characters are not text", "不接受 NUL 字符")
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise _unusable("surrogate", "half a surrogate pair is not text", "不接受不完整的字符编码") from error


class StrictRoute(APIRoute):
    """A route whose JSON body is UTF-8 ``application/json``, read strictly, and whose query holds what it knows, once.

    A mistyped filter would show everything, and a ``dry_run`` that a route does not have would be done in earnest.
    """

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()
        takes_json = self.body_field is not None
        integers = _integers(self.dependant)
        known = None if _has_query_model(self.dependant) else _query_names(self.dependant)

        async def strict(request: Request) -> Response:
            _check_parameters(request, integers, known)
            if takes_json:
                _check_content_type(request, ("application/json",))
                raw = await request.body()
                if raw:  # FastAPI answers 422 for an empty body by itself
                    request._json = parse_json(raw)  # FastAPI asks for request.json(), which is this from now on
            return told(request, await handle(request))

        return strict


_LOOSE_NUMBER = re.compile(r"\s*[+-]?[0-9]+(?:_[0-9]+)+\s*|\s+[0-9]+\s*|[0-9]+\s+|[+-]?[0-9]+\.0*|\+[0-9]+")
"""What pydantic reads as an integer though nobody writes integers so: ``1_000``, ``1.0``, ``+1``, `` 1``."""


def _integers(dependant: Dependant) -> frozenset[str]:
    """Names of the path and query parameters that are declared as integers; text may look as it likes."""
    found: set[str] = set()
    for field in (*dependant.path_params, *dependant.query_params):
        annotation = field.field_info.annotation
        if isinstance(annotation, type) and issubclass(annotation, BaseModel):
            fields = annotation.model_fields.items()
            found |= {info.alias or name for name, info in fields if _is_integer(info.annotation)}
        elif _is_integer(annotation):
            found.add(field.alias)
    return frozenset(found.union(*map(_integers, dependant.dependencies)))


def _query_names(dependant: Dependant) -> frozenset[str]:
    """Names of the query parameters that a route and what it depends on read."""
    named = {field.alias for field in dependant.query_params}
    return frozenset(named.union(*map(_query_names, dependant.dependencies)))


def _has_query_model(dependant: Dependant) -> bool:
    """Whether a model reads the query: it forbids by itself what it does not know, and tells all faults at once."""
    annotations = (field.field_info.annotation for field in dependant.query_params)
    return any(isinstance(each, type) and issubclass(each, BaseModel) for each in annotations)


def _is_integer(annotation: Any) -> bool:
    return annotation is int or any(map(_is_integer, get_args(annotation)))


def _check_parameters(request: Request, integers: frozenset[str], known: frozenset[str] | None) -> None:
    for name, value in request.path_params.items():
        if name in integers and _LOOSE_NUMBER.fullmatch(value):
            raise errors.invalid(errors.fault(f"path:{name}", "int_parsing", "must be an integer", "须为整数"))
    if not request.scope["query_string"]:
        return
    names = [name for name, _ in request.query_params.multi_items()]
    if len(set(names)) != len(names):
        repeated = next(name for name in names if names.count(name) > 1)
        raise errors.invalid(errors.fault(f"query:{told_name(repeated)}", "repeated", "given twice", "参数重复"))
    for name, value in request.query_params.items():
        if known is not None and name not in known:
            pointer = f"query:{told_name(name)}"
            raise errors.invalid(errors.fault(pointer, "extra_forbidden", "unknown parameter", "未知参数"))
        if "\x00" in value:
            raise errors.invalid(errors.fault("query:?", "nul", "NUL characters are not text", "不接受 NUL 字符"))
        if name in integers and _LOOSE_NUMBER.fullmatch(value):
            raise errors.invalid(errors.fault(f"query:{name}", "int_parsing", "must be an integer", "须为整数"))


def _check_content_type(request: Request, accepted: tuple[str, ...]) -> None:
    media_type, _, parameters = request.headers.get("content-type", "").lower().partition(";")
    charset = parameters.strip().removeprefix("charset=").strip('"')
    if media_type.strip() not in accepted or charset not in ("", "utf-8"):
        raise Problem(errors.UNSUPPORTED)


async def read_lines(request: Request, *, limit: int) -> list[bytes]:
    """The non-empty lines of an ``application/jsonl`` body, at most ``limit`` (413 beyond).

    Also accepts ``application/x-ndjson``, and the mark that some programs begin UTF-8 with. Raises 415 for other media
    types.
    """
    _check_content_type(request, ("application/jsonl", "application/x-ndjson"))
    lines: list[bytes] = []
    rest = b""
    async for chunk in request.stream():
        *whole, rest = (rest + chunk).split(b"\n")
        lines += [line for line in whole if line.strip()]
        if len(lines) > limit:
            break
    if rest.strip():
        lines.append(rest)
    if lines:
        lines[0] = lines[0].removeprefix(codecs.BOM_UTF8)
    if len(lines) > limit:
        raise Problem(errors.TOO_LARGE, Text(f"at most {limit} lines", f"最多 {limit} 行"))
    return lines


def parse_line(line: bytes, read: Callable[[Any], T]) -> T | list[Fault]:
    """What ``read`` makes of the JSON in a line, such as a model; or everything that is wrong with it."""
    try:
        return read(parse_json(line))
    except ValidationError as error:
        return faults_of(error.errors(include_input=False, include_url=False))
    except Problem as problem:
        return list(problem.faults) or [Fault("", problem.kind.code, problem.detail or problem.kind.title)]

"""Turns every failure into problem details, in the caller's language, without echoing what was sent."""

import logging
import re
import unicodedata
from collections.abc import Sequence
from typing import Any

import asyncpg
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import HTMLResponse, JSONResponse
from starlette.routing import Match

from shared import errors
from shared.db import AWAY, CONTENDED
from shared.errors import Fault, Language, Problem, ProblemKind, Text
from shared.outbox import EventTooLargeError

logger = logging.getLogger("bangfu.http")
RETRY_AFTER = {"Retry-After": "2"}
_ACCEPTED = re.compile(r"\s*(en|zh|\*)(?:-[a-z0-9-]*)?\s*(?:;\s*q=([01](?:\.[0-9]{0,3})?)\s*)?", re.IGNORECASE)
_DIGITS = re.compile(r"\^\[0-9\]\{([0-9]+)(?:,([0-9]+))?\}\$")
_FIELD_NAME = re.compile(r"[a-z][a-z0-9_]{0,39}")

MESSAGES: dict[str, Text] = {
    "missing": Text("required", "必填"),
    "extra_forbidden": Text("unknown field", "未知字段"),
    "string_type": Text("must be a string", "须为字符串"),
    "int_type": Text("must be an integer", "须为整数"),
    "bool_type": Text("must be true or false", "须为 true 或 false"),
    "int_from_float": Text("must be an integer", "须为整数"),
    "int_parsing": Text("must be an integer", "须为整数"),
    "int_parsing_size": Text("integer out of range", "整数超出范围"),
    "list_type": Text("must be an array", "须为数组"),
    "dict_type": Text("must be an object", "须为对象"),
    "model_type": Text("must be an object", "须为对象"),
    "uuid_parsing": Text("must be a UUID", "须为 UUID"),
    "uuid_type": Text("must be a UUID", "须为 UUID"),
    "is_instance_of": Text("wrong type", "类型有误"),
    "datetime_parsing": Text("must be an RFC 3339 instant", "须为 RFC 3339 时间"),
    "datetime_from_date_parsing": Text("must be an RFC 3339 instant", "须为 RFC 3339 时间"),
    "datetime_type": Text("must be an RFC 3339 instant", "须为 RFC 3339 时间"),
    "timezone_aware": Text("needs a time zone offset", "须带时区"),
    "date_parsing": Text("must be a date YYYY-MM-DD", "须为日期 YYYY-MM-DD"),
    "date_from_datetime_parsing": Text("must be a date YYYY-MM-DD", "须为日期 YYYY-MM-DD"),
    "date_type": Text("must be a date YYYY-MM-DD", "须为日期 YYYY-MM-DD"),
    "personal_number": Text("must hold no ID or mobile number", "不得填写身份证号码或手机号"),
    "json_type": Text("must be JSON", "须为 JSON"),
}
_LIMITS: dict[str, tuple[str, str, str]] = {
    "string_too_short": ("min_length", "at least {} characters", "至少 {} 个字符"),
    "string_too_long": ("max_length", "at most {} characters", "最多 {} 个字符"),
    "too_short": ("min_length", "at least {} entries", "至少 {} 项"),
    "too_long": ("max_length", "at most {} entries", "最多 {} 项"),
    "greater_than": ("gt", "must be greater than {}", "须大于 {}"),
    "greater_than_equal": ("ge", "must be at least {}", "不得小于 {}"),
    "less_than": ("lt", "must be less than {}", "须小于 {}"),
    "less_than_equal": ("le", "must be at most {}", "不得大于 {}"),
    "literal_error": ("expected", "must be one of {}", "须为 {} 之一"),
    "enum": ("expected", "must be one of {}", "须为 {} 之一"),
    "string_pattern_mismatch": ("pattern", "must match {}", "须符合格式 {}"),
}
_OTHER = Text("not valid", "不符合要求")
_ALIKE = {"model_attributes_type": "model_type"}
"""What the framework has pydantic call otherwise in a body than anywhere else: one fault has one code."""


def language_of(request: Request) -> Language:
    """``en`` when the caller prefers it to Chinese, by weight and then by order (RFC 9110, 12.5.4); else Chinese."""
    language: Language = "zh"
    most = 0.0
    for accepted in request.headers.get("accept-language", "").split(","):
        found = _ACCEPTED.fullmatch(accepted)
        weight = 0.0 if found is None else float(found.group(2) or 1)
        if found is not None and weight > most:
            language, most = "en" if found.group(1).lower() == "en" else "zh", weight
    return language


def faults_of(found: Sequence[Any], *, root: str = "") -> list[Fault]:
    """Pydantic's errors as faults, without the input. ``root`` is put before pointers into the body."""
    return [Fault(_pointer(entry["loc"], root), _code(entry), _message(entry)) for entry in found]


def _code(entry: Any) -> str:
    code = str(entry["type"])
    return _ALIKE.get(code, code)


def _pointer(location: Sequence[int | str], root: str) -> str:
    where, *rest = location or ("body",)
    if where == "query":  # whose names come from the caller, too
        return f"query:{'.'.join(map(told_name, rest))}"
    if where in ("path", "header", "cookie"):
        return f"{where}:{'.'.join(map(told_name, rest))}"
    steps = rest if where == "body" else location
    return root + "".join(f"/{told_name(step)}" for step in steps)


def told_name(step: int | str) -> str:
    """A name of a field or parameter as sent, ``?`` where it could itself be personal data.

    Only plausible names are repeated: like those we give, and without the digits of an ID, mobile or card number.
    """
    plausible = isinstance(step, int) or (_FIELD_NAME.fullmatch(step) and not _UUID_OR_DIGITS.search(step))
    return str(step) if plausible else "?"


def _message(entry: Any) -> Text:
    limit = _LIMITS.get(entry["type"])
    if limit is not None:
        value = entry.get("ctx", {}).get(limit[0])
        if limit[0] == "pattern" and (digits := _DIGITS.fullmatch(value)):  # clerks read no regular expressions
            return _so_many_digits(*digits.groups())
        listed = value.replace(", ", "、").replace(" or ", "、") if limit[0] == "expected" else value
        return Text(limit[1].format(value), limit[2].format(listed))
    known = MESSAGES.get(_code(entry))
    if known is not None:
        return known
    chinese = entry.get("ctx", {}).get("zh")  # see shared.errors.unfit
    return _OTHER if chinese is None else Text(entry["msg"], chinese)


def _so_many_digits(least: str, most: str | None) -> Text:
    if most is None:
        return Text(f"must be {least} digits", f"须为 {least} 位数字")
    return Text(f"must be {least} to {most} digits", f"须为 {least} 至 {most} 位数字")


_UUID_OR_DIGITS = re.compile(
    r"(?P<id>(?<![0-9a-z])[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}(?![0-9a-z]))"
    r"|[0-9](?:[^0-9a-z/]{0,2}[0-9]){10,}x?",
    re.IGNORECASE,
)
"""A UUID, or eleven digits and more, perhaps in groups: mobile numbers have so many, ID and card numbers more."""
_OURS = re.compile(r"[1-9][0-9]{11}|[0-9]{14}")
"""Codes of divisions; numbers of households and persons."""


def _address(request: Request) -> str:
    """The path asked for, without what may be an ID, mobile or card number, right or mistyped (interfaces.md, Errors).

    More is hidden than free text is refused for: a check digit that does not fit makes a number no less somebody's.
    """
    path = unicodedata.normalize("NFKC", request.scope["path"])  # digits of any width
    return _UUID_OR_DIGITS.sub(_unless_ours, path).encode("ascii", "replace").decode()


def _unless_ours(found: re.Match[str]) -> str:
    return found[0] if found["id"] or _OURS.fullmatch(found[0]) else "***"


def problem_response(request: Request, problem: Problem) -> JSONResponse:
    """The answer to a problem."""
    language = language_of(request)
    kind = problem.kind
    base: str = getattr(request.app.state, "base_url", "")
    body: dict[str, Any] = {
        "type": f"{base}/problems/{kind.code}",
        "title": kind.title.of(language),
        "status": kind.status,
        "code": kind.code,
        "instance": _address(request),
    }
    if problem.detail is not None:
        body["detail"] = problem.detail.of(language)
    if problem.faults:
        body["errors"] = [
            {"pointer": f.pointer, "code": f.code, "message": f.message.of(language)} for f in problem.faults
        ]
    headers = {**problem.headers, "Content-Language": "zh-CN" if language == "zh" else "en"}
    return JSONResponse({**body, **problem.extensions}, kind.status, headers, media_type="application/problem+json")


_BY_STATUS = {
    401: errors.UNAUTHENTICATED, 403: errors.FORBIDDEN, 404: errors.NOT_FOUND, 405: errors.METHOD_NOT_ALLOWED,
    413: errors.TOO_LARGE, 415: errors.UNSUPPORTED, 416: errors.RANGE, 422: errors.INVALID, 429: errors.TOO_MANY,
}  # fmt: skip
_INPUT_FAULTS = (asyncpg.DataError, EventTooLargeError)


def problem_of(error: Exception) -> Problem | None:
    """The problem that stands for an exception; None for a fault of ours."""
    if isinstance(error, Problem):
        return error
    if isinstance(error, RequestValidationError):
        return _refused(error)
    if isinstance(error, HTTPException):
        kind = _BY_STATUS.get(error.status_code, errors.MALFORMED if error.status_code < 500 else errors.INTERNAL)
        return Problem(kind, headers=error.headers or {})
    if isinstance(error, DBAPIError):
        return _from_database(error)
    if isinstance(error, ClientDisconnect):
        return Problem(errors.MALFORMED)  # which nobody reads
    if isinstance(error, CONTENDED):
        return Problem(errors.CONFLICT, Text("another request holds it, try again", "其他请求正在处理,请重试"))
    if isinstance(error, asyncpg.IntegrityConstraintViolationError):
        return Problem(errors.CONFLICT)
    if isinstance(error, EventTooLargeError):
        return Problem(errors.TOO_LARGE)
    if isinstance(error, _INPUT_FAULTS):
        return Problem(errors.INVALID)
    return Problem(errors.UNAVAILABLE, headers=RETRY_AFTER) if isinstance(error, AWAY) else None


def _refused(error: RequestValidationError) -> Problem:
    found = error.errors()
    if any(entry["type"] == "json_invalid" for entry in found):
        return Problem(errors.MALFORMED)
    return Problem(errors.INVALID, faults=faults_of(found))


def _from_database(error: DBAPIError) -> Problem | None:
    if error.connection_invalidated or isinstance(error, InterfaceError | OperationalError):
        return Problem(errors.UNAVAILABLE, headers=RETRY_AFTER)
    cause = error.orig.__cause__ if error.orig is not None else None
    return problem_of(cause) if isinstance(cause, Exception) else None


_METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")


def _allowed(request: Request) -> str:
    """Every method this address serves; the framework names those of the first route that has the path only."""
    asked = ({**request.scope, "method": method} for method in _METHODS)
    routes = request.app.router.routes
    return ", ".join(scope["method"] for scope in asked if any(r.matches(scope)[0] is Match.FULL for r in routes))


async def answer(request: Request, error: Exception) -> Response:
    """Exception handler of every service."""
    problem = problem_of(error)
    if problem is not None and problem.kind is errors.METHOD_NOT_ALLOWED:
        problem.headers = {**problem.headers, "Allow": _allowed(request)}
    if problem is not None and problem.kind in (errors.UNAUTHENTICATED, errors.FORBIDDEN):
        _log_denial(request, problem.kind)
    if problem is None:
        logger.error("unhandled %s on %s", type(error).__name__, _address(request), exc_info=error)
        problem = Problem(errors.INTERNAL)
    elif problem.kind.status >= 500:
        logger.warning("%s: %s", problem.kind.code, type(error).__name__)
    return problem_response(request, problem)


def _log_denial(request: Request, kind: ProblemKind) -> None:
    """Who was denied what (ASVS 16.3.2): the route and not the address, a key's id and never what was shown as one."""
    route = getattr(request.scope.get("route"), "path", "none")
    caller = getattr(request.state, "caller", None)
    by = "nobody we know" if caller is None else caller.key_id
    logger.info("denied, %s: %s %s by %s", kind.code, request.method, route, by)


def install(app: FastAPI, kinds: Sequence[ProblemKind]) -> None:
    """Handlers for every exception, and a page for every code."""
    for exception in (Problem, RequestValidationError, HTTPException, DBAPIError, *_INPUT_FAULTS, *CONTENDED, *AWAY):
        app.add_exception_handler(exception, answer)
    app.add_exception_handler(Exception, answer)
    known = {kind.code: kind for kind in kinds}

    @app.get("/problems/{code}", include_in_schema=False)
    async def explain_problem(code: str) -> HTMLResponse:
        kind = known.get(code)
        if kind is None:
            raise Problem(errors.NOT_FOUND)
        return HTMLResponse(_page(kind))


def _page(kind: ProblemKind) -> str:
    return (
        f"<!doctype html><html lang='zh-CN'><meta charset='utf-8'><title>{kind.code}</title>"
        "<style>body{font:16px/1.6 sans-serif;max-width:42rem;margin:3rem auto;padding:0 1rem}</style>"
        f"<h1>{kind.title.zh}</h1><p>{kind.meaning.zh}</p><h2>{kind.title.en}</h2><p>{kind.meaning.en}</p>"
        f"<p><code>{kind.code}</code> · HTTP {kind.status}</p></html>"
    )

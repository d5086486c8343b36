"""Errors as RFC 9457 problem details: stable codes, two languages, never the submitted values.

A service raises ``Problem``; the app factory turns it into ``application/problem+json`` and serves one page a
code at ``/problems/{code}`` (interfaces.md, "Errors").
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pydantic import BaseModel, ConfigDict, Field
from pydantic_core import PydanticCustomError

from shared.faults import Fault as Fault
from shared.faults import Language as Language
from shared.faults import Text as Text
from shared.faults import fault as fault


@dataclass(frozen=True, slots=True)
class ProblemKind:
    """A kind of failure that callers may rely on: its code and status never change."""

    code: str
    status: int
    title: Text
    meaning: Text


@dataclass(slots=True)
class Problem(Exception):
    """Raised by services and rules; answered as problem details."""

    kind: ProblemKind
    detail: Text | None = None
    faults: Sequence[Fault] = ()
    headers: Mapping[str, str] = field(default_factory=dict)
    extensions: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        Exception.__init__(self, self.kind.code)

    def __str__(self) -> str:
        return f"{self.kind.code}: {', '.join(f'{f.pointer} {f.code}' for f in self.faults)}".rstrip(": ")


def unfit(code: str, en: str, zh: str) -> PydanticCustomError:
    """What a validator of a model raises; the caller reads it in the language asked for."""
    return PydanticCustomError(code, en, {"zh": zh})


class FaultBody(BaseModel):
    """One field's fault."""

    pointer: str = Field(description="JSON pointer into the body, or `query:name`, `header:name`, `path:name`.")
    code: str = Field(description="Stable code of the fault.")
    message: str = Field(description="What is wrong, in the language asked for.")


class ProblemBody(BaseModel):
    """RFC 9457 problem details 错误说明."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "type": "http://127.0.0.1:8102/problems/invalid_request",
                    "title": "请求内容不符合要求",
                    "status": 422,
                    "instance": "/v1/actions",
                    "code": "invalid_request",
                    "errors": [{"pointer": "/occurred_at", "code": "missing", "message": "必填"}],
                }
            ]
        }
    )

    type: str = Field(description="Address of a page that explains the code.")
    title: str = Field(description="The kind of problem, in the language asked for.")
    status: int = Field(description="The HTTP status.")
    code: str = Field(description="Stable code; new ones may be added.")
    detail: str | None = Field(default=None, description="What happened this time.")
    instance: str = Field(description="Path of the request; what may be an ID, mobile or card number in it is `***`.")
    errors: list[FaultBody] = Field(default=[], description="Faults by field.")


def kind(code: str, status: int, en: str, zh: str, meaning_en: str, meaning_zh: str) -> ProblemKind:
    return ProblemKind(code, status, Text(en, zh), Text(meaning_en, meaning_zh))


MALFORMED = kind(
    "malformed_request", 400, "The request cannot be read", "请求无法读取",
    "The body is not the JSON it says it is, a header or cursor is broken, or a name is repeated.",
    "请求体不是有效的 JSON,或请求头、游标有误,或字段重复。",
)  # fmt: skip
UNAUTHENTICATED = kind(
    "unauthenticated", 401, "A valid key is needed", "需要有效的密钥",
    "Send `Authorization: Bearer ...` with an API key or access token that is active and not expired.",
    "请在 Authorization 头中携带有效且未过期的密钥或访问令牌。",
)  # fmt: skip
FORBIDDEN = kind(
    "forbidden", 403, "The key may not do this", "密钥无此权限",
    "The key lacks the role this operation needs.", "密钥缺少该操作所需的角色。",
)  # fmt: skip
NOT_FOUND = kind(
    "not_found", 404, "Nothing here", "未找到",
    "There is no such thing, or it lies outside your divisions: the two look alike on purpose.",
    "对象不存在,或不在您的辖区内(两种情况的回答相同)。",
)  # fmt: skip
METHOD_NOT_ALLOWED = kind(
    "method_not_allowed", 405, "This method is not served here", "不支持该方法",
    "See the Allow header for the methods of this address.", "可用方法见 Allow 头。",
)  # fmt: skip
TIMEOUT = kind(
    "request_timeout", 408, "The request took too long to arrive", "请求发送超时",
    "The body stalled; send it again.", "请求体传输停滞,请重新发送。",
)  # fmt: skip
CONFLICT = kind(
    "conflict", 409, "It collides with what is there", "与现有数据冲突",
    "Another record holds this name or number, or the same request is still running.",
    "该名称或编号已被占用,或相同请求仍在处理。",
)  # fmt: skip
PRECONDITION_FAILED = kind(
    "precondition_failed", 412, "It has changed since you read it", "数据已被他人修改",
    "Your If-Match names an older version. Read it again, then decide again.",
    "If-Match 的版本已过期,请重新读取后再提交。",
)  # fmt: skip
TOO_LARGE = kind(
    "too_large", 413, "The request is too large", "请求过大",
    "Send less at a time.", "请分批发送。",
)  # fmt: skip
UNSUPPORTED = kind(
    "unsupported_media_type", 415, "This kind of body is not read", "不支持的内容类型",
    "Send application/json in UTF-8, not compressed (application/jsonl for bulk).",
    "请使用未压缩的 UTF-8 application/json(批量为 application/jsonl)。",
)  # fmt: skip
RANGE = kind(
    "range_not_satisfiable",
    416,
    "Ranges are not served",
    "不支持分段读取",
    "Ask for the whole.",
    "请读取全部内容。",
)
INVALID = kind(
    "invalid_request", 422, "The content does not meet the rules", "请求内容不符合要求",
    "Each entry of `errors` names a field, a stable code and the rule.",
    "`errors` 逐项列出字段、代码和原因。",
)  # fmt: skip
PRECONDITION_REQUIRED = kind(
    "precondition_required", 428, "Say which version you change", "需要 If-Match",
    "Changes need `If-Match` with the ETag you read.", "修改须携带读取时的 ETag(If-Match)。",
)  # fmt: skip
TOO_MANY = kind(
    "too_many_requests",
    429,
    "Too many requests",
    "请求过多",
    "Wait as Retry-After says.",
    "请按 Retry-After 稍后重试。",
)
HEADERS_TOO_LARGE = kind(
    "headers_too_large", 431, "The headers are too large", "请求头过大",
    "At most 100 headers and 32 KB together.", "请求头最多 100 个、共 32 KB。",
)  # fmt: skip
INTERNAL = kind(
    "internal_error", 500, "A fault of ours", "系统内部错误",
    "It has been logged with the trace id of the response; nothing was changed.",
    "已记录日志(见响应的 trace id),数据未改变。",
)  # fmt: skip
UNAVAILABLE = kind(
    "unavailable", 503, "A part we depend on is away", "依赖服务暂不可用",
    "Nothing was changed. Try again as Retry-After says.", "数据未改变,请按 Retry-After 稍后重试。",
)  # fmt: skip

SHARED_KINDS: tuple[ProblemKind, ...] = (
    MALFORMED, UNAUTHENTICATED, FORBIDDEN, NOT_FOUND, METHOD_NOT_ALLOWED, TIMEOUT, CONFLICT, PRECONDITION_FAILED,
    TOO_LARGE, UNSUPPORTED, RANGE, INVALID, PRECONDITION_REQUIRED, TOO_MANY, HEADERS_TOO_LARGE, INTERNAL, UNAVAILABLE,
)  # fmt: skip


def invalid(*faults: Fault) -> Problem:
    """422 with its field faults."""
    return Problem(INVALID, faults=faults)

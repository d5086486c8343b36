"""Reading ``multipart/form-data`` (RFC 7578): some fields and one file, held in memory within the limit of bodies."""

import re
from dataclasses import dataclass
from email.message import Message

from fastapi import Request

from shared import errors
from shared.errors import MALFORMED, Problem, Text, fault

MAX_FIELD = 64 * 1024
MAX_PARTS = 20
_FILE = "file"
"""What the form calls it."""
_BOUNDARY = re.compile(rb"[0-9A-Za-z'()+_,./:=? -]{1,70}")


@dataclass(frozen=True, slots=True)
class Upload:
    """The fields of a form, and its file."""

    fields: dict[str, str]
    file: memoryview


async def read_form(request: Request) -> Upload:
    """The form in a request. Raises 400 when it is broken, 415 for other media types, 422 without a file."""
    boundary = _boundary(request.headers.get("content-type", ""))
    body = memoryview(await request.body())
    fields: dict[str, str] = {}
    file: memoryview | None = None
    for name, content in _parts(body, boundary):
        if name in fields or (name == _FILE and file is not None):
            raise errors.invalid(fault("/?", "repeated", "given twice", "字段重复"))
        if name == _FILE:
            file = content
        else:
            fields[name] = _text(content)
    if file is None:
        raise errors.invalid(fault(f"/{_FILE}", "missing", "required", "必填"))
    return Upload(fields, file)


def _boundary(header: str) -> bytes:
    message = Message()
    message["content-type"] = header
    if message.get_content_type() != "multipart/form-data":
        raise Problem(errors.UNSUPPORTED, Text("send multipart/form-data", "请使用 multipart/form-data"))
    boundary = str(message.get_param("boundary", "")).encode("latin-1", "replace")
    if not _BOUNDARY.fullmatch(boundary):
        raise _broken()
    return boundary


def _broken() -> Problem:
    return Problem(MALFORMED, Text("the form is broken", "表单格式有误"))


def _parts(body: memoryview, boundary: bytes) -> list[tuple[str, memoryview]]:
    """Names and contents of the parts, without copying them."""
    raw: bytes = body.obj  # type: ignore[assignment]  # made of bytes above
    line = b"--" + boundary
    if not raw.startswith(line):
        raise _broken()
    found: list[tuple[str, memoryview]] = []
    place = len(line)
    while not raw.startswith(b"--", place):
        head_end = raw.find(b"\r\n\r\n", place, place + 8192)
        end = raw.find(b"\r\n" + line, head_end + 2)
        if not raw.startswith(b"\r\n", place) or head_end < 0 or end < 0 or len(found) >= MAX_PARTS:
            raise _broken()
        found.append((_name(raw[place + 2 : head_end]), body[head_end + 4 : end]))
        place = end + 2 + len(line)
    return found


def _name(head: bytes) -> str:
    for line in head.split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name.strip().lower() == b"content-disposition":
            message = Message()
            message["content-disposition"] = value.decode("utf-8", "replace").strip()
            found = message.get_param("name", header="content-disposition")
            if isinstance(found, str) and found:
                return found
    raise _broken()


def _text(content: memoryview) -> str:
    if len(content) > MAX_FIELD:
        raise Problem(errors.TOO_LARGE)
    try:
        text = bytes(content).decode("utf-8")
    except UnicodeDecodeError as error:
        raise _broken() from error
    if "\x00" in text:
        raise _broken()
    return text

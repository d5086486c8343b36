"""Limits that uvicorn does not set: header size, Host, body size and pace, encodings (reliability.md 3, 17-28)."""

import asyncio
import re
from collections.abc import Callable

from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from shared import errors
from shared.errors import Problem, ProblemKind
from shared.http.problems import RETRY_AFTER, problem_response

MAX_HEADERS = 100
MAX_HEADER_BYTES = 32 * 1024
MAX_JSON_BYTES = 1024 * 1024
BODY_PAUSE_SECONDS = 10
_HOST = re.compile(rb"(?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?")


class Limits:
    """Pure ASGI middleware; answers with problem details before the application sees anything."""

    def __init__(self, app: ASGIApp, *, bulk_bytes: int, draining: Callable[[], bool]) -> None:
        """``draining``: writes answer 503 because the service is about to stop and lets its backlog run out."""
        self.app = app
        self.bulk_bytes = bulk_bytes
        self.draining = draining

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers: list[tuple[bytes, bytes]] = scope["headers"]
        limit = self.bulk_bytes if _is_bulk(headers) else MAX_JSON_BYTES
        refused = _refusal(headers, limit)
        if refused is not None:
            problem = Problem(refused, headers={"Connection": "close"})
            await problem_response(Request(scope), problem)(scope, receive, send)
            return
        if self.draining() and scope["method"] not in ("GET", "HEAD"):
            problem = Problem(errors.UNAVAILABLE, headers=RETRY_AFTER)
            await problem_response(Request(scope), problem)(scope, receive, send)
            return
        await self.app(scope, _Paced(receive, limit), send)


class _Paced:
    """Receives the body, refusing one that grows past the limit or stalls."""

    def __init__(self, receive: Receive, limit: int) -> None:
        self.receive = receive
        self.left = limit
        self.complete = False

    async def __call__(self) -> Message:
        if self.complete:
            return await self.receive()
        try:
            async with asyncio.timeout(BODY_PAUSE_SECONDS):
                message = await self.receive()
        except TimeoutError as error:
            raise Problem(errors.TIMEOUT, headers={"Connection": "close"}) from error
        if message["type"] == "http.request":
            self.left -= len(message.get("body", b""))
            if self.left < 0:
                raise Problem(errors.TOO_LARGE, headers={"Connection": "close"})
            self.complete = not message.get("more_body", False)
        return message


def _is_bulk(headers: list[tuple[bytes, bytes]]) -> bool:
    return any(name == b"content-type" and not value.startswith(b"application/json;") and value != b"application/json"
               for name, value in headers)  # fmt: skip


def _refusal(headers: list[tuple[bytes, bytes]], limit: int) -> ProblemKind | None:
    if len(headers) > MAX_HEADERS or sum(len(name) + len(value) for name, value in headers) > MAX_HEADER_BYTES:
        return errors.HEADERS_TOO_LARGE
    hosts = 0
    for name, value in headers:
        if name == b"host":
            hosts += 1
            if not _HOST.fullmatch(value):
                return errors.MALFORMED
        elif name == b"content-length" and int(value) > limit:
            return errors.TOO_LARGE
        elif name == b"content-encoding" and value.lower() != b"identity":
            return errors.UNSUPPORTED
        elif name == b"range":
            return errors.RANGE
    return None if hosts == 1 else errors.MALFORMED

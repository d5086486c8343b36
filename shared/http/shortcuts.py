"""A shorter way to the hottest routes: FastAPI's routing and resolution cost as much as the work does (performance.md).

Such a route stays an ordinary one, from which the documents are made, and which answers whatever is out of the
ordinary. A shortcut answers the plain requests before FastAPI looks at them.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from fastapi import Request, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from shared.http.problems import answer

Handle = Callable[[Request], Awaitable[Response | None]]
"""Answers a plain request; None leaves it to FastAPI. Problems become answers as everywhere."""


class Shortcut(Protocol):
    """Knows which requests it may answer."""

    path: str
    """The template of its route, by which it is counted."""

    def find(self, scope: Scope) -> Handle | None:
        """How to answer a request, if it is one of its own."""
        ...


@dataclass(frozen=True, slots=True)
class _Route:
    """What telemetry looks for in the scope."""

    path: str


class Shortcuts:
    """Pure ASGI middleware, the innermost."""

    def __init__(self, app: ASGIApp, *, shortcuts: Sequence[Shortcut]) -> None:
        self.app = app
        self.shortcuts = [(each.find, _Route(each.path)) for each in shortcuts]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            for find, route in self.shortcuts:
                handle = find(scope)
                if handle is not None:
                    request = Request(scope, receive)
                    response = await self._response(handle, request)
                    if response is not None:
                        scope["route"] = route
                        await response(scope, receive, send)
                        return
                    receive = _again(request)
        await self.app(scope, receive, send)

    async def _response(self, handle: Handle, request: Request) -> Response | None:
        try:
            return await handle(request)
        except Exception as error:
            return await answer(request, error)


def _again(request: Request) -> Receive:
    """The body once more, if it was read."""
    body: bytes | None = getattr(request, "_body", None)

    async def receive() -> Message:
        nonlocal body
        if body is None:
            return await request.receive()
        message = {"type": "http.request", "body": body, "more_body": False}
        body = None
        return message

    return receive

"""The shortcut to live tables and notices: an address that was answered before is answered without looking at it again.

A live table is in memory; FastAPI spends several times what the answer costs on taking the same address apart and
validating it (performance.md, B6). The caller is authenticated every time.
"""

from collections import OrderedDict
from collections.abc import Awaitable, Callable

from fastapi import Request, Response
from starlette.types import Scope

from shared.auth import Caller, authenticate, bearer
from shared.http.shortcuts import Handle

_KEPT = 1000
Again = Callable[[Request, Caller], Awaitable[Response]]
"""Answers one address for a caller."""


class Remembered:
    """How the addresses of one route that were answered lately are answered."""

    def __init__(self, path: str) -> None:
        self.path = path
        self._answers: OrderedDict[tuple[str, bytes], Handle] = OrderedDict()

    def remember(self, request: Request, again: Again) -> None:
        """Said by the route's handler: requests of this very address can be answered so."""

        async def handle(request: Request) -> Response:
            return await again(request, await authenticate(request, await bearer(request)))

        self._answers[_address(request.scope)] = handle
        if len(self._answers) > _KEPT:
            self._answers.popitem(last=False)

    def find(self, scope: Scope) -> Handle | None:
        """How to answer an address that is known."""
        return self._answers.get(_address(scope)) if scope["method"] == "GET" else None


def _address(scope: Scope) -> tuple[str, bytes]:
    return scope["path"], scope["query_string"]

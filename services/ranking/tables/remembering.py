"""Answers again, without solving dependencies again, what was asked before.

A live table is in memory; FastAPI spends several times what the answer costs on taking the same address apart and
validating it (performance.md, B6). So a route remembers how an address that it answered is answered. The caller
is authenticated every time.
"""

from collections import OrderedDict
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from fastapi import Request, Response

from shared.auth import Caller, authenticate, bearer
from shared.http.body import StrictRoute

_KEPT = 1000
Again = Callable[[Request, Caller], Awaitable[Response]]
"""Answers one address for a caller."""


def remember(request: Request, again: Again) -> None:
    """Said by a handler: requests of this very address can be answered so."""
    request.state.again = again


class RememberingRoute(StrictRoute):
    """A route whose handlers may ``remember``."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """The strict handler, asked only for addresses that are new."""
        handle = super().get_route_handler()
        remembered: OrderedDict[tuple[str, bytes], Again] = OrderedDict()

        async def answer(request: Request) -> Response:
            address = (request.scope["path"], request.scope["query_string"])
            again = remembered.get(address)
            if again is not None:
                return await again(request, await authenticate(request, await bearer(request)))
            response = await handle(request)
            if hasattr(request.state, "again"):
                remembered[address] = request.state.again
                if len(remembered) > _KEPT:
                    remembered.popitem(last=False)
            return response

        return answer

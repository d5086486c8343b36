"""A shorter way to the hottest route: FastAPI's resolution of its arguments costs as much as the database does.

The route keeps its signature, from which the documents are made. Only requests with nothing out of the ordinary go
the short way; all others, and so every refusal, go FastAPI's (performance.md, B1).
"""

from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import Request, Response
from pydantic import ValidationError

from services.assistance.actions.schemas import ActionIn
from services.assistance.context import RECORDING_ROLES
from shared.auth import Caller
from shared.errors import Problem
from shared.http.body import StrictRoute, parse_json
from shared.http.idempotency import idempotency_key

Handler = Callable[[Request], Coroutine[Any, Any, Response]]


class DirectRoute(StrictRoute):
    """The route of an endpoint that takes content, caller, key and assistance, as ``record_action`` does."""

    def get_route_handler(self) -> Handler:
        ordinary = super().get_route_handler()
        endpoint = self.endpoint

        async def direct(request: Request) -> Response:
            arguments = await _arguments(request)
            if arguments is None:
                return await ordinary(request)
            response: Response = await endpoint(**arguments)
            return response

        return direct


async def _arguments(request: Request) -> dict[str, Any] | None:
    """The endpoint's arguments; None when anything is unusual or wrong."""
    if request.scope["query_string"] or request.headers.get("content-type") != "application/json":
        return None
    caller = await _caller(request)
    if caller is None:
        return None
    request.state.caller = caller
    raw = await request.body()  # not below: what is wrong with the way it arrives is the answer
    try:
        content = ActionIn.model_validate(parse_json(raw))
        key = await idempotency_key(request, request.headers.get("idempotency-key"))
    except (Problem, ValidationError):
        return None
    return {"content": content, "caller": caller, "key": key, "assistance": request.app.state.assistance}


async def _caller(request: Request) -> Caller | None:
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme != "Bearer":
        return None
    for authenticator in request.app.state.authenticators:
        caller: Caller | None = await authenticator.caller(token)
        if caller is not None:
            return caller if any(caller.may(role) for role in RECORDING_ROLES) else None
    return None

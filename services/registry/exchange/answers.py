"""Acknowledgements and errors as DCI words them, and the route that turns every failure into one."""

import logging
from collections.abc import Callable, Coroutine
from datetime import datetime
from typing import Any

from fastapi import Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.responses import JSONResponse

from services.registry.exchange.faults import Refused, Rejected
from shared.contracts.base import rfc3339
from shared.errors import Problem
from shared.http.body import StrictRoute
from shared.http.problems import faults_of, problem_of
from shared.ids import uuid7

logger = logging.getLogger("bangfu.registry.exchange")


def declined(now: datetime, correlation_id: str, error: Rejected) -> dict[str, Any]:
    """The acknowledgement NACK of a message whose header is rejected; the header's code begins its text."""
    code = "err.version.not_supported" if error.code == "rjct.version.invalid" else "err.request.bad"
    return acknowledgement("NACK", now, correlation_id, code, f"{error.code}: {error.message}")


def acknowledgement(
    status: str, now: datetime, correlation_id: str | None = None, code: str | None = None, message: str = ""
) -> dict[str, Any]:
    """The body of an acknowledgement 回执: ACK taken, NACK rejected, ERR not understood."""
    body: dict[str, Any] = {
        "ack_status": status,
        "timestamp": rfc3339(now),
        "correlation_id": correlation_id or str(uuid7()),
    }
    if code is not None:
        body["error"] = {"code": code, "message": message}
    return {"message": body}


class ExchangeRoute(StrictRoute):
    """A route whose failures are DCI's own rather than problem details."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def answered(request: Request) -> Response:
            try:
                return await handle(request)
            except Exception as error:
                refused = _refused(error)
            now: datetime = request.app.state.exchange.now()
            headers = dict(refused.headers)
            if refused.status in (401, 403) or refused.status >= 500:
                headers |= {"WWW-Authenticate": "Bearer"} if refused.status == 401 else {}
                body: dict[str, Any] = {"errors": [{"code": refused.code, "message": refused.message}]}
                return JSONResponse(body, refused.status, headers)
            body = acknowledgement("ERR", now, None, refused.code, refused.message)
            return JSONResponse(body, refused.status, headers)

        return answered


def _refused(error: Exception) -> Refused:
    if isinstance(error, Refused):
        return error
    if isinstance(error, RequestValidationError):
        found = faults_of(error.errors())
        first = f"{found[0].pointer}: {found[0].message.en}" if found else "not valid"
        return Refused(422, "err.request.bad", first[:999])
    problem: Problem | None = problem_of(error)
    if problem is None:
        logger.error("unhandled %s in the DCI interface", type(error).__name__, exc_info=error)
        return Refused(500, "err.service.unavailable", "a fault of ours")
    if problem.kind.status >= 500:
        return Refused(503, "err.service.unavailable", problem.kind.title.en, problem.headers)
    return Refused(problem.kind.status, "err.request.bad", _told(problem), problem.headers)


def _told(problem: Problem) -> str:
    """What is wrong, as exactly as the problem knows it."""
    if problem.detail is not None:
        return problem.detail.en
    if problem.faults:
        return f"{problem.faults[0].pointer}: {problem.faults[0].message.en}".removeprefix(": ")[:999]
    return problem.kind.title.en

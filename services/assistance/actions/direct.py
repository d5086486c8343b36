"""The shortcut to recording an action: requests with nothing out of the ordinary (performance.md, B1)."""

from fastapi import Request, Response
from pydantic import ValidationError
from starlette.types import Scope

from services.assistance.actions.api import created
from services.assistance.actions.recording import Recording
from services.assistance.actions.recording import Request as RecordingRequest
from services.assistance.actions.schemas import ActionIn
from services.assistance.context import RECORDING_ROLES
from shared.auth import Caller
from shared.errors import Problem
from shared.http.body import parse_json
from shared.http.idempotency import idempotency_key
from shared.http.shortcuts import Handle


class RecordAction:
    """Answers ``POST /v1/actions``; all refusals of what was sent are FastAPI's."""

    path = "/v1/actions"

    def __init__(self, recording: Recording) -> None:
        self._recording = recording

    def find(self, scope: Scope) -> Handle | None:
        """Any query asks for something unusual: a dry run, say."""
        plain = scope["path"] == self.path and scope["method"] == "POST" and not scope["query_string"]
        return self._record if plain else None

    async def _record(self, request: Request) -> Response | None:
        asked = await _asked(request)
        return None if asked is None else created(await self._recording.record(asked, dry_run=False))


async def _asked(request: Request) -> RecordingRequest | None:
    """What the request asks for; None when anything is unusual or wrong."""
    if request.headers.get("content-type") != "application/json":
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
    return RecordingRequest(content, caller, key)


async def _caller(request: Request) -> Caller | None:
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme != "Bearer":
        return None
    for authenticator in request.app.state.authenticators:
        caller: Caller | None = await authenticator.caller(token)
        if caller is not None:
            return caller if any(caller.may(role) for role in RECORDING_ROLES) else None
    return None

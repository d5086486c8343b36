"""Routes of single actions."""

from typing import Annotated

from fastapi import Depends, Query, Response

from services.assistance.actions import recording
from services.assistance.actions.recording import Answer
from services.assistance.actions.schemas import ActionIn, ActionOut
from services.assistance.context import AssistanceDep, Recorder
from shared.app import CONFLICT_RESPONSE, router
from shared.http.idempotency import IdempotencyKey, idempotency_key

routes = router("actions")
Key = Annotated[IdempotencyKey, Depends(idempotency_key)]
DryRun = Annotated[bool, Query(description="Check only; nothing is written 仅校验.")]


@routes.post(
    "/actions",
    operation_id="record_action",
    summary="Record an aid action 登记帮扶行动",
    status_code=201,
    response_model=ActionOut,
    responses={
        200: {"model": ActionOut, "description": "There already, or a dry run 已存在或仅校验"},
        **CONFLICT_RESPONSE,
    },
)
async def record_action(
    content: ActionIn, caller: Recorder, key: Key, assistance: AssistanceDep, dry_run: DryRun = False
) -> Response:
    """Record an action; it counts for the village responsible for the household on the day it happened.

    A second request with the same `(source_system, external_id)` answers 200 with the first action when it says
    the same, 409 otherwise. A household registered a moment ago is awaited for two seconds.
    """
    answer = await recording.record(assistance, content, caller, key=key, dry_run=dry_run)
    response = respond(answer, 201 if answer.created or answer.replayed else 200)
    if not dry_run:
        response.headers["Location"] = f"/v1/actions/{answer.action_id}"
    return response


def respond(answer: Answer, status: int = 200) -> Response:
    """A version as the ledger holds it, with its ETag."""
    headers = {"ETag": f'"{answer.version}"'}
    if answer.replayed:
        headers["Idempotency-Replayed"] = "true"
    return Response(answer.body, status, headers, media_type="application/json")

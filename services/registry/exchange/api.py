"""The eleven addresses of the DCI interface."""

from collections.abc import Awaitable, Callable
from typing import Any
from uuid import UUID

from fastapi import APIRouter
from fastapi.types import DecoratedCallable
from pydantic import BaseModel
from starlette.responses import JSONResponse

from services.registry.commands import attempted, command
from services.registry.exchange import auditing, lookups, searching, subscriptions, tasks, transactions
from services.registry.exchange.answers import ExchangeRoute, acknowledgement, declined
from services.registry.exchange.envelope import (
    Acknowledgement,
    AnswerEnvelope,
    CallbackEnvelope,
    CallbackHeader,
    ErrorBody,
    Header,
    SearchEnvelope,
    SearchMessage,
    StatusEnvelope,
    SubscribeEnvelope,
    UnsubscribeEnvelope,
)
from services.registry.exchange.faults import Refused, Rejected
from services.registry.exchange.gateway import ExchangeDep, Sender, take
from services.registry.exchange.parties import Party
from services.registry.exchange.service import Exchange
from shared import errors
from shared.db import Pg
from shared.ids import uuid7

_RESPONSES: dict[int | str, dict[str, Any]] = {
    **{status: {"model": Acknowledgement, "description": description} for status, description in (
        (400, "Not JSON, or no envelope; ERR 无法读取"),
        (413, "Larger than 1 MB; ERR, or a problem where `Content-Length` says so 过大"),
        (415, "Not application/json, multipart included; ERR 类型不支持"),
        (422, "Not of the shape DCI gives it, encrypted, or for another receiver; ERR 内容不符合要求"),
        (429, "The look-up quota is used up, see Retry-After; ERR 查询额度已用完"),
    )},
    **{status: {"model": ErrorBody, "description": description} for status, description in (
        (401, "No valid token or signature 未认证"),
        (403, "The party is blocked 无权限"),
        (500, "A fault of ours 系统内部错误"),
        (503, "A dependency is away 依赖服务暂不可用"),
    )},
}  # fmt: skip
routes = APIRouter(prefix="/registry", tags=["exchange"], route_class=ExchangeRoute, responses=_RESPONSES)
Answer = tuple[dict[str, Any], list[dict[str, Any]]]
Work = Callable[[Pg, UUID], Awaitable[Answer]]


async def _answered(
    exchange: Exchange,
    party: Party,
    header: Header,
    actions: tuple[str, str],
    count: int | None,
    work: Work,
    rejected: Callable[[UUID, str], Answer],
) -> JSONResponse:
    """A signed answer; the header says why a message was rejected as a whole."""
    request_id = uuid7()
    why: dict[str, Any] = {}

    async def attempt() -> Answer:
        async with command(exchange.registry.runtime) as pg:
            await take(pg, exchange, party, header, actions[0], count)
            return await work(pg, request_id)

    try:
        message, outcomes = await attempted(attempt)
    except Refused as error:
        await _note_denial(exchange, party, error)
        raise
    except Rejected as error:
        message, outcomes = rejected(request_id, error.message)
        why = {"status_reason_code": error.code, "status_reason_message": error.message}
    answer = exchange.header(actions[1], party.body.sender_id, outcomes)
    return JSONResponse(exchange.signed({**answer, **why}, message))


async def _acknowledged(
    exchange: Exchange,
    party: Party,
    header: Header | CallbackHeader,
    action: str,
    count: int | None,
    work: Callable[[Pg, UUID], Awaitable[None]],
) -> JSONResponse:
    """ACK once the message and what is to become of it are in the database, NACK where its header is rejected."""
    request_id = uuid7()

    async def attempt() -> None:
        async with command(exchange.registry.runtime) as pg:
            await take(pg, exchange, party, header, action, count)
            await work(pg, request_id)

    try:
        await attempted(attempt)
    except Refused as error:
        await _note_denial(exchange, party, error)
        raise
    except Rejected as error:
        return JSONResponse(declined(exchange.now(), str(request_id), error))
    exchange.awake.set()
    return JSONResponse(acknowledgement("ACK", exchange.now(), str(request_id)), 202)


async def _note_denial(exchange: Exchange, party: Party, error: Refused) -> None:
    if error.code == lookups.EXHAUSTED:
        async with command(exchange.registry.runtime) as pg:
            await auditing.note(
                pg, exchange, party, "persons.look_up_denied", str(uuid7()), outcome=errors.TOO_MANY.code
            )


def _consents(message: SearchMessage) -> list[Any]:
    criteria = [item.search_criteria for item in message.search_request]
    return [{"consent": each.consent, "authorize": each.authorize} for each in criteria]


def _queries(message: SearchMessage) -> list[tuple[str, Any]]:
    return [(item.search_criteria.query_type, item.search_criteria.query) for item in message.search_request]


def _references(message: SearchMessage) -> list[str]:
    return [item.reference_id for item in message.search_request]


def _operation(
    path: str, operation_id: str, summary: str, model: type[BaseModel], status: int = 202
) -> Callable[[DecoratedCallable], DecoratedCallable]:
    return routes.post(
        path,
        operation_id=operation_id,
        summary=summary,
        response_model=model,
        status_code=status,
        responses={200: {"model": Acknowledgement, "description": "Not taken; NACK 未受理"}} if status == 202 else {},
    )


@_operation("/sync/search", "dci_sync_search", "Search, answered at once 同步查询", AnswerEnvelope, 200)
async def sync_search(body: SearchEnvelope, party: Sender, exchange: ExchangeDep) -> JSONResponse:
    """Every request of the batch is answered by itself, with its own status; names come masked. A message whose header
    is rejected is answered all the same: the header says why. One that is not read gets an acknowledgement ERR."""

    async def work(pg: Pg, request_id: UUID) -> Answer:
        await lookups.take(pg, exchange, party, _queries(body.message))
        message, outcomes = await searching.answer(pg, exchange, party, body.message, request_id)
        await transactions.note(
            pg, exchange, party, request_id, "search", body.message.transaction_id,
            reference_ids=_references(body.message), consents=_consents(body.message), outcomes=outcomes,
        )  # fmt: skip
        return message, outcomes

    def rejected(request_id: UUID, reason: str) -> Answer:
        return searching.rejected(exchange, body.message, request_id, reason)

    count = len(body.message.search_request)
    return await _answered(exchange, party, body.header, ("search", "on-search"), count, work, rejected)


@_operation("/search", "dci_search", "Search, answered by callback 异步查询", Acknowledgement)
async def search(body: SearchEnvelope, party: Sender, exchange: ExchangeDep) -> JSONResponse:
    """Acknowledged; the answer is posted, signed, to `sender_uri` or `{callback_uri}/on-search`.

    A callback has to be answered with 2xx within ten seconds, and not with an acknowledgement ERR, else it is made
    again under the same `message_id`: after 10 and 30 seconds, 2 and 10 minutes, 1, 4 and 12 hours, and twice after a
    day. Then it is given up.
    """

    async def work(pg: Pg, request_id: UUID) -> None:
        await transactions.note(
            pg, exchange, party, request_id, "search", body.message.transaction_id,
            reference_ids=_references(body.message), consents=_consents(body.message), answered=False,
        )  # fmt: skip
        await lookups.take(pg, exchange, party, _queries(body.message))
        content = body.message.model_dump(mode="json")
        await tasks.add(
            pg, exchange, party, "on-search", content, callback=body.header.sender_uri, request_id=request_id
        )

    return await _acknowledged(exchange, party, body.header, "search", len(body.message.search_request), work)


async def _call_back(
    pg: Pg, exchange: Exchange, party: Party, header: Header, action: str, answer: Answer, request_id: UUID | None
) -> None:
    content = {"message": answer[0], "outcomes": answer[1]}
    await tasks.add(pg, exchange, party, action, content, callback=header.sender_uri, request_id=request_id)


@_operation("/subscribe", "dci_subscribe", "Subscribe to events 订阅", Acknowledgement)
async def subscribe(body: SubscribeEnvelope, party: Sender, exchange: ExchangeDep) -> JSONResponse:
    """Codes come with `on-subscribe`, and are told by `/registry/sync/txn/status` again. Notifications go to
    `{callback_uri}/notify`, as it is registered by then, as things happen: `start_time` and `end_time` are honoured,
    the cron frequency is not. They are tried as long as other callbacks (`/registry/search`): who was away for longer
    searches for `last_updated`."""

    async def work(pg: Pg, request_id: UUID) -> None:
        items = body.message.subscribe_request
        filters = [(each.subscribe_criteria.filter_type, each.subscribe_criteria.filter) for each in items]
        await lookups.take(pg, exchange, party, filters)
        answer = await subscriptions.subscribe(pg, exchange, party, body.message, request_id)
        await transactions.note(
            pg, exchange, party, request_id, "subscribe", body.message.transaction_id,
            reference_ids=[item.reference_id for item in items],
            subscription_codes=[made["code"] for one in answer[1] for made in one.get("subscriptions", [])],
            consents=[{"authorize": item.subscribe_criteria.authorize} for item in items], outcomes=answer[1],
        )  # fmt: skip
        await _call_back(pg, exchange, party, body.header, "on-subscribe", answer, request_id)

    return await _acknowledged(exchange, party, body.header, "subscribe", len(body.message.subscribe_request), work)


@_operation("/unsubscribe", "dci_unsubscribe", "End subscriptions 退订", Acknowledgement)
async def unsubscribe(body: UnsubscribeEnvelope, party: Sender, exchange: ExchangeDep) -> JSONResponse:
    """All of the subscriptions named end, or none."""

    async def work(pg: Pg, request_id: UUID) -> None:
        answer = await subscriptions.unsubscribe(pg, exchange, party, body.message, request_id)
        await transactions.note(
            pg, exchange, party, request_id, "unsubscribe", body.message.transaction_id,
            subscription_codes=body.message.subscription_codes, outcomes=answer[1],
        )  # fmt: skip
        await _call_back(pg, exchange, party, body.header, "on-unsubscribe", answer, request_id)

    return await _acknowledged(exchange, party, body.header, "unsubscribe", None, work)


@_operation("/sync/txn/status", "dci_sync_status", "How a request went, at once 同步办理状态", AnswerEnvelope, 200)
async def sync_status(body: StatusEnvelope, party: Sender, exchange: ExchangeDep) -> JSONResponse:
    """By transaction, reference ids, correlation or subscription codes; statuses, not the records found."""

    async def work(pg: Pg, request_id: UUID) -> Answer:
        return await transactions.status(pg, exchange, party, body.message, request_id)

    def rejected(request_id: UUID, reason: str) -> Answer:
        return transactions.rejected(exchange, body.message, request_id, reason)

    return await _answered(exchange, party, body.header, ("txn-status", "txn-on-status"), None, work, rejected)


@_operation("/txn/status", "dci_status", "How a request went, by callback 异步办理状态", Acknowledgement)
async def status(body: StatusEnvelope, party: Sender, exchange: ExchangeDep) -> JSONResponse:
    """Acknowledged; the answer is posted to `sender_uri` or `{callback_uri}/txn/on-status`."""

    async def work(pg: Pg, request_id: UUID) -> None:
        answer = await transactions.status(pg, exchange, party, body.message, request_id)
        await _call_back(pg, exchange, party, body.header, "txn-on-status", answer, None)

    return await _acknowledged(exchange, party, body.header, "txn-status", None, work)


def _receive(path: str, action: str, summary: str) -> None:
    """An address for what other registries send us: checked, logged, acknowledged; its content is not kept."""

    @_operation(path, f"dci_receive_{action.replace('-', '_')}", summary, Acknowledgement)
    async def received(body: CallbackEnvelope, party: Sender, exchange: ExchangeDep) -> JSONResponse:
        """Checked, logged and acknowledged. This registry asks nobody, so the content is not kept."""

        async def work(pg: Pg, request_id: UUID) -> None:
            await transactions.note(pg, exchange, party, request_id, action, body.message.transaction_id)

        return await _acknowledged(exchange, party, body.header, action, None, work)


_receive("/on-search", "on-search", "Receive a search's answer 接收查询结果")
_receive("/on-subscribe", "on-subscribe", "Receive a subscription's answer 接收订阅结果")
_receive("/on-unsubscribe", "on-unsubscribe", "Receive an unsubscription's answer 接收退订结果")
_receive("/notify", "notify", "Receive a notification 接收通知")
_receive("/txn/on-status", "txn-on-status", "Receive a status 接收办理状态")

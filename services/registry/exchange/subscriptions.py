"""Subscriptions 订阅: made, ended, and what each has to be told."""

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any, cast, get_args
from uuid import UUID

from services.registry.exchange import changes
from services.registry.exchange.criteria import Entity, SubscribeCriteria
from services.registry.exchange.envelope import (
    SubscribeItem,
    SubscribeMessage,
    UnsubscribeMessage,
)
from services.registry.exchange.faults import Rejected
from services.registry.exchange.parties import Party
from services.registry.exchange.queries import Condition, Every, read_query
from services.registry.exchange.records import REG_TYPE
from services.registry.exchange.searching import check_criteria, plain, purpose_of
from services.registry.exchange.service import Exchange
from services.registry.identity import Vault
from shared.contracts.base import rfc3339
from shared.db import Pg
from shared.ids import uuid7

SEALED = "exchange_filter"
"""What the vault knows sealed filters by."""
_ENTITIES = get_args(Entity)
_END_WHAT_IS_OVER = """
UPDATE exchange_subscription SET ended_at = ends_at
WHERE party_id = $1 AND content = $2 AND ended_at IS NULL AND ends_at <= $3"""
"""Who subscribed until a time may subscribe again after it."""
_HELD = "SELECT code FROM exchange_subscription WHERE party_id = $1 AND content = $2 AND ended_at IS NULL"
_RUNNING = """
SELECT code FROM exchange_subscription
WHERE code = ANY($1::uuid[]) AND ended_at IS NULL AND (ends_at IS NULL OR ends_at > $2)"""


def condition_of(vault: Vault, code: UUID, sealed: bytes) -> Condition:
    """The filter of a stored subscription."""
    stored = json.loads(vault.open(sealed, SEALED, code))
    return _filter(stored["type"], stored["filter"])


def _filter(filter_type: str, query: Any) -> Condition:
    """An empty filter lets everything through."""
    return Every(()) if query in ({}, []) else read_query(filter_type, query)


async def subscribe(
    pg: Pg, exchange: Exchange, party: Party, message: SubscribeMessage, request_id: UUID
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The message that answers, and its responses, each with the code of its subscription."""
    seen: set[str] = set()
    responses = []
    for item in message.subscribe_request:
        response: dict[str, Any] = {"reference_id": item.reference_id, "timestamp": rfc3339(exchange.now())}
        try:
            if item.reference_id in seen:
                raise Rejected("rjct.reference_id.duplicate", "another request of the message has this reference_id")
            response |= {"status": "succ", "subscriptions": [await _begin(pg, exchange, party, item)]}
        except Rejected as error:
            reason = {"status_reason_code": error.code, "status_reason_message": error.message}
            response |= {"status": "rjct", **reason}
        seen.add(item.reference_id)
        responses.append(response)
    whole = {
        "transaction_id": message.transaction_id,
        "correlation_id": str(request_id),
        "subscribe_response": responses,
    }
    return whole, responses


async def _begin(pg: Pg, exchange: Exchange, party: Party, item: SubscribeItem) -> dict[str, Any]:
    criteria, now = item.subscribe_criteria, exchange.now()
    if (item.timestamp - now).total_seconds() > 300:
        raise Rejected("rjct.timestamp.invalid", "the timestamp lies in the future")
    event, entity = _kinds(party, criteria)
    start = (criteria.frequency.start_time if criteria.frequency else None) or now
    end = criteria.frequency.end_time if criteria.frequency else None
    if end is not None and (end <= now or end <= start):
        raise Rejected("rjct.notify_details.invalid", "the subscription would be over before it begins")
    code, vault = uuid7(), exchange.registry.vault
    stored = json.dumps({"type": criteria.filter_type, "filter": criteria.filter}, sort_keys=True, ensure_ascii=False)
    content = vault.index(f"{event} {entity} {stored}", "content")
    await pg.execute(_END_WHAT_IS_OVER, party.id, content, now)
    # callback is empty: notices go where the party is called back when they are made, as it is registered then
    made = await pg.fetchval(
        "INSERT INTO exchange_subscription (code, party_id, event_type, record_type, filter, content, "
        "callback, starts_at, ends_at, created_at) VALUES ($1, $2, $3, $4, $5, $6, '', $7, $8, $9) "
        "ON CONFLICT DO NOTHING RETURNING true",
        code, party.id, event, entity, vault.seal(stored, SEALED, code), content, start, end, now,
    )  # fmt: skip
    if not made:
        held = await pg.fetchval(_HELD, party.id, content)
        raise Rejected("rjct.event.already_subscribed", f"the same is subscribed to already, by the code {held}")
    return {
        "code": str(code), "status": "subscribe", "timestamp": rfc3339(now), "reg_type": REG_TYPE,
        "reg_event_type": event, "notify_record_type": entity,
    }  # fmt: skip


async def as_they_stand(pg: Pg, told: Sequence[dict[str, Any]], now: datetime) -> list[dict[str, Any]]:
    """Subscriptions as they were told when they were made, with their status of today."""
    running = {str(row["code"]) for row in await pg.fetch(_RUNNING, [UUID(each["code"]) for each in told], now)}
    return [{**each, "status": "subscribe" if each["code"] in running else "unsubscribe"} for each in told]


def _kinds(party: Party, criteria: SubscribeCriteria) -> tuple[str, Entity]:
    """Event and record types, plain or as ``ns:…:TYPE``."""
    event, entity = plain(criteria.reg_event_type), plain(criteria.notify_record_type)
    if event not in changes.EVENTS:
        raise Rejected("rjct.notify_types.invalid", f"events are {', '.join(changes.EVENTS)}")
    if entity not in _ENTITIES:
        raise Rejected("rjct.notify_details.invalid", f"record types are {', '.join(_ENTITIES)}")
    try:
        check_criteria(criteria)
        if criteria.frequency is not None and criteria.frequency.says_more():
            raise Rejected("rjct.notify_details.invalid", "here are read only start_time, end_time, frequency")
        purpose_of(party, criteria.authorize)
        _filter(criteria.filter_type, criteria.filter)
    except Rejected as error:
        raise Rejected("rjct.notify_details.invalid", error.message) from error
    return event, cast(Entity, entity)


async def unsubscribe(
    pg: Pg, exchange: Exchange, party: Party, message: UnsubscribeMessage, request_id: UUID
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The message that answers, and its one outcome: all named subscriptions end, or none does."""
    outcome: dict[str, Any] = {"timestamp": rfc3339(exchange.now())}
    try:
        async with pg.transaction():
            for code in message.subscription_codes:
                await _end(pg, exchange, party, code)
        ended = [{"code": code, "status": "unsubscribe"} for code in message.subscription_codes]
        outcome |= {"status": "succ", "subscription_status": ended}
    except Rejected as error:
        outcome |= {"status": "rjct", "status_reason_code": error.code, "status_reason_message": error.message}
    return {"transaction_id": message.transaction_id, "correlation_id": str(request_id), **outcome}, [outcome]


async def _end(pg: Pg, exchange: Exchange, party: Party, code: str) -> None:
    row = await pg.fetchrow(
        "UPDATE exchange_subscription SET ended_at = coalesce(ended_at, $3) WHERE code::text = $1 AND party_id = $2 "
        "RETURNING old.ended_at",
        code.lower(),
        party.id,
        exchange.now(),
    )
    if row is None:
        raise Rejected("rjct.subscription_code.invalid", "no such subscription of this party")
    if row["ended_at"] is not None:
        raise Rejected("rjct.event.already_unsubscribed", "the subscription has ended before")

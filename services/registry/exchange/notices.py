"""Notifications 通知: which subscribers a change concerns, and what they are told."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from services.registry.exchange import auditing, records, subscriptions
from services.registry.exchange.faults import Rejected
from services.registry.exchange.parties import Party, find
from services.registry.exchange.queries import Every
from services.registry.exchange.searching import read_records
from services.registry.exchange.service import VERSION, Exchange
from services.registry.exchange.statements import Statement
from shared.contracts.base import rfc3339
from shared.db import Pg

logger = logging.getLogger("bangfu.registry.exchange")
_AT_ONCE = 500
_EVENTS_A_MESSAGE = 100
_TAKE = """
DELETE FROM exchange_change WHERE pos IN (
    SELECT pos FROM exchange_change ORDER BY pos LIMIT $1 FOR UPDATE SKIP LOCKED
) RETURNING event_type, household_id, person_ids"""
_SUBSCRIPTIONS = """
SELECT s.* FROM exchange_subscription s JOIN exchange_party p ON p.id = s.party_id
WHERE p.status = 'active' AND s.ended_at IS NULL AND s.starts_at <= $1 AND (s.ends_at IS NULL OR s.ends_at > $1)
AND s.event_type = ANY($2) ORDER BY s.code"""


@dataclass(frozen=True, slots=True)
class Due:
    """How many changes were taken from the queue, and the notices they make: to whom, what."""

    changes: int
    notices: Sequence[tuple[Party, dict[str, Any]]]


async def due(pg: Pg, exchange: Exchange) -> Due:
    """Take changes from the queue; in the transaction that writes the notices down."""
    taken = await pg.fetch(_TAKE, _AT_ONCE)
    if not taken:
        return Due(0, [])
    kinds = sorted({row["event_type"] for row in taken})
    notices: list[tuple[Party, dict[str, Any]]] = []
    for subscription in await pg.fetch(_SUBSCRIPTIONS, exchange.now(), kinds):
        party = await find(pg, subscription["party_id"])
        if party is None:
            continue
        try:
            ids = await _concerned(pg, exchange, party, subscription, taken)
        except Rejected:  # a release before read more
            logger.error("the filter of subscription %s is not read any more", subscription["code"])
            continue
        for first in range(0, len(ids), _EVENTS_A_MESSAGE):
            content = {
                "code": str(subscription["code"]),
                "entity": subscription["record_type"],
                "event": subscription["event_type"],
                "ids": [str(identifier) for identifier in ids[first : first + _EVENTS_A_MESSAGE]],
            }
            notices.append((party, content))
    return Due(len(taken), notices)


async def _concerned(
    pg: Pg, exchange: Exchange, party: Party, subscription: Any, taken: Sequence[Any]
) -> Sequence[UUID]:
    """The households or persons that the filter lets through, within the party's divisions."""
    of_kind = [row for row in taken if row["event_type"] == subscription["event_type"]]
    if subscription["record_type"] == "Group":
        ids = {row["household_id"] for row in of_kind}
    else:
        ids = {person_id for row in of_kind for person_id in row["person_ids"]}
    vault = exchange.registry.vault
    condition = subscriptions.condition_of(vault, subscription["code"], subscription["filter"])
    statement = Statement(subscription["record_type"], vault, party.body.divisions)
    sql = statement.among(condition, sorted(ids))
    return [row["id"] for row in await pg.fetch(sql, *statement.arguments)]


async def composed(
    pg: Pg, exchange: Exchange, party: Party, content: dict[str, Any]
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The message of a notice as the register stands now, and one outcome an event for the header.

    In a transaction: the audit log learns of whom it tells, at every attempt to deliver it. Records that have left
    the party's divisions since are left out.
    """
    entity = content["entity"]
    statement = Statement(entity, exchange.registry.vault, party.body.divisions)
    sql = statement.among(Every(()), [UUID(identifier) for identifier in content["ids"]])
    ids = [row["id"] for row in await pg.fetch(sql, *statement.arguments)]
    await auditing.note_told(pg, exchange, party, entity, ids, operation="notified")
    now = rfc3339(exchange.now())
    events = [
        {
            "reference_id": content["code"],
            "timestamp": now,
            "data": {
                "version": VERSION,
                "reg_type": records.REG_TYPE,
                "reg_event_type": content["event"],
                "reg_record_type": entity,
                "reg_records": [record],
            },
        }
        for record in await read_records(pg, exchange, entity, ids)
    ]
    return {"transaction_id": content["code"], "notify_event": events}, [{"status": "succ"} for _ in events]

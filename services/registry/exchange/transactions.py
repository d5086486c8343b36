"""What was asked for and how it went: the log of consents and purposes, and ``txn/status`` out of it."""

import json
from collections.abc import Sequence
from typing import Any
from uuid import UUID

from services.registry.exchange import auditing
from services.registry.exchange.envelope import StatusMessage
from services.registry.exchange.parties import Party
from services.registry.exchange.service import Exchange
from services.registry.exchange.subscriptions import as_they_stand
from shared.contracts.base import rfc3339
from shared.db import Pg

_FIND = {
    "transaction_id": "transaction_id = ANY($3)",
    "correlation_id": "id::text = ANY($3)",
    "reference_id_list": "reference_ids && $3",
    "subscription_code_list": "subscription_codes && $3",
}
CONSENTS = "exchange_consents"
"""What the vault knows the sealed consents by."""


async def note(
    pg: Pg,
    exchange: Exchange,
    party: Party,
    request_id: UUID,
    action: str,
    transaction_id: str,
    *,
    reference_ids: Sequence[str] = (),
    subscription_codes: Sequence[str] = (),
    consents: Sequence[Any] = (),
    outcomes: Sequence[dict[str, Any]] = (),
    answered: bool = True,
) -> None:
    """Write a request to the log, and to the audit log; in the transaction that took it."""
    now = exchange.now()
    stated = exchange.registry.vault.seal(json.dumps(list(consents), ensure_ascii=False), CONSENTS, request_id)
    await pg.execute(
        "INSERT INTO exchange_request (id, party_id, action, transaction_id, reference_ids, subscription_codes, "
        "consents, outcomes, received_at, answered_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
        request_id, party.id, action, transaction_id, list(reference_ids), list(subscription_codes),
        stated, json.dumps([_bare(o) for o in outcomes]), now,
        now if answered else None,
    )  # fmt: skip
    await auditing.note_request(pg, exchange, party, request_id, action)


async def complete(pg: Pg, exchange: Exchange, request_id: UUID, outcomes: Sequence[dict[str, Any]]) -> None:
    """A request that was acknowledged has been answered."""
    await pg.execute(
        "UPDATE exchange_request SET outcomes = $2, answered_at = $3 WHERE id = $1",
        request_id,
        json.dumps([_bare(outcome) for outcome in outcomes]),
        exchange.now(),
    )


async def give_up(pg: Pg, exchange: Exchange, request_id: UUID) -> None:
    """A request that was acknowledged will not be answered any more: nothing of it is pending."""
    row = await pg.fetchrow("SELECT * FROM exchange_request WHERE id = $1 AND answered_at IS NULL", request_id)
    if row is not None:
        reason = {"status": "rjct", "status_reason_message": "it could not be answered; ask again"}
        await complete(pg, exchange, request_id, [{**each, **reason} for each in _outcomes(row)])


def _bare(outcome: dict[str, Any]) -> dict[str, Any]:
    """How a request went, without the records it was answered with."""
    return {name: value for name, value in outcome.items() if name != "data"}


async def status(
    pg: Pg, exchange: Exchange, party: Party, message: StatusMessage, request_id: UUID
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The answer to a status request about the party's own requests, and its outcomes for the header."""
    asked = message.txnstatus_request
    action = _action(message)
    values = asked.attribute_value if isinstance(asked.attribute_value, list) else [asked.attribute_value]
    rows = await pg.fetch(
        f"SELECT * FROM exchange_request WHERE party_id = $1 AND action = $2 AND {_FIND[asked.attribute_type]} "
        "ORDER BY id DESC LIMIT 100",
        party.id,
        action,
        values,
    )
    found = [outcome for row in rows for outcome in _outcomes(row)]
    if asked.attribute_type == "reference_id_list":
        found = [outcome for outcome in found if outcome.get("reference_id") in values]
    for outcome in found:
        if "subscriptions" in outcome:
            outcome["subscriptions"] = await as_they_stand(pg, outcome["subscriptions"], exchange.now())
    if not found:
        found = [_rejection(exchange, message, "no such request of this party", "rjct.reference_id.invalid")]
    transaction_id = rows[0]["transaction_id"] if rows else message.transaction_id
    return _answer(message, request_id, transaction_id, rows[0]["id"] if rows else request_id, found), found


def rejected(
    exchange: Exchange, message: StatusMessage, request_id: UUID, reason: str
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The same to a status request that was not taken. The code is in the header."""
    found = [_rejection(exchange, message, reason)]
    return _answer(message, request_id, message.transaction_id, request_id, found), found


def _action(message: StatusMessage) -> str:
    kind = message.txnstatus_request.txn_type
    return "subscribe" if kind == "subscibe" else kind


def _rejection(exchange: Exchange, message: StatusMessage, reason: str, code: str | None = None) -> dict[str, Any]:
    outcome: dict[str, Any] = {
        "reference_id": message.txnstatus_request.reference_id,
        "timestamp": rfc3339(exchange.now()),
        "status": "rjct",
        "status_reason_message": reason,
    }
    return outcome if code is None else {**outcome, "status_reason_code": code}


def _answer(
    message: StatusMessage, request_id: UUID, transaction_id: str, correlation_id: UUID, found: list[dict[str, Any]]
) -> dict[str, Any]:
    """``transaction_id`` and ``correlation_id`` are those of the request that was asked about."""
    action = _action(message)
    state: dict[str, Any] = {"transaction_id": transaction_id, "correlation_id": str(correlation_id)}
    state |= found[0] if action == "unsubscribe" else {f"{action}_response": found}
    return {
        "transaction_id": message.transaction_id,
        "correlation_id": str(request_id),
        "txnstatus_response": {"txn_type": f"on-{action}", "txn_status": state},
    }


def _outcomes(row: Any) -> list[dict[str, Any]]:
    if row["answered_at"] is not None:
        outcomes: list[dict[str, Any]] = json.loads(row["outcomes"])
        return outcomes
    received = rfc3339(row["received_at"])
    return [{"reference_id": name, "timestamp": received, "status": "pdng"} for name in row["reference_ids"]]

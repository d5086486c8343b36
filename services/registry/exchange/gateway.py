"""Who sends a message, and whether it is taken: token, signature, header, replay."""

from typing import Annotated, Any

from fastapi import Depends, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from services.registry.exchange import parties, signature, tokens
from services.registry.exchange.callbacks import below
from services.registry.exchange.envelope import MOST_REQUESTS, CallbackHeader, Header
from services.registry.exchange.faults import Refused, Rejected
from services.registry.exchange.parties import Party
from services.registry.exchange.service import VERSION, Exchange
from shared.db import Pg

OLDEST_SECONDS = 24 * 3600
FUTURE_SECONDS = 300
_SPELLINGS = {
    "subscibe": "subscribe",
    "on-subscibe": "on-subscribe",
    "status": "txn-status",
    "on-status": "txn-on-status",
}
"""Spellings of actions seen in the specification and its samples."""

_bearer = HTTPBearer(
    auto_error=False, scheme_name="dci_token", description="JWT of `/oauth2/client/token`, valid for 15 minutes."
)


async def _exchange(request: Request) -> Exchange:
    exchange: Exchange = request.app.state.exchange
    return exchange


ExchangeDep = Annotated[Exchange, Depends(_exchange)]


async def _sender(
    request: Request,
    exchange: ExchangeDep,
    credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)],
) -> Party:
    """The party that a message's token and signature stand for. Raises ``Refused``."""
    party = await _bearer_of(exchange, credentials)
    if not await request.body():
        raise Refused(400, "err.request.bad", "an envelope has signature, header and message")
    envelope: Any = await request.json()
    header = envelope.get("header") if isinstance(envelope, dict) else None
    if not isinstance(header, dict):
        raise Refused(400, "err.request.bad", "an envelope has signature, header and message")
    if header.get("sender_id", party.body.sender_id) != party.body.sender_id:
        raise Refused(401, "err.sender_id.invalid", "the token is another sender's")
    _check_signature(exchange, party, envelope)
    message = envelope.get("message")
    if isinstance(message, dict) and "ciphertext" in message:  # its form is none of those that are read
        raise Refused(422, "err.encryption.invalid", "encrypted messages are not read")
    return party


Sender = Annotated[Party, Depends(_sender)]


async def _bearer_of(exchange: Exchange, credentials: HTTPAuthorizationCredentials | None) -> Party:
    party_id = (
        None
        if credentials is None
        else tokens.party_of(exchange.key, exchange.name, credentials.credentials, exchange.now())
    )
    if party_id is None:
        raise Refused(401, "err.request.unauthorized", "a valid token is needed")
    async with exchange.registry.runtime.database.driver() as pg:
        party = await parties.find(pg, party_id)
    if party is None or party.body.status != "active":
        raise Refused(403, "err.request.forbidden", "the party is blocked")
    return party


def _check_signature(exchange: Exchange, party: Party, envelope: dict[str, Any]) -> None:
    text = envelope.get("signature")
    if not party.body.public_keys:
        return
    if not isinstance(text, str) or not text:
        raise Refused(401, "err.signature.missing", "this party signs what it sends")
    keys = [key.loaded() for key in party.body.public_keys]
    try:
        signature.verify(
            text, party.body.sender_id, keys, exchange.now(), envelope.get("header"), envelope.get("message")
        )
    except signature.NotValidError as error:
        raise Refused(401, "err.signature.invalid", str(error)) from error


async def take(
    pg: Pg, exchange: Exchange, party: Party, header: Header | CallbackHeader, action: str, count: int | None
) -> None:
    """Take a message, once. Raises ``Rejected`` with the header's code, or ``Refused``; nothing is remembered then.

    ``count``: how many requests it holds, where its kind can hold several.
    """
    if header.version != VERSION:
        raise Rejected("rjct.version.invalid", f"version {VERSION} is spoken here")
    if _SPELLINGS.get(header.action, header.action) != action:
        raise Rejected("rjct.action.invalid", f"the action of this address is {action}")
    age = (exchange.now() - header.message_ts).total_seconds()
    if not -FUTURE_SECONDS <= age <= OLDEST_SECONDS:
        raise Rejected("rjct.message_ts.invalid", "message_ts lies in the future or is older than a day")
    if header.receiver_id is not None and not exchange.is_called(header.receiver_id):
        reason = "receiver_id is not this registry: its sender_id, or the host of it"
        raise Refused(422, "err.receiver_id.invalid", reason)
    if isinstance(header, Header):
        _check_request(header, party, count)
    taken = await pg.fetchval(
        "INSERT INTO exchange_message (party_id, message_id, received_at) VALUES ($1, $2, $3) "
        "ON CONFLICT DO NOTHING RETURNING true",
        party.id,
        header.message_id,
        exchange.now(),
    )
    if not taken:
        raise Rejected("rjct.message_id.duplicate", "a message of this id was taken before")


def _check_request(header: Header, party: Party, count: int | None) -> None:
    _check_count(header.total_count, count)
    if header.is_msg_encrypted:
        raise Refused(422, "err.encryption.invalid", "encrypted messages are not read")
    if header.sender_uri is not None and not below(header.sender_uri, party.body.callback_uri):
        raise Refused(422, "err.sender_uri.invalid", "sender_uri is not below the registered callback address")


def _check_count(total: int | str, count: int | None) -> None:
    if isinstance(total, str) and not (total.isascii() and total.isdigit()):
        raise Rejected("rjct.total_count.invalid", "total_count is a number")
    if int(total) > MOST_REQUESTS:
        raise Rejected("rjct.total_count.limit_exceeded", f"a message holds {MOST_REQUESTS} requests at most")
    if int(total) < 0 or (count is not None and int(total) != count):
        raise Rejected("rjct.total_count.invalid", "total_count is not the number of requests sent")

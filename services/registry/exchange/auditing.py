"""What the audit log learns of the exchange: parties and their tokens, what they ask, whom they are told of.

A party stands where a key stands otherwise. Consents are kept, sealed, with the request itself (``transactions``).
"""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from services.registry.audit import service as audit
from services.registry.audit.rules import Entry, digest_of
from services.registry.context import Registry, scopes, today
from services.registry.exchange.criteria import Entity
from services.registry.exchange.parties import Party
from services.registry.exchange.service import Exchange
from services.registry.households import reading
from shared.db import Pg

_ASKED = {"search": "searched", "subscribe": "subscribed", "unsubscribe": "unsubscribed"}
"""Of the actions of a party; whatever else it sends is received."""
_OBJECTS = {"Group": "household", "Member": "person"}


async def note_party(pg: Pg, registry: Registry, party: Party, verb: str, changed_by: UUID, now: datetime) -> None:
    """A party that was registered or changed, or given another secret, by a key."""
    tree = await registry.divisions.get(pg)
    entry = Entry(
        recorded_at=now,
        key_id=changed_by,
        operation=f"party.{verb}",
        object_id=str(party.id),
        version=party.version,
        divisions=scopes(tree, party.body.divisions, today(registry)),
        digest=digest_of([party.body.model_dump_json()]),
    )
    await audit.record(pg, [entry])


async def note(
    pg: Pg, exchange: Exchange, party: Party, operation: str, object_id: str, outcome: str | None = None
) -> None:
    """Something that a party did; in the transaction in which it does it."""
    tree = await exchange.registry.divisions.get(pg)
    entry = Entry(
        recorded_at=exchange.now(),
        key_id=party.id,
        operation=operation,
        object_id=object_id,
        outcome=outcome,
        divisions=scopes(tree, party.body.divisions, today(exchange.registry)),
    )
    await audit.record(pg, [entry])


async def note_request(pg: Pg, exchange: Exchange, party: Party, request_id: UUID, action: str) -> None:
    """A message of a party that is taken; named by its correlation id."""
    await note(pg, exchange, party, f"exchange.{_ASKED.get(action, 'received')}", str(request_id))


async def note_told(
    pg: Pg,
    exchange: Exchange,
    party: Party,
    entity: Entity,
    ids: Sequence[UUID],
    *,
    operation: str,
    purpose: str | None = None,
) -> None:
    """Whom a party is told of, each by itself, so that the admins of their divisions see it."""
    rows = await (reading.scopes_of if entity == "Group" else reading.scopes_of_members)(pg, ids)
    entries = [
        Entry(
            recorded_at=exchange.now(),
            key_id=party.id,
            operation=f"{_OBJECTS[entity]}.{operation}",
            object_id=str(row["id"]),
            purpose=purpose,
            divisions=tuple(row["scopes"]),
        )
        for row in rows
    ]
    await audit.record(pg, entries)

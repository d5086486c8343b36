"""Parties 交换方: the systems that may speak DCI with us."""

import hashlib
import hmac
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import asyncpg

from services.registry.context import Registry, foreign_divisions, today
from services.registry.exchange.schemas import PartyIn, PartyOut
from shared import errors
from shared.auth import Caller, new_secret
from shared.db import Pg
from shared.errors import Problem, Text
from shared.http.etag import check_version
from shared.ids import uuid7


@dataclass(frozen=True, slots=True)
class Party:
    """A registered party as it is now."""

    id: UUID
    version: int
    client_id: str
    body: PartyIn

    def shown(self) -> PartyOut:
        return PartyOut(id=self.id, version=self.version, client_id=self.client_id, **dict(self.body))


def _party(row: Any) -> Party:
    return Party(row["id"], row["version"], row["client_id"], PartyIn.model_validate_json(row["body"]))


async def find(pg: Pg, party_id: UUID) -> Party | None:
    """A party by id."""
    row = await pg.fetchrow("SELECT * FROM exchange_party WHERE id = $1", party_id)
    return None if row is None else _party(row)


async def recognise(pg: Pg, client_id: str, secret: str) -> Party | None:
    """The active party whose client credentials these are."""
    row = await pg.fetchrow("SELECT * FROM exchange_party WHERE client_id = $1 AND status = 'active'", client_id)
    digest = hashlib.sha256(secret.encode("utf-8", "replace")).hexdigest()
    known = row is not None and hmac.compare_digest(row["secret_sha256"], digest)
    return _party(row) if known else None


async def add(pg: Pg, registry: Registry, caller: Caller, content: PartyIn) -> tuple[Party, str]:
    """A new party and its client secret. Raises 409 for a sender_id that is taken, 422 for foreign divisions."""
    await _check(pg, registry, caller, content)
    client_id, secret, digest = _credentials()
    party = Party(uuid7(), 1, client_id, content)
    with _sender_id_free():
        await pg.execute(
            "INSERT INTO exchange_party (id, version, sender_id, client_id, secret_sha256, body, divisions, status, "
            "recorded_at, changed_by) VALUES ($1, 1, $2, $3, $4, $5, $6, $7, $8, $9)",
            party.id, content.sender_id, client_id, digest,
            content.model_dump_json(), content.divisions, content.status, registry.runtime.clock.now(), caller.key_id,
        )  # fmt: skip
    return party, secret


async def replace(pg: Pg, registry: Registry, caller: Caller, party_id: UUID, expected: int, content: PartyIn) -> Party:
    """The party with new content; effective at once. Raises 404, 409, 412, 422."""
    old = await managed(pg, registry, caller, party_id, lock=True)
    check_version(old.version, expected)
    await _check(pg, registry, caller, content)
    with _sender_id_free():
        await pg.execute(
            "UPDATE exchange_party SET version = version + 1, sender_id = $2, body = $3, divisions = $4, "
            "status = $5, recorded_at = $6, changed_by = $7 WHERE id = $1",
            party_id, content.sender_id, content.model_dump_json(), content.divisions, content.status,
            registry.runtime.clock.now(), caller.key_id,
        )  # fmt: skip
    return Party(old.id, old.version + 1, old.client_id, content)


async def renew_secret(pg: Pg, registry: Registry, caller: Caller, party_id: UUID, expected: int) -> tuple[Party, str]:
    """The party with another client secret; the one before is worth nothing from now on. Raises 404, 412."""
    old = await managed(pg, registry, caller, party_id, lock=True)
    check_version(old.version, expected)
    _, secret, digest = _credentials()
    await pg.execute(
        "UPDATE exchange_party SET version = version + 1, secret_sha256 = $2, recorded_at = $3, changed_by = $4 "
        "WHERE id = $1",
        party_id, digest, registry.runtime.clock.now(), caller.key_id,
    )  # fmt: skip
    return Party(old.id, old.version + 1, old.client_id, old.body), secret


def _credentials() -> tuple[str, str, str]:
    """A client id, a secret, and the secret's digest."""
    client_id, plain, _ = new_secret()
    secret = plain.partition(".")[2]
    return client_id, secret, hashlib.sha256(secret.encode()).hexdigest()


@contextmanager
def _sender_id_free() -> Iterator[None]:
    """Raises 409 where the statement inside finds the name of another party; its transaction is over then."""
    try:
        yield
    except asyncpg.UniqueViolationError as error:
        raise Problem(errors.CONFLICT, Text("the sender_id is taken", "sender_id 已被占用")) from error


async def managed(pg: Pg, registry: Registry, caller: Caller, party_id: UUID, *, lock: bool = False) -> Party:
    """A party all of whose divisions are the caller's. Raises 404."""
    row = await pg.fetchrow(f"SELECT * FROM exchange_party WHERE id = $1 {'FOR UPDATE' if lock else ''}", party_id)
    tree = await registry.divisions.get(pg)
    if row is None or foreign_divisions(caller, tree, row["divisions"], today(registry)):
        raise Problem(errors.NOT_FOUND)
    return _party(row)


async def listed(pg: Pg, registry: Registry, caller: Caller, after: UUID | None) -> list[Party]:
    """Parties of the caller's divisions in order of registration, from after one. There are dozens."""
    rows = await pg.fetch("SELECT * FROM exchange_party WHERE id > $1 ORDER BY id", after or UUID(int=0))
    tree, day = await registry.divisions.get(pg), today(registry)
    return [_party(row) for row in rows if not foreign_divisions(caller, tree, row["divisions"], day)]


async def _check(pg: Pg, registry: Registry, caller: Caller, content: PartyIn) -> None:
    faults = foreign_divisions(caller, await registry.divisions.get(pg), content.divisions, today(registry))
    if faults:
        raise errors.invalid(*faults)

"""Use cases of keys."""

import hashlib
from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from shared import errors
from shared.auth import Caller
from shared.contracts.division import DivisionTree
from shared.contracts.key import KEY, KeyEvent, Role
from shared.db import Pg
from shared.errors import Problem, fault
from shared.http.etag import check_version
from shared.ids import uuid7
from shared.outbox import Event, emit
from shared.settings import Settings

BOOTSTRAP_NAME = "bootstrap"
_STORE = text(
    "INSERT INTO api_key (id, prefix, version, body) VALUES (:id, :prefix, :version, CAST(:body AS jsonb)) "
    "ON CONFLICT (id) DO UPDATE SET version = excluded.version, body = excluded.body"
)


async def seed_bootstrap(conn: AsyncConnection, settings: Settings, plain: str, city: str, now: datetime) -> None:
    """Make sure that the launcher's key exists; it may do everything but reveal identities."""
    prefix, _, secret = plain.partition(".")
    if not prefix or not secret:
        raise ValueError("BANGFU_BOOTSTRAP_KEY reads prefix.secret")
    if (await conn.execute(text("SELECT 1 FROM api_key WHERE prefix = :p"), {"p": prefix})).first() is not None:
        return
    roles: list[Role] = ["reader", "recorder", "reviewer", "drafter", "signer", "importer", "admin"]
    digest = hashlib.sha256(secret.encode()).hexdigest()
    key = KeyEvent(
        id=uuid7(), version=1, status="active", prefix=prefix, secret_sha256=digest, name=BOOTSTRAP_NAME,
        roles=roles, divisions=[city],
    )  # fmt: skip
    await store(conn, settings, key, "issued", now)


async def store(conn: AsyncConnection, settings: Settings, key: KeyEvent, verb: str, now: datetime) -> None:
    """Write a key and its event."""
    row = {"id": key.id, "prefix": key.prefix, "version": key.version, "body": key.model_dump_json()}
    await conn.execute(_STORE, row)
    await emit(conn, settings, [_event(key, verb, now)])


def check_grant(caller: Caller, roles: Sequence[Role], divisions: Sequence[str], tree: DivisionTree, day: Any) -> None:
    """A key gives away no more than its issuer holds. Raises 422."""
    if not all(caller.may(role) for role in roles):
        raise errors.invalid(fault("/roles", "role_not_held", "you do not hold all of these roles", "超出您的角色"))
    for position, code in enumerate(divisions):
        path = tree.path(code, day)
        if code not in caller.divisions and (path is None or not caller.reaches(path)):
            pointer = f"/divisions/{position}"
            raise errors.invalid(fault(pointer, "division_unknown", "no such division of yours", "不在您的辖区内"))


async def revoke(conn: AsyncConnection, settings: Settings, key_id: UUID, expected: int, now: datetime) -> KeyEvent:
    """End a key; it opens nothing anywhere within 30 seconds. Raises 404, 412."""
    found = (await conn.execute(text("SELECT body FROM api_key WHERE id = :id FOR UPDATE"), {"id": key_id})).first()
    if found is None:
        raise Problem(errors.NOT_FOUND)
    key = KeyEvent.model_validate(found.body, strict=False)
    check_version(key.version, expected)
    revoked = key.model_copy(update={"version": key.version + 1, "status": "revoked"})
    await store(conn, settings, revoked, "revoked", now)
    return revoked


async def listed(conn: AsyncConnection, after: UUID | None, limit: int) -> list[KeyEvent]:
    """Keys in order of issue."""
    statement = text("SELECT body FROM api_key WHERE id > :after ORDER BY id LIMIT :limit")
    rows = await conn.execute(statement, {"after": after or UUID(int=0), "limit": limit})
    return [KeyEvent.model_validate(row.body, strict=False) for row in rows]


async def republish(pg: Pg, now: datetime) -> list[Event]:
    rows = await pg.fetch("SELECT body::text FROM api_key ORDER BY id")
    return [_event(KeyEvent.model_validate_json(row["body"]), "changed", now) for row in rows]


def _event(key: KeyEvent, verb: str, now: datetime) -> Event:
    return Event(KEY, verb, str(key.id), key, now, version=key.version)

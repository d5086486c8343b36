"""Use cases of keys: issued and revoked here, known everywhere (architecture rule 10)."""

import hashlib
import hmac
import logging
from collections.abc import Iterable
from datetime import date, datetime
from uuid import UUID

from services.registry.audit import service as audit
from services.registry.audit.rules import Entry, digest_of
from services.registry.context import Registry, foreign_divisions, scopes, today
from services.registry.keys.schemas import KeyIn
from shared import errors, outbox
from shared.auth import Caller, new_secret, upsert_key
from shared.clock import local_day
from shared.contracts.division import DivisionTree
from shared.contracts.key import KEY, KeyEvent, Role
from shared.db import Pg
from shared.errors import Fault, Problem, fault
from shared.http.etag import check_version
from shared.ids import uuid7
from shared.outbox import Event
from shared.settings import Settings

logger = logging.getLogger("bangfu.registry.keys")
BOOTSTRAP_NAME = "bootstrap"
BOOTSTRAP_ROLES: list[Role] = ["reader", "recorder", "reviewer", "drafter", "signer", "importer", "admin"]
"""Everything but revealing identities, which no key holds by accident."""
_BOOTSTRAP_LOCK = 0x626F6F74


async def seed_bootstrap(pg: Pg, settings: Settings, plain: str, city: str, now: datetime) -> None:
    """Make sure that the launcher's key opens. A new secret under the same prefix replaces the old one.

    A revoked key stays revoked.
    """
    prefix, _, secret = plain.partition(".")
    await pg.execute("SELECT pg_advisory_xact_lock($1)", _BOOTSTRAP_LOCK)
    digest = hashlib.sha256(secret.encode()).hexdigest()
    body = await pg.fetchval("SELECT body::text FROM api_key WHERE prefix = $1", prefix)
    if body is None:
        key = KeyEvent(
            id=uuid7(), version=1, status="active", prefix=prefix, secret_sha256=digest, name=BOOTSTRAP_NAME,
            roles=BOOTSTRAP_ROLES, divisions=[city],
        )  # fmt: skip
        await _store(pg, settings, key, now, None, (city,))
        return
    known = KeyEvent.model_validate_json(body)
    if known.status == "revoked":
        logger.warning("the bootstrap key was revoked and stays so")
    elif known.name == BOOTSTRAP_NAME and not hmac.compare_digest(known.secret_sha256, digest):
        renewed = known.model_copy(update={"version": known.version + 1, "secret_sha256": digest})
        await _store(pg, settings, renewed, now, None, (city,))


async def issue(pg: Pg, registry: Registry, caller: Caller, content: KeyIn) -> tuple[KeyEvent, str]:
    """A new key and its plain text. Raises 422 where it would give away more than its issuer holds."""
    tree, end = await registry.divisions.get(pg), await _end_of(pg, caller)
    faults = list(_grant_faults(caller, content, tree, today(registry)))
    if end is not None and (content.expires_at is None or content.expires_at > end):
        faults.append(fault("/expires_at", "outlives_issuer", "outlasts your own key", "不得晚于您的密钥到期时间"))
    now = registry.runtime.clock.now()
    if content.expires_at is not None and content.expires_at <= now:
        faults.append(fault("/expires_at", "in_past", "lies in the past", "到期时间不得早于当前时间"))
    if faults:
        raise errors.invalid(*faults)
    return await _issued(pg, registry.runtime.settings, content, tree, now, caller.key_id)


async def issue_on_machine(
    pg: Pg, settings: Settings, content: KeyIn, tree: DivisionTree, now: datetime
) -> tuple[KeyEvent, str]:
    """A key that the operator issues on the machine, where the database is: with any role, reveal included.

    Raises ``UnknownDivisionError``.
    """
    for code in content.divisions:
        if tree.get(code) is None:
            raise UnknownDivisionError(code)
    return await _issued(pg, settings, content, tree, now, None)


class UnknownDivisionError(ValueError):
    """A division that is not there."""


async def _issued(
    pg: Pg, settings: Settings, content: KeyIn, tree: DivisionTree, now: datetime, issued_by: UUID | None
) -> tuple[KeyEvent, str]:
    prefix, plain, digest = new_secret()
    key = KeyEvent(id=uuid7(), version=1, status="active", prefix=prefix, secret_sha256=digest, **dict(content))
    await _store(pg, settings, key, now, issued_by, scopes(tree, key.divisions, local_day(now)))
    return key, plain


async def _end_of(pg: Pg, caller: Caller) -> datetime | None:
    """When the caller's key expires; None: never, or the caller came with a token.

    A token's end is minutes away and bounds nothing: its issuer gives the same person the next one.
    """
    body = await pg.fetchval("SELECT body::text FROM api_key WHERE id = $1", caller.key_id)
    return None if body is None else KeyEvent.model_validate_json(body).expires_at


def _grant_faults(caller: Caller, content: KeyIn, tree: DivisionTree, day: date) -> Iterable[Fault]:
    for position, role in enumerate(content.roles):
        if not caller.may(role):
            yield fault(f"/roles/{position}", "role_not_held", "you do not hold this role", "超出您的角色")
    yield from foreign_divisions(caller, tree, content.divisions, day)


async def revoke(pg: Pg, registry: Registry, caller: Caller, key_id: UUID, expected: int) -> KeyEvent:
    """End a key of the caller's divisions; it opens nothing anywhere within 30 seconds. Raises 404, 412."""
    body = await pg.fetchval("SELECT body::text FROM api_key WHERE id = $1 FOR UPDATE", key_id)
    key = None if body is None else KeyEvent.model_validate_json(body)
    tree, day = await registry.divisions.get(pg), today(registry)
    if key is None or not _manages(caller, key, tree, day):
        raise Problem(errors.NOT_FOUND)
    check_version(key.version, expected)
    if key.status == "revoked":
        return key
    revoked = key.model_copy(update={"version": key.version + 1, "status": "revoked"})
    now, divisions = registry.runtime.clock.now(), scopes(tree, key.divisions, day)
    await _store(pg, registry.runtime.settings, revoked, now, caller.key_id, divisions)
    return revoked


async def listed(pg: Pg, registry: Registry, caller: Caller, after: UUID | None) -> list[KeyEvent]:
    """The keys of the caller's divisions in order of issue, from after one. There are hundreds, not millions."""
    rows = await pg.fetch("SELECT body::text FROM api_key WHERE id > $1 ORDER BY id", after or UUID(int=0))
    keys = [KeyEvent.model_validate_json(row["body"]) for row in rows]
    tree, day = await registry.divisions.get(pg), today(registry)
    return [key for key in keys if _manages(caller, key, tree, day)]


def _manages(caller: Caller, key: KeyEvent, tree: DivisionTree, day: date) -> bool:
    """A key is managed by whoever could have issued it, as far as divisions go."""
    return not foreign_divisions(caller, tree, key.divisions, day)


async def find(pg: Pg, key_id: UUID) -> KeyEvent:
    """A key that is known to be there."""
    return KeyEvent.model_validate_json(await pg.fetchval("SELECT body::text FROM api_key WHERE id = $1", key_id))


async def republish(pg: Pg, settings: Settings, now: datetime) -> int:
    """Write every key's present state to the outbox; returns how many."""
    rows = await pg.fetch("SELECT body::text FROM api_key ORDER BY id")
    events = [_event(KeyEvent.model_validate_json(row["body"]), now) for row in rows]
    await outbox.write(pg, outbox.rows(settings, events))
    return len(events)


async def _store(
    pg: Pg, settings: Settings, key: KeyEvent, now: datetime, changed_by: UUID | None, divisions: tuple[str, ...]
) -> None:
    await upsert_key(pg, key)
    await pg.execute(
        "INSERT INTO key_version (id, version, status, recorded_at, changed_by) VALUES ($1, $2, $3, $4, $5)",
        key.id,
        key.version,
        key.status,
        now,
        changed_by,
    )
    event = _event(key, now)
    await outbox.write(pg, outbox.rows(settings, [event]))
    entry = Entry(
        recorded_at=now,
        key_id=changed_by,
        operation=f"key.{event.verb}",
        object_id=str(key.id),
        version=key.version,
        divisions=divisions,
        digest=digest_of([key.model_dump_json()]),
    )
    await audit.record(pg, [entry])


def _event(key: KeyEvent, now: datetime) -> Event:
    verb = "issued" if key.version == 1 else "revoked" if key.status == "revoked" else "changed"
    return Event(KEY, verb, str(key.id), key, now, version=key.version)

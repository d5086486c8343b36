"""``Idempotency-Key``: the same request twice has one effect (interfaces.md, "Idempotency").

A row holds the request's fingerprint and what it made (id and version), never the answer: the answer is rendered
again. The row is written in the command's transaction, so it exists exactly when the effect does; a second
request with the same key waits on the unique index until the first has ended.
"""

import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any
from uuid import UUID

from fastapi import Depends, Header, Request, Response
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from shared import errors
from shared.auth import Caller
from shared.errors import Problem, Text

KEPT_DAYS = 7
Fingerprint = Callable[[bytes], bytes]
"""How a service recognises a request. Where bodies hold ID numbers it takes a key: a plain digest could be guessed."""
_QUOTED = re.compile(r'"((?:[^"\\]|\\["\\])*)"')
_PRINTABLE = re.compile(r"[\x21-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?")

REUSED = errors.kind(
    "idempotency_key_reused", 422, "The key was used for another request", "幂等键已用于其他请求",
    "An Idempotency-Key names one request: its address, caller and body. Draw a new key for a new request.",
    "同一幂等键只能用于同一请求(地址、调用者、内容均相同),新请求请使用新键。",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Earlier:
    """What an earlier request with this key made."""

    resource_id: UUID
    version: int


@dataclass(frozen=True, slots=True)
class IdempotencyKey:
    """The key of this request, scoped to caller and route; ``value`` is None when the caller sent none."""

    value: str | None
    scope: str
    fingerprint: bytes

    async def claim(self, conn: AsyncConnection) -> Earlier | None:
        """Take the key in this transaction; what an earlier request made if it was taken.

        Raises 422 when the earlier request was another one.
        """
        if self.value is None:
            return None
        claimed = await conn.execute(_CLAIM, self._row())
        if claimed.first() is not None:
            return None
        row = (await conn.execute(_FIND, {"scope": self.scope, "key": self.value})).one()
        return self.match(bytes(row.fingerprint), row.resource_id, row.version)

    async def complete(self, conn: AsyncConnection, resource_id: UUID, version: int) -> None:
        """Say what this request made; in the transaction of ``claim``."""
        if self.value is not None:
            await conn.execute(
                _COMPLETE, {"scope": self.scope, "key": self.value, "id": resource_id, "version": version}
            )

    def match(self, fingerprint: bytes, resource_id: UUID, version: int) -> Earlier:
        """The earlier outcome, if its request had this fingerprint; raises 422 otherwise."""
        if fingerprint != self.fingerprint:
            raise Problem(REUSED)
        return Earlier(resource_id, version)

    def _row(self) -> dict[str, Any]:
        return {"scope": self.scope, "key": self.value, "fingerprint": self.fingerprint}


_CLAIM = text(
    "INSERT INTO idempotency (scope, key, fingerprint) VALUES (:scope, :key, :fingerprint) "
    "ON CONFLICT DO NOTHING RETURNING 1"
)
_FIND = text("SELECT fingerprint, resource_id, version FROM idempotency WHERE scope = :scope AND key = :key")
_COMPLETE = text("UPDATE idempotency SET resource_id = :id, version = :version WHERE scope = :scope AND key = :key")


async def idempotency_key(
    request: Request,
    idempotency_key: Annotated[
        str | None,
        Header(
            description=f"Names this request; repeating it has no further effect for {KEPT_DAYS} days. 幂等键",
            examples=['"8e03978e-40d5-43e8-bc93-6894a57f9324"'],
        ),
    ] = None,
) -> IdempotencyKey:
    """Dependency of every POST that creates; a route declares it after its caller, to whom the key belongs."""
    if idempotency_key is None:
        return IdempotencyKey(None, "", b"")
    caller: Caller = request.state.caller
    address = f"{request.method} {request.scope['path']}"
    asked = address.encode() + b"?" + request.scope["query_string"] + b"\n" + await request.body()
    fingerprint: Fingerprint = request.app.state.fingerprint
    return IdempotencyKey(parse_key(idempotency_key), f"{caller.key_id} {address}", fingerprint(asked))


Key = Annotated[IdempotencyKey, Depends(idempotency_key)]


def plain_fingerprint(asked: bytes) -> bytes:
    """SHA-256: enough where bodies hold nothing that could be guessed from it."""
    return hashlib.sha256(asked).digest()


def parse_key(header: str) -> str:
    """The key in the header: a quoted structured-field string, or bare. Raises 400 outside 1 to 255 characters."""
    quoted = _QUOTED.fullmatch(header.strip())
    key = re.sub(r"\\(.)", r"\1", quoted.group(1)) if quoted else header.strip()
    if not 1 <= len(key) <= 255 or not _PRINTABLE.fullmatch(key):
        raise Problem(
            errors.MALFORMED,
            Text("Idempotency-Key has 1 to 255 printable characters", "幂等键须为 1 至 255 个可见字符"),
        )
    return key


def mark_replayed(response: Response) -> None:
    response.headers["Idempotency-Replayed"] = "true"

"""Who calls: API keys with roles and division scope, owned by registry and mirrored by the others.

A key reads ``prefix.secret``; the secret has 256 bits and only its SHA-256 is stored. ``create_app`` makes a chain of
authenticators, the tokens of an OpenID Connect issuer among them (shared/oidc.py); the first that recognises a
credential decides.
"""

import hashlib
import hmac
import secrets
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Protocol
from uuid import UUID

from fastapi import Depends, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from shared import errors
from shared.clock import Clock
from shared.contracts.division import Path
from shared.contracts.key import KeyEvent, Role
from shared.db import Database
from shared.errors import Problem

CACHE_SECONDS = 5.0
"""How long a checked key is believed; revocation takes effect everywhere within 30 s (architecture rule 10)."""


@dataclass(frozen=True, slots=True)
class Caller:
    """An authenticated caller."""

    key_id: UUID
    """Of the API key, or of the person or service account that a token names; history and audit keep it."""
    name: str
    roles: frozenset[Role]
    divisions: tuple[str, ...]

    def may(self, role: Role) -> bool:
        return role in self.roles or ("admin" in self.roles and role != "identity:reveal")

    def reaches(self, path: Path) -> bool:
        """Whether a place lies within the caller's division scope 辖区."""
        return not set(self.divisions).isdisjoint(path.scopes())


class Authenticator(Protocol):
    """Recognises one kind of bearer token."""

    async def caller(self, token: str) -> Caller | None:
        """The caller a token stands for; None when it is not of this kind, or not valid.

        Raises ``Problem`` 503 when that cannot be found out at the moment.
        """
        ...


class ApiKeys:
    """Checks API keys against the ``api_key`` table of this service's database."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        self._cache: dict[str, _Cached] = {}

    async def caller(self, token: str) -> Caller | None:
        prefix, _, secret = token.partition(".")
        if not prefix or not secret or len(token) > 200:
            return None
        cached = self._cache.get(prefix)
        if cached is None or cached.expires <= time.monotonic():
            cached = await self._look_up(prefix)
        key = cached.key
        digest = hashlib.sha256(secret.encode()).hexdigest()
        if key is None or not hmac.compare_digest(digest, key.secret_sha256) or key.status != "active":
            return None
        if key.expires_at is not None and key.expires_at <= self._clock.now():
            return None
        return cached.caller

    async def _look_up(self, prefix: str) -> "_Cached":
        async with self._database.driver() as pg:
            body = await pg.fetchval("SELECT body::text FROM api_key WHERE prefix = $1", prefix)
        key = KeyEvent.model_validate_json(body) if body is not None else None
        if len(self._cache) > 10_000:  # unknown prefixes must not grow it without bound
            self._cache.clear()
        # An unknown key is looked up again next time: it may be on its way here.
        expires = time.monotonic() + (CACHE_SECONDS if key is not None else 0.2)
        caller = None if key is None else Caller(key.id, key.name, frozenset(key.roles), tuple(key.divisions))
        self._cache[prefix] = found = _Cached(expires, key, caller)
        return found


@dataclass(frozen=True, slots=True)
class _Cached:
    """A key as it was found, and whom it stands for if its secret is given."""

    expires: float
    key: KeyEvent | None
    caller: Caller | None


def new_secret() -> tuple[str, str, str]:
    """A new key: its prefix, its plain text (shown once) and the secret's SHA-256."""
    prefix, secret = "bf_" + secrets.token_hex(6), secrets.token_urlsafe(32)
    return prefix, f"{prefix}.{secret}", hashlib.sha256(secret.encode()).hexdigest()


bearer = HTTPBearer(
    auto_error=False,
    scheme_name="api_key",
    description="API key 密钥 `prefix.secret`, issued at registry's `/v1/keys`; `./bangfu status` shows the first one.",
)


async def authenticate(
    request: Request, credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(bearer)]
) -> Caller:
    """The caller of this request. Raises 401, 503."""
    if credentials is not None:
        chain: Sequence[Authenticator] = request.app.state.authenticators
        for authenticator in chain:
            caller = await authenticator.caller(credentials.credentials)
            if caller is not None:
                request.state.caller = caller
                return caller
    raise Problem(errors.UNAUTHENTICATED, headers={"WWW-Authenticate": "Bearer"})


AnyCaller = Annotated[Caller, Depends(authenticate)]


def requires(*roles: Role) -> Callable[[Caller], Awaitable[Caller]]:
    """A dependency that admits callers holding one of the roles (``admin`` holds all but reveal). Raises 403."""

    async def check(caller: AnyCaller) -> Caller:
        if not any(caller.may(role) for role in roles):
            raise Problem(errors.FORBIDDEN, extensions={"required_roles": list(roles)})
        return caller

    return check


async def upsert_key(pg: Any, key: KeyEvent) -> None:
    """Store a key if it is newer than what is there (mirror, and registry's own write)."""
    await pg.execute(
        "INSERT INTO api_key (id, prefix, version, body) VALUES ($1, $2, $3, $4) "
        "ON CONFLICT (id) DO UPDATE SET version = excluded.version, body = excluded.body "
        "WHERE api_key.version < excluded.version",
        key.id,
        key.prefix,
        key.version,
        key.model_dump_json(),
    )

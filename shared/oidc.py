"""Bearer tokens of an OpenID Connect issuer, beside API keys: JWTs signed by keys the issuer publishes.

The algorithms are pinned by setting; the key is found by ``kid`` among the issuer's own and nowhere else, so that
``jku``, ``jwk`` and ``x5u`` in a header mean nothing. Roles and divisions come from claims (README, "Keycloak").
"""

import logging
import re
import warnings
from collections.abc import Collection, Iterator, Mapping
from typing import Any, get_args
from uuid import NAMESPACE_URL, uuid5

from joserfc import jwt
from joserfc.errors import ClaimError, JoseError, SecurityWarning
from joserfc.jws import JWSRegistry, extract_compact
from joserfc.jwt import Claims, JWTClaimsRegistry

from shared import errors
from shared.auth import Caller
from shared.clock import Clock
from shared.contracts.key import Role
from shared.errors import Problem, Text
from shared.http.problems import RETRY_AFTER
from shared.jwks import IssuerAwayError, IssuerKeys
from shared.settings import Settings

logger = logging.getLogger("bangfu.oidc")
LEEWAY_SECONDS = 30
MAX_LENGTH = 16 * 1024
_TYPES = frozenset({"jwt", "at+jwt"})
"""``typ`` of access tokens (RFC 7519, RFC 9068); logout tokens and others are signed with the same keys."""
_ROLES: frozenset[Role] = frozenset(get_args(Role))
_DIVISION = re.compile(r"[0-9]{12}", re.ASCII)
_DOT = re.compile(r"(?<!\\)\.")


class RefusedTokenError(ValueError):
    """A token that is not an access token for us; the message says what is wrong without quoting it."""


class OidcTokens:
    """Checks JWTs; ``shared.auth.Authenticator``."""

    def __init__(self, settings: Settings, clock: Clock) -> None:
        """``settings.oidc_issuer`` and ``oidc_audience`` are given."""
        self._issuer = settings.oidc_issuer or ""
        self._audience = settings.oidc_audience or ""
        self._namespace = uuid5(NAMESPACE_URL, self._issuer)
        self._roles_claims = settings.oidc_roles_claims or _keycloak_roles(self._audience)
        self._divisions_claim = settings.oidc_divisions_claim
        self._clock = clock
        self._algorithms = settings.oidc_algorithms
        self._registry = JWSRegistry(algorithms=self._algorithms, strict_check_header=False)
        self._keys = IssuerKeys(self._issuer, settings.oidc_jwks_url)
        # joserfc warns of the name EdDSA each time; RFC 9864 renamed it, issuers use it still.
        warnings.filterwarnings("ignore", "EdDSA is deprecated", SecurityWarning)

    async def caller(self, token: str) -> Caller | None:
        """The person or service account a token stands for. Raises 503 while it cannot be checked."""
        if token.count(".") != 2 or len(token) > MAX_LENGTH:  # an API key has one dot
            return None
        try:
            return self._caller(await self._claims(token))
        except IssuerAwayError as error:
            detail = Text("the token issuer does not answer", "身份认证服务暂不可用")
            raise Problem(errors.UNAVAILABLE, detail, headers=RETRY_AFTER) from error
        except (JoseError, ValueError, RecursionError) as error:
            logger.info("a token was refused: %s", _reason(error))
            return None

    async def _claims(self, token: str) -> Claims:
        """The claims of a token that is signed, meant for us, and valid now."""
        kid = _key_id(extract_compact(token.encode(), registry=self._registry).headers(), self._algorithms)
        key = await self._keys.find(kid)
        if key is None:
            raise RefusedTokenError("unknown key")
        claims = jwt.decode(token, key, registry=self._registry).claims
        JWTClaimsRegistry(
            now=int(self._clock.now().timestamp()),
            leeway=LEEWAY_SECONDS,
            iss={"essential": True, "value": self._issuer},
            aud={"essential": True, "value": self._audience},
            sub={"essential": True},
            exp={"essential": True},
        ).validate(claims)
        if claims.get("typ", "Bearer") != "Bearer":  # Keycloak's ID and refresh tokens say so here
            raise RefusedTokenError("claim typ")
        return claims

    def _caller(self, claims: Claims) -> Caller:
        roles = {word for path in self._roles_claims for word in _words(claims, path)}
        divisions = {word for word in _words(claims, self._divisions_claim) if _DIVISION.fullmatch(word)}
        name = claims.get("preferred_username")
        return Caller(
            key_id=uuid5(self._namespace, claims["sub"]),  # the same whatever token this person comes with
            name=name if isinstance(name, str) else claims["sub"],
            roles=frozenset(role for role in _ROLES if role in roles),
            divisions=tuple(sorted(divisions)),
        )


def _keycloak_roles(audience: str) -> tuple[str, ...]:
    escaped = audience.replace(".", r"\.")
    return "realm_access.roles", f"resource_access.{escaped}.roles"


def _reason(error: Exception) -> str:
    """What is wrong with a token, for the operator's log; never a word of the token itself."""
    if isinstance(error, ClaimError):
        return f"{error.error} {error.claim}"
    if isinstance(error, JoseError):
        return error.error
    return str(error) if isinstance(error, RefusedTokenError) else type(error).__name__


def _key_id(header: Any, algorithms: Collection[str]) -> str:
    """The key id in a header. Raises ``RefusedTokenError`` for a header that an access token does not have."""
    if not isinstance(header, dict):
        raise RefusedTokenError("header")
    if header.get("alg") not in algorithms:  # such as Keycloak's refresh tokens: no key is worth asking for
        raise RefusedTokenError("alg")
    if "crit" in header:  # RFC 7515, 4.1.11: what is critical must be understood, and we know no extension
        raise RefusedTokenError("crit")
    kind = header.get("typ", "JWT")
    if not isinstance(kind, str) or kind.lower().removeprefix("application/") not in _TYPES:
        raise RefusedTokenError("typ")
    kid = header.get("kid")
    if not isinstance(kid, str):
        raise RefusedTokenError("kid")
    return kid


def _words(claims: Mapping[str, Any], path: str) -> Iterator[str]:
    r"""The strings of a claim: a list, or words in one text. Dots in ``path`` go deeper, ``\.`` is a dot itself."""
    found: Any = claims
    for step in _DOT.split(path):
        found = found.get(step.replace(r"\.", ".")) if isinstance(found, Mapping) else None
    if isinstance(found, str):
        yield from found.split()
    elif isinstance(found, list):
        yield from (word for word in found if isinstance(word, str))

"""The public keys of a token issuer (RFC 7517): fetched when they are needed, shared by all requests.

While the issuer is away, requests with a known key are answered as before; nobody waits for it for long.
"""

import asyncio
import logging
import math
import ssl
import time
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

import httpx
from joserfc.jwk import Key, import_key

logger = logging.getLogger("bangfu.oidc")
FRESH_SECONDS = 300.0
"""How long keys are believed; a key that the issuer takes back is refused after that."""
STALE_SECONDS = 3600.0
"""How long they are believed while the issuer is away."""
COOLDOWN_SECONDS = 10.0
"""Between two attempts: tokens with invented key ids must not become requests to the issuer."""
FETCH_SECONDS = 2.0
_KEY_TYPES = ("RSA", "EC", "OKP")
"""Symmetric keys have no business in a published set."""


class IssuerAwayError(ConnectionError):
    """The issuer does not answer, and no keys of it are at hand."""


class IssuerKeys:
    """The signing keys of one issuer, by key id."""

    def __init__(self, issuer: str, jwks_url: str | None, seconds: Callable[[], float] = time.monotonic) -> None:
        """``jwks_url`` is read from the issuer's discovery document when it is not given."""
        self._issuer = issuer
        self._jwks_url = jwks_url
        self._seconds = seconds
        self._keys: dict[str, Key] = {}
        self._fetched_at = self._tried_at = -math.inf
        self._fetching: asyncio.Task[None] | None = None

    async def find(self, kid: str) -> Key | None:
        """The key of this id; None when the issuer has no such key. Raises ``IssuerAwayError``."""
        if kid not in self._keys or self._age() > FRESH_SECONDS:
            # A known key is not held up by an issuer that did not answer the last time.
            answered = self._fetched_at >= self._tried_at
            await self._refresh(wait=answered or kid not in self._keys or self._age() > STALE_SECONDS)
        if self._age() > STALE_SECONDS:
            raise IssuerAwayError(self._issuer)
        return self._keys.get(kid)

    def _age(self) -> float:
        return self._seconds() - self._fetched_at

    async def _refresh(self, *, wait: bool) -> None:
        """Fetch the keys again, unless that was tried just now. A fetch outlives the request that began it."""
        if self._fetching is None and self._seconds() - self._tried_at >= COOLDOWN_SECONDS:
            self._tried_at = self._seconds()
            self._fetching = asyncio.create_task(self._fetch(), name="fetch signing keys")
        fetching = self._fetching
        if fetching is not None and wait:
            await asyncio.wait({fetching})  # which leaves it running when this request is given up
            fetching.result()

    async def _fetch(self) -> None:
        try:
            async with asyncio.timeout(FETCH_SECONDS):
                self._keys = dict(_usable(await self._published()))
            self._fetched_at = self._seconds()
        except (httpx.HTTPError, httpx.InvalidURL, TimeoutError, ValueError, RecursionError) as error:
            logger.warning("the signing keys of the token issuer could not be fetched: %s", type(error).__name__)
        finally:
            self._fetching = None

    async def _published(self) -> Any:
        certificates = await asyncio.to_thread(_certificates)
        async with httpx.AsyncClient(verify=certificates, trust_env=False, timeout=FETCH_SECONDS) as client:
            return await _json(client, self._jwks_url or await self._discovered(client))

    async def _discovered(self, client: httpx.AsyncClient) -> str:
        """Where the keys are (OpenID Connect Discovery 1.0, 4.3: the document must name its very issuer)."""
        document = await _json(client, f"{self._issuer.rstrip('/')}/.well-known/openid-configuration")
        if not isinstance(document, dict) or document.get("issuer") != self._issuer:
            raise ValueError("the discovery document is that of another issuer")
        return str(document.get("jwks_uri"))


async def _json(client: httpx.AsyncClient, url: str) -> Any:
    answer = await client.get(url)
    answer.raise_for_status()
    return answer.json()


@cache
def _certificates() -> ssl.SSLContext:
    """The system's certificate authorities; OpenSSL heeds SSL_CERT_FILE, for an intranet's own."""
    return ssl.create_default_context()


def _usable(document: Any) -> Iterator[tuple[str, Key]]:
    """The keys that signatures can be checked with. Others are passed over (RFC 7517, 5). Raises ValueError."""
    if not isinstance(document, dict) or not isinstance(document.get("keys"), list):
        raise ValueError("not a set of keys")
    for entry in document["keys"]:
        if not isinstance(entry, dict) or entry.get("kty") not in _KEY_TYPES or entry.get("use", "sig") != "sig":
            continue
        try:
            key = import_key(entry)
        except Exception as error:  # what joserfc and cryptography raise over a key has no name in common
            logger.warning("a signing key of the token issuer cannot be read: %s", type(error).__name__)
            continue
        if key.kid is not None:
            yield key.kid, key

"""The signature string of a DCI envelope. Pure.

``Signature: namespace="spdci", kidId="{sender_id}|{key_id}|{alg}", algorithm="ed25519", created="…", expires="…",
headers="(created) (expires) digest", signature="…"`` where the signature is base64 of Ed25519 over::

    (created): 1606970629
    (expires): 1607030629
    digest: SHA-256=<base64 of SHA-256>

SPDCI 1.0.0 leaves the digest open; ours is taken over ``{"header": …, "message": …}`` in canonical form: the JSON of
RFC 8785 (names sorted, no white space, UTF-8, whole numbers without fraction), except that names
are sorted by code point and fractions are written as Python does; neither occurs in DCI messages as they are defined.
"""

import base64
import binascii
import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from joserfc.jwk import OKPKey

LIFE = timedelta(minutes=5)
"""How long ours are valid."""
LONGEST_LIFE = timedelta(hours=24)
SKEW = timedelta(seconds=60)
"""How far a sender's clock may run ahead."""
_COVERED = "(created) (expires) digest"
_PART = re.compile(r'\s*([A-Za-z]+)="([^"\\]{0,600})"\s*')
_SECONDS = re.compile(r"[0-9]{1,11}")
_NAMES = {"namespace", "kidId", "algorithm", "created", "expires", "headers", "signature"}


class NotValidError(ValueError):
    """A signature that does not hold; says why, without what was sent."""


def canonical(value: Any) -> bytes:
    """A JSON value in canonical form."""
    return json.dumps(_plain(value), sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def _plain(value: Any) -> Any:
    """Whole numbers as integers, whichever way they were written."""
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        return int(value)
    if isinstance(value, dict):
        return {name: _plain(item) for name, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, list) else value


def signed_text(created: int, expires: int, header: Any, message: Any) -> bytes:
    """What is signed."""
    digest = hashlib.sha256(canonical({"header": header, "message": message})).digest()
    lines = (f"(created): {created}", f"(expires): {expires}", f"digest: SHA-256={base64.b64encode(digest).decode()}")
    return "\n".join(lines).encode()


def sign(key: OKPKey, sender_id: str, now: datetime, header: Any, message: Any) -> str:
    """The signature string over a header and a message."""
    created, expires = int(now.timestamp()), int((now + LIFE).timestamp())
    private = key.private_key
    if not isinstance(private, Ed25519PrivateKey):
        raise TypeError("signing needs a private Ed25519 key")
    signature = base64.b64encode(private.sign(signed_text(created, expires, header, message))).decode()
    return (
        f'Signature: namespace="spdci", kidId="{sender_id}|{key_id(key)}|ed25519", algorithm="ed25519", '
        f'created="{created}", expires="{expires}", headers="{_COVERED}", signature="{signature}"'
    )


def key_id(key: OKPKey) -> str:
    """The ``kid`` of a key, or its thumbprint (RFC 7638) where it has none."""
    return key.kid or key.thumbprint()


def verify(text: str, sender_id: str, keys: Sequence[OKPKey], now: datetime, header: Any, message: Any) -> None:
    """Raises ``NotValidError`` unless the signature is one of these keys', of this sender, now, over just this."""
    parts = _parts(text)
    if parts["namespace"] != "spdci" or parts["algorithm"].lower() != "ed25519" or parts["headers"] != _COVERED:
        raise NotValidError("namespace, algorithm or headers are not those of DCI")
    named, _, rest = parts["kidId"].partition("|")
    kid, _, algorithm = rest.partition("|")
    if named != sender_id or algorithm.lower() != "ed25519":
        raise NotValidError("kidId names another sender or algorithm")
    created, expires = _seconds(parts["created"]), _seconds(parts["expires"])
    _check_times(created, expires, now.timestamp())
    key = next((key for key in keys if key_id(key) == kid), None)
    public = None if key is None else key.public_key
    if not isinstance(public, Ed25519PublicKey):
        raise NotValidError("kidId names no key registered for this sender")
    try:
        signature = base64.b64decode(parts["signature"], validate=True)
        public.verify(signature, signed_text(created, expires, header, message))
    except (binascii.Error, ValueError, InvalidSignature) as error:
        raise NotValidError("the signature does not match header and message") from error


def _check_times(created: int, expires: int, now: float) -> None:
    if created > now + SKEW.total_seconds():
        raise NotValidError("created lies in the future")
    if expires <= now:
        raise NotValidError("expired")
    if not 0 < expires - created <= LONGEST_LIFE.total_seconds():
        raise NotValidError("valid for longer than a day, or never")


def _seconds(text: str) -> int:
    if not _SECONDS.fullmatch(text):
        raise NotValidError("created and expires are Unix seconds")
    return int(text)


def _parts(text: str) -> Mapping[str, str]:
    found: dict[str, str] = {}
    for piece in text.removeprefix("Signature:").split(","):
        match = _PART.fullmatch(piece)
        if match is None or match.group(1) in found:
            raise NotValidError("not a signature string")
        found[match.group(1)] = match.group(2)
    if found.keys() != _NAMES:
        raise NotValidError("a part of the signature is missing or unknown")
    return found

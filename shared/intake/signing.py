"""Signatures of submissions 报送签名: they show that a record is its source's, where others may write to the broker.

``ce_signature`` is ``v1,`` and the base64 of an HMAC-SHA256, keyed with the source's secret, over ``ce_source``,
``ce_id`` and ``ce_type``, each followed by a line feed, and then the value of the record as it is sent. It names no
instant: what is sent again, by whomever, is decided once (the inbox).

Secrets are not kept. Each is made from one of ``BANGFU_SIGNING_SECRETS``, and its digest tells from which.
"""

import base64
import hashlib
import hmac
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal
from uuid import UUID

from shared.events import CloudEvent
from shared.record import Poison, Record
from shared.settings import Settings
from shared.telemetry import BAD_SIGNATURES

Signature = Literal["optional", "required"]
UNSIGNED = "unsigned"
BAD_SIGNATURE = "bad_signature"
_HEADER = "ce_signature"


class SigningSecretError(RuntimeError):
    """A source's secret cannot be made again: a service does not start, rather than refuse what is well signed."""


@dataclass(frozen=True, slots=True)
class Secret:
    """A secret that a source signs with; ``until`` is set once it was replaced."""

    text: str = field(repr=False)
    until: datetime | None

    def holds_at(self, instant: datetime) -> bool:
        return self.until is None or instant < self.until


@dataclass(frozen=True, slots=True)
class Signing:
    """How the records of a source are signed. A signature that is there must be right, required or not."""

    signature: Signature
    secrets: Sequence[Secret]

    def check(self, record: Record, event: CloudEvent) -> None:
        """Raises ``Poison`` without origin: whoever sent it, the source must not pay for it."""
        told = [value for name, value in record.headers if name == _HEADER]
        if not told and self.signature == "optional":
            return
        if not told:
            raise Poison(UNSIGNED)
        secrets = [each.text for each in self.secrets if each.holds_at(record.first_seen)]
        right = [sign(secret, event, record.value or b"").encode() for secret in secrets]
        if len(told) != 1 or not any(hmac.compare_digest(told[0] or b"", each) for each in right):
            raise Poison(BAD_SIGNATURE)


def sign(secret: str, event: CloudEvent, value: bytes) -> str:
    """``ce_signature`` of a record with this value."""
    named = "".join(f"{part}\n" for part in (event.source, event.id, event.type))
    digest = hmac.digest(secret.encode(), named.encode() + value, "sha256")
    return "v1," + base64.b64encode(digest).decode()


def count_failures(poisons: Sequence[Poison], topic: str) -> None:
    """Tell the metrics of records that are not shown to be their source's."""
    if failed := sum(poison.code in (UNSIGNED, BAD_SIGNATURE) for poison in poisons):
        BAD_SIGNATURES.labels(topic).inc(failed)


def issue(settings: Settings, source: UUID, number: int) -> str:
    """The secret of a source with this number. Raises ``SigningSecretError`` where none can be made."""
    if not settings.signing_secrets:
        raise SigningSecretError("BANGFU_SIGNING_SECRETS is not set")
    return _made(settings, settings.signing_secrets[0].get_secret_value(), source, number)


def again(settings: Settings, source: UUID, number: int, digest: bytes) -> str:
    """A secret that was issued before. Raises ``SigningSecretError`` where what it was made from is gone."""
    for each in settings.signing_secrets:
        secret = _made(settings, each.get_secret_value(), source, number)
        if hmac.compare_digest(digest_of(secret), digest):
            return secret
    raise SigningSecretError(f"BANGFU_SIGNING_SECRETS lacks what secret {number} of source {source} was made from")


def digest_of(secret: str) -> bytes:
    """What is kept of a secret: enough to know it again, and nothing to sign with."""
    return hashlib.sha256(secret.encode()).digest()


def _made(settings: Settings, master: str, source: UUID, number: int) -> str:
    digest = hmac.digest(master.encode(), f"{settings.service} source {source} secret {number}".encode(), "sha256")
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()

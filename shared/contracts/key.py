"""API keys, so that every service can check one without a call (architecture rule 10)."""

from typing import Literal
from uuid import UUID

from pydantic import Field

from shared.contracts.base import Contract, DivisionCode, Instant, topic

Role = Literal["reader", "recorder", "reviewer", "drafter", "signer", "importer", "admin", "identity:reveal"]


class KeyEvent(Contract):
    """The public half of an API key: a hash, never the secret."""

    id: UUID
    version: int = Field(ge=1)
    status: Literal["active", "revoked"]
    prefix: str
    secret_sha256: str = Field(pattern=r"^[0-9a-f]{64}$", description="SHA-256 of the 256-bit secret, hex.")
    name: str
    roles: list[Role]
    divisions: list[DivisionCode] = Field(description="Division scope 辖区: what the key may see and change.")
    expires_at: Instant | None = None


KEY = topic(
    "registry.key",
    KeyEvent,
    ("issued", "changed", "revoked"),
    "API keys: hashes, roles and scope.",
    readers=("assistance-mirror", "ranking-mirror"),
)

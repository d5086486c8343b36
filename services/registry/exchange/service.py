"""What the DCI interface runs on, and how its messages are made."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from ipaddress import IPv4Network, IPv6Network
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

from joserfc.jwk import OKPKey

from services.registry.context import Registry
from services.registry.exchange import keypair, signature
from shared.contracts.base import rfc3339
from shared.db import Pg
from shared.ids import uuid7

VERSION = "1.0.0"


class NotStartedError(RuntimeError):
    """The interface was used before its key was loaded at start."""


@dataclass(slots=True)
class Exchange:
    """The registry, our key pair, and where callbacks may go; ``request.app.state.exchange``."""

    registry: Registry
    networks: Sequence[IPv4Network | IPv6Network]
    awake: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when there is a callback to make."""
    _key: OKPKey | None = field(default=None, repr=False)

    async def start(self, pg: Pg) -> None:
        """Load our key pair, or make it."""
        self._key = await keypair.load_key(pg, self.registry.vault, self.now())

    @property
    def key(self) -> OKPKey:
        if self._key is None:
            raise NotStartedError
        return self._key

    @property
    def name(self) -> str:
        """Our ``sender_id``: the address we are reached at."""
        return self.registry.runtime.settings.base_url

    def is_called(self, name: str) -> bool:
        """Whether a message to that name is ours: by the address, or by its host as the specification's examples do.

        Who signed for another registry did not mean us, even where the key is known here.
        """
        return name == self.name or name.lower() == urlsplit(self.name).netloc.lower()

    def now(self) -> datetime:
        return self.registry.runtime.clock.now()

    def signed(self, header: dict[str, Any], message: dict[str, Any]) -> dict[str, Any]:
        """An envelope of ours."""
        text = signature.sign(self.key, self.name, self.now(), header, message)
        return {"signature": text, "header": header, "message": message}

    def header(
        self, action: str, receiver: str, outcomes: Sequence[dict[str, Any]], message_id: UUID | None = None
    ) -> dict[str, Any]:
        """Header of an answer: rejected only when all of it was."""
        failed = bool(outcomes) and all(outcome["status"] == "rjct" for outcome in outcomes)
        return {
            "version": VERSION,
            "message_id": str(message_id or uuid7()),
            "message_ts": rfc3339(self.now()),
            "action": action,
            "status": "rjct" if failed else "succ",
            "sender_id": self.name,
            "receiver_id": receiver,
            "total_count": len(outcomes),
            "completed_count": len(outcomes),
            "is_msg_encrypted": False,
        }

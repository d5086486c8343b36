"""What an audit entry is, and how entries are chained. Pure."""

import hashlib
import json
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any, NamedTuple
from uuid import UUID

GENESIS = bytes(32)
"""What stands before the first entry."""


OPEN = (
    "divisions.loaded", "division.registered", "division.changed", "denominator.recorded", "year.locked",
    "data_key.rotated", "submission_key.made",
)  # fmt: skip
"""Operations that concern every admin wherever they are: what they change holds for all and is open to all."""
LOOKS = (
    "person.revealed", "person.reveal_denied", "certificate.revealed", "certificate.reveal_denied",
    "persons.looked_up", "person.looked_up", "persons.look_up_denied",
)  # fmt: skip
"""Operations by which somebody saw identity data, or was denied it: why they did may tell of anybody."""


class Entry(NamedTuple):
    """Something that was done, or was denied: a change, a reveal or a look-up. Its fields are columns."""

    recorded_at: datetime
    key_id: UUID | None
    """Who: an API key, a person or service account, a DCI party; None for what the operator did on the machine."""
    operation: str
    """What, as ``<object>.<past tense>``: ``household.changed``, ``person.revealed``."""
    object_id: str
    version: int | None = None
    reason: str | None = None
    purpose: str | None = None
    outcome: str | None = None
    """What came of it where that is not plain from the operation: why it was denied, an import's counts."""
    divisions: tuple[str, ...] = ()
    """Where: the divisions whose admins may read the entry; none: those of the whole city, or all if it is ``OPEN``."""
    digest: bytes | None = None
    """SHA-256 of what was stored. Identities enter it as ciphertext: destroying them leaves the chain valid."""


class Head(NamedTuple):
    """How far the chain reaches."""

    position: int
    hash: bytes


class Sealed(NamedTuple):
    """An entry in its place in the chain."""

    position: int
    id: UUID
    """In the order of which entries were recorded."""
    entry: Entry
    hash: bytes


def digest_of(values: Iterable[Any]) -> bytes:
    """SHA-256 of a stored row."""
    return hashlib.sha256("\x1f".join(map(str, values)).encode()).digest()


def canonical(position: int, identifier: UUID, entry: Entry) -> bytes:
    """An entry in the one form that is hashed: JSON, keys sorted, instants in UTC to the microsecond."""
    content = {
        "position": position,
        "id": str(identifier),
        "recorded_at": entry.recorded_at.astimezone(UTC).isoformat(timespec="microseconds"),
        "key_id": None if entry.key_id is None else str(entry.key_id),
        "operation": entry.operation,
        "object_id": entry.object_id,
        "version": entry.version,
        "reason": entry.reason,
        "purpose": entry.purpose,
        "divisions": list(entry.divisions),
        "digest": None if entry.digest is None else entry.digest.hex(),
    }
    if entry.outcome is not None:  # left out otherwise: entries from before there were outcomes keep their hash
        content["outcome"] = entry.outcome
    return json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def chained(head: Head, entries: Iterable[tuple[UUID, Entry]]) -> list[Sealed]:
    """The entries in the places after a head, in their order."""
    found = []
    position, before = head
    for identifier, entry in entries:
        position += 1
        before = hashlib.sha256(before + canonical(position, identifier, entry)).digest()
        found.append(Sealed(position, identifier, entry, before))
    return found


class BrokenError(Exception):
    """The chain is not as it was sealed; ``position`` is the first place at which that shows."""

    def __init__(self, position: int, why: str) -> None:
        super().__init__(f"entry {position}: {why}")
        self.position = position


def checked(head: Head, found: Iterable[Sealed]) -> Head:
    """The head after more of the chain. Raises ``BrokenError``."""
    for sealed in found:
        if sealed.position != head.position + 1:
            raise BrokenError(head.position + 1, "is missing")
        [expected] = chained(head, [(sealed.id, sealed.entry)])
        if expected.hash != sealed.hash:
            raise BrokenError(sealed.position, "is not what was sealed, or stood elsewhere")
        head = Head(sealed.position, sealed.hash)
    return head

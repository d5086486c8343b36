"""Identifiers: UUIDv7 (RFC 9562), so that ids sort by time of creation and indexes stay dense."""

import os
import threading
import time
from uuid import UUID

from asyncpg.pgproto import pgproto

_RANDOM = 10
_BLOCK = 400 * _RANDOM
_VERSION = bytes(byte & 0x0F | 0x70 for byte in range(256))
_VARIANT = bytes(byte & 0x3F | 0x80 for byte in range(256))


class _Drawn(threading.local):
    """Randomness of the system drawn ahead, a block for each thread: an import of the register makes a million ids, and
    asking the system for each would take half as long again."""

    block = b""
    used = 0

    def more(self) -> None:
        """Another block, the second half of 400 ids: random but for their version and variant."""
        block = bytearray(os.urandom(_BLOCK))
        block[::_RANDOM] = block[::_RANDOM].translate(_VERSION)
        block[2::_RANDOM] = block[2::_RANDOM].translate(_VARIANT)
        self.block, self.used = bytes(block), 0


_drawn = _Drawn()
os.register_at_fork(after_in_child=lambda: setattr(_drawn, "block", b""))


def uuid7() -> UUID:
    """A new UUIDv7: 48 bits of Unix milliseconds, then 74 random bits.

    Of the database driver's own kind of UUID, as those that are read back are: it is made and written as text several
    times as fast as the standard library's, which an import of a register does millions of times.
    """
    if _drawn.used >= len(_drawn.block):
        _drawn.more()
    first = _drawn.used
    _drawn.used = end = first + _RANDOM
    return pgproto.UUID((time.time_ns() // 1_000_000).to_bytes(6, "big") + _drawn.block[first:end])

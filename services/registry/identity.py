"""Identity data 身份信息 at rest: encrypted, bound to its row, found by blind index.

A stored value is ``cipher | key id | nonce | ciphertext and tag`` and is bound to ``table.column.row`` as associated
data, so that a value moved to another row or column does not open. The blind index is an HMAC over the normalised
value with a key of its own for each column (libraries.md 7).

Master keys change (``rotate-keys``); index keys do not: they are kept sealed beside the data, so that one ID number has
one index whatever key its row is sealed under, and stays unique while rows are sealed anew.
"""

import base64
import binascii
import hashlib
import hmac
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal
from uuid import UUID

from cryptography.exceptions import InvalidTag

from services.registry.ciphers import NUMBERS, Aead, CipherName, ciphers_of, derived
from shared.db import Pg

_NONCE = 12
_KEY_ID = 4
_HEAD = 1 + _KEY_ID
_INDEX_KEYS = b"data_key.index_keys"
_INDEXED = ("id_number", "content")


class KeyMissingError(RuntimeError):
    """There is no usable key to the identity data: registry does not start without one."""


class UnreadableError(RuntimeError):
    """A stored value does not open: another key, another row, or damage."""


class OtherKeyError(RuntimeError):
    """Identity data is sealed under another key than those given: registry does not start with them."""


@dataclass(frozen=True)
class IndexKeys:
    """The keys of the blind indexes, by column, and the hash they are used with."""

    algorithm: Literal["sha256", "sm3"]
    keys: dict[str, bytes] = field(repr=False)

    @cached_property
    def begun(self) -> Mapping[str, hmac.HMAC]:
        """Of each column, an HMAC that has taken in the key. Copied for a value: less work than ``hmac.digest``."""
        return {column: hmac.new(key, digestmod=self.algorithm) for column, key in self.keys.items()}

    @classmethod
    def of(cls, master: bytes, cipher: CipherName) -> "IndexKeys":
        """Those of a register that begins with this master key."""
        keys = {column: derived(master, f"index {column}") for column in _INDEXED}
        return cls("sm3" if cipher == "sm4-gcm" else "sha256", keys)

    def text(self) -> bytes:
        """As they are kept, sealed."""
        named = {column: key.hex() for column, key in self.keys.items()}
        return json.dumps({"algorithm": self.algorithm, "keys": named}).encode()

    @classmethod
    def read(cls, text: bytes) -> "IndexKeys":
        content = json.loads(text)
        return cls(content["algorithm"], {column: bytes.fromhex(key) for column, key in content["keys"].items()})


class Vault:
    """Seals identity data under one master key of 32 bytes, and opens what was sealed under it or older ones."""

    def __init__(self, master: bytes, *, older: Sequence[bytes] = (), cipher: CipherName = "aes-gcm") -> None:
        if any(len(key) != 32 for key in (master, *older)):
            raise KeyMissingError("BANGFU_REGISTRY_DATA_KEY must be 32 bytes in base64")
        self.key_id = _key_id(master)
        """Names the key without telling anything of it."""
        self.head = bytes([NUMBERS[cipher]]) + self.key_id
        """What every value begins with that is sealed from now on."""
        self.index_keys = IndexKeys.of(master, cipher)
        """Until ``agree_on_keys`` finds others that the register began with."""
        self._masters = {_key_id(key): key for key in (*older, master)}
        self._ciphers: dict[bytes, Aead] = {
            bytes([number]) + key_id: aead
            for key_id, key in self._masters.items()
            for number, aead in ciphers_of(key).items()
        }

    @classmethod
    def of(cls, encoded: str, older: Sequence[str] = (), cipher: CipherName = "aes-gcm") -> "Vault":
        """The vault of base64 keys. Raises ``KeyMissingError``."""
        return cls(_decoded(encoded), older=[_decoded(each) for each in older], cipher=cipher)

    def seal(self, value: str, column: str, row: UUID) -> bytes:
        """Encrypt a value for one column of one person."""
        return self._seal(value.encode(), _bound(column, row))

    def open(self, stored: bytes, column: str, row: UUID) -> str:
        """The value again. Raises ``UnreadableError``."""
        return self._open(stored, _bound(column, row)).decode()

    def index(self, value: str, column: str) -> bytes:
        """The blind index of a normalised value: equal values have equal indexes, and nothing else shows."""
        index = self.index_keys.begun[column].copy()
        index.update(value.encode())
        return index.digest()

    def fingerprint(self, asked: bytes) -> bytes:
        """What a request is recognised by when it is sent again: keyed, for a body may hold a guessable ID number.

        With an index key, which stays the same while the master key is changed.
        """
        return self.index(f"request {hashlib.sha256(asked).hexdigest()}", "content")

    def sealed_index_keys(self) -> bytes:
        """The index keys as they are kept beside the data."""
        return self._seal(self.index_keys.text(), _INDEX_KEYS)

    def open_index_keys(self, key_id: bytes, sealed: bytes | None) -> IndexKeys:
        """The index keys beside one of our keys; a register that kept none uses those of its first key."""
        if sealed is None:
            return IndexKeys.of(self._masters[key_id], "aes-gcm")
        return IndexKeys.read(self._open(sealed, _INDEX_KEYS))

    def other_heads(self) -> list[bytes]:
        """What values begin with that are sealed otherwise, but that this vault opens."""
        return [head for head in self._ciphers if head != self.head]

    def holds(self, key_id: bytes) -> bool:
        return key_id in self._masters

    def _seal(self, plain: bytes, bound: bytes) -> bytes:
        nonce = os.urandom(_NONCE)
        return self.head + nonce + self._ciphers[self.head].encrypt(nonce, plain, bound)

    def _open(self, stored: bytes, bound: bytes) -> bytes:
        cipher = self._ciphers.get(stored[:_HEAD])
        if cipher is None:
            raise UnreadableError("sealed with another key")
        try:
            return cipher.decrypt(stored[_HEAD : _HEAD + _NONCE], stored[_HEAD + _NONCE :], bound)
        except InvalidTag as error:
            raise UnreadableError("does not belong here, or is damaged") from error


async def agree_on_keys(pg: Pg, vault: Vault) -> None:
    """Take over the index keys the register began with; note them and the key at the first start with it.

    Raises ``OtherKeyError`` when the register is sealed under keys that the vault does not hold.
    """
    await pg.execute("LOCK TABLE data_key IN SHARE ROW EXCLUSIVE MODE")
    rows = await pg.fetch("SELECT id, index_keys FROM data_key ORDER BY id = $1 DESC, id", vault.key_id)
    ours: Any = next((row for row in rows if vault.holds(row["id"])), None)
    if rows and ours is None:
        raise OtherKeyError("BANGFU_REGISTRY_DATA_KEY is not the key that identity data is sealed under")
    if ours is not None:
        vault.index_keys = vault.open_index_keys(ours["id"], ours["index_keys"])
    await pg.execute(
        "INSERT INTO data_key (id, index_keys) VALUES ($1, $2) "
        "ON CONFLICT (id) DO UPDATE SET index_keys = excluded.index_keys WHERE data_key.index_keys IS NULL",
        vault.key_id,
        vault.sealed_index_keys(),
    )


def _decoded(encoded: str) -> bytes:
    try:
        return base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError) as error:
        raise KeyMissingError("BANGFU_REGISTRY_DATA_KEY must be 32 bytes in base64") from error


def _key_id(master: bytes) -> bytes:
    return hashlib.sha256(b"bangfu key id" + master).digest()[:_KEY_ID]


def _bound(column: str, row: UUID) -> bytes:
    return f"person.{column}.{row}".encode()

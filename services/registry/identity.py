"""Identity data 身份信息 at rest: encrypted, bound to its row, found by blind index, shown masked.

AES-256-GCM; a stored value is ``version | key id | nonce | ciphertext and tag`` and is bound to ``table.column.row``
as associated data, so that a value moved to another row or column does not open. The blind index is an HMAC over
the normalised value with a key of its own for each column (libraries.md 7).
"""

import base64
import binascii
import hashlib
import hmac
import os
from uuid import UUID

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from shared.db import Pg

_VERSION = 1
_NONCE = 12
_KEY_ID = 4


class KeyMissingError(RuntimeError):
    """There is no usable key to the identity data: registry does not start without one."""


class UnreadableError(RuntimeError):
    """A stored value does not open: another key, another row, or damage."""


class OtherKeyError(RuntimeError):
    """Identity data is sealed under another key than the one given: registry does not start with it."""


class Vault:
    """Seals and opens identity data with keys derived from one master key of 32 bytes."""

    def __init__(self, master: bytes) -> None:
        if len(master) != 32:
            raise KeyMissingError("BANGFU_REGISTRY_DATA_KEY must be 32 bytes in base64")
        self.key_id = hashlib.sha256(b"bangfu key id" + master).digest()[:_KEY_ID]
        """Names the key without telling anything of it."""
        self._cipher = AESGCM(_derived(master, "seal"))
        self._index_keys = {column: _derived(master, f"index {column}") for column in ("id_number", "content")}

    @classmethod
    def of(cls, encoded: str) -> "Vault":
        """The vault of a base64 key. Raises ``KeyMissingError``."""
        try:
            return cls(base64.b64decode(encoded, validate=True))
        except (binascii.Error, ValueError) as error:
            raise KeyMissingError("BANGFU_REGISTRY_DATA_KEY must be 32 bytes in base64") from error

    def seal(self, value: str, column: str, row: UUID) -> bytes:
        """Encrypt a value for one column of one person."""
        nonce = os.urandom(_NONCE)
        sealed = self._cipher.encrypt(nonce, value.encode(), _bound(column, row))
        return bytes([_VERSION]) + self.key_id + nonce + sealed

    def open(self, stored: bytes, column: str, row: UUID) -> str:
        """The value again. Raises ``UnreadableError``."""
        head = 1 + _KEY_ID
        if stored[:head] != bytes([_VERSION]) + self.key_id:
            raise UnreadableError("sealed with another key")
        try:
            plain = self._cipher.decrypt(stored[head : head + _NONCE], stored[head + _NONCE :], _bound(column, row))
        except InvalidTag as error:
            raise UnreadableError("does not belong here, or is damaged") from error
        return plain.decode()

    def index(self, value: str, column: str) -> bytes:
        """The blind index of a normalised value: equal values have equal indexes, and nothing else shows."""
        return hmac.new(self._index_keys[column], value.encode(), hashlib.sha256).digest()


async def check_data_key(pg: Pg, vault: Vault) -> None:
    """Note the key at the first start; later starts with another key raise ``OtherKeyError``."""
    await pg.execute("LOCK TABLE data_key IN SHARE ROW EXCLUSIVE MODE")
    known = [row["id"] for row in await pg.fetch("SELECT id FROM data_key")]
    if not known:
        await pg.execute("INSERT INTO data_key (id) VALUES ($1)", vault.key_id)
    elif vault.key_id not in known:
        raise OtherKeyError("BANGFU_REGISTRY_DATA_KEY is not the key that identity data is sealed under")


def _derived(master: bytes, purpose: str) -> bytes:
    return HKDF(SHA256(), 32, salt=None, info=f"bangfu registry {purpose}".encode()).derive(master)


def _bound(column: str, row: UUID) -> bytes:
    return f"person.{column}.{row}".encode()


_COMPOUND = {
    "欧阳", "太史", "端木", "上官", "司马", "东方", "独孤", "南宫", "万俟", "闻人", "夏侯", "诸葛", "尉迟", "公羊",
    "赫连", "澹台", "皇甫", "宗政", "濮阳", "公冶", "太叔", "申屠", "公孙", "慕容", "仲孙", "钟离", "长孙", "宇文",
    "司徒", "鲜于", "司空", "闾丘", "令狐", "百里", "东郭", "呼延",
}  # fmt: skip


def masked_name(name: str) -> str:
    """A name as others may see it: 张*丰, 张*, 欧阳*; never more than the family name and the last character."""
    family = 2 if name[:2] in _COMPOUND and len(name) > 2 else 1
    rest = len(name) - family
    if rest <= 0:
        return "*"
    return name[:family] + "*" * max(rest - 1, 1) + (name[-1] if rest > 1 else "")


def masked_id_number(number: str) -> str:
    """The first and the last two digits (domain.md 8: 6+4 would leave only the birth date to guess)."""
    return number[0] + "*" * (len(number) - 3) + number[-2:]


def masked_bank_card(number: str) -> str:
    """Four digits, stars, four digits."""
    return number[:4] + "*" * (len(number) - 8) + number[-4:]


def masked_phone(number: str) -> str:
    """Three digits, four stars, four digits."""
    return number[:3] + "****" + number[-4:]

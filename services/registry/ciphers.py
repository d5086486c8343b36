"""The ciphers identity data is sealed with: AES-256-GCM, or SM4-GCM (GB/T 32907) where national cryptography is asked
for. Each has a number that stored values begin with, so that both are readable whichever is in use."""

from collections.abc import Callable
from typing import Literal, Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

CipherName = Literal["aes-gcm", "sm4-gcm"]
NUMBERS: dict[CipherName, int] = {"aes-gcm": 1, "sm4-gcm": 2}
_TAG = 16


class Aead(Protocol):
    """Authenticated encryption with associated data; ``decrypt`` raises ``InvalidTag``."""

    def encrypt(self, nonce: bytes, data: bytes, associated_data: bytes) -> bytes: ...

    def decrypt(self, nonce: bytes, data: bytes, associated_data: bytes) -> bytes: ...


class Sm4Gcm:
    """SM4 with a 128-bit key in GCM, put together as ``AESGCM`` does it: ciphertext, then the tag."""

    def __init__(self, key: bytes) -> None:
        self._algorithm = algorithms.SM4(key)

    def encrypt(self, nonce: bytes, data: bytes, associated_data: bytes) -> bytes:
        encryptor = Cipher(self._algorithm, modes.GCM(nonce)).encryptor()
        encryptor.authenticate_additional_data(associated_data)
        return encryptor.update(data) + encryptor.finalize() + encryptor.tag

    def decrypt(self, nonce: bytes, data: bytes, associated_data: bytes) -> bytes:
        if len(data) < _TAG:
            raise InvalidTag
        decryptor = Cipher(self._algorithm, modes.GCM(nonce, data[-_TAG:])).decryptor()
        decryptor.authenticate_additional_data(associated_data)
        return decryptor.update(data[:-_TAG]) + decryptor.finalize()


def derived(master: bytes, purpose: str, length: int = 32) -> bytes:
    """A key of its own for each purpose."""
    return HKDF(SHA256(), length, salt=None, info=f"bangfu registry {purpose}".encode()).derive(master)


_MAKE: dict[CipherName, Callable[[bytes], Aead]] = {
    "aes-gcm": lambda master: AESGCM(derived(master, "seal")),
    "sm4-gcm": lambda master: Sm4Gcm(derived(master, "seal sm4", 16)),
}


def ciphers_of(master: bytes) -> dict[int, Aead]:
    """Every cipher under a master key, by its number."""
    return {number: _MAKE[name](master) for name, number in NUMBERS.items()}

"""Opening identity blocks (JWE, RFC 7516). Whatever is not exactly as agreed is refused before a key is touched."""

import binascii
from typing import Any

from joserfc import jwe
from joserfc.errors import JoseError
from joserfc.util import urlsafe_b64decode

from services.registry.submissions.contracts import MAX_IDENTITY
from services.registry.submissions.keys import ALGORITHM, ENCRYPTION, Keys
from shared.errors import Fault, Problem, fault
from shared.http.body import parse_json

_HEADER = {"alg", "enc", "kid", "epk", "typ", "cty", "apu", "apv"}
"""No ``zip`` (a bomb), no ``crit``, and none of those that name a key elsewhere (``jku``, ``jwk``, ``x5u``)."""
_LONGEST_HEADER = 1024

TOO_LARGE = fault("/identity", "identity_too_large", "the identity block is too large", "身份信息过大")
NOT_A_JWE = fault("/identity", "identity_unreadable", "not a compact JWE", "身份信息不是有效的 JWE")
OTHERWISE_SEALED = fault(
    "/identity",
    "identity_algorithm",
    f"must be {ALGORITHM} with {ENCRYPTION}, uncompressed, without further headers",
    f"须使用 {ALGORITHM} 与 {ENCRYPTION},不得压缩或附加其他头",
)
UNKNOWN_KEY = fault(
    "/identity", "identity_key_unknown", "no key of ours, or one replaced long ago", "加密密钥不存在或已停用"
)
UNOPENED = fault("/identity", "identity_unopened", "encrypted to another key, or damaged", "无法解密,密钥不符或已损坏")
NOT_JSON = fault("/identity", "identity_content", "does not hold an object as JSON", "解密后不是 JSON 对象")


class UnopenedError(Exception):
    """An identity block that cannot be opened."""

    def __init__(self, why: Fault) -> None:
        super().__init__(why.code)
        self.fault = why


def opened(block: str, keys: Keys) -> dict[str, Any]:
    """What an identity block holds. Raises ``UnopenedError``; what was decrypted is in no message."""
    if len(block) > MAX_IDENTITY:
        raise UnopenedError(TOO_LARGE)
    header = _header(block)
    if header.get("alg") != ALGORITHM or header.get("enc") != ENCRYPTION or not header.keys() <= _HEADER:
        raise UnopenedError(OTHERWISE_SEALED)
    key = next((key for key in keys if key.kid == header.get("kid")), None)
    if key is None:
        raise UnopenedError(UNKNOWN_KEY)
    try:
        plain = jwe.decrypt_compact(block, key, algorithms=[ALGORITHM, ENCRYPTION]).plaintext
    except (JoseError, ValueError, TypeError, KeyError) as error:  # the header's ``epk`` may be anything
        raise UnopenedError(UNOPENED) from error
    return _object(plain or b"", NOT_JSON)


def _header(block: str) -> dict[str, Any]:
    encoded, dot, _ = block.partition(".")
    if not dot or len(encoded) > _LONGEST_HEADER:
        raise UnopenedError(NOT_A_JWE)
    try:
        return _object(urlsafe_b64decode(encoded.encode("ascii")), NOT_A_JWE)
    except (UnicodeEncodeError, binascii.Error) as error:
        raise UnopenedError(NOT_A_JWE) from error


def _object(text: bytes, otherwise: Fault) -> dict[str, Any]:
    try:
        value = parse_json(text)
    except Problem as problem:
        raise UnopenedError(otherwise) from problem
    if not isinstance(value, dict):
        raise UnopenedError(otherwise)
    return value

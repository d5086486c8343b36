"""Calling back: only where a setting allows, whatever a party registered.

The name is resolved once, every address it has must lie in an allowed network, and the connection goes to the address
that was checked. Loopback, link-local and metadata addresses need a network of their own in the setting: a wider one
does not cover them. Redirects are not followed; of an answer is read only whether it acknowledges.
"""

import asyncio
import json
import re
import socket
from collections.abc import Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit, urlunsplit

if TYPE_CHECKING:
    import httpx

Network = IPv4Network | IPv6Network
TIMEOUT_SECONDS = 10
_LONGEST_ANSWER = 64 * 1024
_CODE = re.compile(r"err(\.[a-z_]{1,30}){1,3}")
_INNER: tuple[Network, ...] = tuple(
    map(ip_network, ("127.0.0.0/8", "::1/128", "169.254.0.0/16", "fe80::/10", "0.0.0.0/8", "::/128",
                     "100.100.100.200/32", "fd00:ec2::/32", "224.0.0.0/4", "ff00::/8"))
)  # fmt: skip


class NotDeliveredError(RuntimeError):
    """A callback was not taken; says why in general words."""


def allowed(address: IPv4Address | IPv6Address, networks: Sequence[Network]) -> bool:
    """Whether the setting lets us call an address."""
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    inner = [network for network in _INNER if address in network]
    return any(
        address in network and all(_within(network, special) for special in inner) for network in networks
    )  # fmt: skip


def _within(network: Network, special: Network) -> bool:
    return network.version == special.version and network.subnet_of(special)  # type: ignore[arg-type]


def below(address: str, base: str) -> bool:
    """Whether an address is a callback address or lies below it, whoever reads it.

    Servers and proxies before them decode per cent, perhaps more than once, drop what follows a semicolon, and take a
    backslash for a slash: a dot segment counts however it is written.
    """
    root = base.rstrip("/")
    if address == root:
        return True
    path = re.split(r"[?#]", address.removeprefix(root), maxsplit=1)[0]
    if not (address.startswith(root) and path.startswith("/")):
        return False
    while (decoded := unquote(path)) != path:
        path = decoded
    return not any(segment.partition(";")[0] in (".", "..") for segment in re.split(r"[/\\]", path))


async def post(networks: Sequence[Network], address: str, body: dict[str, Any]) -> None:
    """Send a signed message. Raises ``NotDeliveredError`` unless it is answered with 2xx, and not with ERR."""
    import httpx  # slow to import, for its command line, and most registries call nobody back

    try:
        parts = urlsplit(address)
        host, port = parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)
        resolved = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, ValueError) as error:  # of an address that is none; UnicodeError, of a name, is a ValueError
        raise NotDeliveredError("the name does not resolve") from error
    found = [ip_address(entry[4][0]) for entry in resolved]
    if not found or not all(allowed(each, networks) for each in found):
        raise NotDeliveredError("the address is not in an allowed network")
    checked = f"[{found[0]}]" if isinstance(found[0], IPv6Address) else str(found[0])
    url = urlunsplit((parts.scheme, f"{checked}:{port}", parts.path, parts.query, ""))
    content = json.dumps(body, ensure_ascii=False).encode()
    headers = {"Host": parts.netloc, "Content-Type": "application/json"}
    try:
        async with (
            asyncio.timeout(TIMEOUT_SECONDS),
            httpx.AsyncClient(follow_redirects=False, trust_env=False) as client,
            client.stream("POST", url, content=content, headers=headers, extensions={"sni_hostname": host}) as answer,
        ):
            if not answer.is_success:
                raise NotDeliveredError(f"answered with {answer.status_code}")
            refusal = refusal_in(await _beginning(answer))
            if refusal is not None:
                raise NotDeliveredError(f"answered with {refusal}")
    except (httpx.HTTPError, httpx.InvalidURL, TimeoutError) as error:
        raise NotDeliveredError(f"not reached: {type(error).__name__}") from error


async def _beginning(answer: "httpx.Response") -> bytes:
    read = b""
    async for chunk in answer.aiter_bytes():
        read += chunk
        if len(read) > _LONGEST_ANSWER:
            break
    return read


def refusal_in(answer: bytes) -> str | None:
    """ERR and its code, where an acknowledgement says that the message was not taken, whatever its status.

    NACK is no refusal: a receiver that has nothing further to say answers so. What is no acknowledgement says nothing.
    """
    try:
        message = json.loads(answer)["message"]
        if message["ack_status"] != "ERR":
            return None
        code = message.get("error", {}).get("code")
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return None
    return f"ERR {code}" if isinstance(code, str) and _CODE.fullmatch(code) else "ERR"

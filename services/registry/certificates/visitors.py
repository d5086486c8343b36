"""How often an address asks: counted in this process alone, and forgotten with the hour."""

from collections import Counter
from datetime import datetime
from ipaddress import ip_address

from services.registry.identities.quota import Left, Quota, hour_of

MAX_ADDRESSES = 10_000
"""Told apart in an hour; those that come later are counted together, so that memory stays bounded."""
_NETWORK = 64
"""An IPv6 host has this network to itself (RFC 4291, section 2.5.1)."""


class Visitors:
    """Addresses that ask without a key."""

    def __init__(self, quota: Quota) -> None:
        self._quota = quota
        self._hour: datetime | None = None
        self._asked: Counter[str] = Counter()

    def count(self, address: str, now: datetime) -> Left:
        """Count one question; what is left. Raises 429."""
        if hour_of(now) != self._hour:
            self._hour = hour_of(now)
            self._asked.clear()
        name = _name(address)
        if name not in self._asked and len(self._asked) >= MAX_ADDRESSES:
            name = ""
        self._asked[name] += 1
        return self._quota.left(self._asked[name], 1, now)


def _name(address: str) -> str:
    """An IPv4 address, or the network of an IPv6 host; what is neither is one visitor."""
    try:
        parsed = ip_address(address)
    except ValueError:
        return ""
    if parsed.version == 6:
        return str(parsed.ipv4_mapped or int(parsed) >> (128 - _NETWORK))
    return str(parsed)

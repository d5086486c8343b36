"""Fields of which nothing is known, for they could not be read: what depends on one of them is not told. Pure.

Both unknown fields and findings are named by JSON pointers into a household, as in ``POST /v1/households``.
"""

import re
from collections.abc import Collection, Iterable

_MEMBER = re.compile(r"/members/[0-9]+(?=/|$)")


def holds(unknown: Collection[str], pointer: str) -> bool:
    """Whether a field, something in it, or what it lies in is unknown."""
    return any(each == pointer or each.startswith(f"{pointer}/") or pointer.startswith(f"{each}/") for each in unknown)


def rests_on(unknown: Collection[str], pointer: str, reads: Iterable[str]) -> bool:
    """Whether what was found at a pointer, by reading these fields, rests on something unknown.

    ``reads`` are paths as rules state them, such as ``members.sex``: of a finding about one member that member's, of
    any other finding those of all members.
    """
    if not unknown:
        return False
    member = _MEMBER.match(pointer)
    below = member[0] if member else "/members"
    known_as = unknown if member else [_MEMBER.sub("/members", each) for each in unknown]
    return any(holds(known_as, re.sub(r"^/members", below, f"/{path.replace('.', '/')}")) for path in reads)

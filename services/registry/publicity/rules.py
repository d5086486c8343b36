"""Whose name may be published. Pure."""

from datetime import date
from typing import Literal, get_args

from services.registry.households.rules import age
from services.registry.masking import masked_name

PublicStanding = Literal["poor", "pre_exit", "exited_supported", "exited", "relapsed"]
PUBLIC: tuple[PublicStanding, ...] = get_args(PublicStanding)
"""Published are those that the campaign is or was about, and no others (domain.md 8: name list, exit results)."""
ADULT = 18
"""Full years; nothing of minors is published (domain.md 8)."""


def published_name(name: str, born: date, day: date, *, full: bool = False) -> str | None:
    """A head's name as it may be published, masked unless it may be told in full; None for a minor."""
    if age(born, day) < ADULT:
        return None
    return name if full else masked_name(name)

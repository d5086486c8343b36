"""Whose name may be published. Pure."""

from datetime import date

from services.registry.identity import masked_name

ADULT = 18
"""Full years; nothing of minors is published (domain.md 8)."""


def published_name(name: str, born: date, day: date) -> str | None:
    """A head's name as a web page may show it, masked; None for a minor."""
    age = day.year - born.year - ((day.month, day.day) < (born.month, born.day))
    return masked_name(name) if age >= ADULT else None

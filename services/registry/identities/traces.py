"""What would give erased persons away elsewhere: their numbers, and their names as whole words. Pure.

Texts are JSON as the register seals it. A name may be another person's, too: whoever bears it loses the copy as well,
which costs a clerk a corrected row at most, where keeping it would keep an identity that the law wants gone.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass

STAR = "*"
_SHORTEST_NAME = 2


@dataclass(frozen=True, slots=True)
class Traces:
    """Finds persons in texts, and stars them out."""

    pattern: re.Pattern[str]

    @classmethod
    def of(cls, names: Iterable[str], numbers: Iterable[str]) -> "Traces":
        """``numbers``: ID numbers, phones, cards, as they are stored.

        Not sought are names of one character, or in plain ASCII: those could be words of the message itself, and no
        identity card has one.
        """
        words = {name for name in names if len(name) >= _SHORTEST_NAME and not name.isascii()}
        found = [rf"(?<!\w){re.escape(name)}(?!\w)" for name in words]
        found += [_escaped(name) for name in words]
        found += [rf"(?<![0-9]){re.escape(number)}(?![0-9])" for number in set(numbers)]
        return cls(re.compile("|".join(sorted(found)) or r"(?!)", re.IGNORECASE))

    def in_text(self, text: str) -> bool:
        return self.pattern.search(text) is not None

    def starred(self, text: str) -> str:
        """The text without them."""
        return self.pattern.sub(STAR, text)


def _escaped(name: str) -> str:
    r"""A name whose characters were sent as ``\uXXXX``, perhaps escaped once more."""
    units = name.encode("utf-16-be")
    return "".join(rf"\\+u{units[place : place + 2].hex()}" for place in range(0, len(units), 2))

"""What would give erased persons away elsewhere: their numbers, and their names. Pure.

Texts are free text, or JSON as the register seals it, and are read as they were meant: characters escaped in JSON,
digits of any width, numbers written in groups.
"""

import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

from services.registry.masking import DOTS

STAR = "*"
_SHORTEST_NAME = 2
_ESCAPE = re.compile(r"\\+u(d[89ab][0-9a-f]{2})\\+u(d[c-f][0-9a-f]{2})|\\+u([0-9a-f]{4})|\\+[bfnrt]", re.IGNORECASE)
"""A character as JSON escapes it, perhaps once more: a surrogate pair, any other by its number, or white space."""
_BETWEEN = f" {DOTS}"
"""Blanks, which line up names of two characters with those of three, and the dots in names of other peoples."""
_PARTS = re.compile(f"[{_BETWEEN}]")
_GROUP = re.compile(r"[0-9]+X?|(?<=[0-9][ -])X")
"""Digits of a number, which may be parted by a blank or a hyphen."""


@dataclass(frozen=True, slots=True)
class Traces:
    """Finds persons in texts, and stars them out."""

    names: frozenset[str]
    numbers: frozenset[str]

    @classmethod
    def of(cls, names: Iterable[str], numbers: Iterable[str]) -> "Traces":
        """``numbers``: ID numbers, phones, cards, as they are stored.

        Not sought are names of one character, or in plain ASCII: those could be words of the message itself, and no
        identity card has one.
        """
        words = (name for name in map(_closed_up, map(_plain, names)) if not name.isascii())
        return cls(frozenset(name for name in words if len(name) >= _SHORTEST_NAME), frozenset(map(_plain, numbers)))

    def and_of(self, others: "Traces") -> "Traces":
        """Those of more persons."""
        return Traces(self.names | others.names, self.numbers | others.numbers)

    def in_text(self, text: str, *, inside: bool = False) -> bool:
        """Whether the text names one of them.

        Names are whole words: in other people's texts, 张三 is not in 张三丰. With ``inside`` they are found in words,
        too, as Chinese does not part them: 张三病故. That is for texts about these persons, where a word that happens
        to be a name is the smaller loss.
        """
        return next(self._found(*_read(text), inside), None) is not None

    def starred(self, text: str, *, inside: bool = False) -> str:
        """The text without them; a name may be another person's there, whose trace is lost, too."""
        read, places = _read(text)
        parts, done = [], 0
        for start, end in sorted(self._found(read, places, inside)):
            if start >= done:
                parts += [text[done:start], STAR]
            done = max(done, end)
        return "".join([*parts, text[done:]])

    def _found(self, read: str, places: Sequence[int], inside: bool) -> Iterator[tuple[int, int]]:
        """Where in the text they are."""
        for start, end in (*self._names(read, inside), *self._numbers(read)):
            yield places[start], places[end]

    def _names(self, read: str, inside: bool) -> Iterator[tuple[int, int]]:
        closed, at = _together(read)
        for name in self.names:
            place = closed.find(name)
            while place >= 0:
                start, end = at[place], at[place + len(name) - 1] + 1
                if inside or not (read[start - 1 : start].isalpha() or read[end : end + 1].isalpha()):
                    yield start, end
                place = closed.find(name, place + 1)

    def _numbers(self, read: str) -> Iterator[tuple[int, int]]:
        groups = [found.span() for found in _GROUP.finditer(read)]
        parted = [after - end != 1 or read[end] not in " -" for (_, end), (after, _) in pairwise(groups)]
        for first, (start, _) in enumerate(groups):
            number = ""
            for place in range(first, len(groups)):
                number += read[slice(*groups[place])]
                if not self.numbers.isdisjoint((number, number.removesuffix("X"), _AREA.sub("", number))):
                    yield start, groups[place][1]
                if len(number) > _LONGEST or place == len(parted) or parted[place]:
                    break


_AREA = re.compile(r"^(?:00)?86(?=1[0-9]{10}$)")
"""Before a mobile number."""
_LONGEST = 30
"""Digits that are still put together: more than any number has."""


def _read(text: str) -> tuple[str, Sequence[int]]:
    """A text as it was meant, and where in the original each of its characters begins; also where the last one ends."""
    if "\\" not in text:
        return _plain(text), range(len(text) + 1)
    characters: list[str] = []
    places: list[int] = []
    done = 0
    for found in _ESCAPE.finditer(text):
        characters += [*text[done : found.start()], _unescaped(*found.groups())]
        places += range(done, found.start() + 1)
        done = found.end()
    characters += text[done:]
    places += range(done, len(text) + 1)
    return _plain("".join(characters)), places


def _together(text: str) -> tuple[str, Sequence[int]]:
    """A text without what may part a name, and where each of its characters is."""
    if not _PARTS.search(text):
        return text, range(len(text))
    at = [place for place, character in enumerate(text) if character not in _BETWEEN]
    return "".join(text[place] for place in at), at


def _closed_up(name: str) -> str:
    return _PARTS.sub("", name)


def _unescaped(high: str | None, low: str | None, unit: str | None) -> str:
    if high is not None and low is not None:
        return chr(0x10000 + ((int(high, 16) - 0xD800) << 10) + int(low, 16) - 0xDC00)
    return " " if unit is None else chr(int(unit, 16))


def _plain(text: str) -> str:
    """Characters of one width and case, as many as there were."""
    return text.upper() if text.isascii() else "".join(map(_plain_character, text))


@lru_cache(maxsize=10_000)
def _plain_character(character: str) -> str:
    plain = unicodedata.normalize("NFKC", character).upper()
    return plain if len(plain) == 1 else character

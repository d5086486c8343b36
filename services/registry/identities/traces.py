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

STAR = "*"
_SHORTEST_NAME = 2
_ESCAPE = re.compile(r"\\+u(d[89ab][0-9a-f]{2})\\+u(d[c-f][0-9a-f]{2})|\\+u([0-9a-f]{4})|\\+[bfnrt]", re.IGNORECASE)
"""A character as JSON escapes it, perhaps once more: a surrogate pair, any other by its number, or white space."""
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
        words = (name for name in names if len(name) >= _SHORTEST_NAME and not name.isascii())
        return cls(frozenset(map(_plain, words)), frozenset(map(_plain, numbers)))

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
        for name in self.names:
            start = read.find(name)
            while start >= 0:
                end = start + len(name)
                if inside or not (read[start - 1 : start].isalpha() or read[end : end + 1].isalpha()):
                    yield start, end
                start = read.find(name, start + 1)

    def _numbers(self, read: str) -> Iterator[tuple[int, int]]:
        groups = [found.span() for found in _GROUP.finditer(read)]
        parted = [after - end != 1 or read[end] not in " -" for (_, end), (after, _) in pairwise(groups)]
        for first, (start, _) in enumerate(groups):
            number = ""
            for place in range(first, len(groups)):
                number += read[slice(*groups[place])]
                if number in self.numbers or number.removesuffix("X") in self.numbers:
                    yield start, groups[place][1]
                if len(number) > _LONGEST or place == len(parted) or parted[place]:
                    break


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

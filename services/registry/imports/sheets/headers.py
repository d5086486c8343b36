"""Finding the row of column names among titles and notes. Pure."""

import re
import unicodedata
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

LOOKED_AT = 40
"""A header stands among the first so many rows that are not blank."""
ENOUGH = 2
"""Names that must be known for a row to be the header."""

_BRACKETED = re.compile(r"[(\[【〔][^)\]】〕]*[)\]】〕]")
_NUMBERED = re.compile(r"^\s*[0-9]{1,2}[.、)]")
_LEFT_OUT = re.compile(r"[\s*:：、,，。._\-/]+")


@dataclass(frozen=True, slots=True)
class Header:
    """The header of a sheet: which row of it, and a name a column (empty where there is none)."""

    row: int
    names: tuple[str, ...]


def plain(name: str) -> str:
    """A column name without what clerks add to it: spaces, stars, a number before it, units and remarks in brackets."""
    text = _BRACKETED.sub("", unicodedata.normalize("NFKC", name))
    return _LEFT_OUT.sub("", _NUMBERED.sub("", text)).lower()


def find(rows: Sequence[tuple[int, Sequence[object]]], known: Collection[str]) -> Header | None:
    """The row with the most known names; None where no row has enough of them.

    A name missing in the header is looked for in the row above: titles of two rows merge cells downwards.
    """
    best: Header | None = None
    most = ENOUGH - 1
    above: Sequence[object] = ()
    for row, cells in rows:
        names, upper = _names(cells), _names(above)
        own = _known(names, known)
        if own >= ENOUGH or (own and _known(upper, known) >= ENOUGH):
            whole = _completed(names, upper, known)
            score = _known(whole, known)
            if score > most:
                best, most = Header(row, whole), score
        above = cells
    return best


def _names(cells: Sequence[object]) -> list[str]:
    return [" ".join(cell.split()) if isinstance(cell, str) else "" for cell in cells]


def _known(names: Iterable[str], known: Collection[str]) -> int:
    return len({plain(name) for name in names}.intersection(known))


def _completed(names: list[str], above: list[str], known: Collection[str]) -> tuple[str, ...]:
    width = max(len(names), len(above))
    pairs = zip(names + [""] * (width - len(names)), above + [""] * (width - len(above)), strict=True)
    return tuple(name or (upper if plain(upper) in known else "") for name, upper in pairs)

"""Villages by name: as clerks write them, within county and township, with suggestions where none fits.

Pure, and part of the reading process.
"""

from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from functools import cached_property
from typing import NamedTuple

from services.registry.imports.values import CellError

_ENDINGS = {
    "county": ("市", "县", "区"),
    "township": ("街道办事处", "办事处", "街道", "镇", "乡", "管理区", "区"),
    "village": ("村民委员会", "居民委员会", "村委会", "居委会", "社区", "行政村", "村"),
}
_SUGGESTED = 3


class Village(NamedTuple):
    """A village as the register of divisions names it, and what lies above it."""

    code: str
    name: str
    township: str
    counties: Sequence[str]
    """Its county, and who manages it."""


class _Named(NamedTuple):
    """A village by the stems of its names."""

    village: Village
    stem: str
    township: str
    counties: frozenset[str]


class Villages:
    """Villages that a caller may name."""

    def __init__(self, villages: Iterable[Village]) -> None:
        self._villages = villages
        self._found: dict[tuple[str, str, str], str | CellError] = {}

    @cached_property
    def _named(self) -> Sequence[_Named]:
        """Made when the first name is asked for: a sheet of codes asks for none."""
        return [
            _Named(
                village,
                stem(village.name, "village"),
                stem(village.township, "township"),
                frozenset(stem(county, "county") for county in village.counties),
            )
            for village in self._villages
        ]

    def find(self, county: str, township: str, village: str) -> str:
        """The code of a village. Raises ``CellError`` with the names that come closest."""
        asked = (county, township, village)
        found = self._found.get(asked)
        if found is None:
            try:
                found = self._look_up(*asked)
            except CellError as error:
                found = error
            self._found[asked] = found
        if isinstance(found, CellError):
            raise found
        return found

    def _look_up(self, county: str, township: str, village: str) -> str:
        place, wanted = (stem(county, "county"), stem(township, "township")), stem(village, "village")
        there = [v for v in self._named if place[0] in ("", *v.counties) and place[1] in ("", v.township)]
        found = [each.village.code for each in there if each.stem == wanted]
        found = found or [each.village.code for each in there if each.stem == _below(village, each)]
        if len(found) == 1:
            return found[0]
        if found:
            raise CellError(
                "village_ambiguous",
                "several villages have this name: give county and township, or the code",
                "同名村不止一个,请填县区、乡镇或村编码",
            )
        if not there:
            raise CellError("township_unknown", "no such county or township of yours", "辖区内无此县区或乡镇")
        names = {each.stem: each.village.name for each in there}
        hint = "、".join(names[each] for each in get_close_matches(wanted, names, _SUGGESTED, 0.5))
        raise CellError(
            "village_unknown",
            f"no such village there{': ' + hint + '?' if hint else ''}",
            f"该乡镇无此村{',是否为:' + hint if hint else ''}",
        )


def _below(name: str, place: _Named) -> str:
    """The stem of a name without the county and township before it, where a clerk writes it in full."""
    rest = "".join(name.split())
    for level, above in (*(("county", county) for county in place.counties), ("township", place.township)):
        if rest.startswith(above):
            rest = rest.removeprefix(above)
            rest = rest.removeprefix(next((each for each in _ENDINGS[level] if rest.startswith(each)), ""))
    return stem(rest, "village")


def stem(name: str, level: str) -> str:
    """A name without what it ends in, which clerks leave out as they like; short names keep it."""
    text = "".join(name.split())
    for ending in _ENDINGS[level]:
        if text.endswith(ending) and len(text) - len(ending) >= 2:
            text = text.removesuffix(ending)
    return text

"""Villages by name: as clerks write them, within county and township, with suggestions where none fits. Pure."""

from collections import defaultdict
from collections.abc import Iterable
from datetime import date
from difflib import get_close_matches
from itertools import product

from services.registry.imports.values import CellError
from shared.contracts.division import DivisionTree

_ENDINGS = {
    "county": ("市", "县", "区"),
    "township": ("街道办事处", "办事处", "街道", "镇", "乡", "管理区", "区"),
    "village": ("村民委员会", "居民委员会", "村委会", "居委会", "社区", "行政村", "村"),
}
_SUGGESTED = 3


class Villages:
    """The villages of a tree that lie in some divisions on a day, by name. A county is also who manages it."""

    def __init__(self, tree: DivisionTree, divisions: Iterable[str], day: date) -> None:
        self._found: dict[tuple[str, str, str], str | CellError] = {}
        self._by_name: dict[tuple[str, str, str], list[tuple[str, str]]] = defaultdict(list)
        scope = frozenset(divisions)
        for village in tree:
            path = tree.path(village.code, day) if village.level == "village" else None
            if path is None or scope.isdisjoint(path.scopes()):
                continue
            above = [tree.get(code) for code in {path.county, path.managing_unit}]
            counties = {"", *(stem(unit.name, "county") for unit in above if unit is not None)}
            township = tree.get(path.township or "")
            townships = {"", stem(township.name, "township") if township is not None else ""}
            for place in product(counties, townships, ("", stem(village.name, "village"))):
                self._by_name[place].append((village.code, village.name))

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
        place = stem(county, "county"), stem(township, "township")
        found = {code for code, _ in self._by_name.get((*place, stem(village, "village")), ())}
        if len(found) == 1:
            return found.pop()
        if found:
            raise CellError(
                "village_ambiguous", "several villages have this name: give county and township, or the code",
                "同名村不止一个,请填县区、乡镇或村编码",
            )  # fmt: skip
        names = {stem(name, "village"): name for _, name in self._by_name.get((*place, ""), ())}
        close = [names[each] for each in get_close_matches(stem(village, "village"), names, _SUGGESTED, 0.5)]
        if not names:
            raise CellError("township_unknown", "no such county or township of yours", "辖区内无此县区或乡镇")
        hint = "、".join(close)
        raise CellError(
            "village_unknown", f"no such village there{': ' + hint + '?' if close else ''}",
            f"该乡镇无此村{',是否为:' + hint if close else ''}",
        )  # fmt: skip


def stem(name: str, level: str) -> str:
    """A name without what it ends in, which clerks leave out as they like; short names keep it."""
    text = "".join(name.split())
    for ending in _ENDINGS[level]:
        if text.endswith(ending) and len(text) - len(ending) >= 2:
            text = text.removesuffix(ending)
    return text

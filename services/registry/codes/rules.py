"""Terms of a year, and the national household attribute that follows from standing and welfare. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from shared.contracts.household import NEVER_POOR, STOCK, Standing

Welfare = Literal["none", "dibao", "tekun", "dibao_and_tekun"]
"""Social assistance 社会救助: kept apart from standing, for the national code mixes the two."""
Subject = Literal["household", "person"]
_RENAMED = 2019
"""Since this year a household may be of both kinds of welfare, and 02, 03 and 05 say that it exited (domain.md 1.1)."""


@dataclass(frozen=True, slots=True)
class Term:
    """One word of a list in some years."""

    code: str
    national: str
    label_zh: str
    first_year: int | None = None
    last_year: int | None = None

    def holds_in(self, year: int) -> bool:
        return (self.first_year or year) <= year <= (self.last_year or year)


@dataclass(frozen=True, slots=True)
class CodeList:
    """A list of terms 代码表."""

    name: str
    label_zh: str
    field: str
    """Field of the national register or standard it comes from; empty when there is none."""
    describes: Subject
    terms: Sequence[Term]

    def in_year(self, year: int) -> "CodeList":
        """The list as it was in a year."""
        terms = [term for term in self.terms if term.holds_in(year)]
        return CodeList(self.name, self.label_zh, self.field, self.describes, terms)


def poverty_attribute(standing: Standing, welfare: Welfare, year: int) -> str | None:
    """贫困户属性 AAC006 of a year: welfare category and exit state in one code (domain.md 1.1).

    Exit maps 01 to 05, 04 to 02, 06 to 03 and 07 to 08; relapse reverses. Until 2018 there was no code for both
    kinds of welfare: 五保 came first. Who never was registered as poor was 05 一般农户, 02 低保户 or 03 五保户 then;
    since 2019 these codes are those of exited households, and there is none: None.
    """
    if standing in NEVER_POOR and year >= _RENAMED:
        return None
    kind = "tekun" if welfare == "dibao_and_tekun" and year < _RENAMED else welfare
    pair = {"none": ("01", "05"), "dibao": ("04", "02"), "tekun": ("06", "03"), "dibao_and_tekun": ("07", "08")}[kind]
    return pair[standing not in STOCK]

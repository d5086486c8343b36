"""ID numbers 公民身份号码, GB 11643 (domain.md 1.4). Pure."""

import re
import unicodedata
from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from operator import mul
from typing import Literal, NamedTuple

from shared.errors import Fault, Text

_WITHIN = re.compile(r"(?<![0-9])(?=((?:[0-9][ -]?){17}[0-9Xx])(?![0-9]))")
"""Eighteen digits, perhaps in groups; other numbers may stand beside them."""
_SHAPE = re.compile(r"[1-9][0-9]{16}[0-9X]")
_WEIGHTS = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
_CHECK_DIGITS = "10X98765432"

Sex = Literal["male", "female"]

WRONG_ID_NUMBER: dict[str, Text] = {
    "id_number_format": Text("17 digits and a digit or X", "须为 17 位数字加校验位"),
    "id_number_birth": Text("holds no date of birth", "出生日期无效"),
    "id_number_check": Text("the check digit does not fit", "校验位不符"),
}


class BadIdNumberError(ValueError):
    """Not an ID number; ``code`` says why and is stable, the number itself is not repeated."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code

    def fault(self, pointer: str) -> Fault:
        """As the fault of a field."""
        return Fault(pointer, self.code, WRONG_ID_NUMBER[self.code])


@dataclass(frozen=True, slots=True)
class IdNumber:
    """An ID number and what it says of its holder."""

    text: str
    birth_date: date
    sex: Sex


def normalised_id_number(given: str) -> str:
    """The one written form: full-width digits and a lower-case x are what they mean."""
    return unicodedata.normalize("NFKC", given).strip().upper()


@lru_cache(maxsize=64)  # the rules on one household ask several times for each of its members
def read_id_number(given: str) -> IdNumber:
    """An ID number and what it says.

    Raises ``BadIdNumberError``: ``id_number_format``, ``id_number_birth``, ``id_number_check``.
    """
    text = normalised_id_number(given)
    if not _SHAPE.fullmatch(text):
        raise BadIdNumberError("id_number_format")
    try:
        born = date(int(text[6:10]), int(text[10:12]), int(text[12:14]))
    except ValueError as error:
        raise BadIdNumberError("id_number_birth") from error
    if check_digit(text[:17]) != text[17]:
        raise BadIdNumberError("id_number_check")
    return IdNumber(text, born, "male" if int(text[16]) % 2 else "female")


def holds_id_number(text: str) -> bool:
    """Whether a text holds an ID number whose check digit and birth date fit, in digits of any width."""
    found = _WITHIN.finditer(unicodedata.normalize("NFKC", text))
    return any(_valid(each[1].replace(" ", "").replace("-", "")) for each in found)


def _valid(number: str) -> bool:
    try:
        read_id_number(number)
    except BadIdNumberError:
        return False
    return True


def check_digit(body: str) -> str:
    """The eighteenth character that belongs to the first seventeen digits."""
    if len(body) != len(_WEIGHTS):
        raise ValueError("seventeen digits")
    return _CHECK_DIGITS[sum(map(mul, map(int, body), _WEIGHTS)) % 11]


DisabilityKind = Literal["sight", "hearing", "speech", "physical", "intellectual", "mental", "multiple"]
_KINDS: tuple[DisabilityKind, ...] = ("sight", "hearing", "speech", "physical", "intellectual", "mental", "multiple")
_CARD = re.compile(r"([1-9][0-9]{16}[0-9X])([1-7])([1-4])(?:B[0-9])?")


class DisabilityCard(NamedTuple):
    """What the number of a disability card 残疾人证号 says of its holder (GB/T 26341)."""

    id_number: str
    kind: DisabilityKind
    level: int
    """1 is the worst."""


def read_disability_number(given: str) -> DisabilityCard | None:
    """ID number, kind and level; None when it is no such number. A reissued card ends in B and a digit."""
    match = _CARD.fullmatch(normalised_id_number(given))
    if match is None or not _valid(match.group(1)):
        return None
    return DisabilityCard(match.group(1), _KINDS[int(match.group(2)) - 1], int(match.group(3)))

"""A synthetic population in the article's proportions: 144,000 registered poor households, 334,200 people.

The villages are real, the people are not: their names say so (演示...), and their ID numbers, though well formed,
begin with a division code that was never given out. The same scale gives the same population.
"""

import random
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import accumulate
from typing import Literal

HOUSEHOLDS = 144_000
PEOPLE = 334_200

ID_PREFIX = "411399"
"""No division of Nanyang has this code, so no living person's ID number begins with it."""

AS_OF = date(2018, 1, 1)
"""Ages are reckoned from here."""

_SEED = 20181008
_SIZES, _SIZE_WEIGHTS = (1, 2, 3, 4, 5), (28, 36, 20, 11, 5)
_DIGITS = "零一二三四五六七八九"
_WEIGHTS = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
_CHECK_DIGITS = "10X98765432"

Sex = Literal["male", "female"]
Relation = Literal["head", "spouse", "son", "daughter", "father", "mother"]


@dataclass(frozen=True, slots=True)
class Person:
    """A member of a household who does not exist."""

    name: str
    id_number: str
    sex: Sex
    born: date
    relation: Relation


@dataclass(frozen=True, slots=True)
class Household:
    """A household of a real village; its head comes first."""

    village: str
    members: tuple[Person, ...]


def population(villages: Mapping[str, float], scale: int) -> Iterator[Household]:
    """One household for `scale` of the city's, over villages with their weights; ends on the exact totals."""
    chance = random.Random(f"{_SEED} {scale}")  # noqa: S311 - it has to be the same every time, not secret
    codes, weights = list(villages), list(accumulate(villages.values()))
    numbers = _IdNumbers()
    ordinal = 0
    for size in _sizes(chance, HOUSEHOLDS // scale, PEOPLE // scale):
        members = []
        for relation, sex, age in _family(chance, size):
            ordinal += 1
            born = AS_OF - timedelta(days=age * 365 + chance.randrange(365))
            members.append(Person(_name(ordinal), numbers.issue(born, sex), sex, born, relation))
        yield Household(chance.choices(codes, cum_weights=weights)[0], tuple(members))


def id_number(prefix: str, born: date, sequence: int) -> str:
    """An ID number 公民身份号码 with its check digit (GB 11643); the sequence is odd for men."""
    body = f"{prefix}{born:%Y%m%d}{sequence:03d}"
    total = sum(int(digit) * weight for digit, weight in zip(body, _WEIGHTS, strict=True))
    return body + _CHECK_DIGITS[total % 11]


class _IdNumbers:
    """Hands out ID numbers, none twice."""

    def __init__(self) -> None:
        self._issued: defaultdict[tuple[date, Sex], int] = defaultdict(int)

    def issue(self, born: date, sex: Sex) -> str:
        count = self._issued[born, sex]
        self._issued[born, sex] += 1
        return id_number(ID_PREFIX, born, 2 * count + (1 if sex == "male" else 2))


def _sizes(chance: random.Random, households: int, people: int) -> Sequence[int]:
    """Household sizes that add up to `people`."""
    sizes = chance.choices(_SIZES, _SIZE_WEIGHTS, k=households)
    excess = sum(sizes) - people
    while excess:
        one = chance.randrange(households)
        step = 1 if excess > 0 else -1
        if sizes[one] - step >= 1:
            sizes[one] -= step
            excess -= step
    return sizes


def _family(chance: random.Random, size: int) -> Iterator[tuple[Relation, Sex, int]]:
    """Relation, sex and age of each member: a head, then a spouse, then children and parents."""
    sex: Sex = "male" if chance.random() < 0.7 else "female"
    age = chance.randint(38, 76)
    yield "head", sex, age
    if size > 1:
        yield "spouse", "female" if sex == "male" else "male", max(24, age + chance.randint(-5, 3))
    for _ in range(size - 2):
        other: Sex = "male" if chance.random() < 0.5 else "female"
        if age < 60 and chance.random() < 0.25:
            yield "father" if other == "male" else "mother", other, age + chance.randint(20, 28)
        else:
            yield "son" if other == "male" else "daughter", other, age - chance.randint(22, 34)


def _name(ordinal: int) -> str:
    return "演示" + "".join(_DIGITS[int(digit)] for digit in str(ordinal))

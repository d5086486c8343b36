"""The demonstration's people: as many as the article says, well formed, and nobody's."""

from collections import Counter
from datetime import date

import pytest

from deploy.local.demo.population import ID_PREFIX, id_number, population

VILLAGES = {"411323102217": 2.0, "411323102218": 1.0}


@pytest.mark.parametrize(
    ("scale", "households", "people"), [(10, 14_400, 33_420), (100, 1_440, 3_342), (1000, 144, 334)]
)
def test_the_articles_totals(scale: int, households: int, people: int) -> None:
    made = list(population(VILLAGES, scale))
    assert (len(made), sum(len(household.members) for household in made)) == (households, people)
    numbers = [person.id_number for household in made for person in household.members]
    assert len(set(numbers)) == people


def test_same_scale_gives_the_same_people() -> None:
    assert list(population(VILLAGES, 1000)) == list(population(VILLAGES, 1000))


def test_people_are_recognisably_synthetic_and_consistent() -> None:
    for household in population(VILLAGES, 100):
        assert household.village in VILLAGES
        relations = Counter(person.relation for person in household.members)
        assert (household.members[0].relation, relations["head"]) == ("head", 1)
        assert relations["spouse"] <= 1
        for person in household.members:
            assert person.name.startswith("演示")
            assert person.id_number.startswith(ID_PREFIX)
            assert person.id_number == id_number(ID_PREFIX, person.born, int(person.id_number[14:17]))
            assert (int(person.id_number[16]) % 2 == 1) == (person.sex == "male")


def test_check_digit_of_the_standards_example() -> None:
    # GB 11643-1999, the standard's own example.
    assert id_number("110105", date(1949, 12, 31), 2) == "11010519491231002X"

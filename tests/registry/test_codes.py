"""Code lists: the words the models take are the words of the lists, and the national codes of a year."""

from typing import get_args

import httpx
import pytest
from pydantic import BaseModel

from services.registry.codes.rules import Welfare, poverty_attribute
from services.registry.codes.service import code_lists, words
from services.registry.households import attributes as a
from services.registry.households.attributes import HouseholdAttributes, PersonAttributes
from services.registry.households.records import PersonStatus
from services.registry.households.rules import Employable, Relation, Sex
from shared.contracts.household import Standing

LISTS = {
    "cause": a.Cause, "relapse_cause": a.Cause, "other_cause": a.OtherCause, "schooling": a.Schooling,
    "political_status": a.PoliticalStatus, "health": a.Health, "relation": Relation, "sex": Sex,
    "employable": Employable, "presence": PersonStatus, "standing": Standing, "welfare": Welfare,
}  # fmt: skip
FIELDS: dict[str, tuple[type[BaseModel], str]] = {
    "identification_standard": (HouseholdAttributes, "standard"), "housing_danger": (a.Housing, "danger"),
    "fuel": (a.Housing, "fuel"), "road": (a.Road, "kind"), "relocation_method": (a.Relocation, "method"),
    "resettlement": (a.Relocation, "resettlement"), "resettlement_site": (a.Relocation, "site"),
    "education": (PersonAttributes, "education"), "work_place": (a.Work, "place"),
    "id_kind": (PersonAttributes, "id_kind"), "disability_kind": (PersonAttributes, "disability_kind"),
}  # fmt: skip


@pytest.mark.parametrize("name", LISTS)
def test_a_model_takes_the_words_of_its_list(name: str) -> None:
    assert set(get_args(LISTS[name])) == words(name)


@pytest.mark.parametrize("name", FIELDS)
def test_a_field_takes_the_words_of_its_list(name: str) -> None:
    model, field = FIELDS[name]
    schema = model.model_json_schema()["properties"][field]
    taken = schema.get("enum") or next(each["enum"] for each in schema["anyOf"] if "enum" in each)
    assert set(taken) == words(name)


@pytest.mark.parametrize("name", [*LISTS, *FIELDS])
@pytest.mark.parametrize("year", [2014, 2018, 2019])
def test_a_word_that_is_taken_in_a_year_is_in_the_list_of_the_year(name: str, year: int) -> None:
    """Models take their words whatever the year: what changes over the years are codes and labels."""
    assert {term.code for term in code_lists()[name].in_year(year).terms} == words(name)


@pytest.mark.parametrize(
    ("standing", "welfare", "year", "code"),
    [
        ("poor", "none", 2018, "01"), ("exited_supported", "none", 2018, "05"), ("pre_exit", "dibao", 2018, "04"),
        ("exited", "dibao", 2018, "02"), ("relapsed", "tekun", 2018, "06"), ("exited", "tekun", 2018, "03"),
        ("poor", "dibao_and_tekun", 2018, "06"), ("poor", "dibao_and_tekun", 2019, "07"),
        ("exited", "dibao_and_tekun", 2018, "03"), ("exited", "dibao_and_tekun", 2019, "08"),
        ("ordinary", "none", 2018, "05"), ("ordinary", "dibao", 2018, "02"), ("welfare_only", "dibao", 2018, "02"),
        ("welfare_only", "tekun", 2018, "03"), ("welfare_only", "dibao_and_tekun", 2018, "03"),
        ("ordinary", "none", 2019, None), ("welfare_only", "dibao", 2019, None), ("exited", "none", 2019, "05"),
        ("relapsed", "dibao_and_tekun", 2019, "07"),
    ],
)  # fmt: skip
def test_the_national_attribute_follows_standing_and_welfare(
    standing: Standing, welfare: Welfare, year: int, code: str | None
) -> None:
    assert poverty_attribute(standing, welfare, year) == code


async def test_lists_are_served_by_year(registry: httpx.AsyncClient) -> None:
    names = {item["name"] for item in (await registry.get("/v1/code-lists")).json()["items"]}
    assert names == {*LISTS, *FIELDS, "poverty_attribute", "ethnicity"}
    for year, label in ((2018, "低保户"), (2019, "低保脱贫户")):
        found = (await registry.get(f"/v1/code-lists/poverty_attribute?year={year}")).json()
        assert [term["label_zh"] for term in found["terms"] if term["code"] == "02"] == [label]
    assert len((await registry.get("/v1/code-lists/ethnicity")).json()["terms"]) == 56
    assert (await registry.get("/v1/code-lists/none_such")).status_code == 404


@pytest.mark.parametrize(
    ("name", "codes"),
    [
        ("employable", {"01", "02", "03", "04"}), ("health", {f"0{n}" for n in range(1, 5)}),
        ("presence", {"1", "2", "3", "4", "9", "10", "11", "12", "13"}), ("id_kind", {"01", "03", "09"}),
        ("relation", {*(f"{n:02d}" for n in range(1, 21)), "99"}), ("schooling", {f"{n:02d}" for n in range(1, 17)}),
        ("political_status", {f"{n:02d}" for n in range(1, 14)}), ("work_place", {"01", "02", "03", "04", "99"}),
    ],
)  # fmt: skip
async def test_a_list_holds_the_national_codes(registry: httpx.AsyncClient, name: str, codes: set[str]) -> None:
    """So that what another system says in one of them has a word here (domain.md 1.3)."""
    terms = (await registry.get(f"/v1/code-lists/{name}")).json()["terms"]
    assert {term["national"] for term in terms} - {None} == codes

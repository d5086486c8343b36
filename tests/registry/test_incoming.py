"""Households of which some fields cannot be read: the rest is judged, and nothing is told that is not so."""

import json
from collections.abc import Iterator, Sequence
from datetime import date
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.registry.checks.catalogue import CATALOGUE
from services.registry.divisions.loading import load_divisions
from services.registry.households.attributes import Relocation
from services.registry.households.incomes import IncomeIn
from services.registry.households.incoming import MAX_FAULTS, PartlyRead, read_household
from services.registry.households.judging import Judged, Surroundings, judge
from services.registry.households.schemas import HouseholdIn, MemberIn
from services.registry.identity import Vault
from shared.auth import Caller
from shared.contracts.division import DivisionTree
from shared.errors import Fault, fault
from tests.registry.conftest import CITY, OTHER_VILLAGE, XIXIA, household, id_number, member
from tests.registry.test_checks import FAULTS, broken, in_order

CALLER = Caller(UUID(int=1), "测试", frozenset({"importer"}), (XIXIA,))
TREE, VAULT, LOCKED = DivisionTree(load_divisions()), Vault(bytes(32)), frozenset({2010, 2016})
AROUND = Surroundings(TREE, VAULT, CALLER, date(2018, 10, 8), LOCKED)
RELOCATED = {"method": "individual", "resettlement": "scattered", "site": "township"}
STATED = {"gross_fen": 2_738_750, "net_fen": 2_638_750, "per_capita_fen": 879_583}
Json = dict[str, Any]
Told = set[tuple[str, str]]


def full(code: str | None = None) -> Json:
    """A household with something in nearly every field; broken in one way, or in none."""
    body: Json = json.loads(json.dumps(in_order() if code is None else broken(code)))
    body["attributes"]["relocation"] = dict(RELOCATED)
    body["members"][1] |= {"phone": "13800000000", "joined_on": "2015-01-01"}
    if body["incomes"] == in_order()["incomes"]:
        body["incomes"][0] |= STATED
    return {**body, "number": "41132300000001", "source_system": "town", "external_id": "7"}


def told(value: Any, faults: Sequence[Fault] = ()) -> Told:
    """Everything that is said against a household as it was sent."""
    read = read_household(json.loads(json.dumps(value)), faults)
    judged = read if isinstance(read, list) else judge(read, AROUND)
    said = [*judged.faults, *judged.if_new] if isinstance(judged, Judged) else judged
    pairs = [(each.pointer, each.code) for each in said]
    assert len(set(pairs)) == len(pairs), "nothing is told twice"
    return set(pairs)


def places(value: Any, above: str = "") -> Iterator[str]:
    """Pointers to everything in a household."""
    entries = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for step, below in entries:
        yield f"{above}/{step}"
        yield from places(below, f"{above}/{step}")


def unreadable(body: Json, pointer: str) -> None:
    """Something that is of no field's type, where a pointer points to."""
    *above, last = pointer.split("/")[1:]
    holder: Any = body
    for step in above:
        holder = holder[int(step) if isinstance(holder, list) else step]
    holder[int(last) if isinstance(holder, list) else last] = {"wrong": [True]}


def without(pointers: Sequence[str]) -> list[str]:
    """Those that lie in none of the others."""
    return [each for each in pointers if not any(each.startswith(f"{other}/") for other in pointers)]


def own(said: Told, pointers: Sequence[str]) -> Told:
    """What is said of these places themselves, or of what is in them."""
    return {each for each in said if any(f"{each[0]}/".startswith(f"{other}/") for other in pointers)}


def test_there_is_a_stand_in_for_whatever_must_be_there() -> None:
    """Also of what must be there in what need not be: it goes with that."""
    for model, above in ((HouseholdIn, ""), (MemberIn, "/members/1"), (IncomeIn, "/incomes/0")):
        for name, each in model.model_fields.items():
            if each.is_required():
                body = full()
                unreadable(body, f"{above}/{name}")
                assert isinstance(read_household(body), PartlyRead), name
    for name in Relocation.model_fields:
        body = full()
        unreadable(body, f"/attributes/relocation/{name}")
        assert isinstance(read_household(body), PartlyRead), name


def test_what_is_in_order_is_read_whole() -> None:
    assert isinstance(read_household(full()), HouseholdIn)
    assert told(full()) == set()


@pytest.mark.parametrize("place", list(places(full())))
def test_one_field_that_cannot_be_read_is_the_only_thing_told(place: str) -> None:
    """Nothing is found missing, contradicted or broken for it."""
    body = full()
    unreadable(body, place)
    said = told(body)
    assert said
    assert own(said, [place]) == said


ERRORS = [rule.code for rule in CATALOGUE if rule.severity == "error" and rule.code in FAULTS]
DISPUTED = {"sex_differs", "birth_differs"}
"""ID number and statements contradict each other: as long as both can be read, nobody knows the sex, and no rule that
reads it speaks; of what can be read alone it does."""
OF_IDENTITY = {*DISPUTED, "id_number_format", "id_number_birth", "id_number_check", "id_number_twice"}
FURTHER = [code for code in ERRORS if code not in OF_IDENTITY]


@st.composite
def partly_readable(draw: st.DrawFn) -> tuple[Json, list[str]]:
    """A household that may be broken in some ways, and places in it that cannot be read."""
    first = draw(st.sampled_from([None, *(code for code in ERRORS if code not in DISPUTED)]))
    body = full(first)
    if first not in OF_IDENTITY:
        for code in draw(st.lists(st.sampled_from(FURTHER), max_size=3)):
            FAULTS[code][0](body)
    for name, wrong in (("village", OTHER_VILLAGE), ("registered_on", "2019-01-01"), ("external_id", None)):
        if draw(st.booleans()):
            body[name] = wrong
    if draw(st.booleans()):
        body["incomes"][0] |= {"year": draw(st.sampled_from([2016, 2030])), "net_fen": draw(st.integers(0, 10))}
    chosen = draw(st.lists(st.sampled_from(sorted(places(body))), min_size=1, max_size=4, unique=True))
    return body, without(chosen)


@settings(max_examples=400, deadline=None)
@given(partly_readable())
def test_nothing_is_told_that_would_not_be_told_if_all_could_be_read(case: tuple[Json, list[str]]) -> None:
    body, chosen = case
    whole = told(body)
    in_lines = json.loads(json.dumps(body))
    for place in chosen:
        unreadable(in_lines, place)
    said = told(in_lines)
    assert own(said, chosen), "what cannot be read is told"
    assert said - own(said, chosen) <= whole

    cells = [fault(place, "cell_error", "an error", "错误") for place in chosen]
    said = told(body, cells)
    assert {(place, "cell_error") for place in chosen} <= said
    assert said - {(place, "cell_error") for place in chosen} <= whole


@pytest.mark.parametrize("code", ERRORS)
def test_a_field_that_a_rule_does_not_read_hides_nothing_of_it(code: str) -> None:
    body = full(code)
    for place in ("/attributes/housing/area_m2", "/incomes/0/people", "/members/1/phone", "/welfare"):
        partly = json.loads(json.dumps(body))
        partly.setdefault("welfare", "none")
        unreadable(partly, place)
        assert (FAULTS[code][1], code) in told(partly), place


MANY: Json = {
    "village": OTHER_VILLAGE,
    "standing": "rich",
    "registered_on": "2014-05-01",
    "attributes": {"housing": {"area_m2": "wide"}},
    "incomes": [{"year": 2016, "people": 2, "wages_fen": "much", "net_fen": 5}, {"year": 2030, "people": 1}],
    "members": [
        member(phone="1"),
        member("head", name=""),
        {"name": "测试丙", "relation": "son", "id_number": id_number()[:17] + "?"},
        {"name": "测试丁", "relation": "son", "bank_card": 5},
        member("daughter", joined_on="2013-01-01"),
    ],
}
ALL: Told = {
    ("/village", "division_unknown"),
    ("/standing", "literal_error"),
    ("/attributes/housing/area_m2", "decimal_type"),
    ("/incomes/0/wages_fen", "int_type"),
    ("/incomes/0/year", "year_locked"),
    ("/incomes/1/year", "year_out_of_range"),
    ("/members", "one_head"),
    ("/members/0/phone", "phone_format"),
    ("/members/1/name", "string_too_short"),
    ("/members/2/id_number", "id_number_format"),
    ("/members/3", "identity"),
    ("/members/3/bank_card", "string_type"),
    ("/members/4/relation", "relation_sex"),
    ("/members/4/joined_on", "day_out_of_range"),
}


def test_everything_is_told_at_once() -> None:
    assert told(MANY) == ALL


UNKNOWN_ID = [fault("/members/1/id_number", "number_as_text", "", "")]


@pytest.mark.parametrize(
    ("change", "faults", "expected"),
    [
        # who a member is
        ({"members": [member(), {"name": "测试乙", "relation": "son"}]}, UNKNOWN_ID, set()),
        ({"members": [member(), member("daughter")]}, UNKNOWN_ID, {("/members/1/relation", "relation_sex")}),
        ({"members": [member(sex=5)]}, [], {("/members/0/sex", "literal_error")}),
        ({"members": [member(), member("daughter", id_number=id_number(), sex=5)]}, [],
         {("/members/1/sex", "literal_error"), ("/members/1/relation", "relation_sex")}),
        ({"members": [member(birth_date="?", id_number=id_number())]}, [], {("/members/0/birth_date", "date_parsing")}),
        # who is the head
        ({"members": [member(relation="?"), member("son")]}, [], {("/members/0/relation", "literal_error")}),
        ({"members": [member(), 5]}, [], {("/members/1", "model_type")}),
        ({"members": [member("son"), member("daughter", name=5)]}, [],
         {("/members/1/name", "string_type"), ("/members/1/relation", "relation_sex"), ("/members", "one_head")}),
        # where and since when
        ({"registered_on": "?", "members": [member(joined_on="2012-01-01")]}, [], {("/registered_on", "date_parsing")}),
        ({"registered_on": "1990-01-01"}, [], {("/registered_on", "day_out_of_range")}),
        # what it earned
        ({"incomes": [{"year": "?", "people": 1}, {"year": 2010, "people": 1}]}, [],
         {("/incomes/0/year", "int_type"), ("/incomes/1/year", "year_locked")}),
        ({"incomes": [{"year": 2016}]}, [], {("/incomes/0/people", "missing"), ("/incomes/0/year", "year_locked")}),
        ({"incomes": [{"year": 2017, "people": 1, "net_fen": 1}]}, [fault("/incomes/0/wages_fen", "number", "", "")],
         set()),
        ({"incomes": [{"year": 2017, "people": 1, "net_fen": 1}]}, [], {("/incomes/0", "income_identity")}),
        # what it is called elsewhere
        ({"source_system": None, "external_id": "7"}, [fault("/external_id", "source_missing", "", "")], set()),
        ({"source_system": "x", "standing": "?"}, [], {("/standing", "literal_error"), ("", "reference")}),
    ],
)  # fmt: skip
def test_what_is_told_and_what_is_not(change: Json, faults: list[Fault], expected: Told) -> None:
    said = told(household(**change), faults)
    assert said == expected | {(each.pointer, each.code) for each in faults}


def test_what_is_no_household_at_all_is_told_alone() -> None:
    nothing: list[Any] = [None, [], 5, "x"]
    for value in nothing:
        assert told(value) == {("", "model_type")}
    assert told({}) == {("/village", "missing"), ("/standing", "missing"), ("/members", "missing")}
    assert told(household(members=[])) == {("/members", "too_short")}
    assert told(household(members=[member()] * 51)) == {("/members", "too_long")}
    surprising = {f"x{place}": 1 for place in range(MAX_FAULTS + 1)}
    assert len(told(household(village=CITY, **surprising))) == MAX_FAULTS + 1


def test_the_register_is_not_asked_about_a_household_of_which_the_name_is_unknown() -> None:
    """It may itself hold the numbers that would be found taken."""
    for change in ({"number": 5}, {"source_system": "town", "external_id": 5}, {"source_system": "town"}):
        read = read_household(household(**change))
        assert isinstance(read, PartlyRead)
        assert isinstance(judge(read, AROUND), list)


def test_what_a_household_leaves_out_is_not_copied_for_each() -> None:
    """Copying the defaults took four fifths of the time that a line of a bulk request takes to be read."""
    one, other = (HouseholdIn.model_validate(household()) for _ in range(2))
    assert one.attributes is other.attributes
    assert one.members[0].attributes is other.members[0].attributes

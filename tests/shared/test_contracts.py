"""Contracts: reading divisions and households as of a day, and the schemas we publish."""

from datetime import date, timedelta
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from shared.contracts.action import ACTION
from shared.contracts.base import Topic, json_schema
from shared.contracts.division import DIVISION, Designation, DivisionEvent, DivisionTree, ManagingUnit, Path
from shared.contracts.household import HOUSEHOLD, PERSON, HouseholdEvent, HouseholdState, Standing
from shared.contracts.key import KEY
from shared.contracts.programme import PROGRAMME, TARGET

START = date(2010, 1, 1)


def division(code: str, level: str, parent: str | None, **more: object) -> DivisionEvent:
    fields = {"code": code, "version": 1, "name": code, "level": level, "parent": parent, "valid_from": START}
    return DivisionEvent.model_validate({**fields, "sort_order": 1, "source": "test", **more})


@pytest.fixture
def tree() -> DivisionTree:
    moved = ManagingUnit(unit="411392000000", valid_from=date(2012, 5, 1), valid_to=date(2015, 1, 1))
    return DivisionTree([
        division("411300000000", "city", None),
        division("411321000000", "county", "411300000000"),
        division("411392000000", "county", "411300000000"),
        division("411321103000", "township", "411321000000", managing_units=[moved]),
        division("411321103200", "village", "411321103000", valid_to=date(2016, 1, 1)),
    ])  # fmt: skip


@pytest.mark.parametrize(
    ("day", "unit"),
    [
        (date(2012, 4, 30), "411321000000"),
        (date(2012, 5, 1), "411392000000"),
        (date(2014, 12, 31), "411392000000"),
        (date(2015, 1, 1), "411321000000"),
    ],
)
def test_the_managing_unit_is_dated(tree: DivisionTree, day: date, unit: str) -> None:
    path = tree.path("411321103200", day)
    assert path is not None
    assert path.managing_unit == unit
    assert (path.county, path.township, path.village) == ("411321000000", "411321103000", "411321103200")


def test_names_and_parents_are_those_of_the_day() -> None:
    village = division(
        "411321103200",
        "village",
        "411321104000",
        former_names=[{"name": "甲", "valid_to": date(2012, 1, 1)}, {"name": "乙", "valid_to": date(2013, 1, 1)}],
        former_parents=[{"parent": "411321103000", "valid_to": date(2014, 1, 1)}],
    )
    above = [
        division("411300000000", "city", None),
        division("411321000000", "county", "411300000000"),
        division("411321103000", "township", "411321000000"),
        division("411321104000", "township", "411321000000"),
    ]
    names = [village.name_on(date(year, 1, 1) - timedelta(days=late)) for year in (2012, 2013) for late in (1, 0)]
    assert names == ["甲", "乙", "乙", "411321103200"]
    tree = DivisionTree([*above, village])
    for day, township in ((date(2013, 12, 31), "411321103000"), (date(2014, 1, 1), "411321104000")):
        path = tree.path(village.code, day)
        assert path is not None
        assert path.township == township
    assert tree.turns(village.code) == {date(2014, 1, 1)}


def test_no_path_where_a_division_is_not_valid_or_unknown(tree: DivisionTree) -> None:
    assert tree.path("411321103200", date(2016, 1, 1)) is None
    assert tree.path("411321103200", date(2009, 12, 31)) is None
    assert tree.path("999999999999", date(2014, 1, 1)) is None
    assert tree.path("411300000000", date(2014, 1, 1)) is None  # counts happen at county level and below


def test_a_ring_of_parents_ends() -> None:
    ring = DivisionTree([division("1" * 12, "county", "2" * 12), division("2" * 12, "county", "1" * 12)])
    assert ring.path("1" * 12, date(2014, 1, 1)) is None


def test_designations_end_on_the_day_named() -> None:
    held = Designation(kind="poor_village", valid_from=START, valid_to=date(2018, 6, 1))
    village = division("411321103200", "village", None, designations=[held])
    assert village.designated("poor_village", date(2018, 5, 31))
    assert not village.designated("poor_village", date(2018, 6, 1))
    assert not village.designated("deep_poverty_village", date(2018, 5, 31))


PATH = Path(city="4" * 12, county="5" * 12, managing_unit="5" * 12)


@given(
    st.lists(st.integers(0, 2000), min_size=1, max_size=6, unique=True), st.integers(-10, 2010), st.integers(0, 2010)
)
def test_the_state_on_a_day_is_the_last_one_begun(starts: list[int], at: int, ended: int) -> None:
    standings: list[Standing] = ["poor", "pre_exit", "exited_supported", "exited", "relapsed", "poor"]
    timeline = [
        HouseholdState(valid_from=START + timedelta(days=day), standing=standings[i], path=PATH)
        for i, day in enumerate(sorted(starts))
    ]
    event = HouseholdEvent(
        id=uuid4(),
        version=1,
        status="active",
        number="1" * 14,
        seq=1,
        timeline=timeline,
        valid_to=START + timedelta(days=ended),
    )
    begun = [i for i, day in enumerate(sorted(starts)) if day <= at]
    expected = timeline[begun[-1]] if begun and at < ended else None
    assert event.state_on(START + timedelta(days=at)) == expected


@pytest.mark.parametrize(
    "topic", [ACTION, DIVISION, HOUSEHOLD, PERSON, KEY, PROGRAMME, TARGET], ids=lambda t: str(t.name)
)
def test_published_schemas_are_valid(topic: Topic) -> None:
    schema = json_schema(topic.model, f"urn:{topic.name}")
    Draft202012Validator.check_schema(schema)
    assert schema["properties"]


def test_an_unknown_verb_is_a_mistake_of_ours() -> None:
    assert ACTION.type("recorded") == "cn.bangfu.assistance.action.recorded.v1"
    with pytest.raises(ValueError, match="publishes no"):
        ACTION.type("deleted")

"""The catalogue: what ships, what may be published, and what details must look like."""

from datetime import date
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator, FormatChecker

from services.assistance.catalogue.details import compile_check, schema_faults
from services.assistance.catalogue.rules import programme_faults, reaches
from services.assistance.catalogue.vocabulary import article_programmes, sectors, terms
from tests.assistance.world import (
    HUANGLUDIAN_VILLAGE,
    NEIXIANG_VILLAGE,
    TANGHE,
    TANGHE_VILLAGE,
    XIAYING,
    XIXIA,
    World,
    path_of,
)

PROGRAMMES = {programme.code: programme for programme in article_programmes()}


@pytest.mark.parametrize("programme", PROGRAMMES.values(), ids=PROGRAMMES.keys())
def test_what_ships_keeps_the_rules(programme: Any) -> None:
    places = {programme.issuer, *(step.division for step in programme.rollout)}
    tags = {term.tag for term in terms()}
    assert programme_faults(programme, sectors=sectors(), tags=tags, divisions=places) == []


def test_the_vocabulary_answers_5_6_4_6_6_4() -> None:
    groups = [term.tag.split(":")[0] for term in terms()]
    names = ("batch", "precision", "battle", "province_action", "city_action", "project")
    assert [groups.count(name) for name in names] == [5, 6, 4, 6, 6, 4]


@pytest.mark.parametrize(
    ("programme", "village", "day", "expected"),
    [
        ("three_plus_n", NEIXIANG_VILLAGE, date(2018, 10, 8), True),
        ("three_plus_n", TANGHE_VILLAGE, date(2018, 10, 8), False),
        ("three_plus_n", "411324101201", date(2017, 12, 31), False),
        ("three_plus_n", "411324101201", date(2018, 1, 1), True),
        ("three_plus_n", "411322101201", date(2018, 10, 8), True),
        ("five_household_group", NEIXIANG_VILLAGE, date(2018, 10, 8), True),
        ("five_household_group", XIAYING, date(2018, 10, 8), False),
        ("points", TANGHE_VILLAGE, date(2018, 10, 8), True),
        ("points", NEIXIANG_VILLAGE, date(2018, 10, 8), False),
        ("visit", HUANGLUDIAN_VILLAGE, date(2018, 10, 8), True),
    ],
)
def test_where_programmes_apply(programme: str, village: str, day: date, expected: bool) -> None:
    assert reaches(PROGRAMMES[programme], path_of(village), day) is expected


@pytest.mark.parametrize(
    ("schema", "code"),
    [
        ({"type": "object"}, "open_schema"),
        ({"type": "array", "additionalProperties": False}, "open_schema"),
        ({"type": "object", "additionalProperties": False, "$ref": "http://x/y"}, "keyword"),
        ({"type": "object", "additionalProperties": False, "properties": {"a": {"pattern": "(a+)+$"}}}, "keyword"),
        ({"type": "object", "additionalProperties": False, "properties": {"a": {"type": "letter"}}}, "json_schema"),
        ({"type": 7, "additionalProperties": False}, "json_schema"),
    ],
)
def test_schemas_outside_the_subset(schema: dict[str, Any], code: str) -> None:
    assert [each.code for each in schema_faults(schema)] == [code]


def test_faults_of_details_never_quote_them() -> None:
    fields = {"month": {"type": "string", "format": "month"}, "n": {"type": "integer", "maximum": 9}}
    schema = {"type": "object", "additionalProperties": False, "properties": fields, "required": ["month"]}
    check = compile_check(schema)
    assert check({"month": "2018-10", "n": 9}) == []
    assert [each.pointer for each in check({})] == ["/month"]
    found = check({"month": "secret", "n": 410000199001011234, "other": "秘密"})
    assert {(each.pointer, each.code) for each in found} == {
        ("/month", "format"),
        ("/n", "maximum"),
        ("", "extra_forbidden"),
    }
    assert not any(word in str(found) for word in ("secret", "410000199001011234", "秘密"))


@given(
    st.dictionaries(
        st.sampled_from(["word", "text", "count", "flag", "day", "unknown"]),
        st.one_of(st.none(), st.booleans(), st.integers(-5, 5), st.floats(-5, 5), st.text(max_size=4), st.just("a")),
    )
)
def test_details_that_are_plainly_right_are_right(details: dict[str, Any]) -> None:
    fields: dict[str, dict[str, Any]] = {
        "word": {"title": "词", "enum": ["a", "b"]},
        "text": {"type": "string", "minLength": 1, "maxLength": 3},
        "count": {"type": "integer", "minimum": 0, "maximum": 3},
        "flag": {"type": "boolean"},
        "day": {"type": "string", "format": "date"},
    }
    schema = {"type": "object", "additionalProperties": False, "properties": fields, "required": ["word"]}
    valid = Draft202012Validator(schema, format_checker=FormatChecker()).is_valid(details)
    assert (compile_check(schema)(details) == []) is valid


def _fungi(**more: Any) -> dict[str, Any]:
    return {
        "code": "edible_fungi", "label_zh": "食用菌产业扶贫", "class": "help", "issuer": XIXIA, "sector": "agriculture",
        "tags": ["battle:industry"], "serves": "household", "kinds": [{"code": "joined", "label_zh": "参与"}],
        "valid_from": "2018-01-01", **more,
    }  # fmt: skip


async def test_a_new_programme_takes_actions_at_once_where_it_applies(world: World) -> None:
    made = await world.send("POST", "/v1/programmes", body=_fungi())
    assert made.status_code == 201, made.text
    assert (await world.record(programme="edible_fungi", kind="joined")).status_code == 201
    elsewhere = await world.record(village=TANGHE_VILLAGE, programme="edible_fungi", kind="joined")
    assert elsewhere.json()["errors"][0]["code"] == "not_rolled_out"
    retired = {name: value for name, value in _fungi(status="retired").items() if name != "code"}
    gone = await world.send("PUT", "/v1/programmes/edible_fungi", body=retired, if_match='"1"')
    assert (gone.status_code, gone.headers["etag"]) == (200, '"2"')
    assert (await world.record(programme="edible_fungi", kind="joined")).json()["errors"][0]["code"] == "not_in_force"
    assert (await world.send("POST", "/v1/programmes", body=_fungi())).status_code == 409


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"sector": "magic"}, "/sector"),
    ({"tags": ["battle:none"]}, "/tags/0"),
    ({"issuer": "999999000000"}, "/issuer"),
    ({"rollout": [{"division": "999999000000", "valid_from": "2018-01-01"}]}, "/rollout/0/division"),
    ({"valid_to": "2018-01-01"}, "/valid_to"),
    ({"kinds": []}, "/kinds"),
    ({"kinds": [{"code": "a", "label_zh": "甲", "details_schema": {}}]}, "/kinds/0/details_schema"),
    ({"status": "gone"}, "/status"),
]


async def test_what_is_no_programme(world: World) -> None:
    for changes, pointer in REFUSED:
        answer = await world.send("POST", "/v1/programmes", body=_fungi(**changes))
        assert answer.status_code == 422, changes
        assert [each["pointer"] for each in answer.json()["errors"]] == [pointer]


async def test_a_programme_too_large_to_publish_is_refused(world: World) -> None:
    """Its event could never be sent, and would hold up all that come behind it."""
    words = {"title": "词", "type": "string", "enum": [f"选项 {number}" for number in range(6000)]}
    schema = {"type": "object", "additionalProperties": False, "properties": {"word": words}}
    kinds = [{"code": "joined", "label_zh": "参与", "details_schema": schema}]
    answer = await world.send("POST", "/v1/programmes", body=_fungi(kinds=kinds))
    assert (answer.status_code, answer.json()["code"]) == (413, "too_large")
    assert (await world.send("GET", "/v1/programmes/edible_fungi")).status_code == 404
    assert await world.value("SELECT count(*) FROM outbox WHERE aggregateid = 'edible_fungi'") == 0


async def test_the_catalogue_is_listed_by_class_sector_and_tag(world: World) -> None:
    async def codes(query: str) -> list[str]:
        answer = await world.send("GET", f"/v1/programmes?limit=500&{query}", by="reader")
        return [each["code"] for each in answer.json()["items"]]

    assert set(await codes("")) == set(PROGRAMMES)
    assert set(await codes("class=duty")) == {"village_team", "village_consolidation"}
    assert await codes("sector=medical_insurance") == ["medical_rescue"]
    assert set(await codes("tag=city_action:lead_goose")) == {"lead_goose"}
    assert (await world.send("GET", "/v1/programmes/three_plus_n")).json()["rollout"][0]["division"] == "411325000000"
    assert (await world.send("GET", "/v1/programmes/nothing")).status_code == 404
    assert len((await world.send("GET", "/v1/sectors")).json()["items"]) == len(sectors())
    assert (await world.send("POST", "/v1/programmes", by="xixia", body=_fungi(issuer=TANGHE))).status_code == 403


async def test_a_programme_is_its_issuers(world: World) -> None:
    """A county's admin publishes and changes what the county issues, and nothing of the city or of another county."""
    await world.issue("xixia_admin", ["admin"], [XIXIA])
    assert (await world.send("POST", "/v1/programmes", by="xixia_admin", body=_fungi(issuer=TANGHE))).status_code == 403
    assert (await world.send("POST", "/v1/programmes", by="xixia_admin", body=_fungi())).status_code == 201
    content = {name: value for name, value in _fungi(label_zh="改名").items() if name != "code"}
    own = await world.send("PUT", "/v1/programmes/edible_fungi", by="xixia_admin", body=content, if_match='"1"')
    assert own.status_code == 200, own.text
    visit = (await world.send("GET", "/v1/programmes/visit")).headers["etag"]
    taken_over = await world.send("PUT", "/v1/programmes/visit", by="xixia_admin", body=content, if_match=visit)
    assert taken_over.status_code == 403
    given_away = {**content, "issuer": TANGHE}
    other = await world.send("PUT", "/v1/programmes/edible_fungi", by="xixia_admin", body=given_away, if_match='"2"')
    assert other.status_code == 403

"""DCI: search with both expressions, sort, pages and batches, and every request of one that is refused."""

import json

import httpx
import pytest
from fastapi import FastAPI

from services.registry.exchange.transactions import CONSENTS
from tests.registry.conftest import (
    OTHER_VILLAGE,
    VILLAGE,
    XIXIA,
    id_number,
    make,
    member,
)
from tests.registry.dci import (
    Json,
    Partner,
    by_expression,
    by_predicate,
    now,
    searching,
    term,
    verify,
)

ALL = by_expression({"people": {"$gte": 1}})


@pytest.fixture
async def partner(registry: httpx.AsyncClient) -> Partner:
    return await Partner.register(registry)


@pytest.fixture
async def homes(registry: httpx.AsyncClient) -> list[str]:
    """Numbers of three households: one of two people, one of a woman with a national ID, one in another county."""
    first = await make(
        registry, members=[member(), member("spouse", name="测试乙", sex="female", birth_date="1970-01-01")]
    )
    woman = member(sex="female", birth_date="1950-06-01", id_number=id_number("19500601", 2), disability_level=2)
    second = await make(registry, registered_on="2015-03-01", cause="disability", members=[woman])
    third = await make(registry, village=OTHER_VILLAGE, registered_on="2016-01-01", cause="schooling")
    return [first["number"], second["number"], third["number"]]


def numbers(response: Json) -> list[str]:
    assert response["status"] == "succ", response
    return [group["group_identifier"][0]["identifier_value"] for group in response["data"]["reg_records"]]


async def test_a_batch_with_both_expressions_sort_and_pages(partner: Partner, homes: list[str]) -> None:
    first, second, third = homes
    newest = {"sort": [{"attribute_name": "registered_on", "sort_order": "desc"}]}
    poor = by_expression({"$and": [{"standing": "poor"}, {"people": {"$lt": 5}}]}, **newest)
    either = by_predicate(
        {
            "expression1": term("people", "ge", 2),
            "condition": "or",
            "expression2": term("disability_level", "in", [1, 2]),
        },
    )
    unknown = by_expression({"poverty_score": {"$lt": 5}})
    page = {"pagination": {"page_size": 2, "page_number": 2}}
    answers = await partner.search(poor, either, unknown, {**poor, **page})
    assert numbers(answers[0]) == [third, second, first]
    assert set(numbers(answers[1])) == {first, second}
    assert (answers[2]["status"], answers[2]["status_reason_code"]) == ("rjct", "rjct.filter.invalid")
    assert numbers(answers[3]) == [first]
    assert answers[3]["pagination"] == {"page_size": 2, "page_number": 2, "total_count": 3}
    assert [answer["reference_id"] for answer in answers] == ["r0", "r1", "r2", "r3"]


QUERIES: list[tuple[Json, set[int]]] = [
    (by_predicate({"expression1": term("cause", "eq", "illness"), "condition": "not"}), {1, 2}),
    (
        by_predicate(
            {"expression1": term("people", "eq", 1), "condition": "not", "expression2": term("sex", "eq", "female")}
        ),
        {2},
    ),
    (by_predicate({"expression1": term("people", "gt", "1")}), {0}),
    (by_predicate({"expression1": term("registered_on", "le", "2015-03-01")}), {0, 1}),
    (by_predicate({"expression1": term("people", "lt", 2)}, {"expression1": term("sex", "in", ["female"])}), {1}),
    ({**by_predicate({"expression1": term("people", "gt", 1)}), "query_type": "expression"}, {0}),
    (by_expression({"$or": [{"cause": "illness"}, {"cause": {"$in": ["schooling"]}}]}), {0, 2}),
    (by_expression({"$not": {"cause": "illness"}}), {1, 2}),
    (by_expression({"cause": {"$ne": "illness"}}), {1, 2}),
    (by_expression({"birth_year": {"$gt": 1949, "$lte": 1950}}), {1}),
    (by_expression({"division": XIXIA}), {0, 1}),
    (by_expression({"village": {"$eq": VILLAGE}}), {0, 1}),
    ({"query_type": "idtype-value", "query": {"type": "NATIONAL_ID", "value": id_number("19500601", 2)}}, {1}),
    ({"query_type": "idtype-value", "query": {"type": "uin", "value": "1"}}, set()),
    # As records and the specification call it, with the blanks of the published samples
    (by_expression({"group_size": {"$lt": 2}}), {1, 2}),
    (
        {
            "query_type": "expression",
            "query": [
                {"seq_num": "", "expression1": term("UIN", "eq", id_number("19500601", 2)), "condition": "",
                 "expression2": ""}
            ],
        },
        {1},
    ),
    ({**by_expression({"relationship_type": "spouse"}), "response_entity": "Household"}, {0}),
    (by_expression({"registered_on": {"$lte": "2015-03-01T08:00:00+08:00"}}), {0, 1}),
]  # fmt: skip


async def test_queries(partner: Partner, homes: list[str]) -> None:
    answers = await partner.search(*(criteria for criteria, _ in QUERIES))
    for (criteria, found), answer in zip(QUERIES, answers, strict=True):
        assert set(numbers(answer)) == {homes[i] for i in found}, criteria


async def test_members_are_masked_and_signed(registry: httpx.AsyncClient, partner: Partner, homes: list[str]) -> None:
    criteria = by_expression(
        {"household_number": homes[0]}, response_entity="Member",
        sort=[{"attribute_name": "birth_year", "sort_order": "desc"}],
    )  # fmt: skip
    answer = await partner.post("/sync/search", partner.envelope("search", searching(criteria)))
    await verify(registry, answer.json())
    [response] = answer.json()["message"]["search_response"]
    info = [record["demographic_info"] for record in response["data"]["reg_records"]]
    assert [each["birth_year"] for each in info] == [1970, 1968]
    assert "测试" not in answer.text
    assert {each["name"] for each in info} == {"测*甲", "测*乙"}


async def test_a_foreign_division_is_invisible(registry: httpx.AsyncClient, homes: list[str]) -> None:
    partner = await Partner.register(registry, divisions=[XIXIA])
    everything, one = await partner.search(ALL, by_expression({"household_number": homes[2]}))
    assert set(numbers(everything)) == set(homes[:2])
    assert everything["pagination"]["total_count"] == 2
    assert numbers(one) == []


async def test_an_id_number_is_found_in_digits_of_any_width(partner: Partner, homes: list[str]) -> None:
    number = id_number("19500601", 2)
    wide = "".join(chr(ord(character) + 0xFEE0) for character in number)
    queries = (
        {"query_type": "idtype-value", "query": {"type": "NID", "value": wide}},
        by_expression({"national_id": {"$in": [f" {wide} "]}}),
        by_predicate({"expression1": term("national_id", "eq", number.lower())}),
    )
    assert [numbers(answer) for answer in await partner.search(*queries)] == [[homes[1]]] * len(queries)


async def test_what_criteria_may_say_of_the_registry(partner: Partner, homes: list[str]) -> None:
    """As published samples say it, too."""
    for more in (
        {"version": "1.0.0", "reg_type": "ns:org:RegistryType:Social", "reg_event_type": "REGISTER"},
        {"version": None, "reg_type": None, "reg_event_type": "spdci:common:RegistryEventType:NewHouseHoldMember"},
        {"reg_event_type": "SEARCH"},
        {"@type": "SearchCriteria"},  # of JSON-LD
    ):
        [answer] = await partner.search({**ALL, **more})
        assert set(numbers(answer)) == set(homes)


async def test_what_changed_since_the_last_time(partner: Partner, homes: list[str]) -> None:
    """By ``last_updated`` as records have it, of households as of members."""
    latest = {"sort": [{"attribute_name": "last_updated", "sort_order": "desc"}]}
    [everything] = await partner.search({**ALL, **latest})
    assert numbers(everything) == list(reversed(homes))
    second = everything["data"]["reg_records"][1]["last_updated"]
    since = by_expression({"last_updated": {"$gte": second}})
    households, members, later = await partner.search(
        since, {**since, "response_entity": "member", **latest}, by_expression({"last_updated": {"$gt": now()}})
    )
    assert set(numbers(households)) == set(homes[1:])
    assert [record["last_updated"] >= second for record in members["data"]["reg_records"]] == [True, True]
    assert numbers(later) == []


ILL = term("cause", "eq", "illness")
NID: Json = {"query_type": "idtype-value", "query": {"type": "NID", "value": "1"}}
REJECTED: list[tuple[Json, str]] = [
    (by_expression({"name": "x"}), "rjct.filter.invalid"),
    (by_expression({"people": {"$regex": "x"}}), "rjct.filter.invalid"),
    (by_expression({"people": {"$lt": "many"}}), "rjct.filter.invalid"),
    (by_expression({"people": {"$lt": True}}), "rjct.filter.invalid"),
    (by_expression({"people": {}}), "rjct.filter.invalid"),
    (by_expression({"people": {"$lt": 10**20}}), "rjct.filter.invalid"),
    (by_expression({"$and": []}), "rjct.filter.invalid"),
    (by_expression({"national_id": {"$gt": "1"}}), "rjct.filter.invalid"),
    (by_expression({"registered_on": {"$gt": "2015-02-30"}}), "rjct.filter.invalid"),
    (by_expression({"registered_on": {"$gt": "2015-03-01 or so"}}), "rjct.filter.invalid"),
    (by_expression({"last_updated": {"$gt": "2015-03-01"}}), "rjct.filter.invalid"),
    ({**ALL, "sort": [{"attribute_name": "people", "order": "desc"}]}, "rjct.sort.invalid"),
    ({**ALL, "sort": [{"attribute_name": "birth_year"}]}, "rjct.sort.invalid"),
    ({**ALL, "pagination": {"page_size": 1, "offset": 3}}, "rjct.pagination.invalid"),
    (by_expression({"cause": {"$in": ["x"] * 101}}), "rjct.filter.invalid"),
    (by_expression({}), "rjct.search_criteria.invalid"),
    (by_predicate(), "rjct.search_criteria.invalid"),
    (by_predicate({"expression1": None}), "rjct.filter.invalid"),
    (by_predicate({"expression1": term("people", "gt", 0), "condition": "or"}), "rjct.filter.invalid"),
    (
        by_predicate(
            {"expression1": term("cause", "eq", "illness"), "condition": "or"},
            {"expression1": term("cause", "eq", "schooling")},
        ),
        "rjct.filter.invalid",
    ),
    # What is not read is refused, wherever it stands in a question: without it the question would be another.
    (by_predicate({"expression1": ILL, "condition": "and", "expression3": ILL}), "rjct.filter.invalid"),
    (by_predicate({"expression1": {**ILL, "attribute_value_to": "x"}}), "rjct.filter.invalid"),
    ({"query_type": "expression", "query": {"cause": "illness", "query": {"people": 1}}}, "rjct.filter.invalid"),
    ({**NID, "query": {**NID["query"], "birth_year": 1950}}, "rjct.filter.invalid"),
    ({**ALL, "filter": {"cause": "illness"}}, "rjct.search_criteria.invalid"),
    ({**ALL, "version": "9.9"}, "rjct.search_criteria.invalid"),
    ({**ALL, "reg_type": "ns:org:RegistryType:Civil"}, "rjct.search_criteria.invalid"),
    ({**ALL, "reg_event_type": "nonsense"}, "rjct.search_criteria.invalid"),
    (by_predicate({"expression1": term("people", "$lt", 1)}), "rjct.filter.invalid"),
    ({"query_type": "idtype-value", "query": {"type": "passport", "value": "1"}}, "rjct.search_criteria.invalid"),
    ({**ALL, "sort": [{"attribute_name": "national_id"}]}, "rjct.sort.invalid"),
    ({**ALL, "pagination": {"page_size": 101}}, "rjct.pagination.invalid"),
    (
        {**ALL, "pagination": {"page_size": 100, "page_number": 10**6}},
        "rjct.search.too_many_records_found",
    ),
    ({**ALL, "authorize": {"purpose": {"code": "marketing"}}}, "rjct.search_criteria.invalid"),
]


async def test_a_bad_request_is_rejected_by_itself(partner: Partner) -> None:
    *rejected, good = await partner.search(*(criteria for criteria, _ in REJECTED), ALL)
    for (criteria, code), answer in zip(REJECTED, rejected, strict=True):
        assert (answer["status"], answer["status_reason_code"]) == ("rjct", code), criteria
    assert good["status"] == "succ"


async def test_a_reference_is_used_once_in_a_batch(partner: Partner) -> None:
    answer = await partner.post("/sync/search", partner.envelope("search", searching(ALL, ALL, reference_id="same")))
    one, two = answer.json()["message"]["search_response"]
    assert (one["status"], two["status_reason_code"]) == ("succ", "rjct.reference_id.duplicate")


async def test_consent_and_purpose_are_logged(app: FastAPI, partner: Partner) -> None:
    consent, authorize = {"id": "c1"}, {"purpose": {"code": "medical-aid"}}
    await partner.search({**ALL, "consent": consent, "authorize": authorize})
    async with app.state.runtime.database.driver() as pg:
        row = await pg.fetchrow("SELECT id, action, consents FROM exchange_request")
    assert row is not None
    stated = app.state.registry.vault.open(row["consents"], CONSENTS, row["id"])
    assert (row["action"], json.loads(stated)) == ("search", [{"consent": consent, "authorize": authorize}])


PATHS = [
    "/search", "/sync/search", "/on-search", "/subscribe", "/on-subscribe", "/unsubscribe", "/on-unsubscribe",
    "/notify", "/txn/status", "/txn/on-status", "/sync/txn/status",
]  # fmt: skip
RAW = [
    b"", b"null", b"[]", b"{", b'{"header": 1}', b'{"header": {}, "message": {}}', b'{"header": {"a": NaN}}',
    b'{"header": {}, "header": {}}', b'{"header": {"message_id": "\\ud800"}}', b"\xff\xfe", b"[" * 3000,
    b'{"signature": 5, "header": {"sender_id": []}, "message": 1e999}', b'{"header": {"x": "\\u0000"}}',
]  # fmt: skip


async def test_nothing_malformed_makes_a_fault_of_ours(partner: Partner) -> None:
    headers = {"Authorization": f"Bearer {partner.token}", "Content-Type": "application/json"}
    for path in PATHS:
        for raw in RAW:
            answer = await partner.client.post("/registry" + path, content=raw, headers=headers)
            assert answer.status_code in (400, 401, 422), (raw, answer.text)
            body = answer.json()
            assert body["errors"][0]["code"] if answer.status_code == 401 else body["message"]["ack_status"] == "ERR"
        text = await partner.client.post(
            "/registry" + path, content=b"x", headers={**headers, "Content-Type": "text/a"}
        )
        assert text.status_code == 415

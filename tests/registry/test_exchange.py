"""DCI: search with both expressions, sort, pages and batches, and everything that is refused."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import httpx
import pytest
from fastapi import FastAPI

from services.registry.exchange.transactions import CONSENTS
from tests.registry.audit import entries
from tests.registry.conftest import (
    OTHER_VILLAGE,
    VILLAGE,
    XIXIA,
    app_on,
    client_of,
    id_number,
    issue,
    make,
    matching,
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
]


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


async def test_admins_register_parties_of_their_divisions_only(registry: httpx.AsyncClient, partner: Partner) -> None:
    local = await issue(registry, ["admin"], [XIXIA])
    path = f"/v1/exchange/parties/{partner.registered['id']}"
    assert (await registry.get(path, headers=local)).status_code == 404
    assert (await registry.get("/v1/exchange/parties", headers=local)).json()["items"] == []
    body = {k: v for k, v in partner.registered.items() if k not in ("id", "version", "client_id", "client_secret")}
    assert (await registry.post("/v1/exchange/parties", json=body)).status_code == 409
    assert (await registry.post("/v1/exchange/parties", json=body, headers=local)).status_code == 422
    blocked = {**body, "status": "blocked"}
    assert (await registry.put(path, json=blocked)).status_code == 428
    assert (await registry.put(path, json=blocked, headers=matching(9))).status_code == 412
    assert (await registry.put(path, json=blocked, headers=matching(1))).status_code == 200
    answer = await partner.post("/sync/search", partner.envelope("search", searching(ALL)))
    assert (answer.status_code, answer.json()["errors"][0]["code"]) == (403, "err.request.forbidden")
    assert (await partner.ask_token(partner.registered["client_secret"])).status_code == 401


async def test_tokens(registry: httpx.AsyncClient, partner: Partner) -> None:
    assert (await partner.ask_token("wrong")).json() == {"error": "invalid_client"}
    refused = await partner.ask_token(partner.registered["client_secret"], grant_type="password")
    assert (refused.status_code, refused.json()) == (400, {"error": "unsupported_grant_type"})
    assert (await registry.post("/oauth2/client/token", json={})).status_code == 400
    assert (await registry.post("/oauth2/client/token", data={"a": "x" * 9000})).status_code == 413
    head, claims, mac = partner.token.split(".")
    for token in ("", "x", f"{head}.{claims}.{mac[:-4]}AAAA", registry.headers["Authorization"][7:]):
        answer = await partner.post("/sync/search", partner.envelope("search", searching(ALL)), token)
        assert (answer.status_code, answer.json()["errors"][0]["code"]) == (401, "err.request.unauthorized")


def _tampered(partner: Partner) -> Json:
    envelope = partner.envelope("search", searching(ALL))
    envelope["message"]["transaction_id"] = "other"
    return envelope


def _unsigned(partner: Partner) -> Json:
    return {k: v for k, v in partner.envelope("search", searching(ALL)).items() if k != "signature"}


REFUSED: list[tuple[Callable[[Partner], Json], str]] = [
    (_tampered, "err.signature.invalid"),
    (_unsigned, "err.signature.missing"),
    (
        lambda p: p.envelope("search", searching(ALL), at=datetime.now(UTC) - timedelta(minutes=10)),
        "err.signature.invalid",
    ),
    (
        lambda p: p.envelope("search", searching(ALL), at=datetime.now(UTC) + timedelta(minutes=10)),
        "err.signature.invalid",
    ),
    (lambda p: {**p.envelope("search", searching(ALL)), "signature": "Signature: x"}, "err.signature.invalid"),
    (lambda p: p.envelope("search", searching(ALL), sender_id="somebody.else"), "err.sender_id.invalid"),
]


async def test_what_is_not_the_senders_is_refused(partner: Partner) -> None:
    for make_envelope, code in REFUSED:
        for path in ("/sync/search", "/search"):
            answer = await partner.post(path, make_envelope(partner))
            assert (answer.status_code, answer.json()["errors"][0]["code"]) == (401, code)


async def test_a_message_is_taken_once(partner: Partner) -> None:
    envelope = partner.envelope("search", searching(ALL))
    assert (await partner.post("/sync/search", envelope)).json()["header"]["status"] == "succ"
    again = (await partner.post("/sync/search", envelope)).json()
    assert (again["header"]["status"], again["header"]["status_reason_code"]) == ("rjct", "rjct.message_id.duplicate")
    nack = (await partner.post("/search", envelope)).json()["message"]
    assert (nack["ack_status"], nack["error"]["code"]) == ("NACK", "rjct.message_id.duplicate")


async def test_a_message_rejected_as_a_whole_is_answered_request_by_request(partner: Partner) -> None:
    """So that a sender finds its requests again; why they are rejected is said in the header."""
    answer = (
        await partner.post("/sync/search", partner.envelope("search", searching(ALL, ALL), version="2.0.0"))
    ).json()
    await verify(partner.client, answer)
    header, message = answer["header"], answer["message"]
    assert (header["status"], header["total_count"], header["completed_count"]) == ("rjct", 2, 2)
    assert UUID(message["correlation_id"])
    assert message["transaction_id"] == "t1"
    found = [(each["reference_id"], each["status"], each["locale"]) for each in message["search_response"]]
    assert found == [("r0", "rjct", "EN/GB"), ("r1", "rjct", "EN/GB")]
    assert all(each["timestamp"] and "data" not in each for each in message["search_response"])


async def test_a_status_request_rejected_as_a_whole_is_answered_in_its_form(partner: Partner) -> None:
    for kind in ("search", "subscibe", "unsubscribe"):
        asked = {"reference_id": "q1", "txn_type": kind, "attribute_type": "transaction_id", "attribute_value": "t1"}
        message = {"transaction_id": "t3", "txnstatus_request": asked}
        envelope = partner.envelope("txn-status", message, version="2.0.0")
        answer = (await partner.post("/sync/txn/status", envelope)).json()
        assert (answer["header"]["status"], answer["header"]["status_reason_code"]) == ("rjct", "rjct.version.invalid")
        assert UUID(answer["message"]["correlation_id"])
        assert answer["message"]["transaction_id"] == "t3"
        action = kind.replace("subscibe", "subscribe")
        response = answer["message"]["txnstatus_response"]
        assert response["txn_type"] == f"on-{action}"
        state = response["txn_status"]
        [item] = [state] if action == "unsubscribe" else state[f"{action}_response"]
        assert (item["reference_id"], item["status"]) == ("q1", "rjct")


async def test_an_id_number_is_found_in_digits_of_any_width(partner: Partner, homes: list[str]) -> None:
    number = id_number("19500601", 2)
    wide = "".join(chr(ord(character) + 0xFEE0) for character in number)
    queries = (
        {"query_type": "idtype-value", "query": {"type": "NID", "value": wide}},
        by_expression({"national_id": {"$in": [f" {wide} "]}}),
        by_predicate({"expression1": term("national_id", "eq", number.lower())}),
    )
    for answer in await partner.search(*queries):
        assert numbers(answer) == [homes[1]]


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


HEADERS: list[tuple[Json, str]] = [
    ({"version": "2.0.0"}, "rjct.version.invalid"),
    ({"action": "subscribe"}, "rjct.action.invalid"),
    ({"message_ts": "2019-01-01T00:00:00Z"}, "rjct.message_ts.invalid"),
    ({"total_count": "many"}, "rjct.total_count.invalid"),
    ({"total_count": 0}, "rjct.total_count.invalid"),
    ({"total_count": 2}, "rjct.total_count.invalid"),
    ({"total_count": -1}, "rjct.total_count.invalid"),
    ({"total_count": "1 "}, "rjct.total_count.invalid"),
    ({"total_count": 101}, "rjct.total_count.limit_exceeded"),
    ({"total_count": 10**20}, "rjct.total_count.limit_exceeded"),
    ({"total_count": "9" * 99}, "rjct.total_count.limit_exceeded"),
    ({"receiver_id": "civil.example.org"}, "err.receiver_id.invalid"),
    ({"receiver_id": ""}, "err.receiver_id.invalid"),
    ({"is_msg_encrypted": True}, "err.encryption.invalid"),
    ({"sender_uri": "http://169.254.169.254/latest"}, "err.sender_uri.invalid"),
    ({"sender_uri": "http://127.0.0.1:9/dci/../admin"}, "err.sender_uri.invalid"),
]


async def test_headers_are_checked(partner: Partner) -> None:
    for header, code in HEADERS:
        answer = await partner.post("/sync/search", partner.envelope("search", searching(ALL), **header))
        assert answer.json()["header"]["status_reason_code"] == code, header


async def test_a_count_is_a_number(partner: Partner) -> None:
    for count in (True, 1.5, None, [1]):
        answer = await partner.post("/sync/search", partner.envelope("search", searching(ALL), total_count=count))
        assert (answer.status_code, answer.json()["message"]["error"]["code"]) == (422, "err.request.bad")


async def test_messages_are_addressed_to_the_sender_of_the_answers(partner: Partner) -> None:
    """By its address or, as the specification's examples do, its host; one that names nobody is taken as well."""
    answer = (await partner.post("/sync/search", partner.envelope("search", searching(ALL)))).json()
    own = answer["header"]["sender_id"]
    for name in (own, own.removeprefix("http://"), own.removeprefix("http://").upper()):
        addressed = partner.envelope("search", searching(ALL), receiver_id=name)
        assert (await partner.post("/sync/search", addressed)).json()["header"]["status"] == "succ", name
    for receiver, status, ack in ((own, 202, "ACK"), (None, 202, "ACK"), ("civil.example.org", 200, "NACK")):
        envelope = partner.envelope("on-search", {"transaction_id": "t"}, receiver_id=receiver, status="succ")
        taken = await partner.post("/on-search", envelope)
        assert (taken.status_code, taken.json()["message"]["ack_status"]) == (status, ack)


MESSAGES: list[Any] = [
    None,
    [],
    {},
    {"transaction_id": "x" * 100, "search_request": searching(ALL)["search_request"]},
    searching({**ALL, "pagination": {"page_size": 0}}),
    searching({**ALL, "pagination": {"page_size": 5, "page_number": 0}}),
    searching(ALL, locale="english"),
    searching(ALL, timestamp="yesterday"),
    searching(ALL, reference_id=""),
    searching({"query_type": "sql", "query": "x"}),
    searching(*[ALL] * 101),
]


async def test_what_has_not_the_shape_is_an_error(partner: Partner) -> None:
    for message in MESSAGES:
        answer = await partner.post("/sync/search", partner.envelope("search", message, total_count=500))
        assert answer.status_code == 422, message
        assert answer.json()["message"]["ack_status"] == "ERR"
        assert answer.json()["message"]["error"]["code"] == "err.request.bad"


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


async def test_searches_by_id_number_take_from_the_quota_of_the_party(
    monkeypatch: pytest.MonkeyPatch, url: str, secrets: None
) -> None:
    """A message beyond it is not taken and takes nothing; other searches go on; each party has its own."""
    monkeypatch.setenv("BANGFU_REGISTRY_LOOKUP_QUOTA", "3")
    app = app_on(url)
    exhausted = "err.request.too_many_requests"

    def by_number(*sequences: int) -> Json:
        numbers = [id_number(sequence=each) for each in sequences]
        return by_predicate({"expression1": term("national_id", "in", numbers)}, response_entity="Member")

    nid = {"query_type": "idtype-value", "query": {"type": "NID", "value": id_number()}}
    wrong = by_predicate({"expression1": term("national_id", "lt", "5")})
    async with client_of(app) as client:
        await make(client, members=[member(id_number=id_number())])
        partner = await Partner.register(client)
        assert [each["status"] for each in await partner.search(nid, by_number(3), ALL, wrong)] == [
            "succ", "succ", "succ", "rjct"
        ]  # fmt: skip
        envelope = partner.envelope("search", searching(by_number(1, 3)))
        for _ in range(2):  # not taken: the same message may come again
            header = (await partner.post("/sync/search", envelope)).json()["header"]
            assert (header["status"], header["status_reason_code"]) == ("rjct", exhausted)
        later = await partner.post("/search", partner.envelope("search", searching(by_number(1, 3))))
        assert (later.status_code, later.json()["message"]["ack_status"]) == (200, "NACK")
        assert later.json()["message"]["error"]["code"] == exhausted
        criteria = {"reg_event_type": "REGISTER", "filter_type": "predicate", "notify_record_type": "Member"}
        sought = {**criteria, "filter": by_number(1, 3)["query"]}
        item = {"reference_id": "s", "timestamp": now(), "subscribe_criteria": sought}
        message = {"transaction_id": "t", "subscribe_request": [item]}
        watched = await partner.post("/subscribe", partner.envelope("subscribe", message))
        assert watched.json()["message"]["error"]["code"] == exhausted
        assert [each["status"] for each in await partner.search(ALL, by_number(1))] == ["succ", "succ"]
        assert (await partner.post("/sync/search", envelope)).json()["header"]["status"] == "rjct"
        other = await Partner.register(client, sender_id="bank.example.org")
        assert [each["status"] for each in await other.search(by_number(1, 3))] == ["succ"]
        denied = await entries(client, app, operation="persons.look_up_denied")
        assert [(each["key_id"], each["outcome"]) for each in denied] == [
            (partner.registered["id"], "too_many_requests")
        ] * 5
        found = await entries(client, app, operation="person.looked_up")
        assert [each["key_id"] for each in found].count(other.registered["id"]) == 1


async def test_names_of_messages_are_no_id_numbers(partner: Partner) -> None:
    """They are kept as they are: as ``reference_id``, ``transaction_id``, ``message_id``."""
    search = searching(ALL)
    search["search_request"][0]["reference_id"] = id_number()
    for envelope in (
        partner.envelope("search", search),
        partner.envelope("search", {**searching(ALL), "transaction_id": f"t{id_number()}"}),
        partner.envelope("search", searching(ALL), message_id=id_number()),
    ):
        answer = await partner.post("/sync/search", envelope)
        assert (answer.status_code, answer.json()["message"]["ack_status"]) == (422, "ERR")
        assert id_number() not in answer.text

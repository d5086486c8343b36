"""DCI: who sends a message, and whether it is taken: parties, tokens, signatures, headers, shapes."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import httpx
import pytest
from fastapi import FastAPI

from services.registry.exchange import tokens
from tests.registry.conftest import (
    XIXIA,
    id_number,
    issue,
    matching,
)
from tests.registry.dci import (
    Json,
    Partner,
    by_expression,
    searching,
    verify,
)

ALL = by_expression({"people": {"$gte": 1}})


@pytest.fixture
async def partner(registry: httpx.AsyncClient) -> Partner:
    return await Partner.register(registry)


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


async def test_a_lost_secret_is_replaced(registry: httpx.AsyncClient, partner: Partner) -> None:
    path = f"/v1/exchange/parties/{partner.registered['id']}"
    local = await issue(registry, ["admin"], [XIXIA])
    assert (await registry.post(f"{path}/secret", headers={**local, **matching(1)})).status_code == 404
    assert (await registry.post(f"{path}/secret")).status_code == 428
    assert (await registry.post(f"{path}/secret", headers=matching(9))).status_code == 412
    renewed = await registry.post(f"{path}/secret", headers=matching(1))
    assert (renewed.status_code, renewed.headers["ETag"]) == (200, '"2"')
    assert renewed.json()["client_id"] == partner.registered["client_id"]
    assert (await partner.ask_token(partner.registered["client_secret"])).status_code == 401
    assert (await partner.ask_token(renewed.json()["client_secret"])).status_code == 200
    assert (await registry.get(path)).json()["sender_id"] == partner.sender_id


async def test_a_token_runs_out(app: FastAPI, partner: Partner) -> None:
    exchange = app.state.exchange
    for age, status in ((timedelta(minutes=14), 200), (timedelta(minutes=16), 401)):
        began = exchange.now() - age
        token = tokens.issue(exchange.key, exchange.name, UUID(partner.registered["id"]), began)
        answer = await partner.post("/sync/search", partner.envelope("search", searching(ALL)), token)
        assert answer.status_code == status


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
    assert (nack["ack_status"], nack["error"]["code"]) == ("NACK", "err.request.bad")
    assert nack["error"]["message"].startswith("rjct.message_id.duplicate: ")


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
]
NOT_READ: list[tuple[Json, str]] = [
    ({"receiver_id": "civil.example.org"}, "err.receiver_id.invalid"),
    ({"is_msg_encrypted": True}, "err.encryption.invalid"),
    ({"sender_uri": "http://169.254.169.254/latest"}, "err.sender_uri.invalid"),
    ({"sender_uri": "http://127.0.0.1:9/dci/../admin"}, "err.sender_uri.invalid"),
]
"""What DCI has codes of acknowledgements for, and none of headers."""


async def test_headers_are_checked(partner: Partner) -> None:
    """In the header of an answer, with the codes that DCI has for headers; in acknowledgements, with theirs."""
    for header, code in HEADERS:
        envelope = partner.envelope("search", searching(ALL), **header)
        answer = await partner.post("/sync/search", envelope)
        assert answer.json()["header"]["status_reason_code"] == code, header
        later = await partner.post("/search", envelope)
        nack = later.json()["message"]
        assert (later.status_code, nack["ack_status"]) == (200, "NACK")
        known = "err.version.not_supported" if "version" in header else "err.request.bad"
        assert (nack["error"]["code"], nack["error"]["message"].partition(":")[0]) == (known, code)


async def test_what_is_not_for_us_is_not_read(partner: Partner) -> None:
    for header, code in NOT_READ:
        for path in ("/sync/search", "/search"):
            answer = await partner.post(path, partner.envelope("search", searching(ALL), **header))
            ack = answer.json()["message"]
            assert (answer.status_code, ack["ack_status"], ack["error"]["code"]) == (422, "ERR", code), header


async def test_an_encrypted_message_is_refused_as_such(partner: Partner) -> None:
    """Rather than for what it does not show."""
    message = {
        "header": {"alg": "ECDH-ES", "enc": "A256GCM", "kid": "k"},
        "ciphertext": "x", "encrypted_key": "x", "tag": "x", "iv": "x",
    }  # fmt: skip
    for path, action in (("/sync/search", "search"), ("/subscribe", "subscribe"), ("/notify", "notify")):
        for flag in (True, False):
            envelope = partner.envelope(action, message, is_msg_encrypted=flag)
            answer = await partner.post(path, envelope)
            assert (answer.status_code, answer.json()["message"]["error"]["code"]) == (422, "err.encryption.invalid")


@pytest.mark.parametrize("nothing", ["", None])
async def test_what_need_not_be_given_may_be_blank(partner: Partner, nothing: str | None) -> None:
    """As in the published samples, or null, as clients write what was left out."""
    criteria = (
        "consent",
        "authorize",
        "version",
        "reg_type",
        "reg_event_type",
        "response_entity",
        "sort",
        "pagination",
    )
    message = searching({**ALL, **dict.fromkeys(criteria, nothing)}, locale=nothing)
    header: Json = dict.fromkeys(("version", "sender_uri", "receiver_id", "meta", "is_msg_encrypted"), nothing)
    answer = await partner.post("/sync/search", partner.envelope("search", message, **header))
    assert answer.json()["header"]["status"] == "succ", answer.text
    [response] = answer.json()["message"]["search_response"]
    assert (response["status"], "locale" in response) == ("succ", False)


async def test_instants_are_taken_to_any_place_of_a_second(partner: Partner) -> None:
    """Java writes nine places, .NET seven."""
    at = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S")
    for places in ("", ".1", ".123456", ".1234567", ".123456789"):
        header: Json = {"message_ts": f"{at}{places}Z"}
        answer = await partner.post("/sync/search", partner.envelope("search", searching(ALL), **header))
        assert answer.json()["header"]["status"] == "succ", answer.text


async def test_an_error_says_what_is_wrong(partner: Partner) -> None:
    query: Json = {"people": 1}
    for _ in range(40):
        query = {"$and": [query]}
    deep = await partner.post("/sync/search", partner.envelope("search", searching(by_expression(query))))
    assert deep.json()["message"]["error"]["message"] == "nested deeper than 32"
    headers = {"Authorization": f"Bearer {partner.token}", "Content-Type": "application/json"}
    twice = await partner.client.post("/registry/sync/search", content=b'{"header": {}, "header": {}}', headers=headers)
    assert twice.json()["message"]["error"]["message"] == "a name appears twice in one object"


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
    for receiver, status, ack in ((own, 202, "ACK"), (None, 202, "ACK"), ("civil.example.org", 422, "ERR")):
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

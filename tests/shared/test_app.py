"""What every service gets from the app factory: errors, limits, keys, idempotency, documents."""

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI, Request
from jsonschema import Draft7Validator
from openapi_spec_validator import OpenAPIV30SpecValidator, OpenAPIV31SpecValidator
from opentelemetry.trace import NoOpTracer, Tracer, TracerProvider

from shared.db import CONTENDED
from shared.http.limits import MAX_JSON_BYTES
from shared.http.problems import answer, problem_of
from tests.shared.toy import client_of, give_key, store_key, things, toy_app

GOOD = {"name": "a", "amount_fen": 1}


@pytest.fixture
async def app(database_url: Callable[[str | None], str]) -> FastAPI:
    return await toy_app(database_url(None))


@pytest.fixture
async def client(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    key, _ = await give_key(app, "recorder", "reader")
    async with client_of(app, key) as ready:
        yield ready


def problem(response: httpx.Response, status: int, code: str) -> dict[str, Any]:
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    body: dict[str, Any] = response.json()
    assert (body["status"], body["code"]) == (status, code)
    assert body["type"].endswith(f"/problems/{code}")
    return body


@pytest.mark.parametrize(
    ("content", "status", "code"),
    [
        (b"", 422, "invalid_request"),
        (b"null", 422, "invalid_request"),
        (b"[]", 422, "invalid_request"),
        (b'{"name": "a", "amount_fen": ', 400, "malformed_request"),
        (b'{"name": "a", "amount_fen": NaN}', 422, "invalid_request"),
        (b'{"name": "a", "amount_fen": true}', 422, "invalid_request"),
        (b'{"name": "a", "amount_fen": "1"}', 422, "invalid_request"),
        (b'{"name": "a", "amount_fen": 1.5}', 422, "invalid_request"),
        (b'{"name": "a", "amount_fen": 1, "x": 1}', 422, "invalid_request"),
        (b'{"name": "a", "amount_fen": 1, "at": "2018-10-08T09:30:00"}', 422, "invalid_request"),
        (b'{"name": "a", "amount_fen": 1, "at": "2018-02-30T09:30:00Z"}', 422, "invalid_request"),
    ],
)
async def test_bad_bodies(client: httpx.AsyncClient, app: FastAPI, content: bytes, status: int, code: str) -> None:
    response = await client.post("/v1/things", content=content, headers={"Content-Type": "application/json"})
    problem(response, status, code)
    assert await things(app) == []


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Content-Type": "application/octet-stream"}, 415),
        ({"Content-Type": "application/x-www-form-urlencoded"}, 415),
        ({"Content-Type": "application/json; charset=utf-16"}, 415),
        ({"Content-Type": "application/json", "Content-Encoding": "gzip"}, 415),
        ({"Content-Type": "application/json", "X-Big": "x" * 100_000}, 431),
        ({"Content-Type": "application/json", **{f"X-{i}": "1" for i in range(5000)}}, 431),
        ({"Content-Type": "application/json", "Host": "a b"}, 400),
        ({"Content-Type": "application/json", "Range": "bytes=0-1"}, 416),
        ({"Content-Type": "application/json", "Idempotency-Key": "k" * 256}, 400),
    ],
)
async def test_bad_headers(client: httpx.AsyncClient, headers: dict[str, str], status: int) -> None:
    response = await client.post("/v1/things", content=json.dumps(GOOD), headers=headers)
    assert response.status_code == status
    assert response.headers["content-type"] == "application/problem+json"


async def test_large_bodies_are_refused_whether_announced_or_not(client: httpx.AsyncClient) -> None:
    async def stream() -> AsyncIterator[bytes]:
        for _ in range(MAX_JSON_BYTES // 1000 + 1):
            yield b" " * 1000

    headers = {"Content-Type": "application/json"}
    announced = await client.post("/v1/things", content=b" " * (MAX_JSON_BYTES + 1), headers=headers)
    streamed = await client.post("/v1/things", content=stream(), headers=headers)
    problem(announced, 413, "too_large")
    problem(streamed, 413, "too_large")


async def test_answers_never_repeat_what_was_sent(client: httpx.AsyncClient) -> None:
    secret = "411323199001011234"
    for body in ({"name": {"x": secret}, "amount_fen": secret, secret: 1}, {"name": [secret]}):
        response = await client.post("/v1/things", json=body, params={"size": secret})
        assert response.status_code == 422
        assert secret not in response.text


@pytest.mark.parametrize(
    ("sent", "told"),
    [
        ("nickname", "nickname"), ("evidence_sha256", "evidence_sha256"), ("a" * 40, "a" * 40), ("测试甲", "?"),
        ("n411323199001011234", "?"), ("n411323199001011234x", "?"), ("tel_138_7654_3200", "?"), ("Name", "?"),
        ("c6217998877665541", "?"), ("n４11323199001011234", "?"), ("a b", "?"),
    ],
)  # fmt: skip
async def test_names_that_callers_made_up_are_told_only_where_they_may_be_names_of_fields(
    client: httpx.AsyncClient, sent: str, told: str
) -> None:
    repeated = problem(await client.get("/v1/things", params=[(sent, "1"), (sent, "2")]), 422, "invalid_request")
    assert [fault["pointer"] for fault in repeated["errors"]] == [f"query:{told}"]
    unknown = problem(await client.post("/v1/things", json={**GOOD, sent: 1}), 422, "invalid_request")
    assert [fault["pointer"] for fault in unknown["errors"]] == [f"/{told}"]


async def test_a_fault_of_ours_says_nothing_of_itself(
    client: httpx.AsyncClient, app: FastAPI, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.ERROR, "bangfu"):
        response = await client.post("/v1/things", json={**GOOD, "name": "fault"})
    problem(response, 500, "internal_error")
    assert "secret" not in response.text
    assert "unhandled RuntimeError" in caplog.text
    assert await things(app) == []


READABLE = (
    "41132310221701", "411323102217", "411323102217/2018-000123", "urn:411323000000/1", "2018-10-08", "2018-W41",
    "0192f1a2-0000-7000-8000-000000000000", "01920000-0000-7000-8000-000000000000", "a" * 40,
)  # fmt: skip


@pytest.mark.parametrize("name", READABLE)
async def test_an_address_is_told_again(client: httpx.AsyncClient, name: str) -> None:
    """Numbers of households and persons, codes of divisions, ids and periods stay readable."""
    assert problem(await client.get(f"/v1/nothing/{name}"), 404, "not_found")["instance"] == f"/v1/nothing/{name}"


@pytest.mark.parametrize(
    ("sent", "told"),
    [
        ("411323199202023219", "***"), ("411323 19920202 3219", "***"), ("41132319920202321x", "***"),
        ("%34113231992020%32%33219", "***"), ("%25341132319920202321%2539", "%***"), ("４１１323199202０２3219", "***"),
        ("13876543200", "***"), ("138-7654-3200", "***"), ("+8613876543200", "+***"), ("013876543200", "***"),
        ("13876543200-1", "***"), ("6217998877665541", "***"), ("6217.9988.7766.5541", "***"),
        ("urn:13876543200/411323102217/411323199202023219", "urn:***/411323102217/***"),
    ],
)  # fmt: skip
async def test_numbers_of_people_phones_and_cards_in_an_address_are_not(
    client: httpx.AsyncClient, sent: str, told: str
) -> None:
    assert problem(await client.get(f"/v1/nothing/{sent}"), 404, "not_found")["instance"] == f"/v1/nothing/{told}"


async def test_a_fault_of_ours_is_logged_without_such_numbers(app: FastAPI, caplog: pytest.LogCaptureFixture) -> None:
    asked = Request({"type": "http", "path": "/v1/things/411323199202023219", "headers": [], "app": app})
    with caplog.at_level(logging.ERROR, "bangfu"):
        assert (await answer(asked, RuntimeError())).status_code == 500
    assert [record.getMessage() for record in caplog.records] == ["unhandled RuntimeError on /v1/things/***"]


async def test_the_framework_traces_and_logs_nothing_of_its_own(
    client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its spans would hold addresses and queries as they were sent, its log the text of exceptions."""
    asked: list[str] = []

    class Provider(TracerProvider):
        def get_tracer(self, instrumenting_module_name: str, *_: object, **__: object) -> Tracer:
            asked.append(instrumenting_module_name)
            return NoOpTracer()

    monkeypatch.setattr("opentelemetry.trace._TRACER_PROVIDER", Provider())
    await client.get("/v1/nothing/411323199202023219")
    assert asked == []


@pytest.mark.parametrize("found", CONTENDED)
def test_others_in_the_way_are_a_conflict(found: type[Exception]) -> None:
    answered = problem_of(found())
    assert answered is not None
    assert (answered.kind.status, answered.kind.code) == (409, "conflict")


@pytest.mark.parametrize(
    ("query", "pointer"),
    [("size=1&size=2", "query:size"), ("size=11", "query:size"), ("size=1_0", "query:size"), ("size=%00", "query:?")],
)
async def test_bad_queries(client: httpx.AsyncClient, query: str, pointer: str) -> None:
    body = problem(await client.get(f"/v1/things?{query}"), 422, "invalid_request")
    assert [fault["pointer"] for fault in body["errors"]] == [pointer]


async def test_unknown_addresses_and_methods(client: httpx.AsyncClient) -> None:
    problem(await client.get("/v1/nothing"), 404, "not_found")
    response = await client.put("/v1/things", json=GOOD)
    problem(response, 405, "method_not_allowed")
    assert response.headers["allow"].split(", ") == ["GET", "POST"]


async def test_problems_speak_chinese_unless_asked_for_english(client: httpx.AsyncClient) -> None:
    chinese = await client.post("/v1/things", json={})
    english = await client.post("/v1/things", json={}, headers={"Accept-Language": "en-GB,en;q=0.9"})
    assert chinese.json()["errors"][0]["message"] == "必填"
    assert english.json()["errors"][0]["message"] == "required"
    for accepted, language in (
        ("fr, en;q=0.5", "en"), ("en;q=0.8,zh;q=0.9", "zh-CN"), ("zh;q=0.1, EN-us ; q=1.0", "en"),
        ("de, *;q=0.1", "zh-CN"), ("en;q=0", "zh-CN"), ("en, zh", "en"), ("zh, en", "zh-CN"),
        ("en;q=x;", "zh-CN"), (",;,", "zh-CN"),
    ):  # fmt: skip
        answer = await client.get("/v1/nothing", headers={"Accept-Language": accepted})
        assert answer.headers["content-language"] == language, accepted
    page = await client.get("/problems/invalid_request")
    assert page.status_code == 200
    assert "请求内容不符合要求" in page.text


async def test_what_a_key_opens_no_browser_and_no_proxy_keeps(client: httpx.AsyncClient) -> None:
    for path in ("/v1/things", "/v1/things?size=x", "/v1/nothing"):
        assert (await client.get(path)).headers["cache-control"] == "no-store", path
    del client.headers["Authorization"]
    assert "cache-control" not in (await client.get("/problems/not_found")).headers


# Keys


async def test_keys_open_what_their_roles_allow(app: FastAPI) -> None:
    reader, _ = await give_key(app, "reader")
    async with client_of(app, None) as client:
        for token, status in ((None, 401), ("x", 401), ("bf_unknown.secret", 401), (reader[:-1], 401), (reader, 403)):
            headers = {"Authorization": f"Bearer {token}"} if token else {}
            response = await client.post("/v1/things", json=GOOD, headers=headers)
            assert response.status_code == status, token
        assert (await client.post("/v1/things", json=GOOD)).headers["www-authenticate"] == "Bearer"


async def test_the_log_tells_who_was_denied_what(app: FastAPI, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", logger="bangfu.http")
    reader, key = await give_key(app, "reader")
    async with client_of(app, reader) as client:
        problem(await client.post("/v1/things", json=GOOD), 403, "forbidden")
        stranger = {"Authorization": f"Bearer {reader}x"}
        problem(await client.get("/v1/things", headers=stranger), 401, "unauthenticated")
        assert (await client.get("/v1/things")).status_code == 200
    assert [each.getMessage() for each in caplog.records if each.name == "bangfu.http"] == [
        f"denied, forbidden: POST /v1/things by {key.id}",
        "denied, unauthenticated: GET /v1/things by nobody we know",
    ]


async def test_expired_and_revoked_keys_are_refused(app: FastAPI) -> None:
    past = datetime.now(UTC) - timedelta(seconds=1)
    expired, _ = await give_key(app, "reader", expires_at=past)
    live, event = await give_key(app, "reader")
    async with client_of(app, None) as client:
        assert (await client.get("/v1/things", headers={"Authorization": f"Bearer {expired}"})).status_code == 401
        await store_key(app, event.model_copy(update={"version": 2, "status": "revoked"}))
        await store_key(app, event)  # an older version arriving late changes nothing
        assert (await client.get("/v1/things", headers={"Authorization": f"Bearer {live}"})).status_code == 401


# Idempotency


async def test_the_same_request_twice_has_one_effect(client: httpx.AsyncClient, app: FastAPI) -> None:
    headers = {"Idempotency-Key": '"k-1"'}
    first = await client.post("/v1/things", json=GOOD, headers=headers)
    again = await client.post("/v1/things", json=GOOD, headers=headers)
    bare = await client.post("/v1/things", json=GOOD, headers={"Idempotency-Key": "k-1"})
    assert first.json() == again.json() == bare.json()
    assert "idempotency-replayed" not in first.headers
    assert again.headers["idempotency-replayed"] == "true"
    assert len(await things(app)) == 1


async def test_a_key_names_one_request(client: httpx.AsyncClient) -> None:
    headers = {"Idempotency-Key": "k"}
    await client.post("/v1/things", json=GOOD, headers=headers)
    problem(await client.post("/v1/things", json={**GOOD, "name": "b"}, headers=headers), 422, "idempotency_key_reused")


async def test_another_caller_may_use_the_same_key(client: httpx.AsyncClient, app: FastAPI) -> None:
    other, _ = await give_key(app, "recorder")
    await client.post("/v1/things", json=GOOD, headers={"Idempotency-Key": "k"})
    headers = {"Idempotency-Key": "k", "Authorization": f"Bearer {other}"}
    assert "idempotency-replayed" not in (await client.post("/v1/things", json=GOOD, headers=headers)).headers
    assert len(await things(app)) == 2


async def test_racing_requests_with_one_key_have_one_effect(client: httpx.AsyncClient, app: FastAPI) -> None:
    headers = {"Idempotency-Key": "race"}
    answers = await asyncio.gather(*(client.post("/v1/things", json=GOOD, headers=headers) for _ in range(20)))
    assert {answer.status_code for answer in answers} <= {201, 409, 503}
    assert len({answer.text for answer in answers if answer.status_code == 201}) == 1
    assert len(await things(app)) == 1


async def test_a_failed_request_leaves_its_key_free(client: httpx.AsyncClient) -> None:
    headers = {"Idempotency-Key": "k"}
    assert (await client.post("/v1/things", json={**GOOD, "name": "fault"}, headers=headers)).status_code == 500
    assert (await client.post("/v1/things", json={**GOOD, "name": "fault"}, headers=headers)).status_code == 500


# Lines, draining, the database away


async def test_lines_are_counted_and_limited(client: httpx.AsyncClient) -> None:
    headers = {"Content-Type": "application/jsonl"}
    assert (await client.post("/v1/lines", content=b"{}\n\n{}\n  \n{}", headers=headers)).json() == 3
    problem(await client.post("/v1/lines", content=b"{}\n" * 4, headers=headers), 413, "too_large")
    problem(
        await client.post("/v1/lines", content=b"{}", headers={"Content-Type": "application/json"}),
        415,
        "unsupported_media_type",
    )


async def test_a_draining_service_reads_but_does_not_write(client: httpx.AsyncClient, app: FastAPI) -> None:
    app.state.runtime.draining = True
    response = await client.post("/v1/things", json=GOOD)
    problem(response, 503, "unavailable")
    assert response.headers["retry-after"]
    assert (await client.get("/v1/things")).status_code == 200


async def test_without_a_database_every_answer_is_503(client: httpx.AsyncClient, app: FastAPI, databases: Any) -> None:
    assert (await client.get("/v1/things")).status_code == 200
    databases.server.kill()
    for request in (client.get("/v1/things"), client.post("/v1/things", json=GOOD)):
        response = await request
        problem(response, 503, "unavailable")
        assert response.headers["retry-after"]
    ready = await client.get("/readyz")
    assert (ready.status_code, ready.json()["database"]) == (503, False)
    assert (await client.get("/livez")).status_code == 200
    databases.server.start()
    assert (await client.post("/v1/things", json=GOOD)).status_code == 201
    assert len(await things(app)) == 1


async def test_events_that_wait_are_a_problem_unless_they_move(client: httpx.AsyncClient, app: FastAPI) -> None:
    columns = "id, aggregatetype, aggregateid, type, source, time, payload, created_at"
    values = "'a:1', 'bangfu.x.v1', 'a', 'x', 'http://x', '2018-01-01T00:00:00Z', '{}'"
    waiting = ["outbox: events wait too long, and none is sent"]
    async with app.state.runtime.database.driver() as pg:
        await pg.execute(f"INSERT INTO outbox ({columns}) VALUES ({values}, now() - interval '31 seconds')")
        assert (await client.get("/readyz")).json()["problems"] == waiting
        await pg.execute("CREATE TABLE sent_ever PARTITION OF outbox_sent DEFAULT")
        sent = f"INSERT INTO outbox_sent (pos, {columns}, sent_at) VALUES (1, {values}, now(), now() - $1::interval)"
        await pg.execute(sent, timedelta(seconds=31))
        assert (await client.get("/readyz")).json()["problems"] == waiting
        await pg.execute(sent, timedelta(seconds=1))
    ready = await client.get("/readyz")
    assert (ready.status_code, ready.json()["problems"]) == (200, [])


# Documents


async def test_documents_are_valid_and_need_no_internet(client: httpx.AsyncClient) -> None:
    document = (await client.get("/openapi.json")).json()
    OpenAPIV31SpecValidator(document).validate()
    assert "Enumerations may grow" in document["info"]["description"]
    OpenAPIV30SpecValidator((await client.get("/openapi-3.0.json")).json()).validate()
    for page in ("/docs", "/redoc"):
        text = (await client.get(page)).text
        assert "https://" not in text.replace("https://fastapi.tiangolo.com/img", "")
    schema = json.loads((Path(__file__).parents[1] / "schemas/asyncapi-3.0.0.json").read_text())
    Draft7Validator(schema).validate((await client.get("/asyncapi.json")).json())
    published = await client.get("/schemas/bangfu.registry.key.v1.json")
    assert published.json()["$id"].endswith("/schemas/bangfu.registry.key.v1.json")


async def test_metrics_name_routes_not_addresses(client: httpx.AsyncClient) -> None:
    await client.get("/v1/things")
    await client.get("/v1/nothing/411323199001011234")
    text = (await client.get("/metrics")).text
    assert 'route="/v1/things"' in text
    assert "411323199001011234" not in text


async def test_trace_context_goes_through(client: httpx.AsyncClient) -> None:
    given = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    returned = (await client.get("/livez", headers={"traceparent": given})).headers["traceparent"]
    assert returned[:35] == given[:35]
    assert returned != given
    for broken in ("x", "00-" + "0" * 32 + "-" + "1" * 16 + "-01"):
        assert (await client.get("/livez", headers={"traceparent": broken})).headers["traceparent"][3:35] != "0" * 32

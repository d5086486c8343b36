"""Bad input over HTTP, numbered as in reliability.md, section 3: its answer is a problem, never 5xx, never an echo.

Nothing is written by any of it: the ledger and the register hold as many rows afterwards as before.
"""

import gzip
import json
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import httpx
import pytest

from tests.e2e.city import City, Json, household, now, visit
from tests.e2e.raw import Answer, exchange

pytestmark = pytest.mark.xdist_group("city")
JSON = "application/json"
CANARY = "canary-7301"
ROUTES = {"assistance": "/v1/actions", "registry": "/v1/households"}
EDGES = pytest.mark.parametrize("service", ["assistance", "registry"])


@pytest.fixture(scope="module")
def home(city: City) -> Json:
    made = city.household(city.villages("411323000000")[0])
    city.wait_until_quiet()
    return made


@pytest.fixture
def nothing_written(city: City) -> Iterator[None]:
    """The test leaves no row behind."""
    before = _rows(city)
    yield
    assert _rows(city) == before


def _rows(city: City) -> list[int]:
    ledger = "SELECT (SELECT count(*) FROM action), (SELECT count(*) FROM action_version)"
    register = "SELECT (SELECT count(*) FROM household), (SELECT count(*) FROM person)"
    return [*city.sql("assistance", ledger)[0].values(), *city.sql("registry", register)[0].values()]


def assert_problem(answer: httpx.Response, *statuses: int) -> None:
    """It is a problem of one of these statuses that repeats nothing of what was sent."""
    assert answer.status_code in statuses, answer.text
    assert answer.headers["content-type"].startswith("application/problem+json")
    problem = answer.json()
    assert {"type", "title", "status", "code"} <= problem.keys()
    assert problem["status"] == answer.status_code
    assert CANARY not in answer.text


def nested(depth: int) -> bytes:
    return b"[" * depth + b"]" * depth


def with_field(field: str, raw: bytes) -> Callable[[Json], bytes]:
    """The action with one field given as raw JSON."""

    def body(action: Json) -> bytes:
        rest = {name: value for name, value in action.items() if name != field}
        return json.dumps(rest).encode()[:-1] + b', "' + field.encode() + b'": ' + raw + b"}"

    return body


def changed(**changes: Any) -> Callable[[Json], bytes]:
    return lambda action: json.dumps({**action, **changes}).encode()


def raw(body: bytes) -> Callable[[Json], bytes]:
    return lambda _: body


BODIES: dict[str, tuple[Callable[[Json], bytes], str, int]] = {
    "1 empty": (raw(b""), JSON, 422),
    "2 truncated": (lambda action: json.dumps(action).encode()[:-9], JSON, 400),
    "3 null": (raw(b"null"), JSON, 422),
    "4 array": (raw(b"[]"), JSON, 422),
    "5 NaN": (with_field("quantity", b"NaN"), JSON, 422),
    "5 NaN in details": (with_field("details", b'{"minutes": NaN}'), JSON, 422),
    "6 1e999": (with_field("details", b'{"minutes": 1e999}'), JSON, 422),
    "7 half a surrogate": (with_field("details", b'{"needs": "\\ud800"}'), JSON, 422),
    "8 NUL": (with_field("details", b'{"needs": "a\\u0000b"}'), JSON, 422),
    "8 NUL in a name": (with_field("external_id", b'"a\\u0000b"'), JSON, 422),
    "9 nesting 300": (with_field("details", b'{"needs": ' + nested(300) + b"}"), JSON, 422),
    "9 nesting 900": (with_field("details", b'{"needs": ' + nested(900) + b"}"), JSON, 422),
    "10 nesting 100,000": (with_field("details", nested(100_000)), JSON, 400),
    "11 5,000 digits": (with_field("quantity", b"1" * 5_000), JSON, 400),
    "12 a name twice": (with_field("quantity", b'1, "quantity": 2'), JSON, 400),
    "13 UTF-16": (lambda action: json.dumps(action).encode("utf-16"), f"{JSON}; charset=utf-16", 415),
    "13 UTF-16 unsaid": (lambda action: json.dumps(action).encode("utf-16"), JSON, 400),
    "14 not UTF-8": (with_field("source_system", b'"\xff\xfe"'), JSON, 400),
    "15 a picture": (raw(b"\x89PNG\r\n\x1a\n" + bytes(200)), "application/octet-stream", 415),
    "15 a picture as JSON": (raw(b"\x89PNG\r\n\x1a\n" + bytes(200)), JSON, 400),
    "16 a form": (raw(b"programme=visit"), "application/x-www-form-urlencoded", 415),
    "35 unknown field": (changed(surprise=CANARY), JSON, 422),
    "35 unknown field with a telling name": (changed(**{CANARY: 1}), JSON, 422),
    "36 true for a number": (changed(quantity=True), JSON, 422),
    "36 text for a number": (changed(quantity="1"), JSON, 422),
    "36 number for an instant": (changed(occurred_at=1538962200), JSON, 422),
    "37 negative amount": (changed(amount_fen=-1), JSON, 422),
    "38 decimals": (changed(amount_fen=1.005), JSON, 422),
    "38 a whole decimal": (with_field("amount_fen", b"1.0"), JSON, 422),
    "39 beyond the column": (changed(amount_fen=10**30), JSON, 422),
    "39 beyond 64 bits": (changed(amount_fen=2**63), JSON, 422),
    "40 naive instant": (changed(occurred_at="2018-10-08T09:30:00"), JSON, 422),
    "41 0000-00-00": (changed(occurred_at="0000-00-00T00:00:00+08:00"), JSON, 422),
    "41 30 February": (changed(occurred_at="2018-02-30T00:00:00+08:00"), JSON, 422),
    "41 the year 9999": (changed(occurred_at="9999-12-31T23:59:59-12:00"), JSON, 422),
    "42 tomorrow": (lambda a: changed(occurred_at=(now() + timedelta(days=1)).isoformat())(a), JSON, 422),
    "42 in 1900": (changed(occurred_at="1900-01-01T00:00:00+08:00"), JSON, 422),
    "45 direction override": (changed(source_system=f"{CANARY}\u202egpj"), JSON, 422),
    "45 zero width": (changed(source_system=f"{CANARY}\u200b"), JSON, 422),
    "45 1,000 combining marks": (changed(external_id="e" + "\u0301" * 1_000), JSON, 422),
    "an unknown programme": (changed(programme="no_such"), JSON, 422),
    "details of another kind": (changed(details={"purpose": CANARY}), JSON, 422),
    "half a reference": (changed(household={}), JSON, 422),
    "501 persons": (changed(persons=[{"number": "41132310221701"}] * 501), JSON, 422),
}


@pytest.mark.parametrize("name", BODIES)
@pytest.mark.usefixtures("nothing_written")
def test_a_bad_body_is_a_problem(city: City, home: Json, name: str) -> None:
    body, content_type, status = BODIES[name]
    sent = body(visit(home, source_system=CANARY))
    answer = city.client("assistance").post("/v1/actions", content=sent, headers={"Content-Type": content_type})
    assert_problem(answer, status)


MEMBERS: dict[str, Json] = {
    "43 wrong check digit": {"id_number": "11010519491231002A"},
    "43 wrong checksum": {"id_number": "110105194912310021"},
    "41 born on 30 February": {"birth_date": "1990-02-30"},
    "42 born tomorrow": {"birth_date": (now() + timedelta(days=2)).date().isoformat()},
    "45 direction override": {"name": f"{CANARY}\u202e"},
    "45 zero width": {"name": f"{CANARY}\u200b"},
    "45 1,000 combining marks": {"name": "张" + "\u0301" * 1_000},
    "8 NUL": {"name": "a\x00b"},
    "36 text for a number": {"disability_level": "1"},
    "35 unknown field": {CANARY: "x"},
    "a letter as phone": {"phone": CANARY},
}


@pytest.mark.parametrize("name", MEMBERS)
@pytest.mark.usefixtures("nothing_written")
def test_a_bad_member_is_a_problem(city: City, name: str) -> None:
    body = household(city.villages("411323000000")[0])
    body["members"] = [{**body["members"][0], **MEMBERS[name]}]
    assert_problem(city.post("registry", "/v1/households", body), 422)


def test_44_id_numbers_are_read_alike_however_they_are_typed(city: City) -> None:
    """Lowercase x and full-width digits name the same person, who is registered once."""
    answers = []
    for typed in ("11010519491231002X", "11010519491231002x", "１１０１０５１９４９１２３１００２Ｘ"):
        body = household(city.villages("411323000000")[0])
        del body["members"][0]["sex"], body["members"][0]["birth_date"]
        body["members"][0]["id_number"] = typed
        answers.append(city.post("registry", "/v1/households", body))
        assert typed not in answers[-1].text
    first, *others = [answer.status_code for answer in answers]
    assert first == 201
    assert others in ([200, 200], [409, 409], [422, 422])


def test_46_rare_characters_come_back_as_they_were(city: City, home: Json) -> None:
    text = "𠮷野家、䶮𬱟"
    action = city.recorded(home, details={"purpose": "regular", "needs": text})
    assert city.get("assistance", f"/v1/actions/{action['id']}")["details"]["needs"] == text


# Addresses, parameters and headers


QUERIES: dict[str, tuple[str, int]] = {
    "29 a number as id": ("/v1/actions/9223372036854775808", 422),
    "29 nonsense as id": (f"/v1/actions/{CANARY}", 422),
    "29 an id nobody has": ("/v1/actions/01920000-0000-7000-8000-000000000000", 404),
    "30 decimals": ("/v1/actions?limit=1.0", 422),
    "30 underscores": ("/v1/actions?limit=1_000", 422),
    "30 full-width digits": ("/v1/actions?limit=１０", 422),
    "31 a huge page": ("/v1/actions?limit=1000000000", 422),
    "31 no page": ("/v1/actions?limit=0", 422),
    "32 deep offset": ("/v1/actions?offset=1000000", 422),
    "33 forged cursor": (f"/v1/actions?cursor={CANARY}", 400),
    "33 a cursor that is no base64": ("/v1/actions?cursor=%F0%9F%8C%8A", 400),
    "34 repeated parameter": ("/v1/actions?limit=1&limit=2", 422),
    "35 unknown parameter": (f"/v1/actions?{CANARY}=1", 422),
    "8 NUL in a parameter": ("/v1/actions?programme=a%00b", 422),
    "41 no day": ("/v1/actions?occurred_from=2018-02-30", 422),
    "an address nobody serves": (f"/v1/{CANARY}/x", 404),
}


@pytest.mark.parametrize("name", QUERIES)
def test_a_bad_address_is_a_problem(city: City, name: str) -> None:
    path, status = QUERIES[name]
    answer = city.client("assistance").get(path)
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"].startswith("application/problem+json")
    assert CANARY not in answer.text.replace(answer.json().get("instance", ""), "")


@pytest.mark.parametrize("text", ["' OR 1=1 --", "%", "_" * 50, "\\", "(a+)+$", "a" * 50, "'; DROP TABLE division; --"])
def test_53_search_text_is_text(city: City, text: str) -> None:
    started = time.monotonic()
    page = city.get("registry", "/v1/divisions", q=text)
    assert page["items"] == []
    assert time.monotonic() - started < 10, "however it reads as a pattern"


@pytest.mark.parametrize(
    ("period", "status"),
    [("2018-W54", 422), ("2018-W00", 422), ("２０１８-W40", 422), ("2018-W4", 422), ("9999-W40", 422), (CANARY, 422)],
)
def test_a_period_that_does_not_exist_is_a_problem(city: City, period: str, status: int) -> None:
    answer = city.client("ranking").get(f"/v1/league-tables/weekly/{period}")
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"].startswith("application/problem+json")


@EDGES
def test_51_a_method_that_is_not_served_names_those_that_are(city: City, service: str) -> None:
    answer = city.client(service).request("DELETE", ROUTES[service])
    assert_problem(answer, 405)
    assert {"GET", "POST"} <= {method.strip() for method in answer.headers["allow"].split(",")}


@EDGES
@pytest.mark.usefixtures("nothing_written")
def test_17_a_compressed_body_is_refused(city: City, service: str) -> None:
    headers = {"Content-Type": JSON, "Content-Encoding": "gzip"}
    assert_problem(city.client(service).post(ROUTES[service], content=gzip.compress(b"{}"), headers=headers), 415)


@EDGES
def test_54_a_thousand_ranges_are_no_more_work_than_one(city: City, service: str) -> None:
    ranges = ",".join(f"{i}-{i}" for i in range(1_000))
    answer = city.client(service).get(ROUTES[service], headers={"Range": f"bytes={ranges}"})
    assert answer.status_code in (200, 416)


def test_401_without_a_key_and_with_a_wrong_one(city: City) -> None:
    for key in ("nobody.nothing", "x" * 500, "test.wrong", "é.ü"):
        headers = {"Authorization": f"Bearer {key}".encode()}
        answer = httpx.get(f"{city.url('assistance')}/v1/actions", headers=headers, trust_env=False)  # type: ignore[arg-type]
        assert_problem(answer, 401)
        assert "www-authenticate" in answer.headers


# Versions and idempotency


@pytest.mark.usefixtures("home")
def test_52_a_stale_version_is_refused(city: City, home: Json) -> None:
    action = city.recorded(home)
    path = f"/v1/actions/{action['id']}/revocation"
    client = city.client("assistance")
    assert_problem(client.post(path, json={"reason": "x"}), 428)
    for stale in ('"0"', '"2"', f'"{CANARY}"', "1", "*"):
        assert_problem(client.post(path, json={"reason": "x"}, headers={"If-Match": stale}), 412)


@pytest.mark.parametrize("key", ["k" * 256, '""', "", "a\tb", "é"])
@pytest.mark.usefixtures("nothing_written")
def test_50_an_idempotency_key_that_is_none(city: City, home: Json, key: str) -> None:
    headers = {"Idempotency-Key": key.encode(), "Content-Type": JSON}
    content = json.dumps(visit(home))
    assert_problem(city.client("assistance").post("/v1/actions", content=content, headers=headers), 400)  # type: ignore[arg-type]


def test_48_a_key_is_scoped_to_caller_and_route(city: City, home: Json) -> None:
    other = city.issue_key("recorder")
    city.wait_until_quiet()
    headers = {"Idempotency-Key": "shared-48"}
    mine = city.post("assistance", "/v1/actions", visit(home), headers=headers)
    theirs = city.post("assistance", "/v1/actions", visit(home), key=other, headers=headers)
    elsewhere = city.post("registry", "/v1/households", household(home["village"]), headers=headers)
    assert [each.status_code for each in (mine, theirs, elsewhere)] == [201, 201, 201]
    assert mine.json()["id"] != theirs.json()["id"]


def test_49_a_key_used_at_the_same_moment_has_one_effect(city: City, home: Json) -> None:
    action = visit(home)
    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda _: city.record(action, idempotency_key="at-once-49"), range(32)))
    assert {answer.status_code for answer in answers} <= {201, 409}
    assert len({answer.json()["id"] for answer in answers if answer.status_code == 201}) == 1
    rows = city.sql("assistance", "SELECT 1 FROM action WHERE external_id = $1", action["external_id"])
    assert len(rows) == 1


# Bytes on the wire


def request(city: City, service: str, *headers: str, method: str = "POST", body: bytes = b"") -> bytes:
    """A request by hand, with a valid key and Host unless ``headers`` bring their own."""
    lines = [f"{method} {ROUTES[service]} HTTP/1.1"]
    if not any(header.lower().startswith("host") for header in headers):
        lines.append("Host: 127.0.0.1")
    lines += [f"Authorization: Bearer {city.stack.api_key}", *(header for header in headers if header != "Host-less")]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def send(city: City, service: str, *chunks: bytes) -> Answer:
    return exchange(city.url(service), chunks)


@EDGES
@pytest.mark.usefixtures("nothing_written")
class TestOnTheWire:
    """Inputs that no client library would send."""

    @pytest.mark.parametrize("expect", [(), ("Expect: 100-continue",)], ids=["18", "19"])
    def test_a_body_too_large_is_refused_before_it_is_sent(
        self, city: City, service: str, expect: tuple[str, ...]
    ) -> None:
        head = request(city, service, f"Content-Type: {JSON}", f"Content-Length: {300 * 2**20}", *expect)
        answer = send(city, service, head)
        assert answer.status == 413, answer
        assert answer.seconds < 8, "sooner than one that is awaited"
        assert " 100 " not in answer.head

    def test_20_a_chunked_body_is_cut_off_at_the_limit(self, city: City, service: str) -> None:
        head = request(city, service, f"Content-Type: {JSON}", "Transfer-Encoding: chunked")
        chunk = b"10000\r\n" + b" " * 65536 + b"\r\n"
        answer = send(city, service, head, *[chunk] * 400)
        assert answer.status == 413, answer

    def test_23_two_kinds_of_length(self, city: City, service: str) -> None:
        smuggled = b"0\r\n\r\nGET / HTTP/1.1\r\n\r\n"
        lengths = ("Content-Length: 3", "Transfer-Encoding: chunked")
        answer = send(city, service, request(city, service, f"Content-Type: {JSON}", *lengths, body=smuggled))
        assert answer.status == 400, answer

    def test_24_two_lengths(self, city: City, service: str) -> None:
        lengths = ("Content-Length: 2", "Content-Length: 3")
        answer = send(city, service, request(city, service, f"Content-Type: {JSON}", *lengths, body=b"{} "))
        assert answer.status == 400, answer

    @pytest.mark.parametrize("host", ["Host-less", "Host: a b", "Host: a,b", "Host: evil/path", "Host: [::1", "Host:"])
    def test_25_28_hosts_that_are_none(self, city: City, service: str, host: str) -> None:
        lines = [f"GET {ROUTES[service]} HTTP/1.1", *([] if host == "Host-less" else [host])]
        lines.append(f"Authorization: Bearer {city.stack.api_key}")
        answer = send(city, service, "\r\n".join(lines).encode() + b"\r\n\r\n")
        assert answer.status == 400, answer

    @pytest.mark.parametrize("headers", [[f"X-Long: {'a' * 100_000}"], [f"X-{i}: a" for i in range(5_000)]])
    def test_26_27_headers_beyond_measure(self, city: City, service: str, headers: list[str]) -> None:
        answer = send(city, service, request(city, service, *headers, method="GET"))
        assert answer.status in (400, 431), answer

    def test_a_method_nobody_knows(self, city: City, service: str) -> None:
        answer = send(city, service, request(city, service, method="BREW"))
        assert answer.status in (400, 405, 501), answer
        assert answer.status != 501 or answer.body == b""

    def test_an_answer_to_no_http_at_all(self, city: City, service: str) -> None:
        answer = send(city, service, b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(50))
        assert answer.status in (0, 400), answer


def test_21_22_who_stops_in_the_middle_is_not_awaited_for_ever(city: City) -> None:
    """Half a head, and half a body, on both services at once; others are served meanwhile."""
    stalled = []
    for service in ("assistance", "registry"):
        stalled.append((service, request(city, service, method="GET")[:-10]))
        stalled.append((service, request(city, service, f"Content-Type: {JSON}", "Content-Length: 100", body=b"{")))
    with ThreadPoolExecutor(len(stalled)) as pool:
        waiting = [pool.submit(send, city, service, sent) for service, sent in stalled]
        assert city.client("assistance").get("/livez").status_code == 200
        answers = [each.result() for each in waiting]
    assert [(answer.status, answer.seconds < 45) for answer in answers] == [(0, True), (408, True)] * 2, answers

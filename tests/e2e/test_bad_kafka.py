"""Bad records, numbered as in reliability.md, section 3: written off once with their cause; what follows flows."""

import base64
import hashlib
import hmac
import json
import uuid
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Producer

from tests.e2e.city import City, Json, now, visit
from tests.e2e.importer import PARTITIONS, SUBMITTED, Headers, Importer
from tests.faults.waiting import eventually

pytestmark = pytest.mark.xdist_group("city")
ACTIONS = "bangfu.assistance.action.v1"
HOUSEHOLDS = "bangfu.registry.household.v1"
MEGABYTE = 2**20
BOMB = 64 * MEGABYTE


@pytest.fixture(scope="module")
def importer(city: City) -> Importer:
    return Importer(city)


@pytest.fixture(scope="module")
def home(city: City) -> Json:
    made = city.household(city.villages("411323000000")[0])
    city.wait_until_quiet()
    return made


def attributes(importer: Importer, **changes: str | None) -> Headers:
    """The headers of a good submission, with changes; None drops one."""
    good: dict[str, str | None] = {
        "ce_specversion": "1.0",
        "ce_id": uuid.uuid4().hex,
        "ce_source": importer.source,
        "ce_type": "cn.bangfu.assistance.action-submissions.submitted.v1",
        "content-type": "application/json",
    }
    return [(name, text) for name, text in (good | changes).items() if text is not None]


Making = Callable[[Importer, bytes], tuple[bytes | None, Headers]]
"""The value and headers of a bad record, from a good submission."""

BAD: dict[str, tuple[Making, str]] = {
    "55 null": (lambda i, good: (None, attributes(i)), "no_data"),
    "55 null without a header": (lambda i, good: (None, []), "not_a_cloudevent:specversion"),
    "56 empty": (lambda i, good: (b"", attributes(i)), "no_data|not_json"),
    "57 random bytes": (lambda i, good: (b"\x00\x80\xff\x7f", attributes(i)), "not_json"),
    "57 random headers": (lambda i, good: (good, [("ce_id", b"\xff\xfe")]), "not_a_cloudevent:header_encoding"),
    "58 another schema": (lambda i, good: (b'{"op": "dance"}', attributes(i)), "schema"),
    "58 no object": (lambda i, good: (b"[1, 2]", attributes(i)), "schema"),
    "59 unknown major version": (lambda i, good: (good, attributes(i, ce_type="x.submitted.v2")), "unknown_version"),
    "61 no id": (lambda i, good: (good, attributes(i, ce_id=None)), "not_a_cloudevent:attribute_id"),
    "61 empty id": (lambda i, good: (good, attributes(i, ce_id="")), "not_a_cloudevent:attribute_id"),
    "61 id of 300": (lambda i, good: (good, attributes(i, ce_id="i" * 300)), "not_a_cloudevent:attribute_id"),
    "61 no source": (lambda i, good: (good, attributes(i, ce_source=None)), "not_a_cloudevent:attribute_source"),
    "68 NaN": (lambda i, good: (good[:-1] + b', "amount_fen": NaN}', attributes(i)), "not_json|unusable_value"),
    "68 NUL": (lambda i, good: (good[:-1] + b', "x": "\\u0000"}', attributes(i)), "unusable_value"),
    "10 nesting": (lambda i, good: (b"[" * 100_000, attributes(i)), "not_json"),
    "12 a name twice": (lambda i, good: (good[:-1] + b', "op": "revoke"}', attributes(i)), "not_json"),
    "14 not UTF-8": (lambda i, good: (b'{"op": "\xff"}', attributes(i)), "not_json"),
    "70 a megabyte": (lambda i, good: (b"x" * 950_000, attributes(i)), "not_json"),
    "72 ten thousand headers": (lambda i, good: (good, [(f"h{n}", b"x") for n in range(10_000)]), "specversion"),
    "73 nobody we know": (lambda i, good: (good, attributes(i, ce_source="https://forged.example")), "unregistered"),
    "a structured event cut short": (
        lambda i, good: (b'{"specversion": "1.0"', [("content-type", "application/cloudevents+json")]),
        "not_a_cloudevent:not_json",
    ),
}


def submission(home: Json, **changes: object) -> Json:
    return {"op": "record", **visit(home), **changes}


def test_bad_records_are_dead_letters_once_and_what_follows_flows(city: City, importer: Importer, home: Json) -> None:
    """All of them in one partition, a good one behind each; every bad one is kept with its cause."""
    good = []
    for name, (make, _) in BAD.items():
        value, headers = make(importer, json.dumps(submission(home)).encode())
        importer.send(value, headers, key=name.encode(), partition=3)
        ce_id = uuid.uuid4().hex
        importer.send(json.dumps(submission(home)).encode(), attributes(importer, ce_id=ce_id), partition=3)
        good.append(ce_id)
    assert {importer.outcome(ce_id)["outcome"] for ce_id in good} == {"accepted"}
    keys = [name.encode() for name in BAD]
    found = city.sql("assistance", "SELECT key, cause FROM dead_letter WHERE key = ANY($1::bytea[])", keys)
    causes = {row["key"].decode(): row["cause"] for row in found}
    assert len(found) == len(BAD), "once each"
    wrong = {
        name: causes[name] for name, (_, cause) in BAD.items() if not any(c in causes[name] for c in cause.split("|"))
    }
    assert not wrong


def test_73_a_record_in_the_name_of_a_source_that_signs(city: City, home: Json) -> None:
    """Whoever may write to the broker may name any source; what is not signed with its secret is written off."""
    signing = Importer(city, signature="required")
    issued = city.client("assistance").post(
        f"/v1/sources/{signing.id}/secrets", json={"keep_previous_days": 0}, headers={"If-Match": '"1"'}
    )
    assert issued.status_code == 201, issued.text
    said = submission(home)

    def sent(ce_id: str, secret: str) -> str:
        value = json.dumps(said).encode()
        named = "".join(f"{part}\n" for part in (signing.source, ce_id, SUBMITTED)).encode()
        digest = hmac.new(secret.encode(), named + value, hashlib.sha256).digest()
        return signing.submit(value, ce_id=ce_id, ce_signature=f"v1,{base64.b64encode(digest).decode()}")

    forged = [signing.submit(said, ce_id="unsigned"), sent("forged", "guessed")]
    assert signing.outcome(sent("genuine", issued.json()["secret"]))["outcome"] == "accepted"
    eventually(lambda: {"unsigned", "bad_signature"} <= set(_causes(city)), what="written off")
    for ce_id in forged:
        answer = city.client("assistance").get(f"/v1/submissions/{signing.source}/{ce_id}")
        assert answer.status_code == 404, "no receipt for what is not the source's"


def test_a_header_without_value_is_no_fault(importer: Importer, home: Json) -> None:
    ce_id = uuid.uuid4().hex
    headers = [*attributes(importer, ce_id=ce_id), ("ce_time", None), ("x-trace", None)]
    importer.send(json.dumps(submission(home)).encode(), headers)
    assert importer.outcome(ce_id)["outcome"] == "accepted"


def test_60_a_field_we_do_not_know_is_no_fault(importer: Importer, home: Json) -> None:
    assert importer.outcome(importer.submit(submission(home, added_in_v1_1={"x": 1})))["outcome"] == "accepted"


def test_60_an_unknown_detail_is_one(importer: Importer, home: Json) -> None:
    """``details`` are the programme's own: what it does not name would be lost without a word."""
    outcome = importer.outcome(importer.submit(submission(home, details={"no_such": 1})))
    assert outcome["outcome"] == "rejected"


def test_62_63_a_message_is_decided_once(city: City, importer: Importer, home: Json) -> None:
    """The same message again changes nothing; another body under its id is a dead letter."""
    sent = submission(home)
    first = importer.submit(sent)
    accepted = importer.outcome(first)
    importer.submit(sent, ce_id=first)
    importer.submit({**sent, "quantity": 9}, ce_id=first)
    marker = importer.submit(submission(home))
    importer.outcome(marker)
    eventually(lambda: "id_reused" in _causes(city), what="written off")
    assert importer.outcome(first) == accepted
    action = city.get("assistance", f"/v1/actions/{accepted['action_id']}")
    assert (action["version"], action["quantity"]) == (1, 1)


def _causes(city: City, service: str = "assistance") -> list[str]:
    return [row["cause"] for row in city.sql(service, "SELECT cause FROM dead_letter")]


def test_67_an_unknown_household_waits_and_holds_nobody_up(city: City, importer: Importer, home: Json) -> None:
    stranger = importer.submit(submission({"number": "41132399999999"}))
    assert importer.outcome(importer.submit(submission(home)))["outcome"] == "accepted"
    parked = "SELECT 1 FROM parked_record WHERE headers::text LIKE '%' || $1 || '%'"
    [[encoded]] = city.sql("assistance", "SELECT encode(convert_to($1, 'UTF8'), 'base64')", stranger)
    eventually(lambda: city.sql("assistance", parked, encoded.replace("\n", "")[:40]), what="it waits")
    city.sql("assistance", "DELETE FROM parked_record")  # or it would wait for fifteen minutes


@pytest.mark.parametrize(
    ("change", "pointer"),
    [
        ({"amount_fen": 10**30}, "/amount_fen"),
        ({"amount_fen": 1.5}, "/amount_fen"),
        ({"occurred_at": "2018-10-08T09:30:00"}, "/occurred_at"),
        ({"occurred_at": (now() + timedelta(days=1)).isoformat()}, "/occurred_at"),
        ({"quantity": True}, "/quantity"),
    ],
    ids=["68 huge", "68 half a fen", "40 naive", "69 tomorrow", "36 true"],
)
def test_a_bad_content_gets_a_receipt_that_says_so(importer: Importer, home: Json, change: Json, pointer: str) -> None:
    outcome = importer.outcome(importer.submit(submission(home, **change)))
    assert outcome["outcome"] == "rejected"
    assert [error["pointer"] for error in outcome["errors"]] == [pointer]


def test_71_a_compressed_bomb_is_survived(city: City, importer: Importer, home: Json) -> None:
    """A few kilobytes on the wire, 64 MB in memory: written off, memory bounded, the next record flows."""
    pid = city.stack.service("assistance").daemon.identity
    assert pid is not None
    before = _resident(pid.pid)
    servers = {"bootstrap.servers": city.stack.broker.bootstrap_servers, "log_level": 0}
    bomber = Producer({**servers, "compression.type": "zstd", "message.max.bytes": 2 * BOMB})
    bomber.produce(city.stack.prefix + "bangfu.assistance.action-submissions.v1", bytes(BOMB), b"bomb", partition=3)
    assert bomber.flush(30) == 0
    after = importer.submit(submission(home))
    assert importer.outcome(after)["outcome"] == "accepted"
    city.wait_until_quiet()
    assert _resident(pid.pid) - before < 8 * BOMB


def _resident(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text()
    return 1024 * int(next(line for line in status.splitlines() if line.startswith("VmHWM")).split()[1])


# Internal topics: forged records of ours


@pytest.fixture(scope="module")
def forger(city: City) -> Callable[..., None]:
    """Publishes on any topic in our name."""
    producer = Producer({"bootstrap.servers": city.stack.broker.bootstrap_servers, "log_level": 0})

    def publish(topic: str, key: str, body: Any, *, subject: str | None = None, version: int = 1) -> None:
        headers = {
            "ce_specversion": "1.0",
            "ce_id": f"{key}:{version}",
            "ce_source": "forged",
            "ce_type": "cn.bangfu.assistance.action.recorded.v1",
            "ce_subject": subject or key,
            "content-type": "application/json",
        }
        value = None if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
        partition = uuid.UUID(key).int % PARTITIONS if len(key) == 36 else 0
        producer.produce(city.stack.prefix + topic, value, key, headers=list(headers.items()), partition=partition)
        assert producer.flush(30) == 0

    return publish


def event_of(city: City, action: Json, version: int) -> Json:
    """The event of an action's version as the ledger sent it."""
    query = "SELECT convert_from(payload, 'UTF8') AS body FROM outbox_sent WHERE id = $1"
    rows = eventually(lambda: city.sql("assistance", query, f"{action['id']}:{version}"), what="sent")
    body: Json = json.loads(rows[0]["body"])
    return body


def in_the_past(event: Json) -> Json:
    """Happened so long ago that no other test looks there."""
    return {**event, "id": str(uuid.uuid4()), "occurred_at": "2012-05-01T02:00:00.000000Z"}


def test_64_to_66_ranking_believes_the_newest_version_only(city: City, home: Json, forger: Callable[..., None]) -> None:
    """A gap is applied, older news ignored, another body under a known version and a foreign key written off."""
    event = in_the_past(event_of(city, city.recorded(home), 1))
    key = event["id"]

    def version() -> int | None:
        rows = city.sql("ranking", "SELECT version FROM fact WHERE action_id = $1", uuid.UUID(key))
        return rows[0]["version"] if rows else None

    forger(ACTIONS, key, {**event, "version": 5}, version=5)
    eventually(lambda: version() == 5, what="a gap is applied (65)")
    forger(ACTIONS, key, {**event, "version": 2, "amount_fen": 1}, version=2)
    forger(ACTIONS, key, {**event, "version": 5, "amount_fen": 2}, version=5)
    eventually(lambda: "version_clash" in _causes(city, "ranking"), what="one version, two bodies (63)")
    forger(ACTIONS, key, {**event, "id": str(uuid.uuid4())}, version=6)
    forger(ACTIONS, key, {**event, "version": 6, "kind": "x", "surprise": 1}, version=6)
    eventually(lambda: version() == 6, what="what follows flows, unknown fields are no fault")
    [row] = city.sql("ranking", "SELECT amount_fen, kind FROM fact WHERE action_id = $1", uuid.UUID(key))
    assert (row["amount_fen"], row["kind"]) == (0, "x")
    assert "key_mismatch" in _causes(city, "ranking")


def test_67_ranking_counts_for_a_division_it_does_not_know(city: City, home: Json, forger: Callable[..., None]) -> None:
    """The register's event may come later; such a unit stands apart until then."""
    event = in_the_past(event_of(city, city.recorded(home), 1))
    event["path"] = {**event["path"], "county": "419999000000", "managing_unit": "419999000000"}
    forger(ACTIONS, event["id"], event)
    eventually(lambda: city.figures("daily", "2012-05-01", "419999000000").get("actions"), what="counted")


@pytest.mark.parametrize(
    ("change", "cause"),
    [
        ({"amount_fen": 10**40}, "schema"),
        ({"quantity": -1}, "schema"),
        ({"occurred_at": "9999-12-31T23:59:59.000000Z"}, "out_of_range"),
        ({"occurred_at": "2018-10-08T09:30:00"}, "schema"),
        ({"status": "dreamt"}, "schema"),
        ({"path": None}, "schema"),
    ],
)
def test_ranking_writes_off_what_it_cannot_count(
    city: City, home: Json, forger: Callable[..., None], change: Json, cause: str
) -> None:
    event = {**in_the_past(event_of(city, city.recorded(home), 1)), **change}
    forger(ACTIONS, event["id"], event)
    query = "SELECT cause FROM dead_letter WHERE key = convert_to($1, 'UTF8')"
    [row] = eventually(lambda: city.sql("ranking", query, event["id"]), what="written off")
    assert row["cause"] == cause


def test_74_a_tombstone_on_an_internal_topic_erases_nothing(city: City, forger: Callable[..., None]) -> None:
    """Aggregates are never deleted: erasure is an event with status erased. A bare tombstone is written off."""
    home = city.household(city.villages("411323000000")[0])
    city.wait_until_quiet()
    forger(HOUSEHOLDS, home["id"], None)
    query = "SELECT cause FROM dead_letter WHERE key = convert_to($1, 'UTF8')"
    for service in ("assistance", "ranking"):
        [row] = eventually(lambda s=service: city.sql(s, query, home["id"]), what=f"{service} wrote it off")  # type: ignore[misc]
        assert row["cause"] == "no_data"
    assert city.record(visit(home)).status_code == 201, "it is still known"

"""Household submissions, fed to the handler as the consumer would: receipts, corrections, refusals, keys."""

import base64
import json
import os
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from joserfc import jwe
from joserfc.jwk import ECKey, OctKey

from services.registry.households.schemas import MemberIn
from services.registry.submissions import keys
from services.registry.submissions.contracts import HOUSEHOLD_OUTCOMES, IDENTITY, MemberIdentity, SubmittedMember
from shared.events import MAX_BYTES
from shared.record import Park, Poison
from tests.assistance.test_signatures import signed
from tests.registry.conftest import (
    OTHER_VILLAGE,
    VILLAGE,
    XIXIA,
    events,
    household,
    id_number,
    make,
    matching,
    member,
)
from tests.registry.submissions import SOURCE, Importer, Json, errors, sealed

PEOPLE = [
    member(name="测试甲", id_number=id_number(), phone="13800000001"),
    member("spouse", name="测试乙", sex="female", birth_date="1970-06-01", bank_card="6217000000000000018"),
]


@pytest.fixture
async def importer(app: FastAPI, registry: httpx.AsyncClient) -> Importer:
    made = Importer(app, registry)
    await made.register()
    return made


def test_the_two_parts_of_a_member_are_the_whole() -> None:
    coded, who = set(SubmittedMember.model_fields), set(MemberIdentity.model_fields)
    assert coded | who == set(MemberIn.model_fields)
    assert who == set(IDENTITY)
    assert not coded & who


async def test_a_household_is_registered_as_over_http(importer: Importer, app: FastAPI) -> None:
    receipt = await importer.decided(importer.message("h-1", members=PEOPLE, source_version=1), "h-1")
    assert (receipt["outcome"], receipt["version"], receipt["errors"]) == ("accepted", 1, [])
    made = (await importer.client.get(f"/v1/households/{receipt['household_id']}")).json()
    assert (made["number"], made["external_id"], made["village"]) == (receipt["number"], "h-1", VILLAGE)
    assert [each["name"] for each in made["members"]] == ["测*甲", "测*乙"]
    assert made["members"][0]["phone"] == "138****0001"
    [published] = await events(app, "household")
    assert published["id"] == receipt["household_id"]
    [(_, sent)] = await importer.receipts()
    assert sent == receipt


async def test_every_submission_gets_one_receipt(importer: Importer) -> None:
    """Repeated in a batch, redelivered, and encrypted once more: the same receipt with the same id, nothing written."""
    records = [importer.message(f"h-{n}") for n in range(3)]
    assert await importer.submit(*records, records[0]) == {}
    assert len(await importer.receipts()) == 3
    assert await importer.submit(records[1], importer.message("h-2")) == {}
    receipts = await importer.receipts()
    assert receipts[3:] == [receipts[1], receipts[2]]
    assert await importer.value("SELECT count(*) FROM household") == 3
    assert await importer.value("SELECT count(*) FROM household_version") == 0


async def test_one_id_with_two_bodies_is_a_dead_letter(importer: Importer) -> None:
    first, other = importer.message("h-1"), importer.message("h-1", members=[member(name="别人")])
    verdicts = await importer.submit(first, other)
    assert [str(verdicts[1])] == ["id_reused"]
    assert [str(each) for each in (await importer.submit(other)).values()] == ["id_reused"]


async def test_corrected_and_revoked(importer: Importer) -> None:
    made = await importer.decided(importer.message("h-1", members=PEOPLE, source_version=1), "h-1")
    people = [{**PEOPLE[0], "phone": "13800000009"}, PEOPLE[1]]
    change = importer.message("h-1", ce_id="c-2", op="correct", members=people, source_version=3, reason="更正电话")
    assert (await importer.decided(change, "c-2"))["version"] == 2
    home = f"/v1/households/{made['household_id']}"
    assert (await importer.client.get(home)).json()["members"][0]["phone"] == "138****0009"
    history = (await importer.client.get(f"{home}/versions")).json()["items"]
    assert [each["reason"] for each in history] == [None, "更正电话"]

    late = importer.message("h-1", ce_id="c-3", op="correct", members=PEOPLE, source_version=2)
    assert (await importer.decided(late, "c-3"))["outcome"] == "unchanged", "superseded"
    again = importer.message("h-1", ce_id="c-4", op="correct", members=people, source_version=3)
    assert (await importer.decided(again, "c-4"))["outcome"] == "unchanged", "said before"
    other = importer.message("h-1", ce_id="c-5", op="correct", members=PEOPLE, source_version=3)
    assert errors(await importer.decided(other, "c-5")) == {("/source_version", "source_version_used")}
    assert (await importer.client.get(home)).json()["version"] == 2
    back = importer.message("h-1", ce_id="c-6", op="correct", members=PEOPLE, source_version=4)
    assert (await importer.decided(back, "c-6"))["version"] == 3, "to what was first registered"

    gone = await importer.decided(importer.revocation("h-1", "r-1", source_version=5, reason="误报"), "r-1")
    assert (gone["outcome"], gone["version"]) == ("accepted", 4)
    assert (await importer.client.get(home)).json()["status"] == "deregistered"
    assert (await importer.decided(importer.revocation("h-1", "r-2"), "r-2"))["outcome"] == "unchanged"
    undead = importer.message("h-1", ce_id="c-7", op="correct", members=PEOPLE, reason="再改")
    assert errors(await importer.decided(undead, "c-7")) == {("/external_id", "household_deregistered")}


async def test_a_receipt_of_many_errors_is_not_too_large_to_send(importer: Importer) -> None:
    """A receipt that cannot be sent would hold up every event behind it."""
    wrong = {"sex": "x", "birth_date": "x", "employable": "x", "phone": "x", "attributes": {"health": ["x", "y"]}}
    members = [{**member(), **wrong} for _ in range(50)]
    message = importer.message("h-1", members=members, standing="x", cause="x", village="x")
    receipt = await importer.decided(message, "h-1")
    assert receipt["outcome"] == "rejected"
    assert (len(receipt["errors"]) + receipt["errors_left_out"], receipt["errors_left_out"] > 0) == (303, True)
    [row] = await importer.rows("SELECT payload FROM outbox WHERE aggregatetype = $1", HOUSEHOLD_OUTCOMES.name)
    assert 32 * 1024 < len(row["payload"]) < MAX_BYTES


async def test_a_signed_correction_is_still_signed_when_its_turn_comes(importer: Importer) -> None:
    """It is checked again after waiting; registry keeps no keys of records, and those are not signed."""
    content = {"label": "测试", "divisions": [XIXIA], "signature": "required"}
    source = (await importer.client.post("/v1/sources", json={**content, "name": "urn:signing"})).json()
    issued = await importer.client.post(
        f"/v1/sources/{source['id']}/secrets", json={"keep_previous_days": 0}, headers=matching(1)
    )
    assert issued.status_code == 201, issued.text
    secret = issued.json()["secret"]
    data = importer.data("h-1", op="correct", cause="schooling", source="urn:signing")
    early = signed(importer.raw(data, ce_id="c-1", key=b"row 17", source="urn:signing"), secret)
    assert isinstance((await importer.submit(early))[0], Park)
    record = importer.message("h-1", source="urn:signing")
    [verdict] = (await importer.submit(record)).values()
    assert (str(verdict), isinstance(verdict, Poison) and verdict.origin) == ("unsigned", "")
    assert await importer.submit(signed(record, secret)) == {}
    assert await importer.consumer.retry_parked() == 1
    assert (await importer.outcome("c-1", "urn:signing"))["version"] == 2


async def test_a_record_said_again_is_unchanged_and_said_otherwise_refused(importer: Importer) -> None:
    first = await importer.decided(importer.message("h-1"), "h-1")
    same = await importer.decided(importer.message("h-1", ce_id="again"), "again")
    assert (same["outcome"], same["household_id"], same["version"]) == ("unchanged", first["household_id"], 1)
    other = await importer.decided(importer.message("h-1", ce_id="other", cause="schooling"), "other")
    assert ("/external_id", "external_id_taken") in errors(other)


async def test_a_correction_waits_for_its_record_a_quarter_of_an_hour(importer: Importer) -> None:
    data = importer.data("h-1", op="correct", cause="schooling")
    early = importer.raw(data, ce_id="c-1", key=b"row 17")
    [verdict] = (await importer.submit(early)).values()
    assert isinstance(verdict, Park)
    assert await importer.value("SELECT key FROM parked_record") is None
    assert await importer.submit(importer.message("h-1")) == {}
    assert await importer.consumer.retry_parked() == 1
    assert (await importer.outcome("c-1"))["version"] == 2
    lost = importer.data("h-2", op="correct")
    receipt = await importer.decided(importer.raw(lost, ce_id="c-2", age=timedelta(minutes=16)), "c-2")
    assert errors(receipt) == {("/external_id", "unknown_record")}


async def test_changes_of_one_record_in_one_batch_keep_their_order(importer: Importer) -> None:
    batch = [
        importer.message("h-1"),
        importer.message("h-1", ce_id="c-1", op="correct", cause="schooling"),
        importer.revocation("h-1", "r-1"),
    ]
    assert await importer.submit(*batch) == {}
    assert [(await importer.outcome(each))["version"] for each in ("h-1", "c-1", "r-1")] == [1, 2, 3]


async def test_a_test_source_is_answered_and_writes_nothing(importer: Importer) -> None:
    test = "urn:test"
    await importer.register(test, mode="test")
    batch = [
        importer.message("h-1", source=test),
        importer.message("h-2", ce_id="c-2", source=test, op="correct"),
        importer.message("h-3", source=test, cause="nonsense"),
    ]
    assert await importer.submit(*batch) == {}
    receipts = [await importer.outcome(each, test) for each in ("h-1", "c-2", "h-3")]
    assert [each["outcome"] for each in receipts] == ["accepted", "accepted", "rejected"]
    assert {(each["mode"], each["household_id"]) for each in receipts} == {("test", None)}
    assert await importer.value("SELECT count(*) FROM household") == 0
    assert await importer.value("SELECT count(*) FROM population_change") == 0


async def test_sources_stay_within_their_divisions_and_records(importer: Importer) -> None:
    beyond = await importer.decided(importer.message("h-1", village=OTHER_VILLAGE), "h-1")
    assert errors(beyond) == {("/village", "division_unknown")}
    theirs = await make(importer.client, village=OTHER_VILLAGE, source_system="xixia", external_id="h-2")
    changes = [importer.message("h-2", ce_id="c-1"), importer.message("h-2", ce_id="c-2", op="correct")]
    assert errors(await importer.decided(changes[0], "c-1")) == {("/external_id", "external_id_taken")}
    [verdict] = (await importer.submit(changes[1])).values()
    assert isinstance(verdict, Park), "as if there were none"
    assert (await importer.client.get(f"/v1/households/{theirs['id']}")).json()["version"] == 1

    assert await importer.submit(importer.message("h-3")) == {}
    await importer.register("urn:other")
    meddling = importer.message("h-3", ce_id="m", source="urn:other", op="correct", cause="schooling")
    [verdict] = (await importer.submit(meddling)).values()
    assert isinstance(verdict, Park)
    taken = importer.message("h-3", ce_id="t", source="urn:other", cause="schooling")
    assert await importer.submit(taken) == {}
    assert errors(await importer.outcome("t", "urn:other")) == {("/external_id", "external_id_taken")}


async def test_what_came_over_http_is_corrected_by_a_source_that_reaches_it(importer: Importer) -> None:
    made = await make(importer.client, source_system="xixia", external_id="h-1")
    change = importer.message("h-1", ce_id="c-1", op="correct", cause="schooling")
    receipt = await importer.decided(change, "c-1")
    assert (receipt["household_id"], receipt["version"]) == (made["id"], 2)


async def test_rules_and_shapes_are_answered_as_over_http(importer: Importer) -> None:
    cases: list[tuple[Json, set[tuple[str, str]]]] = [
        ({"standing": "rich"}, {("/standing", "literal_error")}),
        ({"members": [member(id_number="411399196803120011")]}, set()),
        ({"members": [member(phone="1")]}, {("/members/0/phone", "phone_format")}),
        ({"members": [member("son")]}, set()),
        ({"surprise": 1}, {("/surprise", "extra_forbidden")}),
        ({"members": [{**member(), "nick": "x"}]}, {("/members/0/nick", "extra_forbidden")}),
    ]
    for number, (changes, expected) in enumerate(cases):
        name = f"h-{number}"
        over_http = await importer.client.post("/v1/households", json=_over_http(name, changes))
        assert over_http.status_code == 422, over_http.text
        receipt = await importer.decided(importer.message(name, **changes), name)
        assert errors(receipt) == {(each["pointer"], each["code"]) for each in over_http.json()["errors"]}
        assert expected <= errors(receipt)
    assert await importer.value("SELECT count(*) FROM household") == 0


def _over_http(name: str, changes: Json) -> Json:
    return {**household(**changes), "source_system": "xixia", "external_id": name}


async def test_an_identity_in_the_clear_is_refused(importer: Importer) -> None:
    for field, value in {"name": "测试甲", "phone": "13800000001", "birth_date": "1968-03-12"}.items():
        data = importer.data(f"h-{field}")
        data["members"][0][field] = value
        receipt = await importer.decided(importer.raw(data, ce_id=field), field)
        assert errors(receipt) == {(f"/members/0/{field}", "extra_forbidden")}
    assert "测试甲" not in json.dumps(await importer.receipts(), ensure_ascii=False)


def _block(importer: Importer, **changes: Any) -> Json:
    who = {"name": "测试甲", "birth_date": "1968-03-12"}
    return {"source": SOURCE, "source_system": "xixia", "external_id": "h", "members": [who], **changes}


STRANGER = ECKey.generate_key("P-256")


def _for_stranger(importer: Importer) -> str:
    return sealed(_block(importer), {**STRANGER.as_dict(private=False), "kid": importer.key["kid"]})


def _damaged(importer: Importer) -> str:
    parts = sealed(_block(importer), importer.key).split(".")
    parts[3] = parts[3][:-4] + ("AAAA" if parts[3][-4:] != "AAAA" else "BBBB")
    return ".".join(parts)


def _header(importer: Importer, **header: Any) -> str:
    """A good JWE whose header says something else."""
    protected = {"alg": "ECDH-ES+A256KW", "enc": "A256GCM", "kid": importer.key["kid"], **header}
    text = base64.urlsafe_b64encode(json.dumps(protected).encode()).rstrip(b"=").decode()
    return text + "." + sealed(_block(importer), importer.key).partition(".")[2]


def _direct(importer: Importer) -> str:
    header = {"alg": "dir", "enc": "A256GCM", "kid": importer.key["kid"]}
    return jwe.encrypt_compact(header, b"{}", OctKey.generate_key(256), algorithms=["dir", "A256GCM"])


BOMB = b'{"members": [], "x": "' + b"0" * 20_000_000 + b'"}'
BAD_BLOCKS: dict[str, tuple[Callable[[Importer], Any], str]] = {
    "no text": (lambda i: 17, "string_type"),
    "empty": (lambda i: "", "identity_unreadable"),
    "no JWE": (lambda i: "a.b", "identity_unreadable"),
    "JSON": (lambda i: '{"protected": ""}', "identity_unreadable"),
    "not ASCII": (lambda i: "中文.x.x.x.x", "identity_unreadable"),
    "a long header": (lambda i: "e" * 5000 + ".x.x.x.x", "identity_unreadable"),
    "a deep header": (lambda i: "W1tbW1tb" * 100 + ".x.x.x.x", "identity_unreadable"),
    "another key": (_for_stranger, "identity_unopened"),
    "damaged": (_damaged, "identity_unopened"),
    "cut short": (lambda i: sealed(_block(i), i.key)[:-30], "identity_unopened"),
    "four parts": (lambda i: sealed(_block(i), i.key).rpartition(".")[0], "identity_unopened"),
    "an unknown kid": (lambda i: sealed(_block(i), {**i.key, "kid": "x"}), "identity_key_unknown"),
    "no kid": (lambda i: _header(i, kid=None), "identity_key_unknown"),
    "a kid that is none": (lambda i: _header(i, kid={"x": 1}), "identity_key_unknown"),
    "alg none": (lambda i: _header(i, alg="none"), "identity_algorithm"),
    "alg dir": (_direct, "identity_algorithm"),
    "another alg of the family": (lambda i: sealed(_block(i), i.key, alg="ECDH-ES"), "identity_algorithm"),
    "another enc": (lambda i: sealed(_block(i), i.key, enc="A128CBC-HS256"), "identity_algorithm"),
    "compressed": (lambda i: sealed(_block(i), i.key, zip="DEF"), "identity_algorithm"),
    "a bomb": (lambda i: sealed(BOMB, i.key, zip="DEF"), "identity_algorithm"),
    "a key of its own": (lambda i: _header(i, jwk=i.key), "identity_algorithm"),
    "a key elsewhere": (lambda i: _header(i, jku="http://127.0.0.1/"), "identity_algorithm"),
    "critical": (lambda i: _header(i, crit=["exp"], exp=1), "identity_algorithm"),
    "no epk": (lambda i: _header(i), "identity_unopened"),
    "a strange epk": (lambda i: _header(i, epk=[1]), "identity_unopened"),
    "an epk off the curve": (
        lambda i: _header(i, epk={"kty": "EC", "crv": "P-256", "x": "AQ", "y": "AQ"}),
        "identity_unopened",
    ),
    "an epk of another curve": (
        lambda i: _header(i, epk=ECKey.generate_key("P-384").as_dict(private=False)),
        "identity_unopened",
    ),
    "an epk of another kind": (lambda i: _header(i, epk={"kty": "oct", "k": "AQ"}), "identity_unopened"),
    "oversized": (lambda i: sealed(b" " * 60_000, i.key), "identity_too_large"),
    "no JSON": (lambda i: sealed(b"\x00\xff", i.key), "identity_content"),
    "NaN": (lambda i: sealed(b'{"members": [NaN]}', i.key), "identity_content"),
    "a name twice": (lambda i: sealed(b'{"members": [], "members": []}', i.key), "identity_content"),
    "nested": (lambda i: sealed(b'{"x": ' + b"[" * 20_000, i.key), "identity_content"),
    "no object": (lambda i: sealed([], i.key), "identity_content"),
    "another source's": (lambda i: sealed(_block(i, source="urn:x"), i.key), "identity_of_another_record"),
    "another record's": (lambda i: sealed(_block(i, external_id="x"), i.key), "identity_of_another_record"),
    "nobody": (lambda i: sealed(_block(i, members=[]), i.key), "identity_count"),
    "one too many": (lambda i: sealed(_block(i, members=[{"name": "甲"}] * 2), i.key), "identity_count"),
    "coded fields": (
        lambda i: sealed(_block(i, members=[{"name": "甲", "relation": "head"}]), i.key),
        "extra_forbidden",
    ),
    "unknown fields": (lambda i: sealed(_block(i, more=1), i.key), "extra_forbidden"),
}


async def test_bad_identity_blocks_are_refused(importer: Importer) -> None:
    """Each gets its receipt; none of them stops the good one behind it."""
    records = []
    for name, (make_block, _) in BAD_BLOCKS.items():
        data = importer.data("h")
        data["identity"] = make_block(importer)
        records.append(importer.raw(data, ce_id=name))
    assert await importer.submit(*records, importer.message("good")) == {}
    found = {name: (await importer.outcome(name))["errors"] for name in BAD_BLOCKS}
    wrong = {
        name: [each["code"] for each in found[name]]
        for name, (_, code) in BAD_BLOCKS.items()
        if [each["code"] for each in found[name]] != [code]
    }
    assert not wrong
    assert (await importer.outcome("good"))["outcome"] == "accepted"
    assert await importer.value("SELECT count(*) FROM household") == 1


POISON: list[tuple[bytes | None, str]] = [
    (None, "no_data"),
    (b"", "not_json"),
    (b"\x00\xff\x17", "not_json"),
    (b"[]", "schema"),
    (b'{"op":"record","source_system":"s","external_id":"e","x":NaN}', "unusable_value"),
    (b'{"op":"destroy","source_system":"s","external_id":"e"}', "schema"),
    (b'{"op":"record","op":"record"}', "not_json"),
    (b"[" * 100_000, "not_json"),
]


async def test_junk_leaves_its_place_and_cause_and_nothing_else(importer: Importer) -> None:
    secret = id_number().encode()
    records = [importer.raw(value, ce_id=str(number), key=secret) for number, (value, _) in enumerate(POISON)]
    stranger = importer.message("h-1", source="urn:stranger")
    noise = [importer.raw(os.urandom(n) + secret, ce_id=f"n{n}") for n in range(100)]
    verdicts = await importer.submit(*records, stranger, *noise, importer.message("good"))
    assert all(isinstance(each, Poison) for each in verdicts.values())
    assert [str(verdicts[n]) for n in range(len(POISON) + 1)] == [*(code for _, code in POISON), "unregistered_source"]
    assert sorted(verdicts) == list(range(len(POISON) + 101))
    letters = await importer.rows("SELECT key, value, headers, origin, cause FROM dead_letter")
    assert {(each["key"], each["value"], each["headers"]) for each in letters} == {(None, None, "[]")}
    assert {each["origin"] for each in letters} == {SOURCE, ""}
    assert len(letters) == len(verdicts)
    copies = await importer.rows("SELECT payload FROM outbox WHERE aggregatetype LIKE '%.dlt'")
    assert {each["payload"] for each in copies} == {None}
    assert (await importer.outcome("good"))["outcome"] == "accepted"


async def test_what_is_named_by_an_id_number_gets_no_receipt(importer: Importer) -> None:
    """A receipt, its key and its address would publish it."""
    number, grouped = id_number(), " ".join(id_number()[place : place + 6] for place in (0, 6, 12))
    records = [importer.message(f"户{number}", ce_id="1"), importer.message(grouped, ce_id="2"),
               importer.message("h-3", ce_id=number)]  # fmt: skip
    verdicts = await importer.submit(*records, importer.message("good"))
    assert {place: str(verdict) for place, verdict in verdicts.items()} == dict.fromkeys(range(3), "personal_number")
    assert [receipt["submission"] for _, receipt in await importer.receipts()] == ["good"]


async def test_a_reason_names_nobody(importer: Importer) -> None:
    assert (await importer.decided(importer.message("h-1"), "h-1"))["outcome"] == "accepted"
    reason = f"测试甲 {id_number()}"
    wrong = [importer.message("h-2", reason=reason), importer.message("h-1", ce_id="c-1", op="correct", reason=reason),
             importer.revocation("h-1", "r-1", reason="电话 13800000000")]  # fmt: skip
    assert await importer.submit(*wrong) == {}
    for ce_id in ("h-2", "c-1", "r-1"):
        assert errors(await importer.outcome(ce_id)) == {("/reason", "personal_number")}
    assert await importer.value("SELECT count(*) FROM audit_entry WHERE reason IS NOT NULL") == 0


async def test_another_key_is_published_and_the_one_before_still_opens(importer: Importer, app: FastAPI) -> None:
    before = importer.key
    runtime, vault = app.state.runtime, app.state.registry.vault
    sent_before = importer.message("h-1")
    async with runtime.database.driver() as pg, pg.transaction():
        kid = await keys.renew(pg, vault, datetime.now(UTC))
    app.state.submission_keys.expire()  # else a second later
    [importer.key] = (await importer.client.get("/.well-known/submission-keys.json")).json()["keys"]
    assert importer.key["kid"] == kid != before["kid"]
    assert "d" not in importer.key
    assert await importer.submit(sent_before, importer.message("h-2")) == {}
    assert [(await importer.outcome(each))["outcome"] for each in ("h-1", "h-2")] == ["accepted", "accepted"]

    async with runtime.database.driver() as pg, pg.transaction():
        await keys.renew(pg, vault, datetime.now(UTC) + timedelta(days=31))
    app.state.submission_keys.expire()
    importer.key = before
    late = importer.data("h-3")
    receipt = await importer.decided(importer.raw(late, ce_id="late"), "late")
    assert errors(receipt) == {("/identity", "identity_key_unknown")}


async def test_a_key_of_a_moment_ago_opens(importer: Importer, app: FastAPI) -> None:
    """Made by another process; the one in memory is older."""
    assert await importer.submit(importer.message("h-1")) == {}
    async with app.state.runtime.database.driver() as pg, pg.transaction():
        await keys.renew(pg, app.state.registry.vault, datetime.now(UTC))
        [newest, _] = await keys.watched_keys(app.state.registry.vault).get(pg)
    importer.key = keys.public_jwk(newest)
    assert (await importer.decided(importer.message("h-2"), "h-2"))["outcome"] == "accepted"

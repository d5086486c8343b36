"""Recording one action over HTTP."""

import asyncio
import json
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from services.assistance.actions import recording
from tests.assistance.world import (
    HUANGLUDIAN_VILLAGE,
    NANZHAO,
    NEIXIANG_VILLAGE,
    TANGHE_VILLAGE,
    XIAYING,
    XIPING,
    YAHE,
    World,
    household,
    path_of,
    person,
)


async def test_an_action_is_recorded_with_its_version_and_event(world: World) -> None:
    answer = await world.record(source_system="office", external_id="1", details={"purpose": "regular"})
    assert answer.status_code == 201, answer.text
    body = answer.json()
    assert answer.headers["location"] == f"/v1/actions/{body['id']}"
    assert answer.headers["etag"] == '"1"'
    assert body["path"]["village"] == body["division"] == XIAYING
    home = world.households[XIAYING]
    assert body["household"] == {"id": str(home.id), "number": home.number, "seq": home.seq}
    assert (await world.send("GET", answer.headers["location"])).json() == body
    assert await world.value("SELECT count(*) FROM action_version WHERE action_id = $1::uuid", body["id"]) == 1
    event = json.loads(await world.value("SELECT payload FROM outbox WHERE aggregateid = $1", body["id"]))
    assert (event["class"], event["household_seq"], event["path"]) == ("help", home.seq, body["path"])


async def test_an_action_counts_for_the_managing_unit(world: World) -> None:
    path = (await world.record(village=HUANGLUDIAN_VILLAGE)).json()["path"]
    assert (path["county"], path["managing_unit"]) == (NANZHAO, YAHE)


async def test_an_action_counts_for_the_village_responsible_that_day(world: World) -> None:
    moved = household(50, XIAYING)
    before, after = moved.timeline[0], moved.timeline[0].model_copy(
        update={"valid_from": date(2018, 6, 1), "path": path_of(NEIXIANG_VILLAGE)}
    )  # fmt: skip
    await world.know(moved.model_copy(update={"timeline": [before, after], "valid_to": date(2019, 1, 1)}))
    for moment, expected in (
        ("2018-05-31T23:59:59+08:00", XIAYING),
        ("2018-05-31T16:00:00Z", NEIXIANG_VILLAGE),  # already 1 June in Shanghai
        ("2018-12-31T23:59:59+08:00", NEIXIANG_VILLAGE),
    ):
        answer = await world.record(household={"number": moved.number}, occurred_at=moment)
        assert answer.json()["division"] == expected
    for moment in ("2019-01-01T00:00:00+08:00", "2013-12-31T23:59:59+08:00"):
        answer = await world.record(household={"number": moved.number}, occurred_at=moment)
        assert "not_registered_then" in [each["code"] for each in answer.json()["errors"]]


REFUSED: list[tuple[dict[str, Any], tuple[str, str]]] = [
    ({"programme": "nothing"}, ("/programme", "unknown_programme")),
    ({"kind": "nothing"}, ("/kind", "unknown_kind")),
    ({"household": None}, ("/household", "household_required")),
    ({"household": {"number": "1"}}, ("/household/number", "string_pattern_mismatch")),
    ({"household": {}}, ("/household", "reference")),
    ({"division": XIAYING}, ("/division", "division_derived")),
    ({"kind": "village_visit"}, ("/household", "not_for_household")),
    ({"occurred_at": "2009-12-31T23:59:59+08:00"}, ("/occurred_at", "too_early")),
    ({"occurred_at": "1900-01-01T00:00:00Z"}, ("/occurred_at", "too_early")),
    ({"occurred_at": "2018-10-08T09:30:00"}, ("/occurred_at", "datetime_parsing")),
    ({"occurred_at": "2018-10-08"}, ("/occurred_at", "datetime_parsing")),
    ({"occurred_at": "0000-00-00T00:00:00Z"}, ("/occurred_at", "datetime_parsing")),
    ({"occurred_at": "2018-02-30T00:00:00Z"}, ("/occurred_at", "datetime_parsing")),
    ({"occurred_at": "0001-01-01T00:00:00+14:00"}, ("/occurred_at", "datetime_parsing")),
    ({"occurred_at": "9999-12-31T23:59:59-14:00"}, ("/occurred_at", "datetime_parsing")),
    ({"occurred_at": 1539000000}, ("/occurred_at", "datetime_parsing")),
    ({"quantity": -1}, ("/quantity", "greater_than_equal")),
    ({"quantity": True}, ("/quantity", "int_type")),
    ({"quantity": "1"}, ("/quantity", "int_type")),
    ({"quantity": 1.5}, ("/quantity", "int_type")),
    ({"amount_fen": -1}, ("/amount_fen", "greater_than_equal")),
    ({"amount_fen": 10**12 + 1}, ("/amount_fen", "less_than_equal")),
    ({"amount_fen": 10**30}, ("/amount_fen", "less_than_equal")),
    ({"details": {"purpose": "none"}}, ("/details/purpose", "enum")),
    ({"details": {"other": 1}}, ("/details", "extra_forbidden")),
    ({"details": []}, ("/details", "dict_type")),
    ({"unknown": 1}, ("/unknown", "extra_forbidden")),
    ({"id": "0192e1b8-0000-7000-8000-000000000000"}, ("/id", "extra_forbidden")),
    ({"source_system": "s"}, ("", "reference")),
    ({"source_system": "s", "external_id": "a\u202eb"}, ("/external_id", "text_characters")),
    ({"place": "999999000000"}, ("/place", "unknown_reference")),
    ({"persons": [{"number": "00000000000009"}]}, ("/persons/0", "unknown_reference")),
]


async def test_what_is_refused(world: World) -> None:
    for changes, fault in REFUSED:
        body = {name: value for name, value in {**world.visit(), **changes}.items() if value is not None}
        answer = await world.send("POST", "/v1/actions", body=body)
        assert answer.status_code == 422, (changes, answer.text)
        assert fault in [(each["pointer"], each["code"]) for each in answer.json()["errors"]], changes
    assert await world.value("SELECT count(*) FROM action") == 0


async def test_nothing_happens_in_the_future(world: World) -> None:
    soon = datetime.now(UTC) + timedelta(minutes=4)
    assert (await world.record(occurred_at=soon.isoformat())).status_code == 201
    later = datetime.now(UTC) + timedelta(minutes=6)
    assert (await world.record(occurred_at=later.isoformat())).json()["errors"][0]["code"] == "in_future"


async def test_three_plus_n_reaches_its_pilot_counties_only(world: World) -> None:
    three = {"programme": "three_plus_n", "kind": "household_covered"}
    assert (await world.record(village=NEIXIANG_VILLAGE, **three)).status_code == 201
    answer = await world.record(village=TANGHE_VILLAGE, **three)
    assert answer.json()["errors"][0]["code"] == "not_rolled_out"


async def test_villages_and_townships(world: World) -> None:
    village: dict[str, Any] = {"household": None, "kind": "village_visit", "division": XIAYING}
    assert (await world.record(**village)).json()["path"]["village"] == XIAYING
    township = village | {"kind": "township_visit", "division": XIPING}
    answer = await world.record(**township)
    assert (answer.json()["division"], answer.json()["path"]["village"]) == (XIPING, None)
    assert (await world.record(**village | {"division": XIPING})).json()["errors"][0]["code"] == "level"
    assert (await world.record(**village | {"division": None})).json()["errors"][0]["code"] == "division_required"


async def test_persons_count_where_their_household_does(world: World) -> None:
    homeless = person(80, None)
    await world.know(homeless)
    course: dict[str, Any] = {
        "household": None, "programme": "skills_training", "kind": "completed", "details": {"course": "月季嫁接"},
    }  # fmt: skip
    answer = await world.record(persons=[{"id": str(world.persons[0].id)}], **course)
    assert (answer.status_code, answer.json()["division"]) == (201, XIAYING)
    assert answer.json()["household"]["number"] == world.households[XIAYING].number
    alone = [{"number": homeless.number}]
    assert (await world.record(persons=alone, **course)).json()["errors"][0]["code"] == "division_required"
    assert (await world.record(persons=alone, division=XIAYING, **course)).json()["division"] == XIAYING
    twice = [{"number": homeless.number}, {"id": str(homeless.id)}]
    assert (await world.record(persons=twice, division=XIAYING, **course)).json()["errors"][0]["code"] == "repeated"
    assert (await world.record(**course)).json()["errors"][0]["code"] == "persons_required"
    assert (await world.record(persons=alone * 501, **course)).json()["errors"][0]["code"] == "too_long"


async def test_the_same_record_again_is_the_same_action(world: World) -> None:
    first = await world.record(source_system="s", external_id="1")
    again = await world.record(source_system="s", external_id="1")
    assert (again.status_code, again.json()) == (200, first.json())
    other = await world.record(source_system="s", external_id="1", quantity=2)
    assert (other.status_code, other.json()["code"]) == (409, "external_id_taken")
    assert other.json()["action_id"] == first.json()["id"]
    hidden = await world.record(by="xixia", source_system="s", external_id="1", quantity=3)
    assert hidden.json()["action_id"] == first.json()["id"]


async def test_a_request_is_carried_out_once_under_its_key(world: World) -> None:
    first = await world.send("POST", "/v1/actions", body=world.visit(), idempotency_key='"k"')
    again = await world.send("POST", "/v1/actions", body=world.visit(), idempotency_key="k")
    assert (first.status_code, again.status_code) == (201, 201)
    assert (again.content, again.headers["idempotency-replayed"]) == (first.content, "true")
    assert again.headers["location"] == first.headers["location"]
    other = await world.send("POST", "/v1/actions", body=world.visit(quantity=2), idempotency_key="k")
    assert (other.status_code, other.json()["code"]) == (422, "idempotency_key_reused")
    elsewhere = await world.send("POST", "/v1/actions", by="xixia", body=world.visit(), idempotency_key="k")
    assert elsewhere.status_code == 201
    assert await world.value("SELECT count(*) FROM action") == 2


async def test_a_key_outlives_what_made_the_request_valid(world: World) -> None:
    body = world.visit(source_system="s", external_id="1")
    first = await world.send("POST", "/v1/actions", body=body, idempotency_key="k")
    gone = world.households[XIAYING].model_copy(update={"version": 2, "valid_to": date(2015, 1, 1)})
    await world.know(gone)
    again = await world.send("POST", "/v1/actions", body=body, idempotency_key="k")
    assert (again.status_code, again.content) == (201, first.content)


async def test_a_household_registered_a_moment_ago_is_awaited(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recording, "REFERENCE_WAIT_SECONDS", 60.0)
    late = household(60, XIAYING)
    answer = asyncio.create_task(world.record(household={"number": late.number}))
    await asyncio.sleep(0.3)
    await world.know(late)
    assert (await answer).status_code == 201


async def test_out_of_scope_looks_like_unknown(world: World) -> None:
    async def refused(number: str) -> tuple[int, Any, float]:
        started = asyncio.get_running_loop().time()
        answer = await world.record(by="xixia", household={"number": number})
        return answer.status_code, answer.json()["errors"], asyncio.get_running_loop().time() - started

    foreign = await refused(world.households[NEIXIANG_VILLAGE].number)
    unknown = await refused("00000000000099")
    assert foreign[:2] == unknown[:2]
    assert min(foreign[2], unknown[2]) >= recording.REFERENCE_WAIT_SECONDS, "both are awaited as long"


async def test_a_dry_run_writes_nothing(world: World) -> None:
    answer = await world.send("POST", "/v1/actions?dry_run=true", body=world.visit(), idempotency_key="k")
    assert answer.status_code == 200
    assert "location" not in answer.headers
    wrong = await world.send("POST", "/v1/actions?dry_run=true", body=world.visit(kind="nothing"))
    assert wrong.status_code == 422
    assert await world.value("SELECT count(*) FROM action") == 0
    assert await world.value("SELECT count(*) FROM idempotency") == 0


BODIES = [
    ("", "application/json", 422),
    ("{", "application/json", 400),
    ("null", "application/json", 422),
    ("[]", "application/json", 422),
    ('{"quantity": NaN}', "application/json", 422),
    ('{"quantity": 1e999}', "application/json", 422),
    ('{"programme": "\\ud800"}', "application/json", 422),
    ('{"programme": "\\u0000"}', "application/json", 422),
    ('{"programme": "visit", "programme": "visit"}', "application/json", 400),
    ("[" * 100_000, "application/json", 400),
    ('{"quantity": ' + "9" * 5000 + "}", "application/json", 400),
    ('{"details": ' + '{"a":' * 300 + "1" + "}" * 301, "application/json", 422),
    ("a=1", "application/x-www-form-urlencoded", 415),
    ("{}", "application/json; charset=utf-16", 415),
    ("{}", "application/octet-stream", 415),
]


async def test_bodies_that_are_no_action(world: World) -> None:
    for body, content_type, status in BODIES:
        answer = await world.send("POST", "/v1/actions", body=body, content_type=content_type)
        assert answer.status_code == status, (body[:50], answer.text)
        assert answer.headers["content-type"] == "application/problem+json"


async def test_what_was_sent_is_never_echoed(world: World) -> None:
    secret = "411323199001011234"
    answer = await world.send("POST", "/v1/actions", body={**world.visit(), "kind": secret, secret: secret})
    assert answer.status_code == 422
    assert secret not in answer.text


async def test_who_may_record(world: World) -> None:
    answers = {by: (await world.record(by=by)).status_code for by in ("city", "xixia", "reader", "reviewer")}
    assert answers == {"city": 201, "xixia": 201, "reader": 403, "reviewer": 403}


async def test_keys_that_do_not_hold(world: World) -> None:
    await world.issue("revoked", ["recorder"], ["411300000000"], status="revoked")
    world.keys["forged"] = world.keys["city"][:-1] + "_"
    for name in ("revoked", "forged"):
        answer = await world.record(by=name)
        assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer")
    assert (await world.client.post("/v1/actions", json=world.visit())).status_code == 401


async def test_the_short_way_and_the_ordinary_one_agree(world: World) -> None:
    for content_type in ("application/json", "application/json; charset=utf-8"):
        answers = []
        for body in (world.visit(), world.visit(kind="nothing"), world.visit(quantity=True)):
            answer = await world.send("POST", "/v1/actions", body=body, content_type=content_type)
            answers.append((answer.status_code, answer.json().get("errors")))
        assert [status for status, _ in answers] == [201, 422, 422]
        assert [faults[0]["pointer"] for _, faults in answers[1:]] == ["/kind", "/quantity"]

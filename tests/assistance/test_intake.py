"""The intake's handler, fed with records as the consumer would."""

import json
import os
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from services.assistance.intake.contracts import ACTION_SUBMISSIONS
from services.assistance.intake.service import ActionDesk
from shared.intake.handler import Intake
from shared.intake.sources import sources
from shared.record import Park, Poison, Record, Verdict
from tests.assistance.world import NEIXIANG, NEIXIANG_VILLAGE, XIAYING, XIXIA, World, household

SOURCE = "https://fupin.xixia.example/exports"


class Importer:
    """A system that submits."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.handler = Intake(
            world.assistance.runtime.settings, sources(world.runtime.settings), ActionDesk(world.assistance)
        )
        self._offset = 0

    async def register(
        self, name: str = SOURCE, *, mode: str = "live", divisions: tuple[str, ...] = (XIXIA,), **more: str
    ) -> dict[str, Any]:
        body = {"name": name, "label": "测试", "divisions": list(divisions), "mode": mode, **more}
        answer = await self.world.send("POST", "/v1/sources", body=body)
        assert answer.status_code == 201, answer.text
        made: dict[str, Any] = answer.json()
        return made

    def message(self, ce_id: str, *, source: str = SOURCE, age: timedelta = timedelta(), **data: Any) -> Record:
        said = {
            "op": "record", "source_system": "xixia", "external_id": ce_id, "programme": "visit",
            "kind": "household_visit", "household": {"number": self.world.households[XIAYING].number},
            "occurred_at": "2018-10-08T09:30:00+08:00", **data,
        }  # fmt: skip
        kept = {name: value for name, value in said.items() if value is not None}
        return self.raw(json.dumps(kept).encode(), ce_id=ce_id, source=source, age=age)

    def raw(
        self, value: bytes | None, *, ce_id: str = "x", source: str = SOURCE, age: timedelta = timedelta(),
        event_type: str = ACTION_SUBMISSIONS.types[0],
    ) -> Record:  # fmt: skip
        headers = {"ce_specversion": "1.0", "ce_id": ce_id, "ce_source": source, "ce_type": event_type}
        encoded = [(name, text.encode()) for name, text in headers.items()]
        self._offset += 1
        seen = datetime.now(UTC) - age
        return Record(ACTION_SUBMISSIONS.name, 0, self._offset, b"any", value, encoded, 0, seen)

    async def submit(self, *records: Record) -> dict[int, Verdict]:
        async with self.world.runtime.database.driver() as pg, pg.transaction():
            return dict(await self.handler(pg, records))

    async def outcome(self, ce_id: str, source: str = SOURCE) -> dict[str, Any]:
        answer = await self.world.send("GET", f"/v1/submissions/{source}/{ce_id}")
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    async def receipts(self) -> list[tuple[str, dict[str, Any]]]:
        rows = await self.world.rows(
            "SELECT id, payload FROM outbox WHERE aggregatetype = 'bangfu.assistance.action-outcomes.v1' ORDER BY pos"
        )
        return [(row["id"], json.loads(row["payload"])) for row in rows]


@pytest.fixture
async def importer(world: World) -> Importer:
    made = Importer(world)
    await made.register()
    return made


async def test_a_record_is_accepted_corrected_and_revoked(importer: Importer) -> None:
    assert await importer.submit(importer.message("1", source_version=1)) == {}
    accepted = await importer.outcome("1")
    assert (accepted["outcome"], accepted["version"]) == ("accepted", 1)
    change = importer.message("2", op="correct", external_id="1", quantity=2, source_version=2, reason="少记")
    undo = importer.message("3", op="revoke", external_id="1", source_version=3)
    assert await importer.submit(change, undo) == {}
    assert [(await importer.outcome(n))["version"] for n in ("2", "3")] == [2, 3]
    action = await importer.world.send("GET", f"/v1/actions/{accepted['action_id']}")
    assert (action.json()["status"], action.json()["quantity"]) == ("revoked", 2)


async def test_every_record_gets_one_receipt(importer: Importer) -> None:
    records = [importer.message(str(n)) for n in range(3)]
    assert await importer.submit(*records, records[0]) == {}
    assert len(await importer.receipts()) == 3
    assert await importer.submit(records[1]) == {}
    receipts = await importer.receipts()
    assert len(receipts) == 4
    assert receipts[3] == receipts[1]
    assert await importer.world.value("SELECT count(*) FROM action") == 3


async def test_one_id_with_two_bodies_is_a_dead_letter(importer: Importer) -> None:
    verdicts = await importer.submit(importer.message("1"), importer.message("1", quantity=5))
    assert [str(verdicts[1])] == ["id_reused"]
    verdicts = await importer.submit(importer.message("1", quantity=6))
    assert isinstance(verdicts[0], Poison)
    assert await importer.world.value("SELECT count(*) FROM action_version") == 1


POISON: list[tuple[bytes | None, str]] = [
    (None, "no_data"),
    (b"", "not_json"),
    (b"\x00\xff\x17", "not_json"),
    (b"null", "schema"),
    (b"[]", "schema"),
    (b"{}", "schema"),
    (b'{"op":"record","source_system":"s","external_id":"e","amount_fen":NaN}', "unusable_value"),
    (b'{"op":"record","source_system":"s","external_id":"e","amount_fen":1e999}', "unusable_value"),
    (b'{"op":"destroy","source_system":"s","external_id":"e"}', "schema"),
    (b'{"op":"record","op":"record"}', "not_json"),
    (b"[" * 100_000, "not_json"),
    (b'"\\ud800"', "unusable_value"),
]


@pytest.mark.parametrize(
    "value", [b"a\x00b", b"a\x1fb", "\u0085".encode(), b"x" * 1025], ids=["NUL", "control", "C1", "long"]
)
async def test_an_attribute_that_cannot_be_kept_is_a_dead_letter(importer: Importer, value: bytes) -> None:
    """PostgreSQL keeps no NUL, and a receipt that carried a megabyte could not be sent."""
    record = importer.message("1")
    strange = record._replace(headers=[*record.headers, ("ce_correlationid", value)])
    verdicts = await importer.submit(strange, importer.message("2"))
    assert {index: str(verdict) for index, verdict in verdicts.items()} == {0: "not_a_cloudevent:attribute_value"}
    assert (await importer.outcome("2"))["outcome"] == "accepted"


async def test_what_cannot_be_read_is_poison(importer: Importer) -> None:
    records = [importer.raw(value, ce_id=str(number)) for number, (value, _) in enumerate(POISON)]
    verdicts = await importer.submit(*records, importer.message("good"))
    assert [str(verdicts[number]) for number in range(len(POISON))] == [cause for _, cause in POISON]
    assert len(verdicts) == len(POISON)
    assert (await importer.outcome("good"))["outcome"] == "accepted"


async def test_random_bytes_stop_nothing(importer: Importer) -> None:
    topic, now = ACTION_SUBMISSIONS.name, datetime.now(UTC)
    rubbish = [
        Record(topic, 0, n, os.urandom(5), os.urandom(n), [("ce_id", os.urandom(4))], 0, now) for n in range(200)
    ]
    verdicts = await importer.submit(*rubbish, importer.message("good"))
    assert sorted(verdicts) == list(range(200))
    assert all(isinstance(verdict, Poison) for verdict in verdicts.values())


async def test_a_source_registered_a_moment_ago_is_known(importer: Importer) -> None:
    assert await importer.submit(importer.message("1")) == {}
    await importer.register("urn:new")
    assert await importer.submit(importer.message("1", source="urn:new", external_id="2")) == {}


async def test_unregistered_sources_and_later_versions_are_poison(importer: Importer) -> None:
    stranger = importer.message("1", source="urn:stranger")
    later = importer.raw(b"{}", event_type="cn.bangfu.assistance.action-submissions.submitted.v2")
    verdicts = await importer.submit(stranger, later)
    assert [str(verdicts[n]) for n in (0, 1)] == ["unregistered_source", "unknown_version"]


RULES: list[tuple[dict[str, Any], str, str]] = [
    ({"kind": "nothing"}, "/kind", "unknown_kind"),
    ({"occurred_at": "2999-01-01T00:00:00+08:00"}, "/occurred_at", "in_future"),
    ({"occurred_at": "2018-10-08T09:30:00"}, "/occurred_at", "datetime_parsing"),
    ({"amount_fen": 10**30}, "/amount_fen", "less_than_equal"),
    ({"details": {"unknown": 1}}, "/details", "extra_forbidden"),
    ({"household": None}, "/household", "household_required"),
]


async def test_rules_are_answered_with_a_receipt(importer: Importer) -> None:
    messages = [importer.message(str(number), **changes) for number, (changes, _, _) in enumerate(RULES)]
    assert await importer.submit(*messages) == {}
    for number, (_, pointer, code) in enumerate(RULES):
        outcome = await importer.outcome(str(number))
        assert outcome["outcome"] == "rejected"
        assert (pointer, code) in [(each["pointer"], each["code"]) for each in outcome["errors"]]
    assert await importer.world.value("SELECT count(*) FROM action") == 0


async def test_an_unknown_household_waits_a_quarter_of_an_hour(importer: Importer) -> None:
    unknown: dict[str, Any] = {"household": {"number": "00000000000077"}}
    verdicts = await importer.submit(importer.message("1", **unknown))
    assert isinstance(verdicts[0], Park)
    assert await importer.submit(importer.message("1", age=timedelta(minutes=16), **unknown)) == {}
    assert (await importer.outcome("1"))["outcome"] == "rejected"
    await importer.world.know(household(77, XIAYING))
    assert await importer.submit(importer.message("2", **unknown)) == {}
    assert (await importer.outcome("2"))["outcome"] == "accepted"


async def test_households_elsewhere_look_unknown(importer: Importer) -> None:
    elsewhere: dict[str, Any] = {"household": {"number": importer.world.households[NEIXIANG_VILLAGE].number}}
    verdicts = await importer.submit(importer.message("1", **elsewhere))
    assert isinstance(verdicts[0], Park)


async def test_changes_wait_for_their_record_and_keep_the_senders_order(importer: Importer) -> None:
    late = importer.message("c", op="correct", external_id="1", quantity=3, source_version=3)
    assert isinstance((await importer.submit(late))[0], Park)
    assert await importer.submit(importer.message("r", external_id="1", source_version=1)) == {}
    assert await importer.submit(late) == {}
    stale = importer.message("s", op="correct", external_id="1", quantity=2, source_version=2)
    assert await importer.submit(stale) == {}
    outcome = await importer.outcome("s")
    assert (outcome["outcome"], outcome["version"]) == ("unchanged", 2)
    clash = importer.message("d", op="correct", external_id="1", quantity=4, source_version=3)
    assert await importer.submit(clash) == {}
    assert (await importer.outcome("d"))["errors"][0]["code"] == "source_version_used"


async def test_the_same_record_again_is_unchanged_another_is_rejected(importer: Importer) -> None:
    await importer.submit(importer.message("1", external_id="e"))
    await importer.submit(importer.message("2", external_id="e"), importer.message("3", external_id="e", quantity=9))
    assert (await importer.outcome("2"))["outcome"] == "unchanged"
    assert (await importer.outcome("3"))["errors"][0]["code"] == "external_id_taken"


async def test_a_source_changes_its_own_records_only(importer: Importer) -> None:
    await importer.submit(importer.message("1"))
    await importer.register("urn:other")
    verdicts = await importer.submit(importer.message("2", source="urn:other", op="revoke", external_id="1"))
    assert isinstance(verdicts[0], Park)


async def test_a_test_source_writes_nothing(importer: Importer) -> None:
    await importer.register("urn:test", mode="test")
    fine = importer.message("1", source="urn:test")
    wrong = importer.message("2", source="urn:test", kind="nothing")
    assert await importer.submit(fine, wrong) == {}
    assert (await importer.outcome("1", "urn:test"))["outcome"] == "accepted"
    assert (await importer.outcome("2", "urn:test"))["outcome"] == "rejected"
    assert await importer.world.value("SELECT count(*) FROM action") == 0


async def test_unknown_fields_are_ignored_but_not_in_details(importer: Importer) -> None:
    assert await importer.submit(importer.message("1", batch_name="autumn")) == {}
    assert (await importer.outcome("1"))["outcome"] == "accepted"


async def test_structured_mode_is_the_same_message(importer: Importer) -> None:
    binary = importer.message("1")
    data = json.loads(binary.value or b"")
    envelope = {"specversion": "1.0", "id": "1", "source": SOURCE, "type": ACTION_SUBMISSIONS.types[0], "data": data}
    structured = Record(
        binary.topic, 0, 99, None, json.dumps(envelope).encode(),
        [("content-type", b"application/cloudevents+json; charset=utf-8")], 0, datetime.now(UTC),
    )  # fmt: skip
    assert await importer.submit(binary) == {}
    assert await importer.submit(structured) == {}
    assert await importer.world.value("SELECT count(*) FROM action") == 1


async def test_receipts_are_seen_by_those_who_reach_the_source(importer: Importer) -> None:
    await importer.register("urn:city", divisions=("411300000000",))
    await importer.submit(importer.message("a/b", source="urn:city"))
    assert (await importer.outcome("a/b", "urn:city"))["outcome"] == "accepted"
    assert (await importer.world.send("GET", "/v1/submissions/urn:city/a/b", by="reader")).status_code == 404
    assert (await importer.world.send("GET", "/v1/submissions/urn:city/none")).status_code == 404
    await importer.submit(importer.message("2018_000123"), importer.message("1.0"))
    assert [(await importer.outcome(name))["submission"] for name in ("2018_000123", "1.0")] == ["2018_000123", "1.0"]
    encoded = "/v1/submissions/https%3A%2F%2Ffupin.xixia.example%2Fexports/9"
    await importer.submit(importer.message("9"))
    assert (await importer.world.send("GET", encoded, by="reader")).status_code == 200


async def test_a_source_is_managed_by_whoever_reaches_as_far(world: World) -> None:
    """Another county's admin neither sees a source nor takes it over."""
    await world.issue("xixia_admin", ["admin"], [XIXIA])
    made = {}
    for name, divisions in (("xixia", [XIXIA]), ("neixiang", [NEIXIANG]), ("both", [XIXIA, NEIXIANG])):
        body = {"name": name, "label": "测试", "divisions": divisions, "mode": "live"}
        made[name] = (await world.send("POST", "/v1/sources", body=body)).json()["id"]
    listed = (await world.send("GET", "/v1/sources?count=true", by="xixia_admin")).json()
    assert ([each["name"] for each in listed["items"]], listed["count"]) == (["xixia"], 1)
    content = {"label": "改", "divisions": [XIXIA], "mode": "test", "status": "active"}
    for name, status in (("xixia", 200), ("neixiang", 404), ("both", 404)):
        address = f"/v1/sources/{made[name]}"
        assert (await world.send("GET", address, by="xixia_admin")).status_code == status
        changed = await world.send("PUT", address, by="xixia_admin", body=content, if_match='"1"')
        assert changed.status_code == status, changed.text
    assert (await world.send("GET", "/v1/sources?count=true")).json()["count"] == 3

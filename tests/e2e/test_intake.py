"""Submissions through Kafka from a client that is not ours (issue 2, "It must show")."""

import os
from collections.abc import Iterator

import pytest

from tests.e2e.city import City, Json, household, today, visit
from tests.e2e.importer import Importer, Receipts
from tests.e2e.test_spine import TONGBAI, XIXIA, counted
from tests.faults.waiting import eventually

pytestmark = pytest.mark.xdist_group("city")
RANDOM_RECORDS = 10_000


@pytest.fixture(scope="module")
def importer(city: City) -> Importer:
    return Importer(city)


@pytest.fixture(scope="module")
def receipts(city: City) -> Iterator[Receipts]:
    reader = Receipts(city)
    yield reader
    reader.close()


def submission(household: Json, op: str = "record", **changes: object) -> Json:
    return {"op": op, **visit(household), **changes}


def test_a_submission_gets_its_receipt_and_moves_the_tables(city: City, importer: Importer, receipts: Receipts) -> None:
    home = city.household(city.villages(XIXIA)[0])
    before = city.settled_faces(today(), XIXIA)
    sent = submission(home)
    first = importer.submit(sent)
    outcome = importer.outcome(first)
    assert outcome["outcome"] == "accepted"
    eventually(lambda: receipts.of(first), what="the receipt on the outcomes topic")
    assert receipts.of(first) == [outcome]
    counted(city, XIXIA, before, 1)
    action = city.get("assistance", f"/v1/actions/{outcome['action_id']}")
    assert (action["external_id"], action["version"]) == (sent["external_id"], 1)

    again = importer.submit(sent, ce_id=first)  # sent once more, and the same record under another message
    same = importer.submit(sent)
    assert importer.outcome(same)["outcome"] == "unchanged"
    eventually(lambda: len(receipts.of(again)) == 2, what="its receipt again")
    assert receipts.of(first) == [outcome, outcome]

    other = city.household(city.villages(TONGBAI)[0])
    moved = importer.submit({**sent, "op": "correct", "household": {"number": other["number"]}, "reason": "登记错户"})
    assert importer.outcome(moved)["version"] == 2
    counted(city, XIXIA, before, 0)
    name = {each: sent[each] for each in ("source_system", "external_id")}
    assert importer.outcome(importer.submit({"op": "revoke", **name}))["version"] == 3
    late = importer.submit({**sent, "op": "correct", "reason": "再改"})
    assert importer.outcome(late)["outcome"] == "rejected"
    city.wait_until_quiet()
    counted(city, XIXIA, before, 0)


def test_a_submission_may_come_before_its_household(city: City, importer: Importer) -> None:
    """Parked, not refused: the register's event is on its way."""
    village = city.villages(XIXIA)[0]
    number = f"{village[:6]}{os.urandom(4).hex()}".translate(str.maketrans("abcdef", "012345"))
    early = importer.submit(submission({"number": number}))
    importer.flush()
    eventually(lambda: city.sql("assistance", "SELECT 1 FROM parked_record"), what="parked")
    registered = city.post("registry", "/v1/households", {**household(village), "number": number})
    assert registered.status_code == 201, registered.text
    assert importer.outcome(early)["outcome"] == "accepted"


def test_a_test_source_gets_receipts_and_reaches_no_table(city: City) -> None:
    home = city.household(city.villages(XIXIA)[0])
    importer = Importer(city, mode="test")
    before = city.settled_faces(today(), XIXIA)
    outcome = importer.outcome(importer.submit(submission(home)))
    assert (outcome["outcome"], outcome["mode"], outcome["action_id"]) == ("accepted", "test", None)
    city.wait_until_quiet()
    counted(city, XIXIA, before, 0)


def test_a_rejected_submission_says_why(city: City, importer: Importer) -> None:
    home = city.household(city.villages(XIXIA)[0])
    outcome = importer.outcome(importer.submit(submission(home, quantity=-1, programme="no_such", amount_fen="12")))
    assert outcome["outcome"] == "rejected"
    assert {error["pointer"] for error in outcome["errors"]} >= {"/quantity", "/amount_fen"}


def test_ten_thousand_records_of_random_bytes_stop_nothing(city: City, importer: Importer) -> None:
    """Each becomes one dead letter; submissions before, among and after them get their receipts."""
    home = city.household(city.villages(XIXIA)[0])
    before = city.settled_faces(today(), XIXIA)
    noise = os.urandom(RANDOM_RECORDS * 32)
    among = []
    for i in range(RANDOM_RECORDS):
        importer.send(noise[i * 32 : (i + 1) * 32], key=noise[i : i + 4])
        if i % 2_000 == 1_000:
            among.append(importer.submit(submission(home)))
    among.append(importer.submit(submission(home)))
    assert {importer.outcome(each)["outcome"] for each in among} == {"accepted"}
    keys = [noise[i : i + 4] for i in range(RANDOM_RECORDS)]
    counting = "SELECT count(*) FROM dead_letter WHERE key = ANY($1::bytea[])"
    eventually(lambda: city.sql("assistance", counting, keys)[0][0] == RANDOM_RECORDS, what="all kept")
    expected = {face: (actions + len(among), households + 1) for face, (actions, households) in before.items()}
    eventually(lambda: city.faces(today(), XIXIA) == expected, what="counted")
    eventually(lambda: city.client("assistance").get("/readyz").status_code == 200, what="ready")
    city.wait_until_quiet()

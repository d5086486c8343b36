"""Targets over HTTP, and the ids of periods."""

import json
from datetime import date
from typing import Any

import pytest

from services.assistance.targets.rules import first_day
from shared.contracts.programme import Cadence
from tests.assistance.world import NEIXIANG, XIXIA, World


def target(**more: Any) -> dict[str, Any]:
    return {
        "unit": XIXIA, "programme": "visit", "cadence": "week", "period": "2018-W41", "metric": "households",
        "due": 1200, "deadline": "2018-10-14", **more,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("cadence", "period", "expected"),
    [
        ("day", "2018-10-05", date(2018, 10, 5)),
        ("day", "2018-02-30", None),
        ("week", "2018-W40", date(2018, 10, 1)),
        ("week", "2020-W53", date(2020, 12, 28)),
        ("week", "2019-W53", None),
        ("week", "2018-10", None),
        ("month", "2018-10", date(2018, 10, 1)),
        ("month", "2018-13", None),
        ("quarter", "2018-Q4", date(2018, 10, 1)),
        ("quarter", "2018-Q5", None),
        ("year", "2018", date(2018, 1, 1)),
        ("year", "1999", None),
    ],
)
def test_periods(cadence: Cadence, period: str, expected: date | None) -> None:
    assert first_day(cadence, period) == expected


async def test_a_target_is_set_changed_and_withdrawn(world: World) -> None:
    made = await world.send("POST", "/v1/targets", body=target())
    assert made.status_code == 201, made.text
    address = made.headers["location"]
    change = {"due": 900, "deadline": "2018-10-15"}
    assert (await world.send("PUT", address, body=change)).status_code == 428
    changed = await world.send("PUT", address, body=change, if_match='"1"')
    assert (changed.status_code, changed.json()["due"], changed.headers["etag"]) == (200, 900, '"2"')
    assert (await world.send("PUT", address, body=change, if_match='"1"')).status_code == 412
    withdrawn = await world.send("POST", f"{address}/withdrawal", if_match='"2"')
    assert (withdrawn.status_code, withdrawn.json()["status"]) == (200, "withdrawn")
    assert (await world.send("POST", f"{address}/withdrawal", if_match='"3"')).status_code == 409
    assert (await world.send("POST", "/v1/targets", body=target())).status_code == 201
    verbs = await world.rows("SELECT type FROM outbox WHERE aggregatetype LIKE '%target.v1' ORDER BY pos")
    assert [each["type"].split(".")[-2] for each in verbs] == ["set", "changed", "withdrawn", "set"]


async def test_one_target_a_unit_programme_period_and_metric(world: World) -> None:
    assert (await world.send("POST", "/v1/targets", body=target(), idempotency_key="t")).status_code == 201
    replayed = await world.send("POST", "/v1/targets", body=target(), idempotency_key="t")
    assert (replayed.status_code, replayed.headers["idempotency-replayed"]) == (201, "true")
    taken = await world.send("POST", "/v1/targets", body=target(due=5))
    assert (taken.status_code, taken.json()["code"]) == (409, "target_exists")


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"unit": "999999000000"}, "/unit"),
    ({"programme": "nothing"}, "/programme"),
    ({"period": "2018-10"}, "/period"),
    ({"deadline": "2018-10-01"}, "/deadline"),
    ({"due": 0}, "/due"),
    ({"due": True}, "/due"),
    ({"metric": "smiles"}, "/metric"),
]


async def test_what_is_no_target(world: World) -> None:
    for changes, pointer in REFUSED:
        answer = await world.send("POST", "/v1/targets", body=target(**changes))
        assert answer.status_code == 422, changes
        assert [each["pointer"] for each in answer.json()["errors"]] == [pointer]


async def test_targets_in_bulk_and_in_scope(world: World) -> None:
    lines = [target(), target(unit=NEIXIANG), target(programme="*"), target(unit="999999000000"), target()]
    body = "\n".join(json.dumps(line) for line in lines)
    sent = await world.send("POST", "/v1/targets/bulk?mode=each", body=body, content_type="application/jsonl")
    assert sent.json()["counts"] == {"received": 5, "created": 3, "updated": 0, "unchanged": 0, "rejected": 2}
    again = await world.send("POST", "/v1/targets/bulk?mode=each", body=body, content_type="application/jsonl")
    assert again.json()["counts"]["unchanged"] == 3
    listed = await world.send("GET", "/v1/targets?period=2018-W41&count=true")
    assert listed.json()["count"] == 3
    assert [each["unit"] for each in (await world.send("GET", "/v1/targets", by="reader")).json()["items"]] == [
        XIXIA,
        XIXIA,
    ]
    assert (await world.send("POST", "/v1/targets", by="xixia", body=target())).status_code == 403

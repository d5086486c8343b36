"""Recording many actions at once."""

import json
from typing import Any

import httpx

from tests.assistance.world import NEIXIANG_VILLAGE, World


def _rows(world: World, count: int) -> list[dict[str, Any]]:
    return [world.visit(source_system="file", external_id=str(number)) for number in range(count)]


async def _send(world: World, rows: list[Any], query: str = "", **headers: str) -> httpx.Response:
    body = "\n".join(row if isinstance(row, str) else json.dumps(row) for row in rows)
    kind = {"content_type": "application/jsonl"} | headers
    answer = await world.send("POST", f"/v1/actions/bulk{query}", body=body, **kind)
    assert answer.status_code == 200, answer.text
    return answer


async def test_all_lines_are_recorded_and_may_be_sent_again(world: World) -> None:
    first = (await _send(world, _rows(world, 1200))).json()
    assert (first["status"], first["counts"]["created"]) == ("completed", 1200)
    assert await world.value("SELECT count(*) FROM outbox WHERE aggregatetype LIKE '%action.v1'") == 1200
    again = (await _send(world, _rows(world, 1200))).json()
    assert again["counts"] == {"received": 1200, "created": 0, "updated": 0, "unchanged": 1200, "rejected": 0}


async def test_all_or_nothing(world: World) -> None:
    rows = [*_rows(world, 3), {**world.visit(), "kind": "nothing"}, "{", world.visit(amount_fen=-1)]
    report = (await _send(world, rows)).json()
    assert (report["status"], report["counts"]["created"], report["counts"]["rejected"]) == ("rejected", 0, 3)
    assert [(each["row"], each["column"], each["code"]) for each in report["errors"]] == [
        (4, "/kind", "unknown_kind"),
        (5, "", "malformed_request"),
        (6, "/amount_fen", "greater_than_equal"),
    ]
    assert await world.value("SELECT count(*) FROM action") == 0
    assert await world.value("SELECT count(*) FROM outbox WHERE aggregatetype LIKE '%action.v1'") == 0


async def test_each_row_on_its_own(world: World) -> None:
    rows = [*_rows(world, 3), {**world.visit(), "kind": "nothing"}]
    report = (await _send(world, rows, "?mode=each")).json()
    assert report["counts"] == {"received": 4, "created": 3, "updated": 0, "unchanged": 0, "rejected": 1}
    assert await world.value("SELECT count(*) FROM action") == 3


async def test_a_dry_run_writes_nothing(world: World) -> None:
    report = (await _send(world, _rows(world, 3), "?dry_run=true")).json()
    assert (report["id"], report["counts"]["created"]) == (None, 3)
    assert await world.value("SELECT count(*) FROM action") == 0


async def test_one_name_twice_in_a_file(world: World) -> None:
    row = world.visit(source_system="file", external_id="1")
    report = (await _send(world, [row, row, {**row, "quantity": 7}], "?mode=each")).json()
    assert report["counts"] == {"received": 3, "created": 1, "updated": 0, "unchanged": 1, "rejected": 1}
    assert report["errors"][0]["code"] == "external_id_taken"


async def test_the_same_upload_twice_under_its_key(world: World) -> None:
    rows = [world.visit() for _ in range(3)]
    first = await _send(world, rows, idempotency_key="upload")
    again = await _send(world, rows, idempotency_key="upload")
    assert again.content == first.content
    assert again.headers["idempotency-replayed"] == "true"
    assert await world.value("SELECT count(*) FROM action") == 3


async def test_rows_elsewhere_look_unknown(world: World) -> None:
    body = json.dumps(world.visit(NEIXIANG_VILLAGE))
    answer = await world.send("POST", "/v1/actions/bulk", by="xixia", body=body, content_type="application/jsonl")
    assert answer.json()["errors"][0]["code"] == "unknown_reference"


async def test_what_bulk_does_not_take(world: World) -> None:
    assert (await world.send("POST", "/v1/actions/bulk", body={})).status_code == 415
    wrong = await world.send("POST", "/v1/actions/bulk?mode=some", body="{}", content_type="application/jsonl")
    assert wrong.status_code == 422

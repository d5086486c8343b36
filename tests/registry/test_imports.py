"""Bulk registration: chunks, keys, recognition of what was sent before, interruption; and publishing anew."""

import asyncio
import json
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from services.registry.households import bulk, registering, service
from services.registry.identity import OtherKeyError
from tests.registry.conftest import (
    app_on,
    client_of,
    events,
    faults,
    household,
    id_number,
    issue,
    make,
    matching,
    member,
)

JSONL = {"Content-Type": "application/jsonl"}


def lines(count: int) -> list[dict[str, Any]]:
    """Households of one person each, every one with a name of its own."""
    return [
        household(
            source_system="县扶贫办", external_id=str(n), members=[member(id_number=id_number(sequence=2 * n + 1))]
        )
        for n in range(count)
    ]


async def send(
    client: httpx.AsyncClient, content: list[dict[str, Any]], query: str = "", **headers: str
) -> httpx.Response:
    body = "\n".join(json.dumps(line) for line in content)
    return await client.post(f"/v1/households/bulk{query}", content=body, headers={**JSONL, **headers})


def counts(response: httpx.Response) -> dict[str, int]:
    assert response.status_code == 200, response.text
    found: dict[str, int] = response.json()["counts"]
    return {name: number for name, number in found.items() if number}


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bulk, "CHUNK", 30)


@pytest.mark.parametrize("mode", ["all", "each"])
async def test_what_was_sent_before_is_left_as_it_is(registry: httpx.AsyncClient, app: FastAPI, mode: str) -> None:
    content = lines(100)
    assert counts(await send(registry, content[:70], f"?mode={mode}")) == {"received": 70, "created": 70}
    assert counts(await send(registry, content, f"?mode={mode}")) == {"received": 100, "created": 30, "unchanged": 70}
    changed = [{**content[0], "cause": "disaster"}, content[1]]
    report = await send(registry, changed, "?mode=each")
    assert counts(report) == {"received": 2, "unchanged": 1, "rejected": 1}
    assert {error["code"] for error in report.json()["errors"]} == {"external_id_taken", "id_number_taken"}
    assert len(await events(app, "household")) == len(await events(app, "person")) == 100
    stock = (await registry.get("/v1/statistics/poverty")).json()["division"]
    assert (stock["stock_households"], stock["stock_people"]) == (100, 100)


@pytest.mark.parametrize("mode", ["all", "each"])
async def test_a_repeated_request_gets_its_report_again(registry: httpx.AsyncClient, mode: str) -> None:
    first = await send(registry, lines(40), f"?mode={mode}", **{"Idempotency-Key": "bulk"})
    again = await send(registry, lines(40), f"?mode={mode}", **{"Idempotency-Key": "bulk"})
    assert again.json() == first.json()
    assert again.headers["idempotency-replayed"] == "true"
    other = await send(registry, lines(41), f"?mode={mode}", **{"Idempotency-Key": "bulk"})
    assert (other.status_code, other.json()["code"]) == (422, "idempotency_key_reused")


async def test_dry_runs_and_refusals_write_nothing(registry: httpx.AsyncClient, app: FastAPI) -> None:
    content = [*lines(40), household(standing="rich")]
    for query in ("?dry_run=true", "?dry_run=true&mode=each", ""):
        report = await send(registry, content, query, **{"Idempotency-Key": f"k{query}"})
        assert report.json()["id"] is None
        assert report.json()["errors"][0]["row"] == 41
    assert await events(app, "household") == []
    assert counts(await send(registry, content[:40], **{"Idempotency-Key": "k"})) == {"received": 40, "created": 40}


async def test_an_interrupted_import_is_taken_up_again(
    registry: httpx.AsyncClient, app: FastAPI, monkeypatch: pytest.MonkeyPatch
) -> None:
    good, seen = registering.register, 0

    async def breaking(*arguments: Any) -> Any:
        nonlocal seen
        seen += 1
        if seen == 3:
            raise RuntimeError("power cut")
        return await good(*arguments)

    monkeypatch.setattr(bulk, "register", breaking)
    assert (await send(registry, lines(100), "?mode=each", **{"Idempotency-Key": "k"})).status_code == 500
    assert len(await events(app, "household")) == 60
    again = await send(registry, lines(100), "?mode=each", **{"Idempotency-Key": "k"})
    assert counts(again) == {"received": 100, "created": 40, "unchanged": 60}


async def test_racing_imports_register_everyone_once(registry: httpx.AsyncClient, app: FastAPI) -> None:
    answers = await asyncio.gather(*(send(registry, lines(90), "?mode=each") for _ in range(3)))
    assert sum(counts(answer).get("created", 0) for answer in answers) == 90
    assert len({event["id"] for event in await events(app, "household")}) == 90
    stock = (await registry.get("/v1/statistics/poverty")).json()["division"]
    assert stock["stock_households"] == 90


@pytest.mark.parametrize("body", ["null", "[]", '"x"', "5", '{"members": [null]}'])
async def test_what_is_no_object_has_one_code_by_whatever_way_it_comes(registry: httpx.AsyncClient, body: str) -> None:
    answer = await registry.post("/v1/households", content=body, headers={"Content-Type": "application/json"})
    report = (await registry.post("/v1/households/bulk", content=body, headers=JSONL)).json()
    told = {(each["column"], each["code"]) for each in report["errors"]}
    assert faults(answer) == told
    assert {code for _, code in told if code != "missing"} == {"model_type"}


async def test_lines_may_begin_with_the_mark_of_utf_8(registry: httpx.AsyncClient) -> None:
    """As Windows programs write it, and as a file of such lines may."""
    body = b"\xef\xbb\xbf" + b"\n".join(json.dumps(each).encode() for each in lines(2))
    answer = await registry.post("/v1/households/bulk", content=body, headers=JSONL)
    assert counts(answer) == {"received": 2, "created": 2}


async def test_limits_of_imports(registry: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bulk, "MAX_LINES", 3)
    assert (await send(registry, lines(4))).status_code == 413
    assert counts(await send(registry, [])) == {}
    plain = await registry.post("/v1/households/bulk", json=lines(1))
    assert plain.status_code == 415
    reader = await issue(registry, ["reader"], ["411300000000"])
    assert (await send(registry, lines(1), **reader)).status_code == 403


async def test_everything_is_published_again_as_it_was(
    registry: httpx.AsyncClient, app: FastAPI, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service, "REPUBLISHED_AT_ONCE", 7)
    await send(registry, lines(20))
    made = await make(registry, members=[member(), member("other")])
    gone = {"effective_on": "2018-10-01", "reason": "整户迁出"}
    await registry.post(f"/v1/households/{made['id']}/deregistration", json=gone, headers=matching(1))
    topics = ("household", "person", "key")
    before = {topic: {e["id"]: e for e in await events(app, topic)} for topic in topics}
    async with app.state.runtime.database.driver() as pg:
        await pg.execute("TRUNCATE outbox")
    assert await app.state.runtime.relay.republish() == 5268 + 21 + 22 + 1
    for topic in topics:
        assert {e["id"]: e for e in await events(app, topic)} == before[topic], topic


async def test_another_data_key_is_noticed_at_start(
    registry: httpx.AsyncClient, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BANGFU_REGISTRY_DATA_KEY", "A" * 43 + "=")
    with pytest.raises(OtherKeyError):
        async with client_of(app_on(url)):
            pass

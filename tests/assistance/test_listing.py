"""Lists and streams of the ledger."""

import json
from collections.abc import Sequence

import pytest

from tests.assistance.world import (
    HUANGLUDIAN_VILLAGE,
    NANZHAO,
    NEIXIANG_VILLAGE,
    TANGHE_VILLAGE,
    XIAYING,
    XIXIA,
    YAHE,
    World,
)

VILLAGES = (XIAYING, NEIXIANG_VILLAGE, TANGHE_VILLAGE, HUANGLUDIAN_VILLAGE)


@pytest.fixture
async def ledger(world: World) -> World:
    for number, village in enumerate(VILLAGES):
        moment = f"2018-10-0{number + 1}T23:30:00+08:00"
        answer = await world.record(village=village, occurred_at=moment, source_system="s", external_id=str(number))
        assert answer.status_code == 201
    return world


async def _villages(world: World, query: str) -> list[str]:
    answer = await world.send("GET", f"/v1/actions?{query}")
    assert answer.status_code == 200, answer.text
    return [each["division"] for each in answer.json()["items"]]


FILTERS: list[tuple[str, Sequence[str]]] = [
    ("", VILLAGES),
    (f"division={XIXIA}", [XIAYING]),
    ("division=4113", VILLAGES),
    ("division=41132310", [XIAYING]),
    (f"division={YAHE}", [HUANGLUDIAN_VILLAGE]),
    (f"division={NANZHAO}", []),
    ("occurred_from=2018-10-02&occurred_to=2018-10-03", [NEIXIANG_VILLAGE, TANGHE_VILLAGE]),
    ("external_id=2&source_system=s", [TANGHE_VILLAGE]),
    ("household=00000000000001", [XIAYING]),
    ("household=00000000000099", []),
    ("class=benefit", []),
    ("class=help&sector=poverty_relief_office&kind=household_visit&programme=visit", VILLAGES),
    ("tag=precision:people", VILLAGES),
    ("tag=batch:relocation", []),
    ("status=revoked", []),
    ("verified=false", VILLAGES),
    ("updated_since=2018-01-01T00:00:00%2B08:00", VILLAGES),
    ("updated_since=2999-01-01T00:00:00%2B08:00", []),
]
REFUSED = (
    "limit=0", "limit=501", "limit=1_0", "unknown=1", "division=4", "occurred_from=2018-02-30", "count=x",
    "limit=1&limit=2", "household=1", "updated_since=2018-01-01T00:00:00",
)  # fmt: skip


async def test_filters(ledger: World) -> None:
    for query, expected in FILTERS:
        assert await _villages(ledger, query) == list(expected), query


async def test_what_no_list_takes(ledger: World) -> None:
    for query in REFUSED:
        assert (await ledger.send("GET", f"/v1/actions?{query}")).status_code == 422, query


async def test_pages_follow_each_other_without_gap_or_repeat(ledger: World) -> None:
    seen: list[str] = []
    address: str | None = "/v1/actions?limit=3&count=true"
    while address:
        answer = await ledger.send("GET", address)
        seen += [each["division"] for each in answer.json()["items"]]
        assert answer.json()["count"] == 4
        link = answer.headers.get("link")
        address = link.split(">")[0][1:] if link else None
    assert seen == list(VILLAGES)
    assert (await ledger.send("GET", "/v1/actions?cursor=forged")).status_code == 400


async def test_the_stream_holds_everything(ledger: World) -> None:
    answer = await ledger.send("GET", "/v1/actions", Accept="application/jsonl")
    assert answer.headers["content-type"].startswith("application/jsonl")
    lines = [json.loads(line) for line in answer.text.splitlines()]
    page = (await ledger.send("GET", "/v1/actions")).json()["items"]
    assert lines == page

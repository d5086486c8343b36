"""What is in public notice: decisions whose notice is up, told with what may be published (domain.md 2 and 8)."""

from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from shared.clock import FixedClock
from tests.registry.conftest import OTHER_VILLAGE, VILLAGE, XIXIA, app_on, client_of, issue, make, matching, member
from tests.registry.standing import INSURED, Office, able
from tests.registry.test_standing_divisions import READY

NOTICES = "/v1/public-notices"
POSTED = "2018-12-28"
"""So that the notice runs over the turn of the year."""


@pytest.fixture
def now() -> FixedClock:
    return FixedClock(datetime(2018, 12, 28, 4, tzinfo=UTC))


@pytest.fixture
def app(url: str, secrets: None, now: FixedClock) -> FastAPI:
    return app_on(url, now)


@pytest.fixture
async def office(app: FastAPI) -> AsyncIterator[Office]:
    async with client_of(app) as client:
        yield await Office.of(client)


async def _posted(office: Office, home: dict[str, Any], step: str, **body: Any) -> Any:
    """A decision whose notice was put up."""
    decision = await office.proposed(household=home["id"], on=POSTED, **body)
    return await office.stepped(await office.upto(decision, step))


async def _shown(client: httpx.AsyncClient, query: str = "", **headers: str) -> list[dict[str, Any]]:
    answer = await client.get(f"{NOTICES}?count=true{query}", headers=headers or None)
    assert answer.status_code == 200, answer.text
    items: list[dict[str, Any]] = answer.json()["items"]
    assert answer.json()["count"] == len(items)
    return items


async def test_a_notice_tells_what_may_be_published_while_it_is_up(office: Office, now: FixedClock) -> None:
    client = office.client
    members = [member(name="欧阳测试", attributes=INSURED), member("son", name="测试乙", attributes=INSURED)]
    home = await able(client, members=members, incomes=[{"year": 2018, "people": 2, "wages_fen": 800_000}])
    new = await make(client, standing="ordinary", cause=None, members=[member(name="张 三")])
    decision = await office.proposed(kind="exit", household=home["id"], year=2018, on=POSTED, note="测试说明")
    due = await office.upto(decision, "public_notice")
    assert await _shown(client) == []
    exit_ = await office.stepped(due)
    await _posted(office, new, "first_notice", kind="identification", cause="illness")
    name = (await client.get(f"/v1/divisions/{VILLAGE}")).json()["name"]
    about = {"division": VILLAGE, "division_name": name, "posted_on": POSTED, "last_day": "2019-01-03"}
    shown = await _shown(client)
    assert shown == [
        {**about, "kind": "exit", "notice": "public_notice", "year": 2018, "head": "欧阳*试", "people": 2},
        {**about, "kind": "identification", "notice": "first_notice", "year": None, "head": "张*", "people": 1},
    ]
    assert await _shown(client, "&kind=identification") == shown[1:]
    objected = await office.act(exit_, "objections", note="反映有车")
    assert objected.status_code == 200, objected.text
    assert await _shown(client) == shown, "it stays up while an objection is looked into"
    now.instant = datetime(2019, 1, 3, 15, 59, tzinfo=UTC)
    assert await _shown(client) == shown
    now.instant = datetime(2019, 1, 3, 16, tzinfo=UTC)
    assert await _shown(client) == [], "4 January, in Nanyang"


async def test_minors_are_not_named_nor_those_who_are_gone(office: Office) -> None:
    client = office.client
    homes = [await make(client, standing="ordinary", cause=None) for _ in range(2)]
    homes.append(await make(client, standing="ordinary", cause=None, members=[member(birth_date="2004-05-01")]))
    for home in homes:
        await _posted(office, home, "first_notice", kind="identification", cause="illness")
    erased, gone, _ = homes
    who = f"/v1/households/{erased['id']}/members/{erased['members'][0]['id']}/erasure"
    assert (await client.post(who, json={"reason": "本人申请"}, headers=matching(1))).status_code == 200
    off = f"/v1/households/{gone['id']}/deregistration"
    assert (await client.post(off, json={"reason": "整户迁出"}, headers=matching(1))).status_code == 200
    assert [(each["head"], each["people"]) for each in await _shown(client)] == [(None, 1), (None, 1)]


async def test_a_village_that_is_to_exit_is_named_and_nobody_in_it(
    database_url: Callable[[str | None], str], secrets: None, now: FixedClock
) -> None:
    async with client_of(app_on(database_url("registry"), now)) as client:
        office = await Office.of(client)
        poor = {"kind": "poor_village", "valid_from": "2014-01-01"}
        designated = await client.post(f"/v1/divisions/{VILLAGE}/designations", json=poor, headers=matching(1))
        assert designated.status_code == 200, designated.text
        proposed = await office.proposed(kind="village_exit", division=VILLAGE, village=READY, on=POSTED)
        await office.stepped(await office.upto(proposed, "public_notice"))
        [shown] = await _shown(client)
        assert (shown["kind"], shown["division"], shown["head"], shown["people"]) == (
            "village_exit",
            VILLAGE,
            None,
            None,
        )


async def test_pages_stay_within_the_callers_divisions(office: Office) -> None:
    client = office.client
    for village in (VILLAGE, OTHER_VILLAGE, VILLAGE):
        home = await make(client, village=village, standing="ordinary", cause=None)
        await _posted(office, home, "first_notice", kind="identification", cause="illness")
    county = await issue(client, ["reader"], [XIXIA])
    assert [each["division"] for each in await _shown(client, **county)] == [VILLAGE, VILLAGE]
    assert [each["division"] for each in await _shown(client, f"&division={OTHER_VILLAGE}")] == [OTHER_VILLAGE]
    first = (await client.get(f"{NOTICES}?limit=1", headers=county)).json()
    second = (await client.get(f"{NOTICES}?limit=1&cursor={first['next_cursor']}", headers=county)).json()
    assert [each["division"] for each in first["items"] + second["items"]] == [VILLAGE, VILLAGE]
    assert second["next_cursor"] is None


async def test_a_village_posts_its_own_and_names_heads_where_that_is_set(
    url: str, secrets: None, now: FixedClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    board = f"/v1/village-boards/{VILLAGE}/notices"

    async def heads(client: httpx.AsyncClient, path: str) -> list[str | None]:
        answer = await client.get(f"{path}?count=true", headers=clerk)
        assert answer.status_code == 200, answer.text
        assert answer.json()["count"] == len(answer.json()["items"])
        return [item["head"] for item in answer.json()["items"]]

    async with client_of(app_on(url, now)) as client:
        office = await Office.of(client)
        clerk = await issue(client, ["recorder"], [XIXIA])
        for village, born in ((VILLAGE, "1968-03-12"), (VILLAGE, "2004-05-01"), (OTHER_VILLAGE, "1968-03-12")):
            head = member(name="欧阳测试", birth_date=born)
            home = await make(client, village=village, standing="ordinary", cause=None, members=[head])
            await _posted(office, home, "first_notice", kind="identification", cause="illness")
        assert await heads(client, board) == ["欧阳*试", None]
        for elsewhere in (OTHER_VILLAGE, XIXIA, "9" * 12):
            foreign = await client.get(f"/v1/village-boards/{elsewhere}/notices", headers=clerk)
            assert foreign.status_code == 404, elsewhere
    monkeypatch.setenv("BANGFU_REGISTRY_FULL_NAMES_ON_BOARDS", "true")
    app = app_on(url, now)
    async with client_of(app) as client:
        assert await heads(client, board) == ["欧阳测试", None]
        assert await heads(client, NOTICES) == ["欧阳*试", None], "the web stays masked"
        async with app.state.runtime.database.driver() as pg:
            [shown] = await pg.fetch("SELECT object_id, divisions FROM audit_entry WHERE operation = 'board.shown'")
        assert shown["object_id"] == VILLAGE
        assert XIXIA in shown["divisions"]

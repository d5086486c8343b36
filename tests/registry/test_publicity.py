"""What may be published: heads' names, masked, and counts; nothing else, and nothing of minors (domain.md 8)."""

from datetime import date

import httpx
import pytest

from services.registry.publicity.rules import published_name
from tests.registry.conftest import (
    OTHER_VILLAGE,
    VILLAGE,
    XIXIA,
    app_on,
    client_of,
    id_number,
    issue,
    make,
    matching,
    member,
)

FIELDS = {"village", "village_name", "head", "people", "standing", "since"}


async def test_only_what_may_be_published_is_shown(registry: httpx.AsyncClient) -> None:
    number = id_number()
    head = member(name="欧阳测试", id_number=number, phone="13800000000", disability_level=1)
    made = await make(registry, members=[head, member("son", name="测试幼", birth_date="2017-01-01")])
    shown = (await registry.get("/v1/public-register?count=true")).json()
    assert shown["count"] == 1
    [item] = shown["items"]
    assert set(item) == FIELDS
    assert item == {
        "village": VILLAGE, "village_name": item["village_name"], "head": "欧阳*试", "people": 2, "standing": "poor",
        "since": "2014-05-01",
    }  # fmt: skip
    patch = {"standing": "exited_supported", "effective_on": "2018-11-01", "reason": "脱贫"}
    assert (await registry.patch(f"/v1/households/{made['id']}", json=patch, headers=matching(1))).status_code == 200
    [item] = (await registry.get("/v1/public-register?standing=exited_supported")).json()["items"]
    assert (item["standing"], item["since"]) == ("exited_supported", "2018-11-01")
    assert (await registry.get("/v1/public-register?standing=poor")).json()["items"] == []


async def test_a_standing_is_published_since_it_holds_not_since_the_last_move(registry: httpx.AsyncClient) -> None:
    made = await make(registry, standing="exited_supported")
    for version, (change, day) in enumerate(
        [({"village": OTHER_VILLAGE}, "2018-12-01"), ({"standing": "relapsed"}, "2019-03-01"),
         ({"village": VILLAGE}, "2019-05-01")], start=1,
    ):  # fmt: skip
        patch = {**change, "effective_on": day, "reason": "搬迁或返贫"}
        answer = await registry.patch(f"/v1/households/{made['id']}", json=patch, headers=matching(version))
        assert answer.status_code == 200, answer.text
        [item] = (await registry.get("/v1/public-register")).json()["items"]
        assert item["since"] == ("2014-05-01" if version == 1 else "2019-03-01")


async def test_who_never_was_poor_is_not_published(registry: httpx.AsyncClient) -> None:
    made = await make(registry)
    for standing in ("ordinary", "welfare_only"):
        await make(registry, standing=standing, cause=None, welfare="dibao" if standing == "welfare_only" else "none")
    for path in ("/v1/public-register", f"/v1/village-boards/{VILLAGE}"):
        shown = (await registry.get(f"{path}?count=true")).json()
        assert ([each["standing"] for each in shown["items"]], shown["count"]) == ([made["standing"]], 1)
        assert (await registry.get(f"{path}?standing=ordinary")).status_code == 422


async def test_minors_erased_and_deregistered_are_not_named(registry: httpx.AsyncClient) -> None:
    today = date.today()  # noqa: DTZ011 - a minor on any day near this one
    await make(registry, members=[member(birth_date=f"{today.year - 10}-01-01")])
    erased = await make(registry)
    who = f"/v1/households/{erased['id']}/members/{erased['members'][0]['id']}"
    assert (await registry.post(f"{who}/erasure", json={"reason": "x"}, headers=matching(1))).status_code == 200
    gone = await make(registry)
    off = f"/v1/households/{gone['id']}/deregistration"
    assert (await registry.post(off, json={"reason": "整户迁出"}, headers=matching(1))).status_code == 200
    heads = [item["head"] for item in (await registry.get("/v1/public-register")).json()["items"]]
    assert heads == [None, None]


async def test_pages_stay_within_the_callers_divisions(registry: httpx.AsyncClient) -> None:
    for village in (VILLAGE, OTHER_VILLAGE, VILLAGE):
        await make(registry, village=village)
    county = await issue(registry, ["reader"], [XIXIA])
    first = (await registry.get("/v1/public-register?limit=1", headers=county)).json()
    second = (await registry.get(f"/v1/public-register?limit=1&cursor={first['next_cursor']}", headers=county)).json()
    assert [item["village"] for item in first["items"] + second["items"]] == [VILLAGE, VILLAGE]
    assert second["next_cursor"] is None
    assert (await registry.get("/v1/public-register?name=x", headers=county)).status_code == 422
    assert (await registry.get("/v1/public-register", headers={"Authorization": ""})).status_code == 401


def test_a_name_is_published_from_the_eighteenth_birthday_on() -> None:
    born = date(2000, 11, 26)
    assert published_name("张三丰", born, date(2018, 11, 25)) is None
    assert published_name("张三丰", born, date(2018, 11, 26)) == "张*丰"


async def test_a_village_is_published_under_its_name_of_today(own_registry: httpx.AsyncClient) -> None:
    await make(own_registry)
    renamed = {"name": "将来村", "valid_from": "2999-01-01", "reason": "批复"}
    answer = await own_registry.post(f"/v1/divisions/{VILLAGE}/name", json=renamed, headers=matching(1))
    assert answer.status_code == 200, answer.text
    for path in ("/v1/public-register", f"/v1/village-boards/{VILLAGE}"):
        shown = (await own_registry.get(path)).json()["items"]
        assert [each["village_name"] for each in shown] == ["下营村民委员会"], path


async def test_a_village_board_masks_names_unless_set_to_name_them(
    url: str, secrets: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    board = f"/v1/village-boards/{VILLAGE}"

    async def heads(client: httpx.AsyncClient, who: dict[str, str], path: str) -> list[str | None]:
        answer = await client.get(path, headers=who)
        assert answer.status_code == 200, answer.text
        assert all(set(item) == FIELDS for item in answer.json()["items"])
        return [item["head"] for item in answer.json()["items"]]

    async with client_of(app_on(url)) as client:
        await make(client, members=[member(name="欧阳测试"), member("son", name="测试幼", birth_date="2017-01-01")])
        await make(client, members=[member(name="测试幼", birth_date=f"{date.today().year - 10}-01-01")])  # noqa: DTZ011
        await make(client, village=OTHER_VILLAGE)
        clerk = await issue(client, ["recorder"], [XIXIA])
        assert await heads(client, clerk, board) == ["欧阳*试", None]
        assert (await client.get("/v1/audit?operation=board.shown")).json()["items"] == []
    monkeypatch.setenv("BANGFU_REGISTRY_FULL_NAMES_ON_BOARDS", "true")
    app = app_on(url)
    async with client_of(app) as client:
        assert await heads(client, clerk, board) == ["欧阳测试", None]
        assert await heads(client, clerk, "/v1/public-register") == ["欧阳*试", None], "the web stays masked"
        shown = (await client.get(f"{board}?count=true&limit=1", headers=clerk)).json()
        assert (len(shown["items"]), shown["count"]) == (1, 2)
        async with app.state.runtime.database.driver() as pg:
            entries = await pg.fetch("SELECT object_id, divisions FROM audit_entry WHERE operation = 'board.shown'")
        assert [entry["object_id"] for entry in entries] == [VILLAGE, VILLAGE]
        assert all(XIXIA in entry["divisions"] for entry in entries)
        for elsewhere in (OTHER_VILLAGE, XIXIA, "9" * 12):
            assert (await client.get(f"/v1/village-boards/{elsewhere}", headers=clerk)).status_code == 404
        reader = await issue(client, ["reader"], [XIXIA])
        assert (await client.get(board, headers=reader)).status_code == 403

"""A corrected day of birth: the first day of who was born into a household follows; nobody comes before birth."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from tests.registry.conftest import OTHER_VILLAGE, VILLAGE, faults, household, id_number, make, matching, member
from tests.registry.sheets import HEADER, counts, ended, found, head, imported, wife, workbook
from tests.registry.test_moves import body as going
from tests.registry.test_persons import people, register

Json = dict[str, Any]
HOME = "41132300000001"
BORN = "2015-06-10"
COLUMNS = (*HEADER, "性别", "出生日期", "人编号", "加入日期")
_IMPOSSIBLE = (
    "SELECT count(*) FROM (SELECT birth_date, joined_on, left_on FROM person "
    "UNION ALL SELECT birth_date, joined_on, left_on FROM person_version) AS every "
    "WHERE birth_date > joined_on OR joined_on > left_on"
)


@pytest.fixture(autouse=True)
async def nobody_is_there_before_birth(app: FastAPI, registry: httpx.AsyncClient) -> AsyncIterator[None]:
    yield
    async with app.state.runtime.database.driver() as pg:
        assert await pg.fetchval(_IMPOSSIBLE) == 0


def child(**more: Any) -> Json:
    return member("son", birth_date=BORN, **more)


async def family(client: httpx.AsyncClient, **more: Any) -> tuple[Json, str]:
    """A household registered on 2014-05-01, and the address of its child."""
    made = await make(client, members=[member(), child(**more)])
    return made, f"/v1/households/{made['id']}/members/{made['members'][1]['id']}"


async def corrected(client: httpx.AsyncClient, url: str, version: int, **patch: Any) -> Json:
    """The member after a change."""
    answer = await client.patch(url, json=patch, headers=matching(version))
    assert answer.status_code == 200, answer.text
    found: Json = (await client.get(url)).json()
    return found


@pytest.mark.parametrize(
    ("born", "first"), [("2015-06-20", "2015-06-20"), ("2015-06-01", "2015-06-01"), ("2012-01-01", "2014-05-01")]
)
async def test_who_was_born_into_a_household_joined_it_on_the_day_of_birth(
    registry: httpx.AsyncClient, born: str, first: str
) -> None:
    made, url = await family(registry)
    assert (await registry.get(url)).json()["joined_on"] == BORN
    assert (await corrected(registry, url, 1, birth_date=born))["joined_on"] == first
    days = ("2014-04-30", "2014-05-01", "2015-06-01", "2015-06-10", "2015-06-20")
    assert [await people(registry, day) for day in days] == [
        0 if day < "2014-05-01" else 1 + (day >= first) for day in days
    ]
    home = f"/v1/households/{made['id']}"
    known = (await registry.get(home, params={"known_at": made["changed_at"]})).json()
    assert [each["joined_on"] for each in known["members"]] == ["2014-05-01", BORN]
    known = (await registry.get(home, params={"known_at": datetime.now(UTC).isoformat()})).json()
    assert [each["joined_on"] for each in known["members"]] == ["2014-05-01", first]
    assert (await registry.get(url)).json()["version"] == 2


async def test_a_stay_whose_first_day_was_corrected_ends_as_any_other(registry: httpx.AsyncClient) -> None:
    made, url = await family(registry)
    other = await make(registry)
    await corrected(registry, url, 1, birth_date="2015-06-20")
    early = await registry.post(f"{url}/transfer", json=going(other, "other", "2015-06-15"), headers=matching(2))
    assert faults(early) == {("/effective_on", "day_out_of_range")}
    moved = await registry.post(f"{url}/transfer", json=going(other, "other", "2016-01-01"), headers=matching(2))
    assert moved.status_code == 200, moved.text
    left = (await registry.get(f"/v1/households/{made['id']}")).json()["members"]
    assert [(each["status"], each["joined_on"], each["left_on"]) for each in left] == [
        ("active", "2014-05-01", None), ("transferred", "2015-06-20", "2016-01-01")
    ]  # fmt: skip
    known = {"known_at": datetime.now(UTC).isoformat(), "as_of": "2015-07-01"}
    then = (await registry.get(f"/v1/households/{made['id']}", params=known)).json()
    assert len(then["members"]) == 2
    assert [await people(registry, day) for day in ("2015-06-19", "2015-06-20", "2016-01-01")] == [2, 3, 3]


@pytest.mark.parametrize(
    ("more", "patch", "where"),
    [
        ({"joined_on": "2015-07-01"}, {"birth_date": "2015-07-02"}, "/birth_date"),
        ({"joined_on": "2015-07-01"}, {"id_number": id_number("20150702")}, "/id_number"),
        ({"joined_on": "2015-07-01"}, {"id_number": id_number("20150702"), "birth_date": "2015-07-02"}, "/birth_date"),
    ],
)
async def test_who_came_later_was_born_by_then(
    registry: httpx.AsyncClient, more: Json, patch: Json, where: str
) -> None:
    _, url = await family(registry, **more)
    refused = await registry.patch(url, json=patch, headers=matching(1))
    assert faults(refused) == {(where, "day_out_of_range")}
    assert "2015-07-01" in refused.json()["errors"][0]["message"]
    assert (await registry.get(url)).json()["version"] == 1
    same = {"id_number": id_number("20150701")} if "id_number" in patch else {"birth_date": "2015-07-01"}
    assert (await corrected(registry, url, 1, **same))["joined_on"] == "2015-07-01"


async def test_who_died_was_born_before(registry: httpx.AsyncClient) -> None:
    _, url = await family(registry)
    await corrected(registry, url, 1, status="deceased", effective_on="2015-06-15")
    refused = await registry.patch(url, json={"birth_date": "2015-06-16"}, headers=matching(2))
    assert faults(refused) == {("/birth_date", "day_out_of_range")}
    patch = {"birth_date": "2015-06-16", "status": "deceased", "effective_on": "2015-06-18"}
    dead = await corrected(registry, url, 2, **patch)
    assert (dead["joined_on"], dead["left_on"]) == ("2015-06-16", "2015-06-18")
    back = await corrected(registry, url, 3, birth_date="2015-07-01", status="active")
    assert (back["joined_on"], back["left_on"]) == ("2015-07-01", None)


async def test_a_member_is_not_registered_from_before_birth(registry: httpx.AsyncClient) -> None:
    body = household(members=[member(), child(joined_on="2015-06-09")])
    assert faults(await registry.post("/v1/households", json=body)) == {("/members/1/joined_on", "day_out_of_range")}
    body["members"][1]["joined_on"] = BORN
    assert (await registry.post("/v1/households", json=body)).status_code == 201


async def test_a_person_alone_belongs_to_the_village_from_birth_on(registry: httpx.AsyncClient) -> None:
    alone = await register(registry, id_number=None, sex="male", birth_date=BORN, registered_on=BORN)
    url = f"/v1/persons/{alone['id']}"
    moved = {"village": OTHER_VILLAGE, "effective_on": "2015-06-15"}
    assert (await registry.patch(url, json=moved, headers=matching(1))).status_code == 200
    later = await registry.patch(url, json={"birth_date": "2015-06-20"}, headers=matching(2))
    assert (later.json()["since"], later.json()["village"]) == ("2015-06-20", OTHER_VILLAGE)
    patch = {"birth_date": "2015-06-01", "village": VILLAGE, "effective_on": "2015-06-05"}
    earlier = await registry.patch(url, json=patch, headers=matching(3))
    assert (earlier.json()["since"], earlier.json()["village"]) == ("2015-06-01", VILLAGE)


async def test_a_person_alone_was_born_by_their_registration(registry: httpx.AsyncClient) -> None:
    alone = await register(registry)
    url = f"/v1/persons/{alone['id']}"
    refused = await registry.patch(url, json={"id_number": id_number("20180502")}, headers=matching(1))
    assert faults(refused) == {("/id_number", "day_out_of_range")}
    fits = await registry.patch(url, json={"id_number": id_number("20180501")}, headers=matching(1))
    assert (fits.status_code, fits.json()["since"]) == (200, "2018-05-01")


def row(relation: str, born: str, *, number: str = "", joined: str = "", id_number: str = "") -> list[str]:
    """A child in a sheet; below the household's first row."""
    return [*[""] * 7, "测试丙", relation, id_number, "男", born, number, joined]


async def test_an_update_corrects_a_day_of_birth_as_a_clerk_would(registry: httpx.AsyncClient) -> None:
    """Of who has no ID number, as the policy of its column says; what is wrong is said of the cell."""
    first = [*head(HOME), "", "", "", ""]
    rows = [first, row("之子", BORN), [*row("之女", BORN, joined="2015-07-01")[:7], "测试丁", *row("之女", BORN)[8:]]]
    rows[2][-1], rows[2][10] = "2015-07-01", "女"
    assert counts(await imported(registry, workbook(rows, COLUMNS))) == {"received": 1, "created": 1}

    async def children() -> list[Json]:
        members: list[Json] = (await registry.get(f"/v1/households/{HOME}")).json()["members"][1:]
        return members

    son, daughter = await children()
    late = [[*row("之子", "2015-06-20", number=son["number"])], [*row("之女", "2015-07-02", number=daughter["number"])]]
    late[1][7], late[1][10] = "测试丁", "女"
    job = await imported(registry, workbook([first, *late], COLUMNS))
    assert found(job, "warning") >= {(3, "出生日期", "kept"), (4, "出生日期", "kept")}
    job = await imported(registry, workbook([first, *late], COLUMNS), overwrite="always")
    assert found(job) == {(4, "出生日期", "day_out_of_range")}
    late[1][9], late[1][11] = id_number("20150702", 4), ""
    job = await imported(registry, workbook([first, *late], COLUMNS), overwrite="always")
    assert found(job) == {(4, "身份证号码", "day_out_of_range")}
    assert [each["joined_on"] for each in await children()] == [BORN, "2015-07-01"]
    late[1][9] = id_number("20150630", 4)
    job = await imported(registry, workbook([first, *late], COLUMNS), overwrite="always")
    assert counts(job) == {"received": 1, "updated": 1}, job
    assert [each["joined_on"] for each in await children()] == ["2015-06-20", "2015-07-01"]
    assert [await people(registry, day) for day in (BORN, "2015-06-20", "2015-07-01")] == [1, 2, 3]
    await registry.post(f"/v1/imports/{job['id']}/undo")
    await ended(registry, job["id"])
    assert [each["joined_on"] for each in await children()] == [BORN, "2015-07-01"]
    assert [await people(registry, day) for day in (BORN, "2015-06-20", "2015-07-01")] == [2, 2, 3]


async def test_what_an_id_number_says_is_not_overwritten_by_what_is_stated(registry: httpx.AsyncClient) -> None:
    await imported(registry, workbook([[*head(HOME), "", "", "", ""]], COLUMNS))
    [number] = [each["number"] for each in (await registry.get(f"/v1/households/{HOME}")).json()["members"]]
    stated = [*head(HOME, id_number=""), "女", "1970-01-01", number, ""]
    job = await imported(registry, workbook([stated], COLUMNS), overwrite="always")
    assert found(job, "warning") >= {(2, "性别", "kept"), (2, "出生日期", "kept")}
    [head_now] = (await registry.get(f"/v1/households/{HOME}")).json()["members"]
    assert (head_now["sex"], head_now["birth_year"], head_now["version"]) == ("male", 1968, 1)


async def test_what_was_taken_back_comes_again_with_another_day_of_birth(registry: httpx.AsyncClient) -> None:
    first = [*head(HOME), "", "", "", ""]
    job = await imported(registry, workbook([first, row("之子", "1990-01-01")], COLUMNS))
    [_, son] = (await registry.get(f"/v1/households/{HOME}")).json()["members"]
    await registry.post(f"/v1/imports/{job['id']}/undo")
    await ended(registry, job["id"])
    job = await imported(registry, workbook([first, row("之子", BORN, number=son["number"])], COLUMNS))
    assert counts(job) == {"received": 1, "updated": 1}, job
    members = (await registry.get(f"/v1/households/{HOME}")).json()["members"]
    assert [(each["number"], each["joined_on"]) for each in members][1:] == [(son["number"], BORN)]


async def test_a_household_taken_back_may_be_registered_from_another_day(registry: httpx.AsyncClient) -> None:
    """Its members' first day with it, also of one who came later; that again can be taken back."""

    async def undone(job: Json) -> Json:
        await registry.post(f"/v1/imports/{job['id']}/undo")
        await ended(registry, job["id"])
        found: Json = (await registry.get(f"/v1/households/{HOME}")).json()
        return found

    def rows(day: str) -> bytes:
        first = head(HOME)
        first[5] = day
        return workbook([first, wife(), son])

    son = [*[""] * 7, "测试丙", "之子", id_number("20150601", 11)]
    assert (await undone(await imported(registry, rows("2014-05-01"))))["status"] == "deregistered"
    before = len((await registry.get(f"/v1/households/{HOME}/versions")).json()["items"])
    for first, days in (("2015-05-01", ["2015-05-01"] * 2), ("2013-05-01", ["2013-05-01"] * 2)):
        job = await imported(registry, rows(first))
        assert counts(job) == {"received": 1, "updated": 1}, job
        home = (await registry.get(f"/v1/households/{HOME}")).json()
        assert [each["joined_on"] for each in home["members"]] == [*days, "2015-06-01"]
        assert [await people(registry, day) for day in (first, "2015-06-01")] == [2, 3]
        assert await people(registry, "2014-06-01") == (2 if first < "2014" else 0)
        then = home["changed_at"]
        gone = await undone(job)
        assert [each["status"] for each in gone["members"]] == ["deregistered"] * 3
        assert await people(registry, "2016-01-01") == 0
        known = (await registry.get(f"/v1/households/{HOME}", params={"known_at": then})).json()
        assert [each["joined_on"] for each in known["members"]] == [*days, "2015-06-01"]
    assert len((await registry.get(f"/v1/households/{HOME}/versions")).json()["items"]) == before + 4

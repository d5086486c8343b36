"""Statistics equal a recount of what was published, on every day, after every kind of change."""

import csv
import io
import random
import zipfile
from collections import Counter
from datetime import date, timedelta
from importlib import import_module
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from python_calamine import CalamineWorkbook

from services.registry.app import build
from services.registry.statistics import export
from services.registry.statistics.api import XLSX
from services.registry.statistics.schemas import VillagesRow
from shared.contracts.household import SERVED, STOCK, HouseholdEvent
from shared.settings import Settings
from tests.registry.conftest import (
    CITY,
    OTHER_VILLAGE,
    VILLAGE,
    XIPING,
    XIXIA,
    client_of,
    events,
    issue,
    make,
    matching,
    member,
)

VILLAGES = (VILLAGE, "411323102202", OTHER_VILLAGE, "411325101201")
STANDINGS = ("poor", "pre_exit", "exited_supported", "exited", "relapsed", "ordinary")
LEVELS = ("city", "managing_unit", "township", "village")


def day(n: int) -> date:
    return date(2018, 1, 1) + timedelta(days=n)


async def _live(client: httpx.AsyncClient, dice: random.Random) -> None:
    """Some households with a past: registered, moved, exited, grown, shrunk, gone."""
    for _ in range(12):
        born = day(dice.randrange(20))
        made = await make(
            client, village=dice.choice(VILLAGES), standing=dice.choice(STANDINGS), registered_on=born.isoformat(),
            members=[member(), *(member("other") for _ in range(dice.randrange(3)))],
        )  # fmt: skip
        url = f"/v1/households/{made['id']}"
        for version in range(1, dice.randint(1, 5)):
            when = (born + timedelta(days=dice.randrange(40))).isoformat()
            patch: dict[str, Any] = {"effective_on": when, "reason": "测试", "standing": dice.choice(STANDINGS)}
            if dice.random() < 0.4:
                patch["village"] = dice.choice(VILLAGES)
            current = (await client.get(url)).json()["version"]
            assert (await client.patch(url, json=patch, headers=matching(current))).status_code == 200, version
        current = (await client.get(url)).json()["version"]
        if dice.random() < 0.3:
            gone = {"effective_on": (born + timedelta(days=50)).isoformat(), "reason": "测试"}
            assert (await client.post(f"{url}/deregistration", json=gone, headers=matching(current))).status_code == 200
        elif len(made["members"]) > 1 and dice.random() < 0.5:
            left = {"status": "moved_away", "effective_on": (born + timedelta(days=30)).isoformat()}
            who = f"{url}/members/{made['members'][1]['id']}"
            assert (await client.patch(who, json=left, headers=matching(current))).status_code == 200


def _recount(households: list[HouseholdEvent], when: date) -> dict[str, Counter[str]]:
    found: dict[str, Counter[str]] = {}
    for household in households:
        state = household.state_on(when)
        if state is None:
            continue
        for level in LEVELS:
            counted = found.setdefault(getattr(state.path, level), Counter())
            counted["registered_households"] += 1
            counted["served_households"] += state.standing in SERVED
            counted["stock_households"] += state.standing in STOCK
    return found


NAMES = ("registered_households", "served_households", "stock_households")


@pytest.mark.parametrize("seed", [2018, 2019])
async def test_statistics_equal_a_recount_of_the_events(registry: httpx.AsyncClient, app: FastAPI, seed: int) -> None:
    await _live(registry, random.Random(seed))
    newest = {
        event["id"]: HouseholdEvent.model_validate(event, strict=False) for event in await events(app, "household")
    }
    for when in (day(-1), day(5), day(19), day(33), day(60), day(100)):
        expected = _recount(list(newest.values()), when)
        for code in (CITY, XIXIA, XIPING, VILLAGE, "411391000000"):
            answer = await registry.get(f"/v1/statistics/poverty?division={code}&as_of={when}")
            body = answer.json()
            for unit in (body["division"], *body["below"]):
                told = {name: unit[name] for name in NAMES}
                assert told == {name: expected.get(unit["code"], Counter())[name] for name in NAMES}, (when, unit)
            for name in (*NAMES, "registered_people", "served_people", "stock_people"):
                if body["below"]:
                    assert body["division"][name] == sum(unit[name] for unit in body["below"])
    async with app.state.runtime.database.driver() as pg:
        people = "SELECT coalesce(sum(people), 0)::int FROM household_period WHERE valid_to IS NULL"
        now = await pg.fetchval(people)
    city = (await registry.get("/v1/statistics/poverty")).json()["division"]
    assert city["registered_people"] == now


async def test_units_stand_in_official_order_zones_included(registry: httpx.AsyncClient) -> None:
    below = (await registry.get("/v1/statistics/poverty")).json()["below"]
    assert len(below) == 17
    assert [unit["code"] for unit in below][-2:] == ["411391000000", "411392000000"]
    zone = (await registry.get("/v1/statistics/poverty?division=411391000000")).json()["below"]
    assert [unit["name"] for unit in zone] == ["官庄镇"]
    assert (await registry.get(f"/v1/statistics/poverty?division={VILLAGE}")).json()["below"] == []


async def test_villages_are_shown_to_whom_they_belong(registry: httpx.AsyncClient) -> None:
    await make(registry)
    elsewhere, here = [await issue(registry, ["reader"], [code]) for code in ("411325000000", XIXIA)]
    for path in (*PATHS, "poverty?format=csv"):
        join = "&" if "?" in path else "?"
        village = f"/v1/statistics/{path}{join}division={VILLAGE}"
        assert (await registry.get(village, headers=elsewhere)).status_code == 404, path
        assert (await registry.get(village, headers=here)).status_code == 200, path
        township = f"/v1/statistics/{path}{join}division={XIPING}"
        assert VILLAGE in (await registry.get(township, headers=here)).text
        assert VILLAGE not in (await registry.get(township, headers=elsewhere)).text
    everywhere = await registry.get("/v1/statistics/poverty?level=village", headers=elsewhere)
    assert {row["code"][:6] for row in everywhere.json()["below"]} == {"411325"}


async def test_aggregates_are_open_to_every_caller(registry: httpx.AsyncClient) -> None:
    await make(registry)
    elsewhere = await issue(registry, ["reader"], ["411325000000"])
    answer = await registry.get(f"/v1/statistics/poverty?division={XIXIA}", headers=elsewhere)
    assert answer.json()["division"]["stock_households"] == 1
    assert (await registry.get("/v1/statistics/poverty?division=999999999999")).status_code == 404
    for query in ("division=4113", "as_of=2018-02-30", "as_of=1.0"):
        assert (await registry.get(f"/v1/statistics/poverty?{query}")).status_code == 422
    assert (await registry.get("/v1/statistics/poverty", headers={"Authorization": ""})).status_code == 401


# Exits, causes, welfare, villages


async def test_exits_and_relapses_of_a_span(registry: httpx.AsyncClient) -> None:
    async def become(url: str, standing: str, day: str) -> None:
        version = (await registry.get(url)).json()["version"]
        patch = {"standing": standing, "effective_on": day, "reason": "测试"}
        assert (await registry.patch(url, json=patch, headers=matching(version))).status_code == 200

    urls = [f"/v1/households/{(await make(registry, members=[member(), member('other')]))['id']}" for _ in range(4)]
    await make(registry, standing="ordinary", registered_on="2016-01-01")
    for url in urls[:3]:
        await become(url, "pre_exit", "2016-11-01")
        await become(url, "exited_supported", "2016-12-31")
    await become(urls[0], "exited", "2017-12-31")
    await become(urls[1], "relapsed", "2017-06-30")
    gone = {"effective_on": "2017-03-01", "reason": "测试"}
    assert (await registry.post(f"{urls[3]}/deregistration", json=gone, headers=matching(1))).status_code == 200

    async def told(span: str) -> dict[str, int]:
        row = (await registry.get(f"/v1/statistics/exits?{span}")).json()["division"]
        return {
            name.removesuffix("_households"): row[name] for name in row if name.endswith("_households") and row[name]
        }

    assert await told("since=2014-01-01&until=2014-12-31") == {"added": 4}
    assert await told("since=2016-12-31&until=2016-12-31") == {"exited": 3}
    assert await told("since=2017-01-01&until=2017-12-31") == {"relapsed": 1, "removed": 1}
    county = (await registry.get("/v1/statistics/exits?since=2016-01-01&until=2016-12-31")).json()["below"]
    assert [(row["code"], row["exited_people"]) for row in county if row["exited_people"]] == [(XIXIA, 6)]
    assert (await registry.get("/v1/statistics/exits?since=2018-01-02&until=2018-01-01")).status_code == 422


async def test_causes_and_welfare(registry: httpx.AsyncClient) -> None:
    for cause, welfare, standing, size in (
        ("illness", "dibao", "poor", 3), ("illness", "none", "relapsed", 1), (None, "none", "pre_exit", 1),
        ("disaster", "tekun", "exited", 2),
    ):  # fmt: skip
        members = [member(), *(member("other") for _ in range(size - 1))]
        await make(registry, cause=cause, welfare=welfare, standing=standing, members=members)

    async def parts(path: str) -> dict[str, tuple[int, int, str]]:
        row = (await registry.get(f"/v1/statistics/{path}")).json()["division"]
        assert row["households"] == sum(part["households"] for part in row["parts"])
        assert row["people"] == sum(part["people"] for part in row["parts"])
        return {p["label"]: (p["households"], p["people"], p["percent"]) for p in row["parts"] if p["households"]}

    assert await parts("causes") == {"因病": (2, 4, "66.67"), "未填写": (1, 1, "33.33")}
    assert await parts("causes?among=registered") == {
        "因病": (2, 4, "50.00"), "因灾": (1, 2, "25.00"), "未填写": (1, 1, "25.00")
    }  # fmt: skip
    assert await parts("welfare") == {"无": (2, 2, "66.67"), "低保": (1, 3, "33.33")}
    assert (await registry.get("/v1/statistics/causes?among=everybody")).status_code == 422


async def test_villages_by_designation(registry: httpx.AsyncClient) -> None:
    city = (await registry.get("/v1/statistics/villages")).json()
    assert (city["division"]["villages"], city["division"]["poor_villages"]) == (4994, 0)
    assert sum(row["villages"] for row in city["below"]) == 4994
    zone = (await registry.get("/v1/statistics/villages?division=411391000000&level=village")).json()
    assert len(zone["below"]) == zone["division"]["villages"] > 1


async def test_any_level_in_official_order(registry: httpx.AsyncClient) -> None:
    await make(registry)
    counties = (await registry.get("/v1/statistics/poverty")).json()["below"]
    townships = (await registry.get("/v1/statistics/poverty?level=township")).json()["below"]
    assert len(townships) == 256
    in_order = [
        below["code"]
        for county in counties
        for below in (await registry.get(f"/v1/statistics/poverty?division={county['code']}")).json()["below"]
    ]
    assert [row["code"] for row in townships] == in_order
    villages = (await registry.get(f"/v1/statistics/poverty?division={XIXIA}&level=village")).json()["below"]
    assert [row["code"] for row in villages if row["stock_households"]] == [VILLAGE]
    for query in (f"division={XIXIA}&level=county", f"division={VILLAGE}&level=village", "level=city"):
        assert (await registry.get(f"/v1/statistics/poverty?{query}")).status_code == 422


# Files


PATHS = ("poverty", "exits?since=2014-01-01", "causes", "welfare", "villages")


@pytest.mark.parametrize("path", PATHS)
async def test_files_hold_what_the_answer_says(registry: httpx.AsyncClient, path: str) -> None:
    await make(registry, welfare="dibao")
    join = "&" if "?" in path else "?"
    told = (await registry.get(f"/v1/statistics/{path}")).json()
    rows = [told["division"], *told["below"]]
    sheet = await registry.get(f"/v1/statistics/{path}{join}format=csv")
    assert sheet.headers["content-type"] == "text/csv; charset=utf-8"
    assert sheet.content.startswith(b"\xef\xbb\xbf")
    header, *records = list(csv.reader(io.StringIO(sheet.content.decode("utf-8-sig"))))
    assert header[:3] == ["行政区划代码 code", "名称 name", "级别 level"]
    assert [record[:2] for record in records] == [[row["code"], row["name"]] for row in rows]
    plain = [name for name in rows[0] if name not in ("code", "name", "level", "parts")]
    for row, record in zip(rows, records, strict=True):
        figures = [row[name] for name in plain]
        for part in row.get("parts", []):
            figures += [part["households"], part["people"], part["percent"]]
        assert record[3:] == ["" if figure is None else str(figure) for figure in figures]
    book = await registry.get(f"/v1/statistics/{path}", headers={"Accept": XLSX})
    assert (book.headers["content-type"], book.content[:2]) == (XLSX, b"PK")
    assert book.headers["content-disposition"].endswith('.xlsx"')
    [page] = CalamineWorkbook.from_filelike(io.BytesIO(book.content)).sheet_names
    cells = CalamineWorkbook.from_filelike(io.BytesIO(book.content)).get_sheet_by_name(page).to_python()
    assert str(cells[0][0]).startswith("南阳市")
    assert [cell for cell in cells[2]] == [label.rsplit(" ", 1)[0] for label in header]
    for record, row in zip(records, cells[3:], strict=True):
        assert row[:2] == record[:2]  # codes are text
        assert [as_text(cell) for cell in row[3:]] == record[3:]


def as_text(cell: Any) -> str:
    return str(int(cell)) if isinstance(cell, float) else str(cell)


async def test_figures_are_marked_where_people_are_invented(url: str, secrets: None) -> None:
    settings = Settings(
        service="registry", database_url=url, kafka_bootstrap_servers="127.0.0.1:1", database_pool=8, demonstration=True
    )
    async with client_of(build(settings, "api")[0]) as client:
        sheet = await client.get("/v1/statistics/poverty?format=csv")
        assert all(line.endswith("演示数据") for line in sheet.text.splitlines()[1:])
        book = await client.get("/v1/statistics/poverty?format=xlsx")
        cells = CalamineWorkbook.from_filelike(io.BytesIO(book.content)).get_sheet_by_index(0).to_python()
        assert "演示数据" in str(cells[0][0])


def test_no_cell_is_a_formula() -> None:
    row = VillagesRow(code=XIXIA, name="=1+1", level="county", villages=1, poor_villages=0, deep_poverty_villages=0,
                      key_villages=0, weak_villages=0)  # fmt: skip
    table = export.sheet("题", "注", row, [row], None)
    assert "'=1+1" in export.as_csv(table).decode()
    made = export.as_xlsx(table, date(2018, 12, 31))
    assert made == export.as_xlsx(table, date(2018, 12, 31))  # the same figures make the same file
    with zipfile.ZipFile(io.BytesIO(made)) as archive:
        assert b"<f>" not in archive.read("xl/worksheets/sheet1.xml")


async def test_figures_held_already_are_not_sent_again(registry: httpx.AsyncClient) -> None:
    for query in ("", "?format=csv", "?format=xlsx"):
        url = f"/v1/statistics/poverty{query}"
        etag = (await registry.get(url)).headers["etag"]
        again = await registry.get(url, headers={"If-None-Match": etag})
        assert (again.status_code, again.content) == (304, b"")
    await make(registry)
    assert (await registry.get(url, headers={"If-None-Match": etag})).status_code == 200
    assert (await registry.get("/v1/statistics/poverty?format=pdf")).status_code == 422


# The sums


@pytest.mark.parametrize("seed", [7])
async def test_the_sums_are_what_the_stretches_add_up_to(registry: httpx.AsyncClient, app: FastAPI, seed: int) -> None:
    await _live(registry, random.Random(seed))
    tables = {
        "standing_change": "before, after", "profile_change": "standing, cause, welfare",
        "standing_entry": "before, after, recorded_at", "profile_entry": "standing, cause, welfare, recorded_at",
    }  # fmt: skip
    async with app.state.runtime.database.driver() as pg:

        async def held() -> dict[str, list[Any]]:
            return {
                table: await pg.fetch(
                    f"SELECT village, on_day, {keys}, township, managing_unit, city, sum(households), sum(people) "
                    f"FROM {table} GROUP BY village, on_day, {keys}, township, managing_unit, city "
                    f"HAVING sum(households) <> 0 OR sum(people) <> 0 ORDER BY village, on_day, {keys}, township"
                )
                for table, keys in tables.items()
            }

        counted = await held()
        await pg.execute(f"TRUNCATE {', '.join(tables)}")
        for revision in ("0004_statistics", "0012_statistics_entries"):
            migration = import_module(f"services.registry.migrations.versions.{revision}")
            async with pg.transaction():
                await pg.execute(migration.FROM_WHAT_IS_THERE)
        assert await held() == counted
        assert len(counted["standing_change"]) > 20
        assert len(counted["profile_entry"]) > len(counted["profile_change"])

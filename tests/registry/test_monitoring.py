"""Monitoring 监测对象: off unless it is turned on; begun and ended by decision, shown and counted by category."""

from collections.abc import AsyncIterator
from datetime import UTC, date, datetime, timedelta
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from services.registry.households import known, monitoring
from services.registry.households.monitoring import Monitoring
from shared.clock import FixedClock
from shared.ids import uuid7
from tests.registry.conftest import CITY, OTHER_VILLAGE, VILLAGE, XIXIA, app_on, client_of, faults, make, matching
from tests.registry.sheets import HEADER, counts, head, imported, workbook
from tests.registry.standing import Office

ON = "2021-05-10"
NUMBER = "41132300000001"
EXITED = {"standing": "exited", "cause": "illness"}
ORDINARY = {"standing": "ordinary", "cause": None}


@pytest.fixture
def clock() -> FixedClock:
    return FixedClock(datetime(2021, 12, 20, 4, tzinfo=UTC))


@pytest.fixture
def turned_on(url: str, secrets: None, clock: FixedClock, monkeypatch: pytest.MonkeyPatch) -> FastAPI:
    """Where monitoring is on, at the end of 2021."""
    monkeypatch.setenv("BANGFU_REGISTRY_MONITORING", "true")
    return app_on(url, clock)


@pytest.fixture
async def office(turned_on: FastAPI) -> AsyncIterator[Office]:
    async with client_of(turned_on) as client:
        yield await Office.of(client)


def wanted(home: dict[str, Any], category: str, **more: Any) -> dict[str, Any]:
    body = {"kind": "monitoring", "household": home["id"], "category": category, "cause": "illness", "on": ON}
    return {**body, **more}


async def figures(client: httpx.AsyncClient, **query: str) -> dict[str, Any]:
    answer = await client.get("/v1/statistics/monitoring", params=query)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def counted(row: dict[str, Any]) -> dict[str, tuple[int, int]]:
    return {part["code"]: (part["households"], part["people"]) for part in row["parts"] if part["households"]}


async def test_it_is_refused_where_it_is_off(registry: httpx.AsyncClient) -> None:
    home = await make(registry, **EXITED)
    office = await Office.of(registry)
    for body in (wanted(home, "unstable_exit"), {"kind": "monitoring_end", "household": home["id"]}):
        refused = await office.propose(**body)
        assert (refused.status_code, refused.json()["code"]) == (409, "monitoring_off")
    statistics = await registry.get("/v1/statistics/monitoring")
    assert (statistics.status_code, statistics.json()["code"]) == (409, "monitoring_off")
    assert home["monitoring"] == []


async def test_a_household_is_monitored_and_no_longer(office: Office) -> None:
    client = office.client
    home = await make(client, **EXITED)
    await make(client, village=OTHER_VILLAGE, **ORDINARY)
    begun = await office.concluded(await office.proposed(**wanted(home, "unstable_exit")))
    assert [step["step"] for step in begun["steps"]] == [
        "report", "verification", "public_notice", "county_recheck", "announcement"
    ]  # fmt: skip
    since = begun["steps"][-1]["on"]
    shown = (await client.get(f"/v1/households/{home['id']}")).json()
    stretch = {"category": "unstable_exit", "cause": "illness", "valid_from": since, "valid_to": None}
    assert shown["monitoring"] == [{**stretch, "decision_id": begun["id"]}]
    assert (shown["version"], shown["standing"], shown["cause"]) == (2, "exited", "illness")
    again = await office.propose(**wanted(home, "sudden_hardship", on="2021-11-01"))
    assert faults(again) == {("/household", "monitored_already")}
    early = await office.propose(kind="monitoring_end", household=home["id"], on=since)
    assert faults(early) == {("/on", "monitored_later")}
    ended = await office.concluded(await office.proposed(kind="monitoring_end", household=home["id"], on="2021-09-01"))
    until = ended["steps"][-1]["on"]
    shown = (await client.get(f"/v1/households/{home['id']}")).json()
    assert shown["monitoring"] == [{**stretch, "valid_to": until, "decision_id": begun["id"]}]
    for day, expected in (
        (ON, {}),
        (since, {"unstable_exit": (1, 1)}),
        ("2021-09-01", {"unstable_exit": (1, 1)}),
        (until, {}),
    ):
        found = await figures(client, division=XIXIA, as_of=day)
        assert counted(found["division"]) == expected, day
        assert counted((await figures(client, as_of=day))["division"]) == expected
    late = await office.propose(kind="monitoring_end", household=home["id"])
    assert faults(late) == {("/household", "not_monitored")}
    second = await office.concluded(await office.proposed(**wanted(home, "sudden_hardship", on="2021-11-01")))
    assert second["category"] == "sudden_hardship"
    assert len((await client.get(f"/v1/households/{home['id']}")).json()["monitoring"]) == 2


@pytest.mark.parametrize("way", ["decision", "patch", "file"])
async def test_who_is_poor_again_is_monitored_no_longer(office: Office, way: str) -> None:
    """A household of the stock is in no category of monitoring: they are for who exited or never was poor."""
    client = office.client
    home = await make(client, number=NUMBER, **EXITED)
    await office.concluded(await office.proposed(**wanted(home, "unstable_exit")))
    poor_on = "2021-12-20"
    if way == "decision":
        relapse = await office.proposed(kind="relapse", household=home["id"], cause="illness", on="2021-09-01")
        poor_on = (await office.concluded(relapse))["steps"][-1]["on"]
    elif way == "patch":
        poor_on = "2021-10-01"
        patch = {"standing": "relapsed", "effective_on": poor_on, "reason": "返贫"}
        answer = await client.patch(f"/v1/households/{home['id']}", json=patch, headers=matching(2))
        assert answer.status_code == 200, answer.text
    else:
        row = head(NUMBER)
        row[HEADER.index("脱贫状态")] = "返贫"
        job = await imported(client, workbook([row]), overwrite="always")
        assert counts(job) == {"received": 1, "updated": 1}, job
    shown = (await client.get(f"/v1/households/{home['id']}")).json()
    assert (shown["standing"], [each["valid_to"] for each in shown["monitoring"]]) == ("relapsed", [poor_on])
    assert counted((await figures(client, as_of=poor_on))["division"]) == {}
    assert counted((await figures(client, as_of="2021-06-01"))["division"]) == {"unstable_exit": (1, 1)}
    late = await office.propose(kind="monitoring_end", household=home["id"])
    assert faults(late) == {("/household", "not_monitored")}


async def test_who_becomes_poor_is_monitored_no_longer(office: Office) -> None:
    """A relapse ends it on its day, and so does an identification of a household at the margin."""
    client = office.client
    for fields, category, kind in ((EXITED, "unstable_exit", "relapse"), (ORDINARY, "marginal", "identification")):
        home = await make(client, **fields)
        begun = await office.concluded(await office.proposed(**wanted(home, category)))
        poor = await office.proposed(kind=kind, household=home["id"], cause="illness", on="2021-09-01")
        day = (await office.concluded(poor))["steps"][-1]["on"]
        [stretch] = (await client.get(f"/v1/households/{home['id']}")).json()["monitoring"]
        assert (stretch["decision_id"], stretch["valid_to"]) == (begun["id"], day)
        assert counted((await figures(client, division=XIXIA, as_of=day))["division"]) == {}
        ended = await office.propose(kind="monitoring_end", household=home["id"])
        assert faults(ended) == {("/household", "not_monitored")}


async def test_what_was_known_at_an_instant_is_counted_as_it_was_known(
    office: Office, turned_on: FastAPI, clock: FixedClock
) -> None:
    home, start = await make(office.client, **EXITED), clock.now()
    await office.concluded(await office.proposed(**wanted(home, "unstable_exit")))
    clock.advance(timedelta(hours=1))
    end = {"kind": "monitoring_end", "household": home["id"], "on": "2021-09-01"}
    await office.concluded(await office.proposed(**end))
    day, minutes = date(2021, 12, 1), timedelta(minutes=30)
    async with turned_on.state.runtime.database.driver() as pg:
        for instant, expected in (
            (start - minutes, []),
            (start + minutes, [(XIXIA, "unstable_exit", 1, 1)]),
            (start + 3 * minutes, []),
            (None, []),
        ):
            rows = await known.monitored_on(pg, instant, day, within="city", code=CITY, by="managing_unit")
            assert [tuple(row) for row in rows] == expected


async def test_categories_are_counted_by_unit(office: Office) -> None:
    client = office.client
    homes = [
        (await make(client, **EXITED), "unstable_exit"),
        (await make(client, **ORDINARY), "marginal"),
        (await make(client, village=OTHER_VILLAGE, standing="welfare_only", cause=None), "sudden_hardship"),
    ]
    for home, category in homes:
        await office.concluded(await office.proposed(**wanted(home, category)))
    found = await figures(client, division=CITY)
    rows = {row["code"]: counted(row) for row in found["below"] if row["households"]}
    assert rows == {
        XIXIA: {"unstable_exit": (1, 1), "marginal": (1, 1)}, "411391000000": {"sudden_hardship": (1, 1)}
    }  # fmt: skip
    assert (found["division"]["households"], found["as_of"]) == (3, "2021-12-20")
    gone = {"effective_on": "2021-12-01", "reason": "整户迁出"}
    off = await client.post(f"/v1/households/{homes[1][0]['id']}/deregistration", json=gone, headers=matching(2))
    assert (off.status_code, off.json()["monitoring"][0]["valid_to"]) == (200, "2021-12-01")
    assert counted((await figures(client, division=VILLAGE))["division"]) == {"unstable_exit": (1, 1)}
    assert counted((await figures(client, division=VILLAGE, as_of="2021-11-30"))["division"]) == {
        "unstable_exit": (1, 1), "marginal": (1, 1)
    }  # fmt: skip
    as_file = await client.get("/v1/statistics/monitoring?format=csv")
    assert "边缘易致贫户户数 marginal_households" in as_file.text


async def test_a_household_that_was_taken_back_comes_back_unmonitored(office: Office) -> None:
    client, row = office.client, head(NUMBER)
    row[HEADER.index("脱贫状态")] = "已脱贫"
    home = await make(client, number=NUMBER, **EXITED)
    begun = await office.concluded(await office.proposed(**wanted(home, "unstable_exit")))
    since, url = begun["steps"][-1]["on"], f"/v1/households/{home['id']}"
    off = {"effective_on": "2014-05-01", "reason": "误登记"}
    gone = await client.post(f"{url}/deregistration", json=off, headers=matching(2))
    assert [(each["valid_from"], each["valid_to"]) for each in gone.json()["monitoring"]] == [(since, since)]
    job = await imported(client, workbook([row]))
    assert counts(job) == {"received": 1, "updated": 1}, job
    back = (await client.get(url)).json()
    assert (back["status"], back["monitoring"]) == ("active", gone.json()["monitoring"])
    for day in (since, "2021-12-20"):
        assert counted((await figures(client, as_of=day))["division"]) == {}
    end = await office.propose(kind="monitoring_end", household=home["id"], on="2021-12-01")
    assert faults(end) == {("/household", "not_monitored")}
    earlier = await office.concluded(await office.proposed(**wanted(home, "unstable_exit", on="2021-03-10")))
    assert earlier["steps"][-1]["on"] < since
    assert counted((await figures(client, as_of="2021-12-20"))["division"]) == {"unstable_exit": (1, 1)}
    again = await office.propose(**wanted(home, "sudden_hardship", on="2021-11-01"))
    assert faults(again) == {("/household", "monitored_already")}


@pytest.mark.parametrize(
    ("home", "change", "expected"),
    [
        (ORDINARY, {"category": "unstable_exit"}, {("/household", "standing_unfit")}),
        (EXITED, {"category": "marginal"}, {("/household", "standing_unfit")}),
        ({}, {"category": "sudden_hardship"}, {("/household", "standing_unfit")}),
        (EXITED, {"on": "2020-02-29"}, {("/on", "category_later")}),
        (EXITED, {"category": "sudden_hardship", "on": "2020-12-31"}, {("/on", "category_later")}),
        (EXITED, {"cause": None}, {("/cause", "missing")}),
        (EXITED, {"category": None}, {("/category", "missing")}),
        (EXITED, {"category": "poor"}, {("/category", "literal_error")}),
        (EXITED, {"year": 2020}, {("/year", "other_kind")}),
        (EXITED, {"kind": "relapse"}, {("/category", "other_kind")}),
        (EXITED, {"kind": "monitoring_end", "category": None, "cause": None}, {("/household", "not_monitored")}),
    ],
)
async def test_what_may_not_be_monitored(
    office: Office, home: dict[str, Any], change: dict[str, Any], expected: set[tuple[str, str]]
) -> None:
    made = await make(office.client, **home)
    assert faults(await office.propose(**wanted(made, **{"category": "unstable_exit", **change}))) == expected


def test_ending_touches_the_last_stretch_alone() -> None:
    days = [date(2021, month, 1) for month in (3, 5, 7, 9)]
    first = Monitoring(category="marginal", cause="illness", valid_from=days[0], valid_to=days[1], decision_id=uuid7())
    last = Monitoring(category="sudden_hardship", cause="disaster", valid_from=days[2], decision_id=uuid7())
    ended = monitoring.ended((first, last), days[3])
    assert (ended[0], ended[1].valid_to) == (first, days[3])
    assert monitoring.read(monitoring.stored(ended)) == ended
    closed = monitoring.ended((first, last), date(2021, 10, 1))
    for day, until in (
        (date(2021, 11, 1), [days[1], date(2021, 10, 1)]),
        (days[3], [days[1], days[3]]),
        (date(2021, 4, 1), [date(2021, 4, 1), days[2]]),
        (date(2014, 5, 1), [days[0], days[2]]),
    ):
        cut = monitoring.cut(closed, day)
        assert [(each.valid_from, each.valid_to) for each in cut] == list(zip([days[0], days[2]], until, strict=True))
    assert monitoring.cut((first, last), days[3]) == ended

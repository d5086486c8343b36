"""Villages and counties exit: incidence, facilities, the rates of the assessment; designations end."""

from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from fastapi import FastAPI

from shared.clock import local_day
from tests.registry.conftest import CITY, VILLAGE, client_of, events, faults, issue, make, matching, member
from tests.registry.standing import DOCUMENT, START, URL, Office, app_in_2018, later
from tests.registry.test_incidence import load

COUNTY = "411326000000"
"""淅川县, a national poverty county."""
ITS_VILLAGE = "411326101200"
FACILITIES = ("access_road", "bus", "safe_water", "power", "broadcast", "culture_centre", "clinic", "broadband")
READY = {"rural_population": 1000, **dict.fromkeys(FACILITIES, True)}
SURVEY = {
    "rural_population": 100_000,
    "unregistered_people": 80_000,
    "exited_people": 10_000,
    "surveyed_unregistered": 1000,
    "missed": 10,
    "surveyed_exited": 500,
    "wrongly_exited": 9,
    "asked": 1000,
    "satisfied": 900,
    "income_growth_bp": 951,
    "province_income_growth_bp": 950,
    "services_near_mean": True,
}
"""综合发生率 = (poor + 10/1000 x 80,000 + 9/500 x 10,000) / 100,000 = (poor + 980) / 100,000: 1,019 poor pass."""


@pytest.fixture
def app(database_url: Callable[[str | None], str], secrets: None) -> FastAPI:
    """On a database of its own: designations change."""
    return app_in_2018(database_url("registry"))


@pytest.fixture
async def office(app: FastAPI) -> AsyncIterator[Office]:
    async with client_of(app) as client:
        yield await Office.of(client)


async def _designated(office: Office, code: str, *kinds: str) -> None:
    for version, kind in enumerate(kinds, start=1):
        answer = await office.client.post(
            f"/v1/divisions/{code}/designations",
            json={"kind": kind, "valid_from": "2014-01-01"},
            headers=matching(version),
        )
        assert answer.status_code == 200, answer.text


async def _kinds(office: Office, code: str, day: str) -> set[str]:
    division = (await office.client.get(f"/v1/divisions/{code}")).json()
    return {
        each["kind"]
        for each in division["designations"]
        if each["valid_from"] <= day and (each["valid_to"] is None or day < each["valid_to"])
    }


async def test_a_village_exits_and_is_poor_no_longer(office: Office, app: FastAPI) -> None:
    await _designated(office, VILLAGE, "poor_village", "deep_poverty_village", "key_village")
    await make(office.client, members=[member(), *(member("other") for _ in range(18))])
    decision = await office.concluded(await office.proposed(kind="village_exit", division=VILLAGE, village=READY))
    day = decision["steps"][-1]["on"]
    assert day == later(START, 7)
    assert await _kinds(office, VILLAGE, later(START, 6)) == {"poor_village", "deep_poverty_village", "key_village"}
    assert await _kinds(office, VILLAGE, day) == {"key_village"}
    published = [event["division"] for event in await events(app, "standing")]
    assert published == [VILLAGE] * 5
    again = await office.propose(kind="village_exit", division=VILLAGE, village=READY, on=day)
    assert faults(again) == {("/division", "not_designated")}


async def test_incidence_must_be_below_two_per_cent_and_every_facility_there(office: Office) -> None:
    await _designated(office, VILLAGE, "poor_village")
    await make(office.client, members=[member(), *(member("other") for _ in range(19))])
    exactly = await office.propose(kind="village_exit", division=VILLAGE, village=READY)
    assert faults(exactly) == {("/village", "incidence")}
    lacking = {**READY, "rural_population": 1001, "bus": False, "clinic": None}
    assert faults(await office.propose(kind="village_exit", division=VILLAGE, village=lacking)) == {
        ("/village", "bus"), ("/village", "clinic")
    }  # fmt: skip
    body = {"kind": "village_exit", "division": VILLAGE, "village": {**READY, "rural_population": 1001}}
    last = await office.upto(await office.proposed(**body), "announcement")
    second = await office.propose(**body)
    assert (second.status_code, second.json()["code"]) == (409, "decision_open")
    await make(office.client, registered_on="2018-10-01")
    assert faults(await office.step(last)) == {("/village", "incidence")}


async def test_a_county_exits_by_the_rates_of_its_assessment(office: Office) -> None:
    await _designated(office, ITS_VILLAGE, "poor_village")
    await make(office.client, village=ITS_VILLAGE)
    early = await office.propose(kind="county_exit", division=COUNTY, county=SURVEY)
    assert faults(early) == {("/county", "poor_villages_exited")}
    first = await office.proposed(kind="village_exit", division=ITS_VILLAGE, village=READY)
    exited_on = (await office.concluded(first))["steps"][-1]["on"]
    body = {"kind": "county_exit", "division": COUNTY, "on": exited_on}
    bad = {**SURVEY, "missed": 25, "wrongly_exited": 10, "satisfied": 899}
    assert faults(await office.propose(**body, county=bad)) == {
        ("/county", "incidence"), ("/county", "missed"), ("/county", "wrongly_exited"), ("/county", "approval")
    }  # fmt: skip
    behind = {**SURVEY, "province_income_growth_bp": 951, "services_near_mean": None}
    growth = {("/county", "income_growth"), ("/county", "public_services")}
    assert faults(await office.propose(**body, county=behind)) == growth
    applied = await office.proposed(**body, county=SURVEY)
    itself = Office(office.client, office.recorder, await issue(office.client, ["reviewer"], [COUNTY]))
    refused = await itself.step(applied)
    assert (refused.status_code, refused.json()["code"]) == (403, "below_level"), "no county reviews its own exit"
    decision = await office.concluded(applied)
    day = decision["steps"][-1]["on"]
    assert [step["step"] for step in decision["steps"]] == [
        "application", "city_review", "special_assessment", "public_notice", "provincial_approval"
    ]  # fmt: skip
    assert "national_poverty_county" not in await _kinds(office, COUNTY, day)
    assert "national_poverty_county" in await _kinds(office, COUNTY, exited_on)


async def test_the_population_that_the_register_has_counts_not_the_one_stated(office: Office) -> None:
    await _designated(office, VILLAGE, "poor_village")
    await make(office.client, members=[member(), member("other")])
    await load(office.client, {"division": VILLAGE, "year": 2017, "people": 100})
    stated = {"kind": "village_exit", "division": VILLAGE, "village": {**READY, "rural_population": 10**6}}
    assert faults(await office.propose(**stated)) == {("/village", "incidence")}
    await load(office.client, {"division": VILLAGE, "year": 2018, "people": 101})
    assert (await office.propose(**stated)).status_code == 201


async def test_no_population_of_before_a_split_counts_for_what_remains(office: Office, app: FastAPI) -> None:
    """20 of 500 people are poor: 4 %, whatever share of the village that was there before they are."""
    await _designated(office, VILLAGE, "poor_village")
    await make(office.client, members=[member(), *(member("other") for _ in range(19))])
    await load(office.client, {"division": VILLAGE, "year": 2017, "people": 10_000})
    today = local_day(app.state.registry.runtime.clock.now()).isoformat()
    body = {"kind": "village_exit", "division": VILLAGE, "village": {**READY, "rural_population": 500}, "on": today}
    url = f"{URL}?dry_run=true"
    assert (await office.client.post(url, json={**body, "evidence": DOCUMENT}, headers=office.recorder)).is_success
    part = {"code": "411323102298", "name": "分村", "sort_order": 1, "households": []}
    cut = {"parts": [part], "rest": VILLAGE, "valid_from": today, "reason": "豫民〔2018〕1号"}
    answer = await office.client.post(f"/v1/divisions/{VILLAGE}/split", json=cut, headers=matching(2))
    assert answer.status_code == 200, answer.text
    assert faults(await office.propose(**body)) == {("/village", "incidence")}
    enough = {**body, "village": {**READY, "rural_population": 1001}}
    assert (await office.propose(**enough)).status_code == 201


async def test_a_county_exits_by_what_its_assessment_counted_not_by_what_it_applied_with(office: Office) -> None:
    """The assessment 省专项评估 comes two steps after the application: its counts are stated when they are there."""
    body = {"kind": "county_exit", "division": COUNTY}
    applied = await office.proposed(**body, county={**SURVEY, "missed": 0, "wrongly_exited": 0})
    early = await office.step(applied, county=SURVEY)
    assert faults(early) == {("/county", "other_kind")}
    due = await office.upto(applied, "special_assessment")
    counted = {
        **SURVEY, "unregistered_people": 98_000, "exited_people": 2000, "surveyed_unregistered": 10_000,
        "missed": 199, "surveyed_exited": 1000, "wrongly_exited": 19,
    }  # fmt: skip
    failed = {**counted, "missed": 200, "satisfied": 899}
    assert faults(await office.step(due, county=failed)) == {("/county", "missed"), ("/county", "approval")}
    assessed = await office.stepped(due, county=counted)
    assert (assessed["county"]["missed"], assessed["steps"][-1]["county"]["missed"]) == (0, 199)
    last = await office.upto(assessed, "provincial_approval")
    twelve = [member(), *(member("other") for _ in range(11))]
    await make(office.client, village=ITS_VILLAGE, registered_on="2018-10-01", members=twelve)
    # (12 + 199/10,000 x 98,000 + 19/1,000 x 2,000) / 100,000 is above 2 %; as applied for, it is hardly anything.
    assert faults(await office.step(last)) == {("/county", "incidence")}


WRONG: list[tuple[dict[str, Any], tuple[str, str]]] = [
    ({"kind": "village_exit", "division": COUNTY, "village": READY}, ("/division", "division_unknown")),
    ({"kind": "county_exit", "division": VILLAGE, "county": SURVEY}, ("/division", "division_unknown")),
    ({"kind": "county_exit", "division": "411323000000", "county": SURVEY}, ("/division", "not_designated")),
    ({"kind": "county_exit", "division": COUNTY, "county": {**SURVEY, "missed": 1001}},
     ("/county", "part_above_whole")),
    ({"kind": "village_exit", "division": VILLAGE, "village": {"rural_population": 0}},
     ("/village/rural_population", "greater_than_equal")),
]  # fmt: skip


async def test_wrong_proposals_are_refused(office: Office) -> None:
    for body, expected in WRONG:
        assert faults(await office.propose(**body)) == {expected}
    elsewhere = await issue(office.client, ["recorder", "reader"], ["411325000000"])
    away = Office(office.client, elsewhere, elsewhere)
    assert faults(await away.propose(kind="county_exit", division=COUNTY, county=SURVEY)) == {
        ("/division", "division_unknown")
    }
    assert (await office.client.get(URL, params={"division": CITY})).json()["items"] == []

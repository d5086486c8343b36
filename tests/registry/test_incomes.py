"""Incomes by year: the identity to the fen, locked years, history."""

from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from hypothesis import given
from hypothesis import strategies as st

from services.registry.context import today
from services.registry.households.incomes import Income
from tests.registry.conftest import CITY, VILLAGE, XIXIA, faults, household, issue, make, matching, member, put_key
from tests.registry.sheets import HEADER, found, head, imported, line, workbook

PARTS = {"people": 3, "wages_fen": 1_000_001, "business_fen": 50_000, "business_costs_fen": 20_000, "property_fen": 7}
TRANSFERS = {"dibao_fen": 30_000, "pension_fen": 12_345}
GROSS = 1_000_001 + 50_000 + 7 + 30_000 + 12_345
REPORT = {**PARTS, "transfers": TRANSFERS, "reason": "年度动态管理"}


@given(st.integers(1, 100), st.lists(st.integers(0, 10**12), min_size=4, max_size=4), st.integers(0, 10**12))
def test_per_head_is_half_up_to_the_fen(people: int, parts: list[int], costs: int) -> None:
    wages, business, property_fen, dibao = parts
    income = Income.model_validate(
        {
            "year": 2018, "people": people, "wages_fen": wages, "business_fen": business, "property_fen": property_fen,
            "business_costs_fen": costs, "transfers": {"dibao_fen": dibao},
        }
    )  # fmt: skip
    assert income.net_fen == sum(parts) - costs
    assert -people < 2 * (income.net_fen - income.per_capita_fen * people) <= people or (
        2 * (income.per_capita_fen * people - income.net_fen) == people
    )


async def test_an_income_is_reported_changed_and_read(registry: httpx.AsyncClient) -> None:
    made = await make(registry)
    url = f"/v1/households/{made['id']}/incomes"
    answer = await registry.put(f"{url}/2018", json=REPORT, headers=matching(1))
    assert answer.status_code == 200, answer.text
    assert answer.headers["etag"] == '"2"'
    expected = {"gross_fen": GROSS, "net_fen": GROSS - 20_000, "per_capita_fen": 357_451}
    assert expected.items() <= answer.json().items()
    earlier = await registry.put(f"{url}/2017", json={"people": 4, "reason": "补报"}, headers=matching(2))
    assert earlier.json()["per_capita_fen"] == 0
    again = await registry.put(f"{url}/2018", json={**REPORT, "wages_fen": 0}, headers=matching(3))
    assert again.json()["gross_fen"] == GROSS - 1_000_001
    answer = await registry.get(url)
    assert [income["year"] for income in answer.json()["items"]] == [2017, 2018]
    assert answer.headers["etag"] == '"4"'
    history = (await registry.get(f"/v1/households/{made['id']}/versions")).json()["items"]
    assert [entry["reason"] for entry in history] == [None, "年度动态管理", "补报", "年度动态管理"]


async def test_people_may_be_as_many_as_on_any_day_of_the_year(registry: httpx.AsyncClient) -> None:
    """Who was registered with the household is taken to have belonged to it before, from birth on."""
    came = [member("other", birth_date="1950-01-01", joined_on="2017-06-01") for _ in range(2)]
    members = [member(), member("son", birth_date="2016-05-01"), *came]
    made = await make(registry, registered_on="2017-01-01", members=members)
    left = {"status": "deceased", "effective_on": "2017-12-01", "reason": "去世"}
    url = f"/v1/households/{made['id']}"
    answer = await registry.patch(f"{url}/members/{made['members'][2]['id']}", json=left, headers=matching(1))
    assert answer.status_code == 200, answer.text
    expected = {2015: {1}, 2016: {1, 2}, 2017: {2, 3, 4}, 2018: {3}}
    version = 2
    for year, acceptable in expected.items():
        for people in range(1, 6):
            report = {"people": people, "reason": "填报"}
            stored = await registry.put(f"{url}/incomes/{year}", json=report, headers=matching(version))
            assert stored.status_code == 200, stored.text
            version += 1
            found = [each["rule"] for each in (await registry.get(url)).json()["findings"]]
            assert ("people_differ" not in found) == (people in acceptable), (year, people)
        settled = {"people": min(acceptable), "reason": "填报"}
        assert (await registry.put(f"{url}/incomes/{year}", json=settled, headers=matching(version))).status_code == 200
        version += 1


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"gross_fen": GROSS + 1}, {("", "income_identity")}),
        ({"net_fen": GROSS}, {("", "income_identity")}),
        ({"per_capita_fen": 357_450}, {("", "income_identity")}),
        ({"wages_fen": -1}, {("/wages_fen", "greater_than_equal")}),
        ({"wages_fen": 1.5}, {("/wages_fen", "int_type")}),
        ({"wages_fen": True}, {("/wages_fen", "int_type")}),
        ({"people": 0}, {("/people", "greater_than_equal")}),
        ({"year": 2018}, {("/year", "extra_forbidden")}),
        ({"transfers": {"gift_fen": 1}}, {("/transfers/gift_fen", "extra_forbidden")}),
        ({"reason": None}, {("/reason", "string_type")}),
    ],
)
async def test_what_does_not_add_up_is_refused(
    registry: httpx.AsyncClient, change: dict[str, Any], expected: set[tuple[str, str]]
) -> None:
    made = await make(registry)
    answer = await registry.put(
        f"/v1/households/{made['id']}/incomes/2018", json={**REPORT, **change}, headers=matching(1)
    )
    assert faults(answer) == expected
    assert (await registry.get(f"/v1/households/{made['id']}/incomes")).json()["items"] == []


async def test_totals_that_add_up_may_be_stated(registry: httpx.AsyncClient) -> None:
    stated = {"gross_fen": GROSS, "net_fen": GROSS - 20_000, "per_capita_fen": 357_451}
    income = {**PARTS, "transfers": TRANSFERS, "year": 2018, **stated}
    made = await make(registry, incomes=[income])
    assert made["incomes"][0]["per_capita_fen"] == 357_451
    twice = await registry.post("/v1/households", json=household(incomes=[income, income]))
    assert faults(twice) == {("/incomes", "named_twice")}


async def test_a_year_that_has_not_begun_has_no_income(registry: httpx.AsyncClient, app: FastAPI) -> None:
    """By whatever way it comes: 2071 for 2017."""
    this = today(app.state.registry).year
    url = f"/v1/households/{(await make(registry))['id']}/incomes"
    answer = await registry.put(f"{url}/{this + 1}", json=REPORT, headers=matching(1))
    assert faults(answer) == {("/year", "year_out_of_range")}
    assert (await registry.put(f"{url}/{this}", json=REPORT, headers=matching(1))).status_code == 200
    early = household(incomes=[{"year": this + 1, "people": 1}])
    assert faults(await registry.post("/v1/households", json=early)) == {("/incomes/0/year", "year_out_of_range")}
    jsonl = {"Content-Type": "application/jsonl"}
    report = (await registry.post("/v1/households/bulk", content=line(**early), headers=jsonl)).json()
    assert [(each["column"], each["code"]) for each in report["errors"]] == [("/incomes/0/year", "year_out_of_range")]
    sheet = workbook([[*head(), this + 1, 1000]], (*HEADER, "收入年度", "工资性收入(元)"))
    assert found(await imported(registry, sheet)) == {(2, "收入年度", "year_out_of_range")}


async def test_the_income_of_a_locked_year_stays(registry: httpx.AsyncClient) -> None:
    made = await make(registry, incomes=[{"year": 2017, "people": 1, "wages_fen": 30_000}])
    clerk = await issue(registry, ["recorder"], ["411323000000"])
    reason = {"reason": "2017 年度数据已上报"}
    assert (await registry.put("/v1/locked-years/2017", json=reason, headers=clerk)).status_code == 403
    first = await registry.put("/v1/locked-years/2017", json=reason)
    again = await registry.put("/v1/locked-years/2017", json={"reason": "再次锁定"})
    assert first.json() == again.json()
    assert (await registry.get("/v1/locked-years", headers=clerk)).json()["items"] == [first.json()]
    url = f"/v1/households/{made['id']}/incomes"
    assert faults(await registry.put(f"{url}/2017", json=REPORT, headers=matching(1))) == {("/year", "year_locked")}
    assert (await registry.put(f"{url}/2018", json=REPORT, headers=matching(1))).status_code == 200
    late = household(incomes=[{"year": 2017, "people": 1}])
    assert faults(await registry.post("/v1/households", json=late)) == {("/incomes/0/year", "year_locked")}


async def test_only_who_has_the_whole_city_in_scope_locks_a_year(registry: httpx.AsyncClient, app: FastAPI) -> None:
    """A year is locked everywhere and for good: an admin of less may not, and locks nothing."""
    why = {"reason": "2016 年度数据已上报"}
    less = [await put_key(app, ["admin"], divisions) for divisions in ([XIXIA], [VILLAGE, "411302000000"], [])]
    for headers in less:
        refused = await registry.put("/v1/locked-years/2016", json=why, headers=headers)
        assert (refused.status_code, refused.json()["code"]) == (403, "forbidden")
    assert (await registry.get("/v1/locked-years")).json()["items"] == []
    city = await put_key(app, ["admin"], [XIXIA, CITY])
    assert (await registry.put("/v1/locked-years/2016", json=why, headers=city)).status_code == 200

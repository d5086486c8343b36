"""Households exit and relapse by reviewed, dated decisions."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from services.registry.standing import service
from shared.clock import FixedClock
from tests.registry.conftest import (
    VILLAGE,
    XIXIA,
    app_on,
    client_of,
    events,
    faults,
    issue,
    make,
    matching,
    member,
)
from tests.registry.standing import INSURED, START, URL, Office, able, app_in_2018, later


@pytest.fixture
def app(url: str, secrets: None) -> FastAPI:
    return app_in_2018(url)


@pytest.fixture
async def office(app: FastAPI) -> AsyncIterator[Office]:
    async with client_of(app) as client:
        yield await Office.of(client)


async def _stock(client: httpx.AsyncClient, day: str) -> int:
    figures = (await client.get(f"/v1/statistics/poverty?division={VILLAGE}&as_of={day}")).json()["division"]
    stock: int = figures["stock_households"]
    return stock


async def test_a_household_exits_step_by_step(office: Office, app: FastAPI) -> None:
    home = await able(office.client)
    decision = await office.proposed(kind="exit", household=home["number"], year=2018)
    assert decision["state"] == "open"
    while decision["next"]:
        decision = await office.stepped(decision)
    assert [step["step"] for step in decision["steps"]] == [
        "democratic_appraisal", "verification", "household_consent", "public_notice", "announcement", "striking_off",
    ]  # fmt: skip
    exited_on = decision["steps"][-1]["on"]
    assert (decision["state"], exited_on) == ("concluded", later(START, 7))
    household = (await office.client.get(f"/v1/households/{home['id']}")).json()
    assert household["standing"] == "exited_supported"
    assert household["timeline"][-1]["valid_from"] == exited_on
    assert (await _stock(office.client, later(START, 6)), await _stock(office.client, exited_on)) == (1, 0)
    versions = (await office.client.get(f"/v1/households/{home['id']}/versions")).json()["items"]
    assert decision["id"] in versions[-1]["reason"]
    published = await events(app, "standing")
    assert [event["version"] for event in published] == [1, 2, 3, 4, 5, 6]
    assert published[-1]["state"] == "concluded"
    assert published[-1]["ended_on"] == exited_on
    assert published[-1]["certificate"] == decision["certificate"]
    assert "测试" not in str(published)


async def test_an_exit_whose_test_fails_is_refused_with_every_failing_check(office: Office) -> None:
    home = await make(
        office.client,
        attributes={"housing": {"danger": "grade_d"}},
        members=[
            member(attributes={"insurance": {"resident_medical": False}}),
            member("son", birth_date="2008-01-01", attributes={"dropped_out": True, **INSURED}),
        ],
        incomes=[{"year": 2018, "people": 2, "wages_fen": 2 * 299_500}],
    )
    answer = await office.propose(kind="exit", household=home["number"], year=2018)
    codes = {"income_above_line", "safe_housing", "safe_water", "medical_insurance", "compulsory_schooling"}
    assert faults(answer) == {("/household", code) for code in codes}
    shown = (await office.client.get(f"/v1/households/{home['id']}/exit-test?year=2018")).json()
    assert {check["code"]: check["result"] for check in shown["checks"]} == {
        "income_above_line": "failed",
        "safe_housing": "failed",
        "safe_water": "unknown",
        "medical_insurance": "failed",
        "compulsory_schooling": "failed",
    }
    assert shown["passed"] is False
    assert (await office.client.get(URL)).json()["items"] == []


async def test_nobody_exits_by_members_left_out_of_the_income(office: Office) -> None:
    """家庭人口 AAC017 is that of the register, when the year ended or on the day of the test."""
    five = [member(attributes=INSURED), *(member("other", attributes=INSURED) for _ in range(4))]
    home = await able(office.client, members=five)
    assert "people_differ" in [each["rule"] for each in home["findings"]]
    url, body = f"/v1/households/{home['id']}", {"kind": "exit", "household": home["number"], "year": 2018}
    shown = (await office.client.get(f"{url}/exit-test?year=2018")).json()
    told = {each["name"]: each["value"] for each in shown["checks"][0]["readings"]}
    assert (shown["passed"], told["people"], told["per_capita_fen"]) == (False, 5, 60_000)
    assert faults(await office.propose(**body)) == {("/household", "income_above_line")}
    for version, who in enumerate(home["members"][1:], start=1):
        left = {"status": "moved_away", "effective_on": f"2018-1{version % 3}-10", "reason": "迁出"}
        answer = await office.client.patch(f"{url}/members/{who['id']}", json=left, headers=matching(version))
        assert answer.status_code == 200, answer.text
    assert "people_differ" not in (await office.client.get(url)).text
    assert (await office.client.get(f"{url}/exit-test?year=2018")).json()["passed"] is True
    assert faults(await office.propose(**body)) == {("/household", "income_above_line")}, "all of them on 8 October"
    assert (await office.propose(**body, on="2018-12-15")).status_code == 201


async def test_what_became_unsafe_meanwhile_stops_an_exit(office: Office) -> None:
    home = await able(office.client)
    decision = await office.proposed(kind="exit", household=home["id"], year=2018)
    last = await office.upto(decision, "striking_off")
    patch = {"attributes": {"housing": {"danger": "grade_c"}}, "reason": "鉴定"}
    changed = await office.client.patch(f"/v1/households/{home['id']}", json=patch, headers=matching(1))
    assert changed.status_code == 200
    assert faults(await office.step(last)) == {("/household", "safe_housing")}
    assert (await office.client.get(f"{URL}/{decision['id']}")).json()["version"] == last["version"]


async def test_steps_are_taken_in_order_on_days_in_order(office: Office) -> None:
    home = await able(office.client)
    decision = await office.proposed(kind="exit", household=home["id"], year=2018)
    assert faults(await office.step(decision, step="announcement")) == {("/step", "step_out_of_order")}
    assert faults(await office.step(decision, on=later(START, -1))) == {("/on", "day_out_of_range")}
    assert faults(await office.step(decision, on="2018-12-21")) == {("/on", "day_out_of_range")}
    consent = await office.upto(decision, "household_consent")
    assert faults(await office.step(consent, evidence=[])) == {("/evidence", "signature_missing")}
    posted = await office.upto(consent, "announcement")
    assert posted["next"]["not_before"] == later(START, 7)
    early = await office.step(posted, on=later(START, 6))
    assert faults(early) == {("/on", "notice_running")}
    assert later(START, 6) in early.text, "its last day: on the next one it has run"
    assert (await office.step(posted, on=later(START, 7))).status_code == 200
    other = await office.proposed(kind="exit", household=(await able(office.client))["id"], year=2018, on="2018-12-14")
    running = await office.upto(other, "announcement")
    for on in ("2018-12-13", "2018-12-20", "2018-12-21"):
        refused = await office.step(running, on=on)
        [told] = refused.json()["errors"]
        assert (told["code"], told["message"].endswith("not before 2018-12-21")) == ("notice_running", True), on
    stale = await office.step(posted)
    assert stale.status_code == 412


async def test_a_proposer_does_not_review(office: Office) -> None:
    home = await able(office.client)
    both = await issue(office.client, ["recorder", "reviewer", "reader"], ["411300000000"])
    one = Office(office.client, both, both)
    decision = await one.proposed(kind="exit", household=home["id"], year=2018)
    posted = await one.upto(decision, "announcement")
    refused = await one.step(posted)
    assert (refused.status_code, refused.json()["code"]) == (403, "own_proposal")
    clerk = Office(office.client, office.recorder, office.recorder)
    refused = await clerk.step(posted)
    assert (refused.status_code, refused.json()["code"]) == (403, "forbidden")
    assert refused.json()["required_roles"] == ["reviewer"]
    assert (await office.concluded(posted))["state"] == "concluded"


async def test_each_level_reviews_what_is_its_own(office: Office) -> None:
    """Neither a village's nor a township's key stands for the county."""
    home = await able(office.client, standing="ordinary", cause=None)
    city, township = office.reviewer, [VILLAGE[:9] + "000"]
    proposed = await office.proposed(kind="identification", household=home["id"], cause="illness")
    decision: Mapping[str, Any] = proposed
    for step, level, below, own in (
        ("township_review", "township", [VILLAGE], township), ("county_recheck", "county", township, [XIXIA])
    ):  # fmt: skip
        decision = await Office(office.client, office.recorder, city).upto(decision, step)
        assert decision["next"]["level"] == level
        reviewers = [await issue(office.client, ["reviewer"], divisions) for divisions in (below, own)]
        refused, taken = [
            await Office(office.client, office.recorder, reviewer).step(decision) for reviewer in reviewers
        ]
        assert (refused.status_code, refused.json()["code"]) == (403, "below_level")
        assert refused.json()["required_level"] == level
        assert taken.status_code == 200, taken.text
        decision = taken.json()


async def test_nobody_is_identified_without_a_cause(office: Office) -> None:
    """The proposal states it, unless the register knows it."""
    home = await able(office.client, standing="ordinary", cause=None)
    assert faults(await office.propose(kind="identification", household=home["id"])) == {("/cause", "missing")}
    known = await able(office.client, standing="ordinary", cause="disability")
    await office.concluded(await office.proposed(kind="identification", household=known["id"]))
    household = (await office.client.get(f"/v1/households/{known['id']}")).json()
    assert (household["standing"], household["cause"]) == ("poor", "disability")


async def test_a_day_before_an_objection_was_dismissed_is_refused_for_that(office: Office) -> None:
    """Raised on the notice's last day and dismissed later: the notice itself has run by then."""
    home = await able(office.client)
    posted = await office.upto(await office.proposed(kind="exit", household=home["id"], year=2018), "announcement")
    objected = (await office.act(posted, "objections", on=later(START, 6), note="反映有车")).json()
    assert objected["state"] == "contested"
    dismissal = {"outcome": "dismissed", "on": later(START, 10), "note": "不属实"}
    dismissed = (await office.act(objected, "objections/1/resolution", "reviewer", **dismissal)).json()
    assert dismissed["next"]["not_before"] == later(START, 10)
    early = await office.step(dismissed, on=later(START, 7))
    assert faults(early) == {("/on", "day_out_of_range")}
    assert later(START, 10) in early.text
    assert (await office.step(dismissed)).status_code == 200


async def test_an_objection_blocks_until_it_is_dismissed(office: Office) -> None:
    home = await able(office.client)
    posted = await office.upto(await office.proposed(kind="exit", household=home["id"], year=2018), "announcement")
    contested = (await office.act(posted, "objections", on=later(START, 3), note="反映有房")).json()
    assert contested["state"] == "contested"
    blocked = await office.step(contested)
    assert (blocked.status_code, blocked.json()["code"]) == (409, "objection_open")
    resolution = {"outcome": "dismissed", "on": later(START, 9), "note": "经查不实"}
    own = await office.act(contested, "objections/1/resolution", **resolution)
    assert own.status_code == 403
    free = (await office.act(contested, "objections/1/resolution", "reviewer", **resolution)).json()
    assert (free["state"], free["next"]["not_before"]) == ("open", later(START, 9))
    again = await office.act(free, "objections/1/resolution", "reviewer", **resolution)
    assert (again.status_code, again.json()["code"]) == (409, "objection_resolved")
    assert (await office.act(free, "objections/2/resolution", "reviewer", **resolution)).status_code == 404
    assert (await office.concluded(free))["state"] == "concluded"


async def test_an_objection_upheld_ends_the_decision(office: Office) -> None:
    home = await able(office.client)
    decision = await office.proposed(kind="exit", household=home["id"], year=2018)
    contested = (await office.act(decision, "objections", on=later(START, 1), note="收入不稳定")).json()
    upheld = {"outcome": "upheld", "on": later(START, 2), "note": "属实"}
    ended = (await office.act(contested, "objections/1/resolution", "reviewer", **upheld)).json()
    assert (ended["state"], ended["next"]) == ("refused", None)
    late = await office.act(ended, "withdrawal", note="撤回")
    assert (late.status_code, late.json()["code"]) == (409, "decision_ended")
    assert (await office.client.get(f"/v1/households/{home['id']}")).json()["standing"] == "poor"
    assert (await office.propose(kind="exit", household=home["id"], year=2018)).status_code == 201


async def test_one_decision_at_a_time_of_each_household(office: Office) -> None:
    home = await able(office.client)
    body = {"kind": "exit", "household": home["id"], "year": 2018}
    answers = await asyncio.gather(*(office.propose(**body) for _ in range(4)))
    assert sorted(answer.status_code for answer in answers) == [201, 409, 409, 409]
    assert {a.json()["code"] for a in answers if a.status_code == 409} == {"decision_open"}
    [made] = [answer.json() for answer in answers if answer.status_code == 201]
    assert (await office.act(made, "withdrawal", note="录入有误")).json()["state"] == "withdrawn"
    assert (await office.propose(**body)).status_code == 201


async def test_the_last_step_is_taken_once(office: Office) -> None:
    home = await able(office.client)
    last = await office.upto(await office.proposed(kind="exit", household=home["id"], year=2018), "striking_off")
    answers = await asyncio.gather(*(office.step(last) for _ in range(3)))
    assert sorted(answer.status_code for answer in answers) == [200, 412, 412]


async def test_a_repeated_proposal_answers_as_the_first(office: Office) -> None:
    home = await able(office.client)
    body = {"kind": "exit", "household": home["id"], "year": 2018, "on": START.isoformat()}
    headers = office.recorder | {"Idempotency-Key": "d-1"}
    dry = await office.client.post(f"{URL}?dry_run=true", json=body, headers=office.recorder)
    assert (dry.status_code, (await office.client.get(URL)).json()["items"]) == (200, [])
    first = await office.client.post(URL, json=body, headers=headers)
    await office.concluded(first.json())
    again = await office.client.post(URL, json=body, headers=headers)
    assert (first.status_code, again.status_code) == (201, 201)
    assert again.json() == first.json()
    assert again.headers["idempotency-replayed"] == "true"


async def test_an_ordinary_household_is_identified_and_a_relapse_makes_stock_again(office: Office) -> None:
    home = await able(office.client, standing="ordinary", cause=None)
    wrong = await office.propose(kind="exit", household=home["id"], year=2018)
    assert faults(wrong) == {("/household", "standing_unfit")}
    found = await office.concluded(await office.proposed(kind="identification", household=home["id"], cause="illness"))
    assert [step["step"] for step in found["steps"]] == [
        "application", "democratic_appraisal", "first_notice", "township_review", "second_notice", "county_recheck",
        "announcement",
    ]  # fmt: skip
    identified_on = found["steps"][-1]["on"]
    assert identified_on == later(START, 14)
    exit_ = await office.proposed(kind="exit", household=home["id"], year=2018, on=identified_on)
    exited_on = (await office.concluded(exit_))["steps"][-1]["on"]
    assert await _stock(office.client, exited_on) == 0
    relapse = await office.proposed(kind="relapse", household=home["id"], cause="disaster", on=exited_on)
    relapsed_on = (await office.concluded(relapse))["steps"][-1]["on"]
    household = (await office.client.get(f"/v1/households/{home['id']}")).json()
    standings = [(state["valid_from"], state["standing"]) for state in household["timeline"][1:]]
    assert standings == [
        (identified_on, "poor"), (exited_on, "exited_supported"), (relapsed_on, "relapsed")
    ]  # fmt: skip
    assert (household["cause"], household["attributes"]["relapse_cause"]) == ("illness", "disaster")
    assert await _stock(office.client, relapsed_on) == 1


async def test_republishing_tells_the_same_again(office: Office, app: FastAPI) -> None:
    home = await able(office.client)
    await office.concluded(await office.proposed(kind="exit", household=home["id"], year=2018))
    told = (await events(app, "standing"))[-1]
    async with app.state.runtime.database.driver() as pg:
        count = await service.republish(pg, app.state.registry)
    again = await events(app, "standing")
    assert (count, len(again), again[-1]) == (1, 7, told)


async def test_a_standing_that_changed_later_is_not_decided_before(office: Office) -> None:
    home = await able(office.client)
    patch = {"standing": "pre_exit", "effective_on": later(START, 5), "reason": "预脱贫"}
    assert (
        await office.client.patch(f"/v1/households/{home['id']}", json=patch, headers=matching(1))
    ).status_code == 200
    answer = await office.propose(kind="exit", household=home["id"], year=2018)
    assert faults(answer) == {("/on", "standing_later")}


FIELDS: list[tuple[dict[str, Any], set[tuple[str, str]]]] = [
    ({"kind": "exit"}, {("/household", "missing"), ("/year", "missing")}),
    ({"kind": "relapse", "household": "1"}, {("/cause", "missing")}),
    ({"kind": "village_exit", "division": VILLAGE, "year": 2018}, {("/village", "missing"), ("/year", "other_kind")}),
    ({"kind": "exit", "household": "41132310221799", "year": 2018}, {("/household", "household_unknown")}),
    ({"kind": "exit", "household": "x", "year": 2018, "on": "2018-12-21"}, {("/on", "day_out_of_range")}),
    ({"kind": "exit", "household": "x", "year": 2018, "evidence": [{"title": "a", "sha256": "AB"}]},
     {("/evidence/0/sha256", "string_pattern_mismatch")}),
]  # fmt: skip


@pytest.mark.parametrize(("body", "expected"), FIELDS)
async def test_wrong_proposals_are_refused(
    office: Office, app: FastAPI, body: dict[str, Any], expected: set[tuple[str, str]]
) -> None:
    assert faults(await office.propose(**body)) == expected
    assert await events(app, "standing") == []


async def test_decisions_stay_within_the_callers_divisions(office: Office) -> None:
    home = await able(office.client)
    decision = await office.proposed(kind="exit", household=home["id"], year=2018)
    elsewhere = await issue(office.client, ["recorder", "reviewer", "reader"], ["411325000000"])
    away = Office(office.client, elsewhere, elsewhere)
    assert (await office.client.get(f"{URL}/{decision['id']}", headers=elsewhere)).status_code == 404
    assert (await office.client.get(URL, headers=elsewhere)).json()["items"] == []
    assert (await away.step(decision)).status_code == 404
    assert (await away.act(decision, "objections", note="x")).status_code == 404
    assert (await away.act(decision, "withdrawal", note="x")).status_code == 404
    assert faults(await away.propose(kind="exit", household=home["id"], year=2018)) == {
        ("/household", "household_unknown")
    }
    missing = await office.client.post(f"{URL}/{decision['id']}/steps", json={"step": "verification"})
    assert missing.status_code == 428


async def test_lists_narrow_and_go_on_page_by_page(office: Office) -> None:
    homes = [await able(office.client) for _ in range(3)]
    made = [await office.proposed(kind="exit", household=home["id"], year=2018) for home in homes]
    await office.act(made[1], "withdrawal", note="录入有误")
    first = (await office.client.get(f"{URL}?limit=2&count=true")).json()
    second = (await office.client.get(f"{URL}?limit=2&cursor={first['next_cursor']}")).json()
    assert first["count"] == 3
    assert [each["id"] for each in (*first["items"], *second["items"])] == [each["id"] for each in made]

    async def found(query: str) -> list[str]:
        return [each["id"] for each in (await office.client.get(f"{URL}?{query}")).json()["items"]]

    assert await found("state=withdrawn") == [made[1]["id"]]
    assert await found(f"household={homes[2]['id']}") == [made[2]["id"]]
    assert len(await found(f"division={VILLAGE[:6]}000000")) == len(await found("kind=exit&division=4113")) == 3
    assert await found("division=411325000000") == []


async def test_an_exit_takes_effect_in_the_year_whose_income_counts(url: str, secrets: None) -> None:
    """The year is that of the last step: neither an earlier income nor a later one counts for it."""
    async with client_of(app_on(url, FixedClock(datetime(2019, 1, 20, 4, tzinfo=UTC)))) as client:
        office = await Office.of(client)
        incomes = [{"year": year, "people": 1, "wages_fen": 400_000} for year in (2017, 2018, 2019)]
        home = await able(client, incomes=incomes)
        body = {"kind": "exit", "household": home["id"]}
        assert faults(await office.propose(**body, year=2017)) == {("/year", "year_differs")}
        ahead = await office.upto(await office.proposed(**body, year=2019), "striking_off")
        assert faults(await office.step(ahead)) == {("/on", "year_differs")}
        assert (await office.step(ahead, on="2019-01-02")).status_code == 200
        other = await able(client, incomes=incomes)
        late = await office.proposed(kind="exit", household=other["id"], year=2018, on="2018-12-28")
        posted = await office.upto(late, "announcement")
        assert posted["next"]["not_before"] == "2019-01-04"
        assert faults(await office.step(posted)) == {("/on", "year_differs")}


async def test_nobody_passes_a_closed_window_by_stating_another_day(
    url: str, secrets: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BANGFU_REGISTRY_WINDOWS", "10-01..10-31,12-01..01-31")
    now = FixedClock(datetime(2018, 11, 20, 4, tzinfo=UTC))
    async with client_of(app_on(url, now)) as client:
        office = await Office.of(client)
        home = await able(client)
        body = {"kind": "exit", "household": home["id"], "year": 2018}

        async def outside(answer: httpx.Response) -> bool:
            return (answer.status_code, answer.json().get("code")) == (409, "outside_window")

        assert await outside(await office.propose(**body, on="2018-10-09"))
        now.instant = datetime(2018, 10, 20, 4, tzinfo=UTC)
        assert await outside(await office.propose(**body, on="2018-09-30"))
        last = await office.upto(await office.proposed(**body, on="2018-10-09"), "striking_off")
        now.instant = datetime(2018, 11, 20, 4, tzinfo=UTC)
        assert await outside(await office.step(last))
        now.instant = datetime(2019, 10, 20, 4, tzinfo=UTC)
        assert await outside(await office.step(last)), "that day's window closed a year ago"
        relapse = await office.propose(kind="relapse", household=home["id"], cause="illness")
        assert relapse.json()["code"] != "outside_window"
        now.instant = datetime(2018, 12, 20, 4, tzinfo=UTC)
        assert await outside(await office.step(last))
        assert (await office.step(last, on="2018-12-01")).status_code == 200

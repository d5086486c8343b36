"""League tables over HTTP, with figures computed by hand."""

from datetime import date, timedelta
from fractions import Fraction
from typing import Any
from uuid import UUID

from shared.contracts.division import Path
from shared.contracts.household import Standing
from tests.ranking.world import (
    CITY,
    NOW,
    WAN,
    WO,
    XI,
    ZONE,
    World,
    action,
    division,
    divisions,
    household,
    path,
    programme,
    target,
    township,
    village,
)

WEEK = "/v1/league-tables/weekly/2018-W41"
MONTH = "/v1/league-tables/monthly/2018-10"


async def populate(world: World) -> None:
    """Twenty served households in Wan, ten in Wo, five in Xi; three programmes."""
    await world.mirror(divisions())
    await world.mirror(
        [programme("visit"), programme("training", sector="labour"),
         programme("medical", programme_class="benefit", sector="health")]
    )  # fmt: skip
    counts = {WAN: range(1, 21), WO: range(21, 31), XI: range(31, 36)}
    standing: Standing = "poor"
    await world.mirror(
        household(seq, (date(2018, 1, 1), standing, path(county, seq % 3 + 1)))
        for county, numbers in counts.items()
        for seq in numbers
    )


def row_of(table: dict[str, Any], code: str) -> dict[str, Any]:
    found: dict[str, Any] = next(row for row in table["rows"] + table["not_ranked"] if row["unit"]["code"] == code)
    return found


async def test_weekly_table_by_hand(world: World) -> None:
    """Wan on Wednesday: due 20 x 1/2 x 3/5 = 6, reached 3; 4 actions of a sample of 5, 1 verified, 3 on time."""
    await populate(world)
    late = NOW - timedelta(days=2)
    await world.take_in(
        action(household_seq=1, verified_at=NOW),
        action(household_seq=1),
        action(household_seq=2, persons=[UUID(int=5), UUID(int=6)], amount_fen=700),
        action(household_seq=3, occurred_at=late, first_recorded_at=late + timedelta(hours=25)),
        action(household_seq=21, path=path(WO), status="revoked"),
        action(household_seq=4, programme="medical", programme_class="benefit", sector="health"),
    )
    answer = await world.get(WEEK)
    assert answer.status_code == 200
    table = answer.json()
    wan = row_of(table, WAN)
    assert (wan["score"], wan["rank"], wan["peer_rank"]) == ("42.22", 1, 1)
    assert wan["figures"] == {
        "actions": 4, "households": 3, "persons": 2, "amount_fen": 700, "on_time": 3, "verified": 1,
        "served": 20, "stock": 20,
    }  # fmt: skip
    assert [(t["indicator"], t["numerator"], t["denominator"], t["sample"], t["points"]) for t in wan["terms"]] == [
        ("completion", "3", "6", "1", "200/9"),
        ("quality", "1", "4", "4/5", "20/3"),
        ("timeliness", "3", "4", "4/5", "40/3"),
        ("satisfaction", None, None, None, None),
    ]
    assert (row_of(table, WO)["score"], row_of(table, WO)["rank"]) == ("0.00", 2), "nothing done of what is due"
    assert [(row["unit"]["code"], row["reason"]) for row in table["not_ranked"]] == [
        (XI, "min_served"), (ZONE, "min_served")
    ]  # fmt: skip
    assert row_of(table, XI)["unit"]["peer_group"] == "poverty_counties"
    assert row_of(table, ZONE)["unit"]["peer_group"] == "zones"
    assert table["working_days"] == {"elapsed": 3, "total": 5, "progress": "3/5"}
    assert (table["as_of"], table["running"], table["rule_set"]) == ("2018-10-10", True, "2018-v1")
    assert table["watermark"] is None


async def test_an_action_moves_and_goes(world: World) -> None:
    """Recorded in Wan, corrected to Wo, revoked: the table follows each time, and says so in its ETag."""
    await populate(world)
    event = action(household_seq=1)
    fields = {name: getattr(event, name) for name in type(event).model_fields}
    seen: list[tuple[int, int]] = []
    tags: set[str] = set()
    for change in (
        {},
        {"version": 2, "path": path(WO)},
        {"version": 3, "path": path(WO), "status": "revoked"},
    ):
        await world.take_in(action(**(fields | change)))
        answer = await world.get(MONTH)
        tags.add(answer.headers["etag"])
        table = answer.json()
        seen.append((row_of(table, WAN)["figures"]["actions"], row_of(table, WO)["figures"]["actions"]))
    assert seen == [(1, 0), (0, 1), (0, 0)]
    assert len(tags) == 3


async def test_counts_by_managing_unit_not_by_prefix(world: World) -> None:
    """A township run by the zone counts for the zone, and its households are the zone's."""
    await populate(world)
    run_by_zone = path(WAN, 1, unit=ZONE)
    await world.mirror(household(seq, (date(2018, 1, 1), "poor", run_by_zone)) for seq in range(40, 52))
    await world.take_in(action(household_seq=40, path=run_by_zone))
    table = (await world.get(WEEK)).json()
    assert row_of(table, ZONE)["figures"]["actions"] == 1
    assert row_of(table, ZONE)["figures"]["served"] == 12
    assert row_of(table, WAN)["figures"] | {"served": 0, "stock": 0} == dict.fromkeys(row_of(table, WAN)["figures"], 0)


async def test_targets_replace_the_default(world: World) -> None:
    """Two targets: min(2, 10 x 3/5) + min(1, 1 x 3/5) of 6 + 3/5."""
    await populate(world)
    await world.mirror(
        [target(WAN, 10), target(WAN, 1, programme="training"), target(WAN, 5, programme="medical"),
         target(WO, 3, programme="*", metric="households"), target(WAN, 9, status="withdrawn")]
    )  # fmt: skip
    await world.take_in(
        action(household_seq=1), action(household_seq=2), action(household_seq=3, programme="training"),
        action(household_seq=21, path=path(WO)),
    )  # fmt: skip
    table = (await world.get(WEEK)).json()
    completion = row_of(table, WAN)["terms"][0]
    assert (completion["numerator"], completion["denominator"]) == ("13/5", "33/5")
    completion = row_of(table, WO)["terms"][0]
    assert (completion["numerator"], completion["denominator"]) == ("1", "9/5")


async def test_targets_in_every_metric(world: World) -> None:
    """Quantity, money and persons: counted from facts for a programme, from the counters for all of them."""
    await populate(world)
    await world.mirror(
        target(county, 100, programme=code, metric=metric, cadence="day", period="2018-10-10")
        for county, code in ((WAN, "visit"), (WO, "*"))
        for metric in ("actions", "households", "persons", "quantity", "amount_fen")
    )
    people = [UUID(int=5), UUID(int=6)]
    for county, seq in ((WAN, 1), (WO, 21)):
        here = {"path": path(county), "household_seq": seq, "quantity": 7, "amount_fen": 30, "persons": people}
        await world.take_in(
            action(**here), action(**here), action(**here, programme="medical", programme_class="benefit")
        )
    world.clock.advance(timedelta(days=1))
    for county in (WAN, WO):
        address = f"/v1/league-tables/daily/2018-10-10/units/{county}"
        tasks = {task["metric"]: task["done"] for task in (await world.get(address)).json()["tasks"]}
        assert tasks == {"actions": 2, "households": 1, "persons": 4, "quantity": 14, "amount_fen": 60}


async def test_designated_units_stand_apart(world: World) -> None:
    await populate(world)
    await world.mirror([division(WO, "卧龙区", "county", CITY, 2, "unranked", version=2)])
    table = (await world.get(WEEK)).json()
    assert row_of(table, WO)["reason"] == "unranked"


async def test_what_is_not_mirrored_yet_is_shown_apart(world: World) -> None:
    elsewhere = "411328000000"
    await populate(world)
    await world.take_in(action(path=path(elsewhere)))
    assert row_of((await world.get(WEEK)).json(), elsewhere)["reason"] == "unranked"


async def test_townships_and_villages_below_a_division(world: World) -> None:
    await populate(world)
    await world.take_in(action(household_seq=1, path=path(WAN, 2)), action(household_seq=21, path=path(WO)))
    townships = (await world.get(f"{WEEK}?level=township&division={WAN}")).json()
    assert [row["unit"]["code"] for row in townships["rows"]] == [township(WAN)]
    villages = (await world.get(f"{WEEK}?level=village&division={township(WAN)}")).json()
    assert {row["unit"]["code"]: row["figures"]["actions"] for row in villages["rows"] + villages["not_ranked"]} == {
        village(WAN, 1): 0, village(WAN, 2): 1, village(WAN, 3): 0
    }  # fmt: skip
    everywhere = (await world.get(f"{WEEK}?level=village")).json()
    assert len(everywhere["rows"]) + len(everywhere["not_ranked"]) == 12
    assert (await world.get(f"{WEEK}?level=village&division=999999999999")).status_code == 404


async def test_year_adds_up_its_quarters(world: World) -> None:
    """One household twice in the year counts once; the sums count twice."""
    await populate(world)
    await world.take_in(
        action(household_seq=1, amount_fen=3),
        action(household_seq=1, amount_fen=4, occurred_at=NOW - timedelta(days=120)),
        action(household_seq=1, occurred_at=NOW - timedelta(days=400)),
    )
    figures = row_of((await world.get("/v1/league-tables/yearly/2018")).json(), WAN)["figures"]
    assert (figures["actions"], figures["amount_fen"], figures["households"]) == (2, 7, 1)


async def test_denominators_are_those_of_the_day_read_for(world: World) -> None:
    """Closed periods: as of their last day; the running one: as of today, not of what comes after."""
    await populate(world)
    await world.mirror(
        household(seq, (date(2018, 9, 30), "poor", path(WAN)), (date(2018, 10, 11), "poor", path(WO)))
        for seq in (60, 61)
    )
    september = row_of((await world.get("/v1/league-tables/monthly/2018-09")).json(), WAN)["figures"]["served"]
    august = row_of((await world.get("/v1/league-tables/monthly/2018-08")).json(), WAN)["figures"]["served"]
    october = row_of((await world.get(MONTH)).json(), WAN)["figures"]["served"]
    world.clock.advance(timedelta(days=1))
    tomorrow = row_of((await world.get(MONTH)).json(), WAN)["figures"]["served"]
    assert (august, september, october, tomorrow) == (20, 22, 22, 20)


async def test_sectors(world: World) -> None:
    """Health: the county's target 4 and none of the city's own; timeliness on a sample of 5 of 35 served."""
    await populate(world)
    month = {"cadence": "month", "period": "2018-10", "programme": "medical", "metric": "households"}
    await world.mirror([target(WAN, 4, **month), target(CITY, 400, **month)])
    medical = {"programme": "medical", "programme_class": "benefit", "sector": "health"}
    await world.take_in(
        action(household_seq=1, **medical), action(household_seq=21, path=path(WO), **medical), action(household_seq=2)
    )
    world.clock.advance(timedelta(days=30))  # October is over: the whole is due
    table = (await world.get(f"{MONTH}?level=sector")).json()
    (health,) = table["rows"]
    assert health["unit"] == {"code": "health", "name": "health", "peer_group": "sectors"}
    assert [(t["numerator"], t["denominator"], t["sample"]) for t in health["terms"]] == [
        ("1", "4", "1"), ("2", "2", "2/5")
    ]  # fmt: skip
    assert Fraction(health["terms"][0]["points"]) == Fraction(70, 4)
    assert health["score"] == "29.50"
    assert [(cell["sector"], cell["unit"], cell["score"]) for cell in table["matrix"]] == [
        ("health", WAN, "23.50"), ("health", WO, "20.00")
    ]  # fmt: skip
    explained = (await world.get(f"{MONTH}/units/health?level=sector")).json()
    assert {each["managing_unit"] for each in explained["actions"]} == {WAN, WO}


async def test_etag(world: World) -> None:
    await populate(world)
    answer = await world.get(WEEK)
    tag = answer.headers["etag"]
    again = await world.get(WEEK, **{"If-None-Match": f'"other", W/{tag}'})
    assert (again.status_code, again.content) == (304, b"")
    await world.take_in(action())
    assert (await world.get(WEEK, **{"If-None-Match": tag})).status_code == 200


async def test_a_new_day_is_a_new_version(world: World) -> None:
    """While the period runs: what is due grows although nothing was recorded."""
    await populate(world)
    before = await world.get(WEEK)
    world.clock.advance(timedelta(days=1))
    after = await world.get(WEEK)
    assert before.headers["etag"] != after.headers["etag"]
    assert row_of(after.json(), WAN)["terms"][0]["denominator"] == "8"


WRONG = [
    (f"{WEEK}?edition=latest", 404, "no_edition"),
    (f"{WEEK}?edition=3", 404, "no_edition"),
    (f"{WEEK}?edition=0", 422, "invalid_request"),
    (f"{WEEK}?rule_set=none", 422, "invalid_request"),
    (f"{WEEK}?rule_set=a&rule_set=b", 422, "invalid_request"),
    (f"{WEEK}?level=city", 422, "invalid_request"),
    (f"{WEEK}?division=4113", 422, "invalid_request"),
    (f"{WEEK}?division=999999999999", 404, "not_found"),
    ("/v1/league-tables/weekly/2018-10", 422, "invalid_request"),
    ("/v1/league-tables/weekly/2018-W54", 422, "invalid_request"),
    ("/v1/league-tables/daily/2018-02-30", 422, "invalid_request"),
    ("/v1/league-tables/hourly/2018-W41", 422, "invalid_request"),
    (f"{WEEK}/units/999999999999", 404, "not_found"),
    (f"{WEEK}/units/%00", 404, "not_found"),
    (f"{WEEK}/units/{WAN}?cursor=abc", 400, "malformed_request"),
    (f"{WEEK}/units/{WAN}?limit=501", 422, "invalid_request"),
    (f"{WEEK}/stream?division=999999999999", 404, "not_found"),
]


async def test_wrong_requests(world: World) -> None:
    await populate(world)
    for address, status, code in WRONG:
        answer = await world.get(address)
        assert (answer.status_code, answer.json()["code"]) == (status, code), address


async def test_nobody_reads_without_a_key(world: World) -> None:
    for address in (WEEK, f"{WEEK}/units/{WAN}", f"{WEEK}/stream", "/v1/notices/daily/2018-10-10", "/v1/rule-sets"):
        assert (await world.client.get(address)).status_code == 401


async def test_a_row_explained(world: World) -> None:
    """The actions behind it page by page, each once."""
    await populate(world)
    sent = [action(household_seq=seq, occurred_at=NOW - timedelta(hours=seq)) for seq in range(1, 8)]
    await world.take_in(*sent, action(household_seq=9, status="revoked"), action(path=path(WO), household_seq=21))
    found: list[str] = []
    address: str | None = f"{WEEK}/units/{WAN}?limit=3"
    while address is not None:
        answer = await world.get(address)
        body = answer.json()
        found += [each["action_id"] for each in body["actions"]]
        address = answer.links["next"]["url"] if "next" in answer.links else None
    assert sorted(found) == sorted(str(event.id) for event in sent)
    assert len(found) == len(set(found))
    assert body["row"]["rank"] == 1
    assert (body["min_sample"], body["min_served"]) == ("5", 10)
    assert body["tasks"] == [
        {"unit": WAN, "programme": "*", "metric": "households", "done": 7, "whole_due": "10", "due": "6",
         "by_target": False}
    ]  # fmt: skip
    terms = {term["indicator"]: term for term in body["explained"]}
    assert terms["completion"]["ratio"] == "1"
    assert terms["satisfaction"]["ratio"] is None
    weights = sum(term["weight"] for term in body["explained"] if term["ratio"] is not None)
    points = sum(100 * term["weight"] * Fraction(term["ratio"] or 0) / weights for term in body["explained"])
    assert f"{float(points):.2f}" == body["row"]["score"]


async def test_a_row_that_is_not_ranked_says_why(world: World) -> None:
    await populate(world)
    assert (await world.get(f"{WEEK}/units/{XI}")).json()["row"]["reason"] == "min_served"


async def test_scope_bounds_actions_and_villages(world: World) -> None:
    """Aggregates are open; the actions behind them and villages are seen within one's divisions only."""
    await populate(world)
    mine, theirs = action(household_seq=1), action(household_seq=21, path=path(WO))
    await world.take_in(mine, theirs)
    headers = await world.key(WAN)

    async def get(address: str) -> Any:
        answer = await world.client.get(address, headers=headers)
        return answer.json() if answer.status_code == 200 else answer.status_code

    table = await get(WEEK)
    assert {row["unit"]["code"] for row in table["rows"]} == {WAN, WO}
    assert [each["action_id"] for each in (await get(f"{WEEK}/units/{WAN}"))["actions"]] == [str(mine.id)]
    assert (await get(f"{WEEK}/units/{WO}"))["row"]["figures"]["actions"] == 1
    assert (await get(f"{WEEK}/units/{WO}"))["actions"] == []
    villages = await get(f"{WEEK}?level=village")
    assert {row["unit"]["code"] for row in villages["rows"] + villages["not_ranked"]} == {
        village(WAN, number) for number in (1, 2, 3)
    }
    assert (await get(f"{WEEK}/units/{village(WAN)}?level=village"))["row"]["unit"]["code"] == village(WAN)
    assert await get(f"{WEEK}/units/{village(WO)}?level=village") == 404


async def test_actions_without_village_count_for_the_county(world: World) -> None:
    """Facility and county actions have no village; their county has them all the same."""
    await populate(world)
    await world.take_in(
        action(path=Path(city=CITY, county=WAN, managing_unit=WAN), household_id=None, household_seq=None)
    )
    figures = row_of((await world.get(WEEK)).json(), WAN)["figures"]
    assert (figures["actions"], figures["households"]) == (1, 0)

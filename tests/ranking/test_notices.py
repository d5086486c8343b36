"""The daily notice over HTTP, with figures computed by hand."""

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from services.ranking.app import build
from tests.ranking.test_tables import populate
from tests.ranking.world import NOW, WAN, WO, XI, World, action, path, target

TODAY = "/v1/notices/daily/2018-10-10"
YESTERDAY = NOW - timedelta(days=1)
LAST_YEAR = datetime(2017, 12, 31, 4, tzinfo=UTC)


def county(notice: dict[str, Any], code: str) -> dict[str, Any]:
    found: dict[str, Any] = next(line for line in notice["counties"] if line["unit"]["code"] == code)
    return found


async def test_notice_by_hand(world: World) -> None:
    """Two new in Wan and one in Wo; one yesterday; one on Monday that was reported today, two days late."""
    await populate(world)
    monday = NOW - timedelta(days=2)
    await world.take_in(
        action(household_seq=1, amount_fen=150),
        action(household_seq=2),
        action(household_seq=21, path=path(WO)),
        action(household_seq=1, occurred_at=YESTERDAY, first_recorded_at=YESTERDAY),
        action(household_seq=3, occurred_at=monday, first_recorded_at=NOW),
        action(household_seq=4, occurred_at=LAST_YEAR, first_recorded_at=LAST_YEAR),
        action(household_seq=5, occurred_at=LAST_YEAR, first_recorded_at=NOW, programme_class="benefit"),
    )
    answer = await world.get(TODAY)
    assert answer.status_code == 200
    notice = answer.json()
    city = notice["city"]
    assert (city["new"]["actions"], city["new"]["households"], city["new"]["amount_fen"]) == (3, 3, 150)
    assert (city["change"]["actions"], city["cumulative"]["actions"], city["cumulative"]["households"]) == (2, 5, 4)
    assert city["late_reports"] == 1
    wan = county(notice, WAN)
    assert (wan["new"]["actions"], wan["cumulative"]["actions"], wan["late_reports"]) == (2, 4, 1)
    assert (wan["cumulative"]["households"], wan["cumulative"]["on_time"]) == (3, 3)
    week, month = wan["tasks"]
    assert (week["period"], week["done"], week["due"], week["remaining"]) == ("2018-W41", "3", "10", "7")
    assert (week["share_done"], week["time_progress"], week["behind"]) == ("3/10", "3/5", True)
    assert (month["done"], month["due"], month["time_progress"], month["behind"]) == ("3", "20", "1/6", True)
    assert county(notice, XI)["reason"] == "min_served"
    assert notice["best"] == notice["worst"] == [], "three units are too few to name best and worst"
    assert [line["unit"]["code"] for line in notice["counties"]][:3] == [WAN, WO, XI]


async def test_text_says_what_the_figures_say(world: World) -> None:
    await populate(world)
    await world.take_in(action(household_seq=1, amount_fen=123456), action(household_seq=21, path=path(WO)))
    chinese = (await world.get(TODAY)).json()["text"]
    assert "南阳市扶贫领域日通报(2018年10月10日)" in chinese
    assert "当日新增帮扶行动2次,覆盖2户、0人次,涉及资金1234.56元;帮扶行动较前一日增加2次" in chinese
    assert "1. 宛城区:新增1次、覆盖1户,本年累计1次、覆盖1户;本周任务完成10.0%,剩余9,时间进度60.0%,滞后" in chinese
    english = await world.get(TODAY, **{"Accept-Language": "en"})
    assert english.headers["content-language"] == "en"
    assert "New today: 2 actions reaching 2 households" in english.json()["text"]
    assert english.headers["etag"] != (await world.get(TODAY)).headers["etag"]


async def test_targets_of_the_running_month(world: World) -> None:
    """A target takes the place of the default; the week keeps its own."""
    await populate(world)
    await world.mirror([target(WAN, 4, cadence="month", period="2018-10", metric="actions")])
    await world.take_in(*(action(household_seq=seq) for seq in range(1, 7)))
    week, month = county((await world.get(TODAY)).json(), WAN)["tasks"]
    assert (week["done"], month["done"], month["due"], month["remaining"]) == ("6", "4", "4", "0")


async def test_best_and_worst(world: World) -> None:
    """Six ranked units: three best, three worst, and nobody is both."""
    from tests.ranking.world import CITY, division, household

    await populate(world)
    codes = [f"4113{number}000000" for number in range(24, 30)]
    await world.mirror(division(code, f"县{code[4:6]}", "county", CITY, int(code[4:6])) for code in codes)
    seq = 100
    for rank, code in enumerate(codes):
        await world.mirror(household(number, (date(2018, 1, 1), "poor", path(code))) for number in range(seq, seq + 10))
        late = timedelta(hours=30)
        await world.take_in(
            *(action(household_seq=seq + n, path=path(code), first_recorded_at=NOW + (late if n < rank else -late * 0))
              for n in range(5))
        )  # fmt: skip
        seq += 10
    notice = (await world.get(TODAY)).json()
    assert [unit["code"] for unit in notice["best"]] == codes[:3]
    assert [unit["code"] for unit in notice["worst"]] == codes[3:]
    assert "先进:县24(100.00)、县25(80.00)、县26(60.00)。后进:县27(40.00)、县28(20.00)、县29(0.00)。" in notice["text"]


async def test_a_late_report_raises_the_notice_of_the_day_it_came_in(world: World) -> None:
    """It belongs to another day, week and year, and still changes what today's notice says."""
    await populate(world)
    before = await world.get(TODAY)
    await world.take_in(action(occurred_at=LAST_YEAR - timedelta(days=400), first_recorded_at=NOW))
    after = await world.get(TODAY)
    assert before.headers["etag"] != after.headers["etag"]
    assert after.json()["city"]["late_reports"] == 1


async def test_not_modified_and_wrong_days(world: World) -> None:
    await populate(world)
    tag = (await world.get(TODAY)).headers["etag"]
    assert (await world.get(TODAY, **{"If-None-Match": tag})).status_code == 304
    for wrong in ("2018-02-30", "0000-00-00", "today", "2018-W41"):
        answer = await world.get(f"/v1/notices/daily/{wrong}")
        assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, "path:date")


async def test_demonstration_is_marked_everywhere(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    await populate(world)
    marked, _ = build(world.runtime.settings.model_copy(update={"demonstration": True}), "api", world.clock)
    monkeypatch.setattr(world.client._transport, "app", marked)
    notice = (await world.get(TODAY)).json()
    assert notice["watermark"] == "演示数据"
    assert notice["text"].startswith("【演示数据】")
    assert (await world.get("/v1/league-tables/weekly/2018-W41")).json()["watermark"] == "演示数据"
    assert (await world.get(f"/v1/league-tables/weekly/2018-W41/units/{WAN}")).json()["watermark"] == "演示数据"
    assert "演示数据" in (await world.get("/openapi.json")).json()["info"]["description"]
    await marked.state.runtime.database.close()

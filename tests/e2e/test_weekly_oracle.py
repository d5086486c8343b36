"""A stranger recomputes the weekly table to the last digit from what the services publish (issue 2, "It must show")."""

import json
import random
import subprocess
import sys
from datetime import datetime, time, timedelta
from pathlib import Path

import pytest

from tests.e2e.city import JSONL, SHANGHAI, City, Json, now, periods, today, visit

pytestmark = pytest.mark.xdist_group("city")
ROOT = Path(__file__).resolve().parents[2]
CALENDAR = ROOT / "services" / "ranking" / "periods" / "working_days.json"
MEASURES = ("actions", "households", "persons", "amount_fen", "served")


@pytest.fixture(scope="module")
def busy_city(city: City) -> City:
    """Two weeks of actions in every county: late and timely, verified and not, corrected and revoked, with targets."""
    chance = random.Random(2018)
    counties = [unit["code"] for unit in city.get("registry", "/v1/divisions", level="county", limit="500")["items"]]
    villages = [village for county in counties for village in city.villages(county)]
    homes = city.households(villages, 12) + city.households(villages[:3], 12, "exited_supported")
    homes += city.households(villages, 2, "ordinary")
    city.wait_until_quiet()
    lines = [visit(home, **_variety(chance)) for home in chance.choices(homes, k=300)]
    client = city.client("assistance")
    answer = client.post("/v1/actions/bulk", content="\n".join(map(json.dumps, lines)), headers={"Content-Type": JSONL})
    assert answer.json()["counts"]["created"] == len(lines), answer.text
    listed = client.get("/v1/actions", params={"limit": "500", "source_system": "test-office"}).json()["items"]
    ours = [action for action in listed if action["external_id"] in {line["external_id"] for line in lines}]
    _change(city, chance.sample(ours, 60))
    for county, programme, metric, due in (
        (counties[0], "*", "actions", 30),
        (counties[0], "visit", "households", 7),
        (counties[1], "*", "amount_fen", 90_000),
        (counties[2], "visit", "quantity", 11),
    ):
        for week in _weeks():
            target = {"unit": county, "programme": programme, "cadence": "week", "period": week, "metric": metric}
            answer = city.post("assistance", "/v1/targets", {**target, "due": due, "deadline": today().isoformat()})
            assert answer.status_code == 201, answer.text
    city.wait_until_quiet()
    return city


def _weeks() -> tuple[str, str]:
    """The week that is over, and the one that runs."""
    return periods(today() - timedelta(days=7))["weekly"], periods(today())["weekly"]


def _variety(chance: random.Random) -> Json:
    """Happened within the last fortnight, half of them in the week that runs, however young it is."""
    monday = datetime.combine(today() - timedelta(days=today().weekday()), time(), SHANGHAI)
    occurred_at = now() - chance.random() * chance.choice([now() - monday, timedelta(days=14)])
    return {
        "occurred_at": occurred_at.isoformat(),
        "amount_fen": chance.choice([0, 0, 12_345]),
        "quantity": chance.randint(1, 3),
    }


def _change(city: City, actions: list[Json]) -> None:
    """Verify a third, revoke a third, correct a third."""
    reviewer = city.issue_key("reviewer")
    city.wait_until_quiet()  # the key is known to the ledger
    client, review = city.client("assistance"), city.client("assistance", reviewer)
    for i, action in enumerate(actions):
        path, version = f"/v1/actions/{action['id']}", {"If-Match": '"1"'}
        if i % 3 == 0:
            answer = review.post(f"{path}/verification", json={}, headers=version)
        elif i % 3 == 1:
            answer = client.post(f"{path}/revocation", json={"reason": "x"}, headers=version)
        else:
            content = {name: action[name] for name in ("programme", "kind", "occurred_at", "details")}
            moved = {"household": {"number": actions[0]["household"]["number"]}, "amount_fen": 777, "reason": "x"}
            answer = client.post(f"{path}/corrections", json=content | moved, headers=version)
        assert answer.status_code in (200, 201), answer.text


@pytest.mark.parametrize("which", [0, 1], ids=["closed", "running"])
def test_a_stranger_gets_the_same_weekly_table(busy_city: City, which: int) -> None:
    """Ranks, scores and figures; the running week's dues are scaled by working days."""
    week = _weeks()[which]
    command = [sys.executable, "tests/oracle/weekly.py", week, "--calendar", str(CALENDAR)]
    command += ["--key", busy_city.stack.api_key]
    command += ["--registry", busy_city.url("registry"), "--assistance", busy_city.url("assistance")]
    ran = subprocess.run(command, cwd=ROOT, env={}, capture_output=True, text=True, check=True)
    table = busy_city.get("ranking", f"/v1/league-tables/weekly/{week}")
    assert any(row["score"] not in ("0.00", "100.00") for row in table["rows"]), "a table worth recomputing"
    assert json.loads(ran.stdout) == [_shown(line) for line in (*table["rows"], *table["not_ranked"])]


def _shown(line: Json) -> Json:
    figures = {name: line["figures"][name] for name in MEASURES}
    return {"unit": line["unit"]["code"], "rank": line["rank"], "score": line["score"], **figures}

"""The weekly table computed anew, by a stranger: no code of the project, only what it publishes.

    python tests/oracle/weekly.py 2018-W40 --registry http://... --assistance http://... --key bf_...

It reads `/v1/actions` and `/v1/targets` of assistance, `/v1/statistics/poverty` and `/v1/divisions` of registry, and
prints the table. Rules: ranking.md, "What counts" and "Score", with the rule set 2018-v1. Satisfaction (weight 10) has
no source yet, nor have deductions. Targets are taken to be of help programmes.
"""

import argparse
import json
from collections.abc import Iterator
from datetime import date, datetime, timedelta
from fractions import Fraction
from pathlib import Path
from typing import Any
from urllib.parse import urlencode
from urllib.request import Request, urlopen
from zoneinfo import ZoneInfo

SHANGHAI, DAY, ZERO = ZoneInfo("Asia/Shanghai"), timedelta(days=1), Fraction(0)
WEIGHTS = {"completion": 40, "quality": 30, "timeliness": 20}
Row = dict[str, Any]


def read(base: str, key: str, path: str, **query: str) -> Iterator[Row]:
    """Every item of a list, page by page; or the one object that is there."""
    while True:
        request = Request(f"{base}{path}?{urlencode(query)}", headers={"Authorization": f"Bearer {key}"})
        with urlopen(request, timeout=60) as answer:
            page = json.load(answer)
        yield from page.get("items", [page])
        if not page.get("next_cursor"):
            return
        query["cursor"] = page["next_cursor"]


def done(actions: list[Row], metric: str, programme: str = "*") -> int:
    """What actions add up to; a household counts once."""
    those = [a for a in actions if programme in ("*", a["programme"])]
    if metric == "households":
        return len({a["household"]["id"] for a in those if a["household"]})
    return sum((1 if metric == "actions" else len(a["persons"]) if metric == "persons" else a[metric]) for a in those)


def is_on_time(action: Row) -> bool:
    recorded, occurred = (datetime.fromisoformat(action[name]) for name in ("first_recorded_at", "occurred_at"))
    return timedelta(0) <= recorded - occurred <= DAY


def score(actions: list[Row], targets: list[Row], served: int, progress: Fraction) -> Fraction | None:
    """The exact score of a unit; None where nothing applies."""
    tasks = [(done(actions, t["metric"], t["programme"]), t["due"] * progress) for t in targets]
    tasks = tasks or [(done(actions, "households"), served * progress / 2)]
    ratios = {}
    if due := sum((due for _, due in tasks), ZERO):
        ratios["completion"] = sum((min(Fraction(made), due) for made, due in tasks), ZERO) / due
    if total := len(actions):
        sample = min(Fraction(1), total / max(Fraction(5), Fraction(served, 100)))
        ratios["quality"] = Fraction(sum(1 for a in actions if a["verified_at"]), total) * sample
        ratios["timeliness"] = Fraction(sum(map(is_on_time, actions)), total) * sample
    weight = sum(WEIGHTS[name] for name in ratios)
    return sum((100 * WEIGHTS[name] * ratio / weight for name, ratio in ratios.items()), ZERO) if ratios else None


def weekly(week: str, registry: str, assistance: str, key: str, today: date, calendar: dict[str, Any]) -> list[Row]:
    """The county table of a week: ranked ones first, best first, then the others in official order."""
    days = [date.fromisocalendar(int(week[:4]), int(week[6:]), day) for day in range(1, 8)]
    first, last, as_of = str(days[0]), str(days[6]), str(min(today, days[6]))
    actions = list(read(assistance, key, "/v1/actions", limit="500", occurred_from=first, occurred_to=last))
    assert all(
        first <= str(datetime.fromisoformat(a["occurred_at"]).astimezone(SHANGHAI))[:10] <= last for a in actions
    )
    actions = [a for a in actions if a["class"] == "help" and a["status"] == "recorded"]
    targets = list(read(assistance, key, "/v1/targets", limit="500", cadence="week", period=week, status="active"))
    [poverty] = read(registry, key, "/v1/statistics/poverty", as_of=as_of)
    served = {unit["code"]: unit["served_households"] for unit in poverty["below"]}
    rows = []
    for unit in read(registry, key, "/v1/divisions", limit="500", level="county", as_of=as_of):
        code, apart = unit["code"], any(d["kind"] == "unranked" for d in unit["designations"])
        mine, theirs = (
            [a for a in actions if a["path"]["managing_unit"] == code],
            [t for t in targets if t["unit"] == code],
        )
        exact = score(mine, theirs, served[code], time_progress(days, today, calendar))
        points = None if exact is None else int(exact * 100 + Fraction(1, 2))
        row = {"unit": code, "rank": None, "score": None if points is None else f"{points // 100}.{points % 100:02}"}
        row |= {name: done(mine, name) for name in ("actions", "households", "persons", "amount_fen")}
        rows.append((-1 if points is None or apart or served[code] < 10 else points, unit["sort_order"], row))
    rows.sort(key=lambda entry: (-entry[0], entry[1]))
    for points, _, row in rows:
        row["rank"] = None if points < 0 else 1 + sum(better > points for better, _, _ in rows)
    return [row | {"served": served[row["unit"]]} for _, _, row in rows]


def time_progress(days: list[date], today: date, calendar: dict[str, Any]) -> Fraction:
    """Working days gone by of all, today included; 1 when the week is over."""
    off = [day for day in days if any(a <= str(day) <= b for a, b in calendar["holidays"])]
    worked = [day for day in days if day not in off and (day.weekday() < 5 or str(day) in calendar["working_weekends"])]
    gone = sum(day <= today for day in worked)
    return Fraction(1) if today > days[6] else Fraction(gone, len(worked) or 1)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Recompute a weekly league table from what is published.")
    parser.add_argument("week")
    for option in ("--registry", "--assistance", "--key"):
        parser.add_argument(option, required=True)
    parser.add_argument(
        "--calendar", type=Path, help="JSON: holidays [[first, last]], working_weekends; for a running week"
    )
    given = parser.parse_args()
    known = json.loads(given.calendar.read_text()) if given.calendar else {"holidays": [], "working_weekends": []}
    table = weekly(given.week, given.registry, given.assistance, given.key, datetime.now(SHANGHAI).date(), known)
    print(json.dumps(table, indent=1))

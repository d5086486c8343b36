"""Decisions about targets: pure values in, values out."""

import re
from collections.abc import Collection
from datetime import date, timedelta

from services.assistance.targets.schemas import TargetIn
from shared.contracts.programme import Cadence
from shared.errors import Fault, fault

_FORMS: dict[Cadence, re.Pattern[str]] = {
    "day": re.compile(r"(\d{4})-(\d\d)-(\d\d)", re.ASCII),
    "week": re.compile(r"(\d{4})-W(\d\d)", re.ASCII),
    "month": re.compile(r"(\d{4})-(\d\d)", re.ASCII),
    "quarter": re.compile(r"(\d{4})-Q([1-4])", re.ASCII),
    "year": re.compile(r"(\d{4})", re.ASCII),
}
EVERY_PROGRAMME = "*"


def first_day(cadence: Cadence, period: str) -> date | None:
    """The first day of a period; None when the id is none of that cadence (ranking.md, "Faces")."""
    match = _FORMS[cadence].fullmatch(period)
    if match is None:
        return None
    numbers = [int(group) for group in match.groups()]
    if not 2010 <= numbers[0] <= 2200:
        return None
    try:
        match cadence:
            case "day":
                return date(*numbers)
            case "week":
                return date.fromisocalendar(numbers[0], numbers[1], 1)
            case "month":
                return date(numbers[0], numbers[1], 1)
            case "quarter":
                return date(numbers[0], 3 * numbers[1] - 2, 1)
            case "year":
                return date(numbers[0], 1, 1)
    except ValueError:
        return None


def target_faults(target: TargetIn, *, programmes: Collection[str]) -> list[Fault]:
    """What is wrong with a target, its unit apart."""
    found: list[Fault] = []
    if target.programme != EVERY_PROGRAMME and target.programme not in programmes:
        found.append(fault("/programme", "unknown_programme", "no such programme", "帮扶项目不存在"))
    start = first_day(target.cadence, target.period)
    if start is None:
        found.append(fault("/period", "period", f"not the id of a {target.cadence}", "期次与周期不符"))
    elif target.deadline < start:
        found.append(fault("/deadline", "range", "lies before the period", "期限早于期次开始"))
    elif target.deadline > start + timedelta(days=800):
        found.append(fault("/deadline", "range", "lies long after the period", "期限过晚"))
    return found

"""The notice in words, composed from its figures alone. Pure."""

from collections.abc import Sequence
from fractions import Fraction
from math import ceil

from services.ranking.indicators.rules import round_half_up, two_places
from services.ranking.notices.rules import CountyLine, Notice, RunningTask
from services.ranking.tables.rules import Ranked
from shared.contracts.programme import Cadence
from shared.errors import Language

_PERIOD_ZH: dict[Cadence, str] = {"day": "本日", "week": "本周", "month": "本月", "quarter": "本季", "year": "本年"}


def text_of(notice: Notice, language: Language, watermark: str | None) -> str:
    """The whole text; the watermark stands first and last."""
    lines = _english(notice) if language == "en" else _chinese(notice)
    marked = [f"【{watermark}】", *lines, f"【{watermark}】"] if watermark else lines
    return "\n".join(marked)


def _chinese(notice: Notice) -> list[str]:
    day, new, before = notice.day, notice.new, notice.day_before
    lines = [
        f"{notice.city}扶贫领域日通报({day.year}年{day.month}月{day.day}日)",
        f"一、总体情况。当日新增帮扶行动{new.actions}次,覆盖{new.households}户、{new.persons}人次,"
        f"涉及资金{_yuan(new.amount_fen)}元;帮扶行动{_change_zh(new.actions - before.actions)}。"
        f"本年累计{notice.cumulative.actions}次,覆盖{notice.cumulative.households}户。",
        "二、县区情况。",
        *(_county_zh(number, line) for number, line in enumerate(notice.counties, start=1)),
    ]
    if notice.best:
        lines.append(f"三、先进与后进。先进:{_names(notice.best, '、')}。")
        if notice.worst:
            lines[-1] += f"后进:{_names(notice.worst, '、')}。"
    else:
        lines.append("三、先进与后进。参评单位不足,不列先进与后进。")
    lines.append(f"四、迟报情况。当日录入的行动中超过24小时的{notice.late_reports}次{_late_zh(notice.counties)}。")
    return lines


def _county_zh(number: int, line: CountyLine) -> str:
    tasks = "".join(f";{_task_zh(task)}" for task in line.tasks)
    return (
        f"{number}. {line.unit.name}:新增{line.new.actions}次、覆盖{line.new.households}户,"
        f"本年累计{line.cumulative.actions}次、覆盖{line.cumulative.households}户{tasks}。"
    )


def _task_zh(task: RunningTask) -> str:
    return (
        f"{_PERIOD_ZH[task.period.cadence]}任务完成{percent(task.share_done)},剩余{ceil(task.remaining)},"
        f"时间进度{percent(task.time_progress)}{',滞后' if task.behind else ''}"
    )


def _change_zh(change: int) -> str:
    if change == 0:
        return "与前一日持平"
    return f"较前一日{'增加' if change > 0 else '减少'}{abs(change)}次"


def _late_zh(counties: Sequence[CountyLine]) -> str:
    late = [f"{line.unit.name}{line.late_reports}次" for line in counties if line.late_reports]
    return f"({'、'.join(late)})" if late else ""


def _english(notice: Notice) -> list[str]:
    new, before = notice.new, notice.day_before
    lines = [
        f"{notice.city}: daily notice of {notice.day.isoformat()}",
        f"1. The city. New today: {new.actions} actions reaching {new.households} households, {new.persons} "
        f"person-times, {_yuan(new.amount_fen)} yuan; {new.actions - before.actions:+} actions on the day before. "
        f"This year: {notice.cumulative.actions} actions, {notice.cumulative.households} households.",
        "2. The counties.",
        *(_county_en(number, line) for number, line in enumerate(notice.counties, start=1)),
    ]
    if notice.best:
        worst = f" Worst: {_names(notice.worst, ', ')}." if notice.worst else ""
        lines.append(f"3. Best: {_names(notice.best, ', ')}.{worst}")
    else:
        lines.append("3. Too few units are ranked to name best and worst.")
    late = [f"{line.unit.name} {line.late_reports}" for line in notice.counties if line.late_reports]
    lines.append(f"4. Reported late (after 24 hours): {notice.late_reports}{' - ' + ', '.join(late) if late else ''}.")
    return lines


def _county_en(number: int, line: CountyLine) -> str:
    tasks = "".join(f"; {_task_en(task)}" for task in line.tasks)
    return (
        f"{number}. {line.unit.name}: {line.new.actions} new, {line.new.households} households; this year "
        f"{line.cumulative.actions}, {line.cumulative.households} households{tasks}."
    )


def _task_en(task: RunningTask) -> str:
    return (
        f"{task.period.cadence} {percent(task.share_done)} done, {ceil(task.remaining)} left, "
        f"time {percent(task.time_progress)}{', behind' if task.behind else ''}"
    )


def _names(rows: Sequence[Ranked], separator: str) -> str:
    return separator.join(f"{row.standing.unit.name}({_points(row)})" for row in rows)


def _points(row: Ranked) -> str:
    points = row.standing.score.hundredths
    return "" if points is None else two_places(points)


def _yuan(fen: int) -> str:
    sign = "-" if fen < 0 else ""
    return f"{sign}{two_places(abs(fen))}"


def percent(share: Fraction) -> str:
    """A share in percent, rounded half up to one place."""
    tenths = round_half_up(share * 1000)
    return f"{tenths // 10}.{tenths % 10}%"

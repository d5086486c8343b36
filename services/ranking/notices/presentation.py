"""From a composed notice to its HTTP shape."""

from dataclasses import fields

from services.ranking.facts.rules import Counters
from services.ranking.indicators.rules import exact, two_places
from services.ranking.notices.rules import CountyLine, Notice, RunningTask
from services.ranking.notices.schemas import CityBody, CountersBody, CountyBody, DailyNotice, RunningTaskBody
from services.ranking.notices.text import text_of
from services.ranking.tables.presentation import WATERMARK
from services.ranking.tables.rules import Ranked
from services.ranking.tables.schemas import UnitBody
from services.ranking.tables.units import Unit
from shared.errors import Language


def present(notice: Notice, version: str, language: Language, demonstration: bool) -> DailyNotice:
    """A notice as it is published."""
    watermark = WATERMARK if demonstration else None
    ranks = {row.standing.unit.code: row for row in notice.table.rows}
    return DailyNotice(
        date=notice.day,
        version=version,
        rule_set=notice.table.rules.code,
        watermark=watermark,
        city=CityBody(
            name=notice.city,
            new=counters(notice.new),
            change=_change(notice.new, notice.day_before),
            cumulative=counters(notice.cumulative),
            late_reports=notice.late_reports,
        ),
        counties=[_county(line, ranks.get(line.unit.code), notice) for line in notice.counties],
        best=[unit(row.standing.unit) for row in notice.best],
        worst=[unit(row.standing.unit) for row in notice.worst],
        text=text_of(notice, language, watermark),
    )


def counters(counted: Counters) -> CountersBody:
    """Counters as published."""
    return CountersBody(**{field.name: getattr(counted, field.name) for field in fields(Counters)})


def unit(ranked: Unit) -> UnitBody:
    """A unit as published."""
    return UnitBody(code=ranked.code, name=ranked.name, peer_group=ranked.peer_group)


def _change(today: Counters, before: Counters) -> CountersBody:
    return CountersBody(
        **{field.name: getattr(today, field.name) - getattr(before, field.name) for field in fields(Counters)}
    )


def _county(line: CountyLine, row: Ranked | None, notice: Notice) -> CountyBody:
    standing = notice.table.standing(line.unit.code)
    points = standing.score.hundredths if standing is not None else None
    return CountyBody(
        unit=unit(line.unit),
        rank=None if row is None else row.rank,
        score=None if points is None else two_places(points),
        reason=None if standing is None else standing.reason,
        new=counters(line.new),
        cumulative=counters(line.cumulative),
        tasks=[_task(task) for task in line.tasks],
        late_reports=line.late_reports,
    )


def _task(task: RunningTask) -> RunningTaskBody:
    return RunningTaskBody(
        cadence=task.period.cadence,
        period=task.period.id,
        done=exact(task.done),
        due=exact(task.due),
        remaining=exact(task.remaining),
        share_done=exact(task.share_done),
        time_progress=exact(task.time_progress),
        behind=task.behind,
    )

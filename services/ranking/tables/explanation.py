"""Explains a row of a table to its last term."""

from collections.abc import Sequence
from datetime import date
from typing import Any
from uuid import UUID

from services.ranking.facts import service as facts
from services.ranking.indicators.rules import Term, exact
from services.ranking.tables.assembly import TableKey
from services.ranking.tables.live import Snapshot
from services.ranking.tables.presentation import WATERMARK, not_ranked_body, row_body, term_figures, working_days
from services.ranking.tables.rules import Standing
from services.ranking.tables.schemas import ActionBody, ExplainedTermBody, Explanation, TaskBody
from shared.db import Pg

FORMULA = (
    "score = 100 x sum(weight x ratio) / sum(weight of applicable terms) - deductions, at least 0, "
    "rounded half up to 2 places"
)


def cursor_key(action: ActionBody) -> list[str]:
    """What a cursor holds: the last action of a page."""
    return [action.day.isoformat(), str(action.action_id)]


def read_cursor(key: Sequence[Any]) -> tuple[date, UUID]:
    """The last action of the page before."""
    return date.fromisoformat(key[0]), UUID(key[1])


async def actions_behind(
    pg: Pg, key: TableKey, code: str, scope: Sequence[str], after: tuple[date, UUID] | None, limit: int
) -> list[ActionBody]:
    """The counted actions behind a row that lie within a scope, by day and id."""
    rows = await facts.behind(
        pg,
        level=key.level,
        unit=code,
        programme_class="benefit" if key.level == "sector" else "help",
        period=key.period,
        scope=scope,
        after=after,
        limit=limit,
    )
    return [ActionBody(**dict(row)) for row in rows]


def explain(
    snapshot: Snapshot, line: Standing, actions: Sequence[ActionBody], next_cursor: str | None, demonstration: bool
) -> Explanation:
    """A row in words and exact figures."""
    table = snapshot.table
    row = next((row_body(row) for row in table.rows if row.standing is line), None)
    return Explanation(
        cadence=table.key.period.cadence,
        period=table.key.period.id,
        level=table.key.level,
        version=snapshot.version,
        as_of=table.moment.as_of,
        rule_set=table.rules.code,
        watermark=WATERMARK if demonstration else None,
        row=row if row is not None else not_ranked_body(line),
        working_days=working_days(table.moment),
        min_sample=exact(table.rules.min_sample(line.figures.served)),
        min_served=table.rules.min_served[table.key.level],
        explained=[_explained(term) for term in line.score.terms],
        tasks=[
            TaskBody(
                unit=task.unit,
                programme=task.programme,
                metric=task.metric,
                done=task.done,
                whole_due=exact(task.whole_due),
                due=exact(task.due),
                by_target=task.by_target,
            )
            for task in line.tasks
        ],
        formula=FORMULA,
        actions=list(actions),
        next_cursor=next_cursor,
    )


def _explained(term: Term) -> ExplainedTermBody:
    indicator = term.indicator
    return ExplainedTermBody(
        indicator=indicator.code,
        weight=term.weight,
        **term_figures(term),
        label_zh=indicator.label.zh,
        label_en=indicator.label.en,
        numerator_zh=indicator.numerator.zh,
        numerator_en=indicator.numerator.en,
        denominator_zh=indicator.denominator.zh,
        denominator_en=indicator.denominator.en,
        ratio=None if term.measure is None else exact(term.measure.ratio),
    )

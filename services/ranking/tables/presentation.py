"""From computed tables to their HTTP shapes."""

from collections.abc import Sequence

from services.ranking.indicators.library import Figures
from services.ranking.indicators.rules import Term, exact, two_places
from services.ranking.tables.assembly import Moment, Table
from services.ranking.tables.rules import REASONS_ZH, Ranked, Standing
from services.ranking.tables.schemas import (
    CellBody,
    FiguresBody,
    LeagueTable,
    NotRankedBody,
    RowBody,
    TermBody,
    UnitBody,
    WorkingDaysBody,
)

WATERMARK = "演示数据"


def present(table: Table, version: str, demonstration: bool) -> LeagueTable:
    """A table as it is published."""
    key = table.key
    return LeagueTable(
        cadence=key.period.cadence,
        period=key.period.id,
        level=key.level,
        division=key.division,
        edition="live",
        version=version,
        first_day=key.period.first,
        last_day=key.period.last,
        as_of=table.moment.as_of,
        running=table.moment.running,
        working_days=working_days(table.moment),
        rule_set=table.rules.code,
        what_if=key.rule_set is not None,
        watermark=WATERMARK if demonstration else None,
        rows=[row_body(row) for row in table.rows],
        not_ranked=[not_ranked_body(line) for line in table.not_ranked],
        matrix=None if table.matrix is None else [_cell(sector, line) for sector, line in table.matrix],
    )


def working_days(moment: Moment) -> WorkingDaysBody:
    """Where today stands in the period."""
    return WorkingDaysBody(elapsed=moment.elapsed, total=moment.total, progress=exact(moment.progress))


def row_body(row: Ranked) -> RowBody:
    """A ranked line."""
    line = row.standing
    return RowBody(
        rank=row.rank,
        peer_rank=row.peer_rank,
        unit=_unit(line),
        score=_score(line),
        deductions=exact(line.score.deductions),
        figures=figures_body(line.figures),
        terms=_terms(line.score.terms),
    )


def not_ranked_body(line: Standing) -> NotRankedBody:
    """A line shown apart; its score is shown too where there is one."""
    assert line.reason is not None  # ranked lines go to row_body
    return NotRankedBody(
        rank=None,
        peer_rank=None,
        unit=_unit(line),
        score=_score(line),
        deductions=exact(line.score.deductions),
        figures=figures_body(line.figures),
        terms=_terms(line.score.terms),
        reason=line.reason,
        reason_zh=REASONS_ZH[line.reason],
    )


def figures_body(figures: Figures) -> FiguresBody:
    """Counters and denominators."""
    return FiguresBody(
        actions=figures.actions,
        households=figures.households,
        persons=figures.persons,
        amount_fen=figures.amount_fen,
        on_time=figures.on_time,
        verified=figures.verified,
        served=figures.served,
        stock=figures.stock,
    )


def term_figures(term: Term) -> dict[str, str | None]:
    """The exact figures of a term; all null where it is n/a."""
    measure = term.measure
    if measure is None:
        return {"numerator": None, "denominator": None, "sample": None, "points": None}
    return {
        "numerator": exact(measure.numerator),
        "denominator": exact(measure.denominator),
        "sample": exact(measure.sample),
        "points": exact(term.points),
    }


def _terms(terms: Sequence[Term]) -> list[TermBody]:
    return [TermBody(indicator=term.indicator.code, weight=term.weight, **term_figures(term)) for term in terms]


def _unit(line: Standing) -> UnitBody:
    return UnitBody(code=line.unit.code, name=line.unit.name, peer_group=line.unit.peer_group)


def _score(line: Standing) -> str | None:
    points = line.score.hundredths
    return None if points is None else two_places(points)


def _cell(sector: str, line: Standing) -> CellBody:
    return CellBody(
        sector=sector,
        unit=line.unit.code,
        score=_score(line),
        figures=figures_body(line.figures),
        terms=_terms(line.score.terms),
    )

"""Ranking: who is ranked, competition ranks overall and within the peer group. Pure."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from services.ranking.indicators.library import Figures, Task
from services.ranking.indicators.rules import Score
from services.ranking.tables.units import Unit

Reason = Literal["unranked", "min_served", "no_indicator"]
REASONS_ZH: dict[Reason, str] = {
    "unranked": "不在排名范围", "min_served": "享受政策户数不足", "no_indicator": "无可评指标"
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Standing:
    """A unit's line: its figures and score, and why it is not ranked if it is not."""

    unit: Unit
    figures: Figures
    tasks: Sequence[Task]
    score: Score
    reason: Reason | None


@dataclass(frozen=True, slots=True)
class Ranked:
    """A line with its ranks."""

    standing: Standing
    rank: int
    peer_rank: int


def reason_not_ranked(unit: Unit, figures: Figures, score: Score, min_served: int) -> Reason | None:
    """Why a unit is not ranked 不参评; None when it is."""
    if unit.unranked:
        return "unranked"
    if figures.served < min_served:
        return "min_served"
    return "no_indicator" if score.exact is None else None


def ranked(standings: Iterable[Standing]) -> list[Ranked]:
    """The ranked lines, best first; equal rounded scores share a rank (1, 2, 2, 4), in official order."""
    lines = sorted(
        (line for line in standings if line.reason is None), key=lambda line: (-_points(line), line.unit.order)
    )
    by_group: defaultdict[str, list[Standing]] = defaultdict(list)
    for line in lines:
        by_group[line.unit.peer_group].append(line)
    overall = competition_ranks([_points(line) for line in lines])
    within = {
        line.unit.code: rank
        for group in by_group.values()
        for line, rank in zip(group, competition_ranks([_points(line) for line in group]), strict=True)
    }
    return [Ranked(line, rank, within[line.unit.code]) for line, rank in zip(lines, overall, strict=True)]


def not_ranked(standings: Iterable[Standing]) -> list[Standing]:
    """The lines shown apart, in official order."""
    return sorted((line for line in standings if line.reason is not None), key=lambda line: line.unit.order)


def competition_ranks(descending: Sequence[int]) -> list[int]:
    """Ranks of scores sorted from best to worst: 1, 2, 2, 4."""
    ranks: list[int] = []
    for position, points in enumerate(descending):
        ranks.append(ranks[-1] if position and points == descending[position - 1] else position + 1)
    return ranks


def best(rows: Sequence[Ranked], count: int) -> list[Ranked]:
    """The first ``count``, and whoever shares the last one's rank."""
    return [row for row in rows if row.rank <= count]


def worst(rows: Sequence[Ranked], count: int) -> list[Ranked]:
    """The last ``count``, and whoever shares the first one's rank; worst last."""
    if not rows:
        return []
    boundary = rows[max(0, len(rows) - count)].rank
    return [row for row in rows if row.rank >= boundary]


def _points(line: Standing) -> int:
    points = line.score.hundredths
    assert points is not None  # a line without a score has a reason
    return points

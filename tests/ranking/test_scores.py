"""Scores, tasks and ranks, computed by hand."""

from collections.abc import Mapping
from datetime import date
from fractions import Fraction
from pathlib import Path as FilePath

import pytest

from services.ranking.indicators import service, tasks
from services.ranking.indicators.library import LIBRARY, Evidence, Figures, Task
from services.ranking.indicators.rule_sets import RuleSet, TableLevel, face
from services.ranking.indicators.rules import round_half_up, score, two_places
from services.ranking.periods.rules import parse
from services.ranking.tables.rules import Standing, best, competition_ranks, not_ranked, ranked, worst
from services.ranking.tables.units import PeerGroup, Unit
from shared.contracts.programme import Cadence, Metric
from tests.ranking.world import CITY, WAN, target

RULES = RuleSet.model_validate_json((FilePath(service.__file__).parent / "2018-v1.json").read_text(encoding="utf-8"))
WEEKLY = RULES.compositions["weekly"]


def task(done: int, due: Fraction | int) -> Task:
    return Task("visit", "actions", done, Fraction(due), Fraction(due), by_target=True, unit=WAN)


def evidence(figures: Figures, *due: Task, min_sample: Fraction | int = 5) -> Evidence:
    return Evidence(figures, due, Fraction(min_sample))


def test_weekly_score_by_hand() -> None:
    """Completion 3/6, quality 1/4 x 4/5, timeliness 3/4 x 4/5; satisfaction n/a, so 90 weights count:
    100 x (40 x 1/2 + 30 x 1/5 + 20 x 3/5) / 90 = 3800 / 90 = 42.22.
    """
    figures = Figures(actions=4, households=3, on_time=3, verified=1, served=20)
    found = score(WEEKLY, evidence(figures, task(3, 6)))
    assert found.exact == Fraction(3800, 90)
    assert found.hundredths == 4222
    assert [term.points for term in found.terms] == [
        Fraction(100 * 40, 2 * 90),
        Fraction(100 * 30, 5 * 90),
        Fraction(100 * 20 * 3, 5 * 90),
        Fraction(0),
    ]


def test_weight_of_what_does_not_apply_is_shared() -> None:
    """Nothing but completion: its 40 become 100."""
    assert score(WEEKLY, evidence(Figures(served=20), task(5, 10))).exact == 50


def test_nothing_applies() -> None:
    assert score(WEEKLY, evidence(Figures(served=20))).exact is None
    assert score(RULES.compositions["township_quarter"], evidence(Figures(actions=9, on_time=9))).exact is None


def test_one_perfect_visit_is_no_merit() -> None:
    """1 % of 1,234 served households is 12.34, exactly; five is the least."""
    assert RULES.min_sample(1234) == Fraction(1234, 100)
    assert RULES.min_sample(400) == 5
    figures = Figures(actions=1, on_time=1, verified=1, served=1234)
    timeliness = LIBRARY["timeliness"].measure(evidence(figures, min_sample=RULES.min_sample(1234)))
    assert timeliness is not None
    assert timeliness.ratio == Fraction(100, 1234)


def test_more_of_one_thing_makes_up_for_nothing_else() -> None:
    """min(30, 10) + min(0, 10) of 20."""
    completion = LIBRARY["completion"].measure(evidence(Figures(), task(30, 10), task(0, 10)))
    assert completion is not None
    assert completion.ratio == Fraction(1, 2)


@pytest.mark.parametrize(
    ("value", "hundredths", "text"),
    [
        (Fraction(1, 8), 13, "0.13"),  # 0.125: half up, where a float would say 0.12
        (Fraction(12345, 1000), 1235, "12.35"),
        (Fraction(2, 3), 67, "0.67"),
        (Fraction(100), 10000, "100.00"),
        (Fraction(0), 0, "0.00"),
        (Fraction(1, 200) - Fraction(1, 10**9), 0, "0.00"),
    ],
)
def test_rounding(value: Fraction, hundredths: int, text: str) -> None:
    assert round_half_up(value * 100) == hundredths
    assert two_places(hundredths) == text


@pytest.mark.parametrize(
    ("cadence", "period", "due"),
    [("week", "2018-W41", Fraction(9, 2)), ("month", "2018-10", Fraction(9)), ("day", "2018-10-10", None)],
)
def test_default_due(cadence: Cadence, period: str, due: Fraction | None) -> None:
    """Of 9 served households: half a week, all a month, nothing a day."""
    made = tasks.by_default(WAN, Figures(served=9, households=2), RULES, parse(cadence, period), Fraction(1))
    assert [each.due for each in made] == ([] if due is None else [due])
    assert all(each.done == 2 and not each.by_target for each in made)


def test_due_is_scaled_by_working_days() -> None:
    def done(_unit: str, _programme: str, _metric: Metric) -> int:
        return 4

    (made,) = tasks.by_targets([target(WAN, 10)], done, Fraction(3, 5))
    assert [made.whole_due, made.due, made.counted] == [10, 6, 4]


def test_targets_of_a_face() -> None:
    """A settlement target says nothing on the county face; ``*`` means every help programme."""
    visit, medical, every, unknown = (
        target(WAN, 1, programme=code) for code in ("visit", "medical", "*", "not-mirrored-yet")
    )
    listed = [visit, medical, every, unknown]
    assert tasks.of_class(listed, {"visit": "help", "medical": "benefit"}, "help") == [visit, every]
    assert tasks.of_class(listed, {"visit": "help", "medical": "benefit"}, "benefit") == [medical]


def test_distributed_targets_count_once() -> None:
    of_city, of_county = target(CITY, 1000), target(WAN, 600)
    other = target(CITY, 7, programme="training")
    assert tasks.without_overlap([of_city, of_county, other], CITY) == [of_county, other]


@pytest.mark.parametrize(
    ("level", "cadence", "expected"),
    [
        ("county", "day", "daily"), ("county", "week", "weekly"), ("county", "month", "monthly"),
        ("county", "quarter", "monthly"), ("township", "quarter", "township_quarter"), ("township", "week", "weekly"),
        ("village", "year", "monthly"), ("sector", "month", "sector"), ("sector", "day", "sector"),
    ],
)  # fmt: skip
def test_faces(level: TableLevel, cadence: Cadence, expected: str) -> None:
    assert face(level, cadence) == expected


def test_rule_set_in_force_on_the_first_day() -> None:
    later = RULES.model_copy(update={"code": "2019-v1", "valid_from": date(2019, 1, 1)})
    sets = [RULES, later]
    assert service.in_force(sets, date(2018, 12, 31)) is RULES, "a week that begins before it keeps the old rules"
    assert service.in_force(sets, date(2019, 1, 1)) is later
    assert service.in_force(sets, date(2017, 1, 1)) is RULES, "before them all: the oldest"


@pytest.mark.parametrize(
    "change",
    [
        {"min_served": {"county": 1}},
        {"compositions": {"daily": {"completion": 1}}},
        {"compositions": {**RULES.compositions, "daily": {"luck": 100}}},
        {"compositions": {**RULES.compositions, "daily": {}}},
        {"default_completion": {"week": "0"}},
        {"default_completion": {"week": "3/2"}},
        {"sample": {"least": 0, "share_of_served": "1/100"}},
        {"unknown": 1},
    ],
)
def test_rule_sets_that_are_none(change: Mapping[str, object]) -> None:
    with pytest.raises(ValueError, match=r"."):
        RuleSet.model_validate({**RULES.model_dump(), **change})


def line(code: str, points: int | None, order: int, group: PeerGroup = "other_counties") -> Standing:
    """A line with a score of so many hundredths (completion alone)."""
    due = [] if points is None else [task(points, 10_000)]
    figures = Figures(served=100)
    found = score({"completion": 1}, evidence(figures, *due))
    return Standing(Unit(code, code, ((order,), code), group), figures, due, found, None if due else "no_indicator")


def test_ranks_and_ties() -> None:
    """1, 2, 2, 4; equals in official order; within the peer group by themselves."""
    rows = ranked(
        [
            line("a", 5000, 4),
            line("b", 7000, 3, "poverty_counties"),
            line("c", 9000, 2),
            line("d", 7000, 1),
            line("e", None, 5),
        ]
    )
    assert [(row.standing.unit.code, row.rank, row.peer_rank) for row in rows] == [
        ("c", 1, 1), ("d", 2, 2), ("b", 2, 1), ("a", 4, 3)
    ]  # fmt: skip
    assert [each.unit.code for each in not_ranked([line("y", None, 2), line("x", None, 1)])] == ["x", "y"]


def test_competition_ranks() -> None:
    assert competition_ranks([]) == []
    assert competition_ranks([9, 9, 9, 5, 5, 1]) == [1, 1, 1, 4, 4, 6]


def test_boundary_ties_are_all_listed() -> None:
    rows = ranked([line(WAN + str(n), points, n) for n, points in enumerate([9, 8, 7, 7, 5, 4, 4, 4, 1])])
    assert [row.standing.score.hundredths for row in best(rows, 3)] == [9, 8, 7, 7]
    assert [row.standing.score.hundredths for row in worst(rows, 3)] == [4, 4, 4, 1]
    assert worst([], 3) == []

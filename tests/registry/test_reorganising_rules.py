"""Whatever is done to divisions, no day before it shows: any sequence of changes, on a small city in memory."""

from datetime import date, timedelta
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from services.registry.divisions import rules
from services.registry.households import rules as household_rules
from services.registry.households.rules import Since, Standings
from shared.contracts.division import DivisionEvent, DivisionTree, Path
from shared.errors import Problem
from tests.registry.conftest import CITY, XIXIA

YAHE, NEIXIANG = "411392000000", "411325000000"
START = date(2018, 1, 1)
TOWNS = [f"4113230{n}0000" for n in (1, 2, 3)]
HOMES = [f"{town[:9]}20{n}" for town in TOWNS for n in (1, 2, 3)]
Operation = tuple[str, int, int]


def small_city() -> dict[str, DivisionEvent]:
    def division(code: str, level: str, parent: str | None) -> DivisionEvent:
        fields = {"code": code, "version": 1, "name": code, "level": level, "parent": parent, "sort_order": 1}
        return DivisionEvent.model_validate({**fields, "valid_from": date(2010, 1, 1), "source": "test"})

    made = [division(CITY, "city", None)]
    made += [division(code, "county", CITY) for code in (XIXIA, NEIXIANG, YAHE)]
    made += [division(code, "township", XIXIA) for code in TOWNS]
    made += [division(code, "village", f"{code[:9]}000") for code in HOMES]
    return {each.code: each for each in made}


def changed(held: dict[str, DivisionEvent], operation: Operation, day: date) -> list[DivisionEvent]:
    """What one change makes of some divisions. Raises 422."""
    kind, first, second = operation
    villages = sorted(code for code, each in held.items() if each.level == "village")
    village, other = held[villages[first % len(villages)]], held[villages[second % len(villages)]]
    town, other_town = held[TOWNS[first % 3]], held[TOWNS[second % 3]]
    match kind:
        case "rename":
            return [rules.renamed(village, f"新{day}", day)]
        case "move village":
            return [rules.moved(village, other_town, day)]
        case "move town":
            return [rules.moved(town, held[(XIXIA, NEIXIANG)[second % 2]], day)]
        case "hand over":
            return [rules.managed_by((village, town)[second % 2], (YAHE, None)[first % 2], day)]
        case "merge":
            rules.check_divisible(village, day)
            rules.check_divisible(other, day)
            return [rules.ended(village, day, other.code)] if village is not other else []
        case _:
            code = f"{village.code[:9]}{300 + len(held):03d}"
            rules.check_divisible(village, day)
            rules.check_settled(village, day)
            part = rules.part_of(village, code, "分村", 1, day)
            return [part] if second % 2 else [rules.ended(village, day, code), part]


OPERATIONS = st.lists(
    st.tuples(
        st.sampled_from(["rename", "move village", "move town", "hand over", "merge", "split"]),
        st.integers(0, 20),
        st.integers(0, 20),
    ),
    min_size=1,
    max_size=12,
)
RESIDENCES = st.lists(st.tuples(st.integers(-900, -1), st.sampled_from(HOMES)), min_size=1, max_size=4)


def path_on(timeline: list[Any], day: date) -> Path | None:
    return next((state.path for state in reversed(timeline) if state.valid_from <= day), None)


@settings(max_examples=100, deadline=None)
@given(OPERATIONS, RESIDENCES, st.lists(st.integers(0, 3), min_size=12, max_size=12))
def test_no_change_of_divisions_touches_a_day_before_it(
    operations: list[Operation], residences: list[tuple[int, str]], pauses: list[int]
) -> None:
    held, day = small_city(), START
    lived = tuple(sorted({when: Since(START + timedelta(days=when), home) for when, home in residences}.values()))
    standings: Standings = (Since(lived[0].valid_from, "poor"),)
    timeline = household_rules.timeline(DivisionTree(held.values()), lived, standings)
    for operation, pause in zip(operations, pauses, strict=False):
        day += timedelta(days=pause)
        tree = DivisionTree(held.values())
        try:
            made = changed(held, operation, day)
        except Problem:
            continue
        held |= {each.code: each for each in made}
        now = DivisionTree(held.values())
        past = [START - timedelta(days=back) for back in range(0, 900, 90)] + [day - timedelta(days=1)]
        for earlier in (each for each in past if each < day):
            for code in tree:
                assert now.path(code.code, earlier) == tree.path(code.code, earlier)
                kept = now.get(code.code)
                assert kept is not None
                assert kept.name_on(earlier) == code.name_on(earlier)
        after = household_rules.timeline(now, lived, standings)
        for earlier in (each for each in past if each < day):
            assert path_on(after, earlier) == path_on(timeline, earlier)
        last = path_on(after, day)
        assert last is not None
        assert last == now.path(last.village or "", day)  # and from its day on the change holds
        timeline = after

"""Served and poor households as of any day, against the timelines themselves."""

from collections.abc import Sequence
from datetime import date, timedelta
from typing import get_args

from hypothesis import given
from hypothesis import strategies as st

from services.ranking.mirror import service
from services.ranking.mirror.rules import Denominator, ServedChanges
from shared.contracts.division import Path
from shared.contracts.household import SERVED, STOCK, HouseholdEvent, HouseholdState, Standing
from shared.record import Poison
from tests.ranking.world import WAN, WO, World, household, path

State = tuple[date, Standing, Path]
FIRST = date(2018, 1, 1)
DAYS = [FIRST + timedelta(days=step) for step in range(12)]
PATHS = [path(WAN), path(WAN, 2), path(WO), path(WAN, 3, unit=WO)]

states = st.lists(
    st.tuples(st.sampled_from(DAYS), st.sampled_from(get_args(Standing)), st.sampled_from(PATHS)), max_size=4
).map(lambda found: sorted(found, key=lambda state: state[0]))
endings = st.sampled_from([None, *DAYS])


def told(seq: int, version: int, timeline: Sequence[State], end: date | None) -> HouseholdEvent:
    made = [HouseholdState(valid_from=day, standing=standing, path=where) for day, standing, where in timeline]
    return household(seq, version=version, timeline=made, valid_to=end)


def counted(households: Sequence[HouseholdEvent], unit: str, day: date) -> Denominator:
    """How many are served and poor on a day, looked up one by one."""
    found = [state for h in households if (state := h.state_on(day)) is not None and state.path.managing_unit == unit]
    return Denominator(sum(s.standing in SERVED for s in found), sum(s.standing in STOCK for s in found))


@given(st.lists(st.tuples(states, endings), min_size=1, max_size=4))
def test_sums_of_changes_are_the_states(
    tellings: list[tuple[list[State], date | None]],
) -> None:
    """However often a past is told anew, only the last telling counts."""
    changes = ServedChanges()
    versions = [told(1, number, *telling) for number, telling in enumerate(tellings, start=1)]
    for old, new in zip([None, *versions], versions, strict=False):
        changes.replace(old, new)
    sums = changes.sums()
    for day in [FIRST - timedelta(days=1), *DAYS, date(2030, 1, 1)]:
        for unit in (WAN, WO):
            past = [(served, poor) for key, served, poor in sums if key[:2] == ("county", unit) and key.on_day <= day]
            summed = Denominator(sum(served for served, _ in past), sum(poor for _, poor in past))
            assert summed == counted(versions[-1:], unit, day)


async def test_mirror_counts_as_of_a_day(world: World) -> None:
    """Registered, moved to another county, exited with policies kept, then without; versions jump and repeat."""
    poor = household(1, (DAYS[1], "poor", path(WAN)))
    moved = household(1, (DAYS[1], "poor", path(WAN)), (DAYS[3], "poor", path(WO)), version=2)
    exited = household(
        1,
        (DAYS[1], "poor", path(WAN)),
        (DAYS[3], "poor", path(WO)),
        (DAYS[5], "exited_supported", path(WO)),
        (DAYS[7], "exited", path(WO)),
        version=5,
    )
    other = household(2, (DAYS[0], "relapsed", path(WO)), valid_to=DAYS[9], status="deregistered")
    for batch in ([poor], [exited, poor], [moved, other], [exited, exited]):
        assert not await world.mirror(batch)
    async with world.runtime.database.driver() as pg:
        for day in DAYS:
            found = await service.served(pg, "county", day)
            for unit in (WAN, WO):
                assert found.get(unit, Denominator()) == counted([exited, other], unit, day), day
        villages = await service.served(pg, "village", DAYS[4])
    assert villages[exited.timeline[1].path.village or ""] == Denominator(2, 2)


async def test_clash_of_versions(world: World) -> None:
    await world.mirror([household(1, (DAYS[0], "poor", path(WAN)))])
    verdicts = await world.mirror([household(1, (DAYS[0], "poor", path(WO)))])
    (verdict,) = verdicts.values()
    assert isinstance(verdict, Poison)
    assert verdict.code == "version_clash"
    async with world.runtime.database.driver() as pg:
        assert WO not in await service.served(pg, "county", DAYS[1])

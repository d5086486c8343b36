"""Whose days a change touches: what was so on a day is changed by whoever had the household in scope on that day.

Architecture rule 9: scope goes through the managing unit as of the day. A household moves, or its township is handed
over; the unit that has it now does not write into the years in which it was another's, and whoever has both in scope,
as the city has, does. Registering a household is not held to it: its past comes with it. Nor are yearly incomes, which
belong to no day: whoever has the household reports and corrects them until the year is locked.
"""

from collections.abc import Iterator, Sequence
from datetime import date
from typing import NamedTuple
from uuid import UUID

from services.registry.households.records import Household
from services.registry.households.rules import Period
from shared import errors
from shared.auth import Caller
from shared.contracts.division import Path
from shared.errors import Fault, fault


def check(old: Household, new: Household, caller: Caller, pointer: str) -> None:
    """Raises 422, at the field that says the day, for a change of days that were another unit's."""
    foreign = _foreign_day(old, new, caller)
    if foreign is not None:
        raise errors.invalid(_refusal(old, caller, foreign, pointer))


class _Counted(NamedTuple):
    """What is told of a household on a day; no state where it was not on the register."""

    state: tuple[str, str, Path] | None
    """Standing, welfare category, and where it lay."""
    members: frozenset[UUID]
    """Not only how many they are: nobody takes another's place, either."""
    monitored: tuple[str, ...]

    def reached(self, caller: Caller) -> bool:
        return self.state is None or caller.reaches(self.state[-1])


def _foreign_day(old: Household, new: Household, caller: Caller) -> date | None:
    """The last day on which something else begins to hold that is not the caller's to say."""
    if _dated(old) == _dated(new) or not old.periods:
        return None  # of what was never on the register, everything is registered now
    touched = ((_on(old, day), _on(new, day), day) for day in sorted({*_turns(old), *_turns(new)}, reverse=True))
    return next(
        (
            day
            for before, after, day in touched
            if before != after and not (before.reached(caller) and after.reached(caller))
        ),
        None,
    )


def _dated(household: Household) -> tuple[object, ...]:
    """All that it says of days."""
    stays = [(each.id, each.joined_on, each.left_on) for each in household.members]
    return household.timeline, household.welfares, household.valid_to, household.monitoring, stays


def _turns(household: Household) -> Iterator[date]:
    """The days on which what is told of a household may become another."""
    stretches = [(each.valid_from, each.valid_to) for each in household.periods]
    stretches += [(each.valid_from, each.valid_to) for each in household.monitoring]
    for first, end in stretches:
        yield first
        if end is not None:
            yield end


def _on(household: Household, day: date) -> _Counted:
    period = next((each for each in household.periods if _holds(each.valid_from, each.valid_to, day)), None)
    here = (each.id for each in household.members if _holds(each.joined_on, each.left_on, day))
    return _Counted(
        None if period is None else (period.standing, period.welfare, period.path),
        frozenset() if period is None else frozenset(here),
        tuple(each.category for each in household.monitoring if _holds(each.valid_from, each.valid_to, day)),
    )


def _holds(valid_from: date, valid_to: date | None, day: date) -> bool:
    return valid_from <= day and (valid_to is None or day < valid_to)


def _refusal(household: Household, caller: Caller, day: date, pointer: str) -> Fault:
    ours = _ours_since(household.periods, caller)
    since = ("", "") if ours is None else (f"; it is yours since {ours}", f",{ours}起属您的辖区")
    return fault(
        pointer, "not_yours_then", f"it was another unit's on {day}{since[0]}", f"该户 {day} 不属您的辖区{since[1]}"
    )


def _ours_since(periods: Sequence[Period], caller: Caller) -> date | None:
    """The first day of the stretches up to now that the caller reaches."""
    since = None
    for period in reversed(periods):
        if not caller.reaches(period.path):
            break
        since = period.valid_from
    return since

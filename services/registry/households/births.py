"""Days of birth that are corrected: nobody belongs to the register before they were born. Pure."""

from dataclasses import replace
from datetime import date
from typing import TypeVar

from services.registry.households.records import Individual
from shared.errors import Fault, fault

P = TypeVar("P", bound=Individual)


def followed(before: P, after: P, first: date) -> P:
    """Whose day of birth was the first day here was born into it: that day follows where the birth is corrected.

    ``first`` is the earliest one possible: the registration of the household.
    """
    if before.birth_date == after.birth_date or before.birth_date != before.joined_on:
        return after
    return replace(after, joined_on=max(first, after.birth_date))


def late(before: Individual, after: Individual, pointer: str) -> list[Fault]:
    """What speaks against a corrected day of birth: whoever was not born into it was born by then, and all by the end.

    ``after`` is as ``followed`` has it.
    """
    last = after.left_on if before.birth_date == before.joined_on else after.joined_on
    if before.birth_date == after.birth_date or last is None or after.birth_date <= last:
        return []
    en, zh = f"born after {last}, when they joined or left", f"出生日期晚于加入或离开之日 {last}"
    return [fault(pointer, "day_out_of_range", en, zh)]

"""Until when a certificate holds. Pure."""

from collections.abc import Sequence
from datetime import date

from services.registry.households.rules import Since, value_on
from shared.contracts.household import EXITED, Standing


def withdrawn_on(
    issued_on: date, replaced_on: date | None, standings: Sequence[Since[Standing]], ended_on: date | None
) -> date | None:
    """The day from which a certificate holds no longer; None while it does.

    It says that a household exited: it holds until the household relapses 返贫 or is otherwise no longer exited,
    or until another one takes its place. It stays true when the household leaves the register later; where it turns
    out that it had left before, on ``ended_on``, nobody exited on the day, as statistics of exits have it too.
    """
    if ended_on is not None and ended_on <= issued_on:
        return issued_on
    days = [issued_on, *(entry.valid_from for entry in standings if entry.valid_from > issued_on)]
    lost = next((day for day in days if value_on(standings, day) not in EXITED), None)
    return min((day for day in (lost, replaced_on) if day is not None), default=None)

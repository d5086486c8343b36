"""Takes action events in: facts, counters and live versions in one transaction (architecture rule 5)."""

from collections.abc import Mapping, Sequence
from datetime import date
from uuid import UUID

from services.ranking.facts import counters, reading, storing
from services.ranking.facts.rules import Changes, Counted
from services.ranking.periods.rules import CADENCES, period_of
from services.ranking.versions import service as versions
from shared.clock import Clock
from shared.contracts.action import ActionEvent
from shared.db import Pg
from shared.record import Record, Verdict


class FactsHandler:
    """Handler of the group ``ranking-facts``."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    async def __call__(self, pg: Pg, records: Sequence[Record]) -> Mapping[int, Verdict]:
        """Store what is new, count the difference, raise the versions of what changed."""
        batch = reading.read_batch(records)
        if batch.actions:
            await versions.keep_rebuild_out(pg)
            before = await storing.store(pg, list(batch.actions.values()), self._clock.now())
            await _check_the_rest(pg, batch, before)
            await _count(pg, batch.actions, before)
        return batch.verdicts


async def _check_the_rest(pg: Pg, batch: reading.Batch, stored: Mapping[UUID, Counted | None]) -> None:
    """What was not stored is old news, or the same version again: then it must say the same."""
    rest = {key: action for key, action in batch.actions.items() if key not in stored}
    if rest:
        batch.verdicts.update(reading.clashes(batch, await storing.same_content(pg, rest)))


async def _count(pg: Pg, actions: Mapping[UUID, ActionEvent], before: Mapping[UUID, Counted | None]) -> None:
    changes = Changes()
    reported_late: set[date] = set()
    for action_id, old in before.items():
        new = storing.counted_of(actions[action_id])
        if old is not None:
            changes.take_away(old)
        if new is not None:
            changes.add(new)
        if (old is not None and not old.on_time) or (new is not None and not new.on_time):
            reported_late.add(storing.recorded_day(actions[action_id]))
    await counters.apply(pg, changes)
    days = changes.days()
    names = {versions.counters(cadence, period_of(day, cadence).first) for day in days for cadence in CADENCES}
    names |= {versions.counters("day", day) for day in reported_late}
    await versions.raise_all(pg, names)

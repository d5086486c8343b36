"""Takes action events in: facts, counters and live versions in one transaction (architecture rule 5)."""

from collections.abc import Mapping, Sequence
from datetime import date
from uuid import UUID

from services.ranking.facts import counters, reading, storing
from services.ranking.facts.rules import Changes, Counted
from services.ranking.facts.storing import Fact
from services.ranking.periods.rules import CADENCES, period_of
from services.ranking.versions import service as versions
from shared.clock import Clock
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
            facts = {action_id: storing.fact_of(action) for action_id, action in batch.actions.items()}
            before = await storing.store(pg, list(facts.values()), self._clock.now())
            await _check_the_rest(pg, batch, {key: fact for key, fact in facts.items() if key not in before})
            await _count(pg, facts, before)
        return batch.verdicts


async def _check_the_rest(pg: Pg, batch: reading.Batch, rest: Mapping[UUID, Fact]) -> None:
    """What was not stored is old news, or the same version again: then it must say the same."""
    if rest:
        batch.verdicts.update(reading.clashes(batch, await storing.same_content(pg, rest)))


async def _count(pg: Pg, facts: Mapping[UUID, Fact], before: Mapping[UUID, Counted | None]) -> None:
    changes = Changes()
    reported_late: set[date] = set()
    for action_id, old in before.items():
        fact = facts[action_id]
        new = storing.counted_of(fact)
        if old is not None:
            changes.take_away(old)
        if new is not None:
            changes.add(new)
        if not fact.on_time or (old is not None and not old.on_time):
            reported_late.add(fact.recorded_day)
    await counters.apply(pg, changes)
    names = {
        versions.counters(cadence, period_of(day, cadence).first) for day in changes.days() for cadence in CADENCES
    }
    await versions.raise_all(pg, names | {versions.counters("day", day) for day in reported_late})

"""Takes action events in: facts, counters and live versions in one transaction (architecture rule 5)."""

from collections.abc import Mapping, Sequence
from datetime import date

from services.ranking.facts import counters, reading, storing
from services.ranking.facts.rules import Changes, Counted
from services.ranking.facts.storing import Fact
from services.ranking.periods.rules import CADENCES, period_of
from services.ranking.versions import service as versions
from shared.clock import Clock
from shared.db import Pg
from shared.record import Verdict


class FactsHandler:
    """Handler of the group ``ranking-facts``; batches are read by ``reading.read_batch``."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    async def __call__(self, pg: Pg, batch: reading.Batch) -> Mapping[int, Verdict]:
        """Store what is new, count the difference, raise the versions of what changed."""
        if batch.actions:
            await versions.keep_rebuild_out(pg)
            facts = {action_id: storing.fact_of(action) for action_id, action in batch.actions.items()}
            stored = await storing.store(pg, facts, self._clock.now())
            await _check_refused(pg, batch, {key: facts[key] for key in stored.refused})
            await _count(pg, [(key, fact) for key, fact in facts.items() if key not in stored.refused], stored.replaced)
        return batch.verdicts


async def _check_refused(pg: Pg, batch: reading.Batch, refused: Mapping[str, Fact]) -> None:
    """What was not stored is old news, or the same version again: then it must say the same."""
    if refused:
        batch.verdicts.update(reading.clashes(batch, await storing.same_content(pg, refused)))


async def _count(pg: Pg, stored: Sequence[tuple[str, Fact]], replaced: Mapping[str, Counted | None]) -> None:
    changes = Changes()
    reported_late: set[date] = set()
    for action_id, fact in stored:
        old, new = replaced.get(action_id), storing.counted_of(fact)
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

"""Where submissions of households are read, decided, written and answered."""

from collections.abc import Sequence
from datetime import datetime
from itertools import groupby
from typing import Any

from services.registry import instants
from services.registry.context import Registry
from services.registry.households import collisions, naming, reading
from services.registry.households.records import Household
from services.registry.households.registering import Existing
from services.registry.households.service import author_of, surroundings
from services.registry.households.upserting import Kept, Updated
from services.registry.statistics import service as statistics
from services.registry.statistics.service import PopulationChanges
from services.registry.submissions import opening, provenance
from services.registry.submissions.contracts import HOUSEHOLD_OUTCOMES, HOUSEHOLD_SUBMISSIONS, HouseholdOutcome
from services.registry.submissions.keys import Keys
from services.registry.submissions.provenance import Provenance
from services.registry.submissions.reading import Submission, read
from services.registry.submissions.rules import VERSION_USED, Accept, Held, Reject, Unchanged, Wait, Write, decide
from services.registry.submissions.writing import Writing, Written
from services.registry.turns import in_turns
from shared.db import Pg
from shared.errors import Fault
from shared.intake.contracts import Verdict, told
from shared.intake.receiving import Received
from shared.record import Park
from shared.watched import Watched

GROUP = "registry-submissions"
MAX_RECORDS = 500
WAITS = "unknown_record"


class HouseholdDesk:
    """The desk of registry's intake (``shared.intake.handler``)."""

    submissions = HOUSEHOLD_SUBMISSIONS
    outcomes = HOUSEHOLD_OUTCOMES
    receipt = HouseholdOutcome

    def __init__(self, registry: Registry, keys: Watched[Keys]) -> None:
        self._registry = registry
        self._keys = keys

    async def read(self, pg: Pg, received: Sequence[Received]) -> list[Submission]:
        """Submissions with their identities opened. A key may have been made a moment ago."""
        keys = await self._keys.get(pg)
        found = await self._read(received, keys)
        if any(opening.UNKNOWN_KEY in each.faults for each in found):
            self._keys.expire()
            present = await self._keys.get(pg)
            if present is not keys:
                return await self._read(received, present)
        return found

    async def _read(self, received: Sequence[Received], keys: Keys) -> list[Submission]:
        vault = self._registry.vault
        return await in_turns(received, lambda some: [read(each, keys, vault) for each in some])

    async def decide(self, pg: Pg, wave: Sequence[Submission]) -> list[HouseholdOutcome | Park]:
        """Decide and write; statistics learn of it last, for others wait for their rows."""
        await instants.begin(pg, self._registry.runtime.clock)
        now = self._registry.runtime.clock.now()
        held = await self._held(pg, wave)
        outcomes: dict[int, HouseholdOutcome | Park] = {}
        to_write: list[tuple[Submission, Write]] = []
        for each in wave:
            match decide(each, held.get(each.received.name), now):
                case Write() as decision:
                    to_write.append((each, decision))
                case Wait():
                    outcomes[each.received.index] = Park(WAITS)
                case Accept():
                    outcomes[each.received.index] = _outcome(each, "accepted", now)
                case Unchanged(held=known):
                    outcomes[each.received.index] = _outcome(each, "unchanged", now, known)
                case Reject(faults=faults, held=known):
                    outcomes[each.received.index] = _outcome(each, "rejected", now, known, faults)
        outcomes |= await self._written(pg, to_write, now)
        return [outcomes[each.received.index] for each in wave]

    async def _held(self, pg: Pg, wave: Sequence[Submission]) -> dict[tuple[str, str], Held]:
        names = [each.received.name for each in wave if not each.faults]
        households = await naming.locked_by_name(pg, names, self._registry.vault)
        known = await provenance.of(pg, [household.id for household in households.values()])
        return {name: _as_held(household, known.get(household.id)) for name, household in households.items()}

    async def _written(
        self, pg: Pg, to_write: Sequence[tuple[Submission, Write]], now: datetime
    ) -> dict[int, HouseholdOutcome]:
        changes = PopulationChanges()
        outcomes: dict[int, HouseholdOutcome] = {}
        spoken_of: list[tuple[Any, Provenance]] = []
        for alike in _alike(to_write):
            first, decision = alike[0]
            caller = first.source.caller
            around = await surroundings(pg, self._registry, caller)
            author = author_of(self._registry, caller, first.envelope.reason)
            work = Writing(self._registry, around, author, changes)
            written = await work.run(pg, [(each, how.held) for each, how in alike], trial=decision.trial)
            await collisions.note(pg, self._registry, caller, collisions.numbers_taken(written))
            for (each, how), outcome in zip(alike, written, strict=True):
                told = await self._told(pg, each, how, outcome, now)
                outcomes[each.received.index] = told
                if told.household_id is not None and told.outcome != "rejected" and not each.source.test:
                    version = each.envelope.source_version
                    spoken_of.append((told.household_id, Provenance(each.source.name, version)))
        await provenance.note(pg, spoken_of)
        await statistics.count(pg, changes)
        return outcomes

    async def _told(
        self, pg: Pg, submission: Submission, how: Write, written: Written, now: datetime
    ) -> HouseholdOutcome:
        match written:
            case list():
                return _outcome(submission, "rejected", now, how.held, written)
            case Kept():
                return _outcome(submission, "unchanged", now, how.held)
            case Existing(household_id=identifier):
                vault, caller = self._registry.vault, submission.source.caller
                existing = await reading.find(pg, str(identifier), caller, vault)
                return _outcome(submission, "unchanged", now, _as_held(existing, None))
            case Household() | Updated() if submission.source.test:
                return _outcome(submission, "accepted", now)
            case Updated() if how.trial:
                return _outcome(submission, "rejected", now, how.held, [VERSION_USED])
            case Updated(household=household):
                return _outcome(submission, "accepted", now, _as_held(household, None))
            case _:
                return _outcome(submission, "accepted", now, _as_held(written, None))


def _alike(to_write: Sequence[tuple[Submission, Write]]) -> list[list[tuple[Submission, Write]]]:
    """Those that can be written together: of one source, one kind and one reason."""

    def kind(entry: tuple[Submission, Write]) -> tuple[str, str, str, bool]:
        submission, decision = entry
        envelope = submission.envelope
        return submission.source.name, envelope.op, envelope.reason or "", decision.trial

    return [list(alike) for _, alike in groupby(sorted(to_write, key=kind), key=kind)]


def _as_held(household: Household, known: Provenance | None) -> Held:
    return Held(
        id=household.id,
        number=household.number,
        version=household.version,
        active=household.status == "active",
        divisions=frozenset(household.latest.path.scopes()),
        source=None if known is None else known.source,
        source_version=None if known is None else known.source_version,
    )


def _outcome(
    submission: Submission, verdict: Verdict, now: datetime, held: Held | None = None, faults: Sequence[Fault] = ()
) -> HouseholdOutcome:
    envelope = submission.envelope
    found, left_out = told(faults)
    return HouseholdOutcome(
        source=submission.source.name,
        submission=submission.received.ce_id,
        op=envelope.op,
        source_system=envelope.source_system,
        external_id=envelope.external_id,
        outcome=verdict,
        mode="test" if submission.source.test else "live",
        household_id=None if held is None else held.id,
        number=None if held is None else held.number,
        version=None if held is None else held.version,
        errors=found,
        errors_left_out=left_out,
        decided_at=now,
    )

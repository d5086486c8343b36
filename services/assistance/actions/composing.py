"""From what was sent and where it was placed to the versions the ledger holds."""

from datetime import datetime
from uuid import UUID

from services.assistance.actions.entries import Entry, Provenance, Stored
from services.assistance.actions.rules import Placed
from services.assistance.actions.schemas import (
    ActionContent,
    ActionIn,
    ActionOut,
    ActorOut,
    HouseholdOut,
    PersonOut,
)
from shared.ids import uuid7

_HISTORY = {"id", "version", "status", "first_recorded_at", "recorded_at", "verified_at"}
_DERIVED = {"path", "sector", "programme_class"}


def recorded(
    content: ActionIn,
    placed: Placed,
    *,
    now: datetime,
    by: UUID,
    submitted_by: str | None = None,
    source_version: int | None = None,
    traceparent: str | None = None,
) -> Entry:
    """The first version of a new action."""
    state = _state(
        content, placed, action_id=uuid7(), version=1, first_recorded_at=now, recorded_at=now,
        source_system=content.source_system, external_id=content.external_id,
    )  # fmt: skip
    return Entry("recorded", state, Provenance(by, by, submitted_by, source_version), by, traceparent=traceparent)


def corrected(
    stored: Stored,
    content: ActionContent,
    placed: Placed,
    *,
    now: datetime,
    by: UUID,
    reason: str | None,
    source_version: int | None = None,
) -> Entry:
    """The next version with other content; what a reviewer said of the old content no longer holds."""
    state = _state(
        content, placed, action_id=stored.state.id, version=stored.state.version + 1,
        first_recorded_at=stored.state.first_recorded_at, recorded_at=now,
        source_system=stored.state.source_system, external_id=stored.state.external_id,
    )  # fmt: skip
    before = stored.provenance
    provenance = Provenance(before.recorded_by, by, before.submitted_by, source_version or before.source_version)
    return Entry("corrected", state, provenance, by, reason)


def revoked(stored: Stored, *, now: datetime, by: UUID, reason: str | None, source_version: int | None = None) -> Entry:
    """The next version, which counts nowhere."""
    before = stored.provenance
    state = stored.state.model_copy(
        update={"version": stored.state.version + 1, "status": "revoked", "recorded_at": now}
    )
    provenance = Provenance(
        before.recorded_by, before.changed_by, before.submitted_by, source_version or before.source_version
    )
    return Entry("revoked", state, provenance, by, reason)


def verified(stored: Stored, *, now: datetime, by: UUID, note: str | None) -> Entry:
    """The next version, vouched for by a reviewer."""
    state = stored.state.model_copy(
        update={"version": stored.state.version + 1, "verified_at": now, "recorded_at": now}
    )
    return Entry("verified", state, stored.provenance, by, note)


def same_content(one: ActionOut, other: ActionOut) -> bool:
    """Whether two actions say the same, whenever and however often it was said."""
    left_out = _HISTORY | _DERIVED | ({"division"} if one.household is not None else set())
    return one.model_dump(exclude=left_out) == other.model_dump(exclude=left_out)


def _state(
    content: ActionContent,
    placed: Placed,
    *,
    action_id: UUID,
    version: int,
    first_recorded_at: datetime,
    recorded_at: datetime,
    source_system: str | None,
    external_id: str | None,
) -> ActionOut:
    household = placed.household
    return ActionOut(
        id=action_id,
        version=version,
        status="recorded",
        source_system=source_system,
        external_id=external_id,
        programme=content.programme,
        programme_class=placed.programme.programme_class,
        sector=placed.programme.sector,
        kind=content.kind,
        household=None
        if household is None
        else HouseholdOut(id=household.id, number=household.number, seq=household.seq),
        persons=[PersonOut(id=person.id, number=person.number) for person in placed.persons],
        actor=None if placed.actor_id is None else ActorOut(id=placed.actor_id),
        division=placed.division,
        path=placed.path,
        place=content.place,
        occurred_at=content.occurred_at,
        quantity=content.quantity,
        amount_fen=content.amount_fen,
        details=content.details,
        first_recorded_at=first_recorded_at,
        recorded_at=recorded_at,
        verified_at=None,
    )

"""Reads a batch of action events: the newest version of each action, and what cannot be taken in."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from uuid import UUID

from pydantic import ValidationError

from shared import telemetry
from shared.contracts.action import ACTION, ActionEvent
from shared.record import Poison, Record, Verdict, read_event

LARGEST = 2**53
"""Quantities beyond this are no counts of anything and would not survive JSON readers."""
_LARGEST_VERSION = 2**31 - 1
_EARLIEST = datetime(1950, 1, 1, tzinfo=UTC)
_LATEST = datetime(2200, 1, 1, tzinfo=UTC)


@dataclass(slots=True)
class Batch:
    """The newest version of each action in a batch, by id in the order in which facts are locked."""

    actions: dict[UUID, ActionEvent]
    places: dict[UUID, list[int]]
    """Where in the batch each action's newest version stands; more than once when it was sent again."""
    verdicts: dict[int, Verdict] = field(default_factory=dict)


def read_batch(records: Sequence[Record]) -> Batch:
    """Keep the highest version per action; sort by id (architecture rule 5)."""
    newest: dict[UUID, ActionEvent] = {}
    places: dict[UUID, list[int]] = {}
    verdicts: dict[int, Verdict] = {}
    for index, record in enumerate(records):
        try:
            action = _read(record)
        except Poison as poison:
            verdicts[index] = poison
            continue
        known = newest.get(action.id)
        if known is None or known.version < action.version:
            newest[action.id] = action
            places[action.id] = [index]
        elif known.version == action.version:
            if known == action:
                places[action.id].append(index)
            else:
                verdicts[index] = version_clash()
    return Batch({key: newest[key] for key in sorted(newest)}, places, verdicts)


def version_clash() -> Poison:
    """Two bodies under one version: somebody forges or forks, and a person has to look."""
    telemetry.BODY_CLASHES.labels(ACTION.name).inc()
    return Poison("version_clash")


def _read(record: Record) -> ActionEvent:
    action = _plainly_sent(record)
    if action is None:
        _, action = read_event(record, ActionEvent)
    if record.key != str(action.id).encode():
        raise Poison("key_mismatch")
    if record.value is not None and b"\\u0000" in record.value:
        raise Poison("nul")
    if action.version > _LARGEST_VERSION or action.quantity > LARGEST:
        raise Poison("out_of_range")
    for instant in (action.occurred_at, action.first_recorded_at, action.recorded_at, action.verified_at):
        if instant is not None and not _EARLIEST <= instant < _LATEST:
            raise Poison("out_of_range")
    return action


def _plainly_sent(record: Record) -> ActionEvent | None:
    """The action in a record as a relay writes it, in binary mode and without a fault; None for any other.

    Taking the envelope apart attribute by attribute would take as long as reading the action: whatever is not
    quite as expected is left to the general codec, which also names what is wrong (performance.md, B3).
    """
    headers = dict(record.headers)
    if record.value is None or any(headers.get(name) != value for name, value in _PLAIN.items()):
        return None
    if headers.get("ce_subject") != record.key or not all(headers.get(name) for name in _NEEDED):
        return None
    try:
        return ActionEvent.model_validate_json(record.value)
    except (ValidationError, RecursionError):
        return None


_PLAIN = {"ce_specversion": b"1.0", "content-type": b"application/json"}
_NEEDED = ("ce_id", "ce_source", "ce_type")


def clashes(batch: Batch, stored: Mapping[UUID, bool]) -> dict[int, Verdict]:
    """Verdicts for actions that are stored under the same version; ``stored`` says whether their content is too."""
    return {
        index: version_clash() for action_id, same in stored.items() if not same for index in batch.places[action_id]
    }

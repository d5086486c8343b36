"""Reads a batch of action events: the newest version of each action, and what cannot be taken in."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from pydantic import ValidationError

from shared import telemetry
from shared.contracts.action import ACTION, ActionEvent
from shared.record import Poison, Record, Verdict, read_event

LARGEST = 2**53
"""Quantities beyond this are no counts of anything and would not survive JSON readers."""
_LARGEST_VERSION = 2**31 - 1
_FIRST_YEAR, _END_YEAR = 1950, 2200


@dataclass(slots=True)
class Batch:
    """The newest version of each action in a batch, by id in the order in which facts are locked.

    Ids are text here: a set of five thousand is sorted and looked up many times faster so.
    """

    actions: dict[str, ActionEvent]
    places: dict[str, list[int]]
    """Where in the batch each action's newest version stands; more than once when it was sent again."""
    verdicts: dict[int, Verdict] = field(default_factory=dict)


def read_batch(records: Sequence[Record]) -> Batch:
    """Keep the highest version per action; sort by id (architecture rule 5)."""
    newest: dict[str, ActionEvent] = {}
    places: dict[str, list[int]] = {}
    verdicts: dict[int, Verdict] = {}
    for index, record in enumerate(records):
        try:
            action_id, action = _read(record)
        except Poison as poison:
            verdicts[index] = poison
            continue
        known = newest.get(action_id)
        if known is None or known.version < action.version:
            newest[action_id] = action
            places[action_id] = [index]
        elif known.version == action.version:
            if known == action:
                places[action_id].append(index)
            else:
                verdicts[index] = version_clash()
    return Batch({key: newest[key] for key in sorted(newest)}, places, verdicts)


def version_clash() -> Poison:
    """Two bodies under one version: somebody forges or forks, and a person has to look."""
    telemetry.BODY_CLASHES.labels(ACTION.name).inc()
    return Poison("version_clash")


def _read(record: Record) -> tuple[str, ActionEvent]:
    action = _plainly_sent(record)
    if action is None:
        _, action = read_event(record, ActionEvent)
    action_id = str(action.id)
    if record.key != action_id.encode():
        raise Poison("key_mismatch")
    if record.value is not None and b"\\u0000" in record.value:
        raise Poison("nul")
    if action.version > _LARGEST_VERSION or action.quantity > LARGEST:
        raise Poison("out_of_range")
    verified_at = action.verified_at
    for instant in (
        action.occurred_at,
        action.first_recorded_at,
        action.recorded_at,
        verified_at or action.recorded_at,
    ):
        if not _FIRST_YEAR <= instant.year < _END_YEAR:
            raise Poison("out_of_range")
    return action_id, action


def _plainly_sent(record: Record) -> ActionEvent | None:
    """The action in a record as a relay writes it, in binary mode and without a fault; None for any other.

    Taking the envelope apart attribute by attribute would take as long as reading the action: whatever is not
    quite as expected is left to the general codec, which also names what is wrong (performance.md, B3).
    """
    said = dict(record.headers).get
    plain = (
        said("ce_specversion") == b"1.0"
        and said("content-type") == b"application/json"
        and said("ce_subject") == record.key
        and said("ce_id")
        and said("ce_source")
        and said("ce_type")
        and _INSTANT.fullmatch(said("ce_time") or b"")
    )
    if not plain or record.value is None:
        return None
    try:
        return ActionEvent.model_validate_json(record.value)
    except (ValidationError, RecursionError):
        return None


_INSTANT = re.compile(rb"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z")


def clashes(batch: Batch, stored: Mapping[str, bool]) -> dict[int, Verdict]:
    """Verdicts for actions that are stored under the same version; ``stored`` says whether their content is too."""
    return {
        index: version_clash() for action_id, same in stored.items() if not same for index in batch.places[action_id]
    }

"""From a Kafka record to the submission of a registered source: what cannot be answered is poison."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from pydantic import ValidationError

from shared.errors import Problem
from shared.events import CloudEvent
from shared.http.body import parse_json
from shared.idnumbers import holds_id_number
from shared.intake.contracts import Envelope
from shared.intake.sources import Source
from shared.record import Poison, Record, cloud_event

_MAJOR_VERSION = re.compile(r"\.v([0-9]+)$")
UNREGISTERED = "unregistered_source"
PERSONAL = "personal_number"
"""It is named by an ID number: a receipt would publish that."""
PATIENCE = timedelta(minutes=15)
"""How long a submission waits for what it refers to (architecture.md, "Ids")."""


@dataclass(frozen=True, slots=True)
class Received:
    """A record that a registered source submitted, and the record of its own that it names."""

    index: int
    source: Source
    ce_id: str
    envelope: Envelope
    data: Mapping[str, Any] = field(repr=False)
    """All it says, envelope included, not looked at any further."""
    first_seen: datetime
    correlation: str | None

    @property
    def message(self) -> tuple[str, str]:
        """What names the submission."""
        return self.source.name, self.ce_id

    @property
    def name(self) -> tuple[str, str]:
        """What names the record it is about."""
        return self.envelope.source_system, self.envelope.external_id

    def may_wait(self, now: datetime) -> bool:
        """Whether what it refers to may still be on its way."""
        return now - self.first_seen < PATIENCE


def receive_all(records: Sequence[Record], sources: Mapping[str, Source]) -> tuple[list[Received], dict[int, Poison]]:
    """What was submitted, and by index why the other records are no submissions."""
    received: list[Received] = []
    poisoned: dict[int, Poison] = {}
    for index, record in enumerate(records):
        try:
            received.append(_receive(index, record, sources))
        except Poison as poison:
            poisoned[index] = poison
    return received, poisoned


def _receive(index: int, record: Record, sources: Mapping[str, Source]) -> Received:
    """Raises ``Poison``: no CloudEvent, no registered source or not signed by it, no JSON, or no record named."""
    event = cloud_event(record)
    version = _MAJOR_VERSION.search(event.type)
    if version is not None and version.group(1) != "1":
        raise Poison("unknown_version")
    source = sources.get(event.source)
    if source is None:
        raise Poison(UNREGISTERED)
    source.signing.check(record, event)
    correlation = event.extension("correlationid")
    if holds_id_number(event.id) or holds_id_number(correlation or ""):
        raise Poison(PERSONAL, source.name)
    data, envelope = _named(event, source)
    return Received(index, source, event.id, envelope, data, record.first_seen, correlation)


def _named(event: CloudEvent, source: Source) -> tuple[dict[str, Any], Envelope]:
    """What a submission says, and the record it names."""
    try:
        data = _data(event)
        return data, Envelope.model_validate(data)
    except Poison as poison:
        raise Poison(poison.code, source.name) from poison
    except ValidationError as error:
        raise Poison(_cause(error), source.name) from error


def _cause(error: ValidationError) -> str:
    return PERSONAL if any(each["type"] == PERSONAL for each in error.errors()) else "schema"


def _data(event: CloudEvent) -> dict[str, Any]:
    if event.data is None:
        raise Poison("no_data")
    try:
        data = parse_json(event.data)
    except Problem as problem:
        raise Poison("not_json" if problem.kind.status == 400 else "unusable_value") from problem
    if not isinstance(data, dict):
        raise Poison("schema")
    return data

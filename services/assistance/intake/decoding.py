"""From a Kafka record to a submission: what cannot be read is poison, what breaks a rule gets a receipt."""

import hashlib
import json
import re
from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from services.assistance.intake.contracts import Envelope, SubmittedContent
from services.assistance.intake.rules import Source, Submission
from shared.errors import Fault, Problem
from shared.events import CloudEvent
from shared.http.body import parse_json
from shared.http.problems import faults_of
from shared.record import Poison, Record, cloud_event

_MAJOR_VERSION = re.compile(r"\.v([0-9]+)$")
UNREGISTERED = "unregistered_source"


def read_submission(index: int, record: Record, sources: Mapping[str, Source]) -> Submission:
    """A record as a submission of a registered source. Raises ``Poison``.

    Poison is what cannot be answered: no CloudEvent, no registered source, no JSON, or no record named. A fault in
    the content of a named record is kept in the submission, for its receipt.
    """
    event = cloud_event(record)
    version = _MAJOR_VERSION.search(event.type)
    if version is not None and version.group(1) != "1":
        raise Poison("unknown_version")
    source = sources.get(event.source)
    if source is None:
        raise Poison(UNREGISTERED)
    data, envelope = _named(event, source)
    content, faults = (None, []) if envelope.op == "revoke" else _content(data)
    return Submission(
        index=index,
        source=source,
        ce_id=event.id,
        digest=_digest(data),
        envelope=envelope,
        content=content,
        faults=faults,
        first_seen=record.first_seen,
        correlation=event.extension("correlationid"),
    )


def _named(event: CloudEvent, source: Source) -> tuple[dict[str, Any], Envelope]:
    """What a submission says, and the record it names."""
    try:
        data = _data(event)
        return data, Envelope.model_validate(data)
    except Poison as poison:
        raise Poison(poison.code, source.name) from poison
    except ValidationError as error:
        raise Poison("schema", source.name) from error


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


def _content(data: dict[str, Any]) -> tuple[SubmittedContent | None, list[Fault]]:
    try:
        return SubmittedContent.model_validate(data), []
    except ValidationError as error:
        return None, faults_of(error.errors(include_url=False, include_input=False))


def _digest(data: dict[str, Any]) -> bytes:
    """Of what was said, not of how it was written: both modes of CloudEvents give the same."""
    return hashlib.sha256(json.dumps(data, sort_keys=True, separators=(",", ":")).encode()).digest()

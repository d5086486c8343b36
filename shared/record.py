"""A Kafka record as handlers see it, and what they may say of it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple, TypeVar

from pydantic import BaseModel, ValidationError

from shared.events import CloudEvent, NotACloudEventError, decode

M = TypeVar("M", bound=BaseModel)


class Record(NamedTuple):
    """One record; ``first_seen`` is when it first reached us, however often it waited since."""

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes | None]]
    timestamp_ms: int
    first_seen: datetime

    def without_content(self) -> "Record":
        """Where it stood and when, and nothing of what it said."""
        return self._replace(key=None, value=None, headers=())


class Poison(Exception):
    """The record can never be taken in; ``code`` is stable and never quotes the record.

    ``origin`` is the registered source it came from; empty for our own topics and for whoever is not registered.
    """

    def __init__(self, code: str, origin: str = "") -> None:
        super().__init__(code)
        self.code = code
        self.origin = origin


@dataclass(frozen=True, slots=True)
class Park:
    """The record refers to something not known yet: it waits."""

    reason: str


Verdict = Poison | Park


def cloud_event(record: Record) -> CloudEvent:
    """The event in a record. Raises ``Poison``."""
    try:
        return decode(record.value, record.headers)
    except NotACloudEventError as error:
        raise Poison(f"not_a_cloudevent:{error.code}") from error


def read_event(record: Record, model: type[M]) -> tuple[CloudEvent, M]:
    """The event and its payload, checked against its contract. Raises ``Poison``."""
    event = cloud_event(record)
    if event.data is None:
        raise Poison("no_data")
    try:
        body = model.model_validate_json(event.data)
    except (ValidationError, RecursionError) as error:
        raise Poison("schema") from error
    if record.key is None or event.subject is None or record.key != event.subject.encode():
        raise Poison("key_mismatch")
    return event, body

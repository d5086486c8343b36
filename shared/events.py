"""CloudEvents 1.0 on Kafka: binary mode out, binary and structured in (interfaces.md, "Events").

Our own codec, because the SDK breaks the Kafka binding in four places (libraries.md 1): it decides the mode by
header names, copies the record key into ``partitionkey``, loses tombstones and fails on keys that are not UTF-8.
"""

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

MAX_BYTES = 64 * 1024
_ATTRIBUTE = re.compile(r"[a-z0-9]{1,20}")
_LONGEST = 1024
"""Characters an attribute may have: those that are passed on must not make an event too large to send."""
_FORBIDDEN = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
"""What no attribute may hold (CloudEvents 1.0, "String"): PostgreSQL keeps no NUL, UTF-8 has no surrogates, signatures
part by line feeds."""
_PREFIX = "ce_"


class NotACloudEventError(ValueError):
    """A record that cannot be read as a CloudEvent. ``code`` is stable; the text never quotes the record."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


@dataclass(frozen=True, slots=True)
class CloudEvent:
    """One event. ``data`` is None for a tombstone; ``extensions`` holds every further attribute."""

    id: str
    source: str
    type: str
    data: bytes | None
    time: str | None = None
    subject: str | None = None
    dataschema: str | None = None
    datacontenttype: str = "application/json"
    extensions: tuple[tuple[str, str], ...] = ()

    def extension(self, name: str) -> str | None:
        return next((value for key, value in self.extensions if key == name), None)


def encode(event: CloudEvent) -> tuple[bytes | None, list[tuple[str, bytes]]]:
    """Value and headers of a record in binary mode. Raises ``ValueError`` for names or sizes out of bounds."""
    if event.data is not None and len(event.data) > MAX_BYTES:
        raise ValueError(f"an event has at most {MAX_BYTES} bytes")
    headers = [
        ("ce_specversion", b"1.0"),
        ("ce_id", event.id.encode()),
        ("ce_source", event.source.encode()),
        ("ce_type", event.type.encode()),
        ("content-type", event.datacontenttype.encode()),
    ]
    for name, value in (("time", event.time), ("subject", event.subject), ("dataschema", event.dataschema)):
        if value is not None:
            headers.append((_PREFIX + name, value.encode()))
    for name, value in event.extensions:
        if not _ATTRIBUTE.fullmatch(name):
            raise ValueError(f"not an attribute name: {name}")
        headers.append((name if name == "traceparent" else _PREFIX + name, value.encode()))
    return event.data, headers


def decode(value: bytes | None, headers: Iterable[tuple[str, bytes | None]]) -> CloudEvent:
    """The event in a record; a header without value says nothing. Raises ``NotACloudEventError``."""
    content_type = ""
    attributes: dict[str, str] = {}
    traceparent: str | None = None
    try:
        for name, raw in headers:
            if raw is None:
                continue
            if name.startswith(_PREFIX):
                attributes[name[3:]] = raw.decode("utf-8")
            elif name == "traceparent":
                traceparent = raw.decode("utf-8")
            elif name.lower() == "content-type":
                content_type = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise NotACloudEventError("header_encoding") from error
    if content_type.lower().startswith("application/cloudevents"):
        return _structured(value, traceparent)
    return _event(attributes, value, content_type or "application/json", traceparent)


def _structured(value: bytes | None, traceparent: str | None) -> CloudEvent:
    try:
        envelope = json.loads(value or b"")
    except (ValueError, RecursionError) as error:
        raise NotACloudEventError("not_json") from error
    if not isinstance(envelope, dict):
        raise NotACloudEventError("not_an_envelope")
    if "data_base64" in envelope:
        raise NotACloudEventError("data_base64_unsupported")
    data = envelope.pop("data", None)
    attributes = {name: item for name, item in envelope.items() if isinstance(item, str)}
    content_type = attributes.pop("datacontenttype", "application/json")
    return _event(attributes, None if data is None else json.dumps(data).encode(), content_type, traceparent)


def _event(attributes: dict[str, str], data: bytes | None, content_type: str, traceparent: str | None) -> CloudEvent:
    if traceparent is not None:  # a header of its own; an attribute of that name says more of the event
        attributes.setdefault("traceparent", traceparent)
    if attributes.pop("specversion", None) != "1.0":
        raise NotACloudEventError("specversion")
    required: dict[str, Any] = {}
    for name in ("id", "source", "type"):
        required[name] = attributes.pop(name, "")
        if not required[name] or len(required[name]) > 255 or _FORBIDDEN.search(required[name]):
            raise NotACloudEventError(f"attribute_{name}")
    if any(len(each) > _LONGEST for each in attributes.values()) or _FORBIDDEN.search("".join(attributes.values())):
        raise NotACloudEventError("attribute_value")
    time = attributes.pop("time", None)
    if time is not None and not _is_instant(time):
        raise NotACloudEventError("attribute_time")
    return CloudEvent(
        **required,
        data=data,
        time=time,
        subject=attributes.pop("subject", None),
        dataschema=attributes.pop("dataschema", None),
        datacontenttype=content_type,
        extensions=tuple(attributes.items()),
    )


def _is_instant(value: str) -> bool:
    try:
        return datetime.fromisoformat(value).tzinfo is not None
    except ValueError:
        return False

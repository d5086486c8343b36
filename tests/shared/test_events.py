"""The CloudEvents codec: its own round trip, the binding's rules, and the SDK as an independent reader."""

import json
from datetime import UTC, datetime

import pytest
from cloudevents.core.bindings.kafka import KafkaMessage, from_binary, to_structured
from cloudevents.core.formats.json import JSONFormat
from cloudevents.core.v1.event import CloudEvent as SdkEvent
from hypothesis import given
from hypothesis import strategies as st

from shared.events import MAX_BYTES, CloudEvent, NotACloudEventError, decode, encode

EVENT = CloudEvent(
    id="a:1",
    source="urn:test",
    type="cn.bangfu.test.thing.recorded.v1",
    data=b'{"name":"\xe5\x8d\x97\xe9\x98\xb3"}',
    time="2018-10-08T01:30:00.000000Z",
    subject="a",
    extensions=(
        ("partitionkey", "a"),
        ("aggregateversion", "1"),
        ("traceparent", "00-" + "1" * 32 + "-" + "2" * 16 + "-01"),
    ),
)

attribute = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=40)


@given(attribute, attribute, attribute, st.binary(max_size=200))
def test_what_is_encoded_is_decoded(identifier: str, source: str, kind: str, data: bytes) -> None:
    event = CloudEvent(identifier, source, kind, data, extensions=(("aggregateversion", "7"),))
    assert decode(*encode(event)) == event


def test_headers_follow_the_kafka_binding() -> None:
    _, headers = encode(EVENT)
    names = [name for name, _ in headers]
    assert dict(headers)["content-type"] == b"application/json"
    assert "ce_datacontenttype" not in names
    assert "traceparent" in names
    assert "ce_traceparent" not in names


def test_the_sdk_reads_what_we_write() -> None:
    value, headers = encode(EVENT)
    assert value is not None
    read = from_binary(KafkaMessage(headers=dict(headers), key=b"a", value=value), JSONFormat(), SdkEvent)
    assert read.get_id() == "a:1"
    assert read.get_extension("aggregateversion") == "1"
    assert read.get_data() == {"name": "南阳"}


def test_we_read_structured_events_of_the_sdk() -> None:
    sent = SdkEvent(
        {"id": "x", "source": "urn:x", "type": "t", "specversion": "1.0", "time": datetime(2018, 1, 1, tzinfo=UTC)},
        {"amount_fen": 1},
    )
    message = to_structured(sent, JSONFormat())
    event = decode(message.value, list(message.headers.items()))
    assert (event.id, event.type, json.loads(event.data or b"")) == ("x", "t", {"amount_fen": 1})


def test_content_type_decides_the_mode_not_header_names() -> None:
    envelope = json.dumps({"specversion": "1.0", "id": "s", "source": "urn:s", "type": "t", "data": 1}).encode()
    event = decode(envelope, [("content-type", b"Application/CloudEvents+json; charset=utf-8"), ("ce_id", b"other")])
    assert (event.id, event.data) == ("s", b"1")


def test_a_tombstone_has_no_data() -> None:
    value, headers = encode(CloudEvent("a", "b", "c", None))
    assert value is None
    assert decode(value, headers).data is None


def test_a_header_without_value_says_nothing() -> None:
    """Kafka knows headers whose value is null."""
    value, headers = encode(CloudEvent("a", "b", "c", b"{}"))
    assert decode(value, [*headers, ("ce_time", None), ("x", None)]).time is None
    with pytest.raises(NotACloudEventError) as caught:
        decode(value, [(name, None if name == "ce_id" else text) for name, text in headers])
    assert caught.value.code == "attribute_id"


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ([], "specversion"),
        ([("ce_specversion", b"0.3"), ("ce_id", b"1")], "specversion"),
        ([("ce_specversion", b"1.0"), ("ce_source", b"s"), ("ce_type", b"t")], "attribute_id"),
        ([("ce_specversion", b"1.0"), ("ce_id", b"1\n2"), ("ce_source", b"s"), ("ce_type", b"t")], "attribute_id"),
        ([("ce_specversion", b"1.0"), ("ce_id", b"\xff"), ("ce_source", b"s"), ("ce_type", b"t")], "header_encoding"),
        ([("ce_specversion", b"1.0"), ("ce_id", b"1"), ("ce_source", b"s"), ("ce_type", b"t"), ("ce_time", b"now")],
         "attribute_time"),
        ([("content-type", b"application/cloudevents+json")], "not_json"),
    ],
)  # fmt: skip
def test_what_is_not_a_cloudevent_is_named(headers: list[tuple[str, bytes]], code: str) -> None:
    with pytest.raises(NotACloudEventError) as caught:
        decode(b"\x00\xffrandom", headers)
    assert caught.value.code == code


def test_an_event_too_large_is_never_sent() -> None:
    with pytest.raises(ValueError, match="at most"):
        encode(CloudEvent("a", "b", "c", b"x" * (MAX_BYTES + 1)))


@pytest.mark.parametrize("name", ["UPPER", "with-dash", "x" * 21, ""])
def test_extension_names_are_checked(name: str) -> None:
    with pytest.raises(ValueError, match="attribute name"):
        encode(CloudEvent("a", "b", "c", b"", extensions=((name, "v"),)))

"""The AsyncAPI 3.0 document of a service: the topics it publishes and reads, built from the contracts."""

from collections.abc import Sequence
from typing import Any

from pydantic.json_schema import models_json_schema

from shared.contracts.base import Topic
from shared.events import MAX_BYTES
from shared.openapi import EXTENSIBLE
from shared.settings import Settings

_HEADERS = {
    "type": "object",
    "required": ["ce_specversion", "ce_id", "ce_source", "ce_type", "content-type"],
    "properties": {
        "ce_specversion": {"type": "string", "const": "1.0"},
        "ce_id": {
            "type": "string",
            "description": "With ce_source, names the event; `<aggregate id>:<version>`.",
        },
        "ce_source": {"type": "string", "description": "Who published it."},
        "ce_type": {"type": "string"},
        "ce_time": {"type": "string", "format": "date-time"},
        "ce_subject": {"type": "string", "description": "Aggregate id, equal to the record key."},
        "ce_dataschema": {"type": "string", "format": "uri"},
        "ce_partitionkey": {"type": "string"},
        "ce_aggregateversion": {"type": "string", "description": "Apply a higher version, ignore the rest."},
        "ce_correlationid": {"type": "string"},
        "ce_signature": {
            "type": "string",
            "description": "Of submissions, where their source signs: `v1,` and the base64 of an HMAC-SHA256 over "
            "ce_source, ce_id and ce_type, each followed by a line feed, and then the value as it is sent.",
        },
        "ce_causationid": {"type": "string"},
        "content-type": {"type": "string", "const": "application/json"},
        "traceparent": {"type": "string", "description": "W3C trace context."},
    },
}


def asyncapi_document(
    title: str, settings: Settings, publishes: Sequence[Topic], reads: Sequence[Topic]
) -> dict[str, Any]:
    """A valid AsyncAPI 3.0.0 document. Payloads up to 64 KiB; record key = aggregate id."""
    topics = {topic.name: topic for topic in (*publishes, *reads)}
    models = {topic.model for topic in topics.values()}
    _, definitions = models_json_schema(
        [(model, "serialization") for model in sorted(models, key=lambda m: m.__name__)],
        by_alias=True,
        ref_template="#/components/schemas/{model}",
    )
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": title,
            "version": "1",
            "description": f"CloudEvents 1.0, binary mode, at most {MAX_BYTES} bytes; delivered at least once. "
            + EXTENSIBLE,
            "license": {"name": "Apache-2.0"},
        },
        "defaultContentType": "application/json",
        "servers": {"kafka": {"host": settings.kafka_bootstrap_servers, "protocol": "kafka"}},
        "channels": {name: _channel(settings, topic) for name, topic in topics.items()},
        "operations": {
            **{_operation("send", topic): _use("send", topic) for topic in publishes},
            **{_operation("receive", topic): _use("receive", topic) for topic in reads},
        },
        "components": {
            "messages": {name: _message(topic) for name, topic in topics.items()},
            "schemas": {"Headers": _HEADERS, **_discriminated(definitions.get("$defs", {}))},
        },
    }


def _discriminated(schemas: Any) -> Any:
    """AsyncAPI names a discriminator by its property alone, where OpenAPI has an object."""
    if isinstance(schemas, list):
        return [_discriminated(each) for each in schemas]
    if not isinstance(schemas, dict):
        return schemas
    made = {name: _discriminated(each) for name, each in schemas.items()}
    if isinstance(discriminator := schemas.get("discriminator"), dict) and "mapping" in discriminator:
        made["discriminator"] = discriminator["propertyName"]
    return made


def _channel(settings: Settings, topic: Topic) -> dict[str, Any]:
    return {
        "address": settings.topic(topic.name),
        "description": topic.summary,
        "messages": {"event": {"$ref": f"#/components/messages/{topic.name}"}},
        "bindings": {
            "kafka": {
                "topic": settings.topic(topic.name),
                "partitions": topic.partitions,
                "bindingVersion": "0.5.0",
            }
        },
    }


def _message(topic: Topic) -> dict[str, Any]:
    return {
        "name": topic.name,
        "title": topic.summary,
        "summary": "Types: " + ", ".join(topic.types),
        "contentType": "application/json",
        "headers": {"$ref": "#/components/schemas/Headers"},
        "payload": {"$ref": f"#/components/schemas/{topic.model.__name__}"},
        "bindings": {"kafka": {"key": {"type": "string", "description": "Aggregate id."}, "bindingVersion": "0.5.0"}},
    }


def _operation(action: str, topic: Topic) -> str:
    return f"{action}-{topic.name}".replace(".", "-")


def _use(action: str, topic: Topic) -> dict[str, Any]:
    return {
        "action": action,
        "channel": {"$ref": f"#/channels/{topic.name}"},
        "summary": topic.summary,
        "messages": [{"$ref": f"#/channels/{topic.name}/messages/event"}],
    }

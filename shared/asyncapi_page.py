"""An AsyncAPI document as a page that people read: HTML that asks for nothing else, so that it works offline."""

import json
from html import escape
from typing import Any

_STYLE = (
    "body{font:15px/1.6 sans-serif;max-width:64rem;margin:2rem auto;padding:0 1rem}"
    "table{border-collapse:collapse;width:100%}td,th{border:1px solid #ccc;padding:.2rem .5rem;text-align:left;"
    "vertical-align:top}th{background:#f3f3f3}code{word-break:break-word}"
)
_DIRECTIONS = {"send": "published 发布", "receive": "read 读取"}
_LIMITS = ("format", "pattern", "minimum", "maximum", "minLength", "maxLength", "minItems", "maxItems")


def asyncapi_page(document: dict[str, Any]) -> str:
    """The page: topics with their messages, then every type with its fields."""
    info, components = document["info"], document["components"]
    directions = {use["channel"]["$ref"]: _DIRECTIONS[use["action"]] for use in document["operations"].values()}
    topics = [
        _topic(name, channel, components["messages"][name], directions[f"#/channels/{name}"])
        for name, channel in document["channels"].items()
    ]
    types = [_type(name, schema) for name, schema in components["schemas"].items()]
    return (
        f"<!doctype html><html lang='zh-CN'><meta charset='utf-8'><title>{escape(info['title'])}</title>"
        f"<style>{_STYLE}</style><h1>{escape(info['title'])}: events 事件</h1><p>{escape(info['description'])} "
        f"<a href='/asyncapi.json'>asyncapi.json</a></p><h2>Topics 主题</h2>{''.join(topics)}"
        f"<h2>Types 类型</h2>{''.join(types)}</html>"
    )


def _topic(name: str, channel: dict[str, Any], message: dict[str, Any], direction: str) -> str:
    kafka = channel["bindings"]["kafka"]
    said = {
        "": f"{direction}; {kafka['partitions']} partitions 分区",
        "value 内容": f"{_kind(message['payload'])} (<a href='/schemas/{escape(name)}.json'>JSON Schema</a>)",
        "headers 消息头": _kind(message["headers"]),
        "types 事件类型": escape(message["summary"].removeprefix("Types: ")),
    }
    lines = "<br>".join(f"{label}{': ' if label else ''}{text}" for label, text in said.items())
    return f"<h3><code>{escape(channel['address'])}</code></h3><p>{escape(channel['description'])}</p><p>{lines}</p>"


def _type(name: str, schema: dict[str, Any]) -> str:
    needed = schema.get("required", [])
    rows = [
        f"<tr><td><code>{escape(field)}</code>{' *' if field in needed else ''}<td>{_kind(each)}"
        f"<td>{escape(each.get('description', ''))}"
        for field, each in schema.get("properties", {}).items()
    ]
    fields = f"<table><tr><th>field 字段 (* required 必填)<th>type 类型<th>meaning 含义{''.join(rows)}</table>"
    said = escape(schema.get("description", ""))
    return f"<h3 id='{escape(name)}'>{escape(name)}</h3><p>{said}</p>{fields if rows else _kind(schema)}"


def _kind(schema: Any) -> str:
    """What a value may be, in a few words."""
    if not isinstance(schema, dict):  # true: anything
        return "any"
    if "$ref" in schema:
        name = escape(schema["$ref"].rsplit("/", 1)[-1])
        return f"<a href='#{name}'>{name}</a>"
    if "const" in schema or "enum" in schema:
        values = schema.get("enum", [schema.get("const")])
        return " | ".join(f"<code>{escape(json.dumps(each, ensure_ascii=False))}</code>" for each in values)
    for several in ("anyOf", "oneOf", "allOf"):
        if several in schema:
            return " | ".join(map(_kind, schema[several]))
    if schema.get("type") == "array":
        return f"[{_kind(schema.get('items', True))}]"
    if isinstance(schema.get("additionalProperties"), dict):
        return f"{{name: {_kind(schema['additionalProperties'])}}}"
    limits = ", ".join(f"{name} {schema[name]}" for name in _LIMITS if name in schema)
    return escape(str(schema.get("type", "any")) + (f" ({limits})" if limits else ""))

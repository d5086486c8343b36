"""What the documentation page fills in for a request is a request that works."""

from typing import Any

import httpx
from fastapi import FastAPI

from services.registry.context import today
from tests.registry.conftest import XIPING, make, matching

Schema = dict[str, Any]


def _filled_in(document: Schema, schema: Schema, day: str) -> Any:
    """As Swagger UI makes an example of a schema: its own, else of its properties; a date is the day of asking."""
    if "$ref" in schema:
        return _filled_in(document, document["components"]["schemas"][schema["$ref"].rpartition("/")[2]], day)
    if "examples" in schema:
        return schema["examples"][0]
    if schema.get("format") == "date":
        return day
    return {name: _filled_in(document, inner, day) for name, inner in schema["properties"].items()}


def _request(document: Schema, path: str, day: str) -> Any:
    """What is filled in for a POST."""
    schema = document["paths"][path]["post"]["requestBody"]["content"]["application/json"]["schema"]
    return _filled_in(document, schema, day)


CHANGES = (
    ("411323102217", "split"), ("411323102217", "name"), ("411323102216", "merge"), ("411323102217", "parent"),
    ("411323102215", "end"), (XIPING, "managing-unit"),
)  # fmt: skip


async def test_changes_of_divisions_are_entered_with_their_examples(
    own_registry: httpx.AsyncClient, own_app: FastAPI
) -> None:
    """They are refused on any day but the one they take effect on, which an example cannot know."""
    document = (await own_registry.get("/openapi.json")).json()
    day = today(own_app.state.registry).isoformat()
    assert (await make(own_registry))["number"] == "41132300000001"
    added = await own_registry.post("/v1/divisions", json=_request(document, "/v1/divisions", day))
    assert added.status_code == 201, added.text
    for code, what in CHANGES:
        body = _request(document, f"/v1/divisions/{{code}}/{what}", day)
        version = (await own_registry.get(f"/v1/divisions/{code}")).json()["version"]
        answer = await own_registry.post(f"/v1/divisions/{code}/{what}", json=body, headers=matching(version))
        assert answer.status_code == 200, (what, body, answer.text)


async def test_lines_of_json_are_taken_in_as_their_examples_say(registry: httpx.AsyncClient) -> None:
    paths = (await registry.get("/openapi.json")).json()["paths"]
    taken = 0
    operations = [(path, method) for path, methods in paths.items() for method in methods]
    for path, method in operations:
        body = paths[path][method].get("requestBody", {}).get("content", {}).get("application/jsonl")
        if body is not None:
            headers = {"Content-Type": "application/jsonl"}
            answer = await registry.request(method, f"{path}?dry_run=true", content=body["example"], headers=headers)
            assert answer.status_code == 200, (path, answer.text)
            assert answer.json()["errors"] == [], (path, answer.text)
            assert answer.json()["counts"]["received"] == 1
            taken += 1
    assert taken == 3

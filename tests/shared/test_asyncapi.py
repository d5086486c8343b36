"""The page of a service's events: everything that the document says, from the service itself alone."""

import json
import re
from html import escape
from typing import Any

import httpx
import pytest

from shared.asyncapi_page import asyncapi_page
from shared.settings import ServiceName
from tests.access.worlds import DATA_KEY, application

SERVICES: tuple[ServiceName, ...] = ("registry", "assistance", "ranking")


@pytest.mark.parametrize("service", SERVICES)
async def test_the_page_says_what_the_document_says_and_asks_for_nothing_else(
    service: ServiceName, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BANGFU_REGISTRY_DATA_KEY", DATA_KEY)
    transport = httpx.ASGITransport(application(service))
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        document = (await client.get("/asyncapi.json")).json()
        answer = await client.get("/asyncapi")
        assert (answer.status_code, answer.headers["content-type"]) == (200, "text/html; charset=utf-8")
        page = answer.text
        links = re.findall(r"(?:href|src)='([^']*)'", page)
        assert {link[0] for link in links} == {"#", "/"}
        for link in {link for link in links if link[0] == "/"}:
            assert (await client.get(link)).status_code == 200, link
    assert not re.search(r"<script|@import|url\(|src=", page)
    anchors = set(re.findall(r"id='([^']*)'", page))
    assert {link[1:] for link in links if link[0] == "#"} <= anchors == set(document["components"]["schemas"])
    said = [document["info"]["title"], *(each["address"] for each in document["channels"].values())]
    for schema in document["components"]["schemas"].values():
        said += schema.get("properties", {})
        said += [each["description"] for each in schema.get("properties", {}).values() if "description" in each]
    assert [each for each in said if escape(each) not in page] == []


def test_what_a_document_says_is_never_markup() -> None:
    bad = "<script>'\"&"
    properties: dict[str, Any] = {bad: {"type": bad, "description": bad}, "b": {"enum": [bad]}, "c": {"pattern": bad}}
    document: dict[str, Any] = {
        "info": {"title": bad, "description": bad},
        "channels": {bad: {"address": bad, "description": bad, "bindings": {"kafka": {"partitions": 12}}}},
        "operations": {"o": {"action": "send", "channel": {"$ref": f"#/channels/{bad}"}}},
        "components": {
            "messages": {bad: {"payload": {"$ref": bad}, "headers": {"const": bad}, "summary": bad}},
            "schemas": {bad: {"properties": properties, "description": bad}},
        },
    }
    page = asyncapi_page(document)
    assert "<script" not in page
    assert bad not in page
    assert escape(json.dumps(bad)) in page

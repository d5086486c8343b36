"""The service's documents are valid, and every route is guarded and declared."""

from typing import Any

import httpx
import pytest
from openapi_spec_validator import validate

from tests.registry.conftest import DATA_KEY, app_on, issue

OPEN = frozenset({"/v1/certificates/{number}"})
"""Routes that ask for no key."""


async def test_the_openapi_documents_are_valid(registry: httpx.AsyncClient) -> None:
    for name in ("/openapi.json", "/openapi-3.0.json"):
        document = (await registry.get(name)).json()
        validate(document)


async def test_every_operation_is_described(registry: httpx.AsyncClient) -> None:
    document = (await registry.get("/openapi.json")).json()
    operations = [
        (path, operation)
        for path, methods in document["paths"].items()
        if path.startswith("/v1/")
        for operation in methods.values()
    ]
    assert len({operation["operationId"] for _, operation in operations}) == len(operations) > 20
    for path, operation in operations:
        assert operation["summary"]
        assert operation["description"]
        guarded = path not in OPEN
        assert {"422", "503"} <= operation["responses"].keys()
        assert ("401" in operation["responses"]) == bool(operation["security"]) == guarded


@pytest.fixture(scope="module")
def routes() -> list[tuple[str, str]]:
    """Method and path of every operation; from one document, because making one takes two seconds."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BANGFU_REGISTRY_DATA_KEY", DATA_KEY)
        document = app_on("postgresql://nobody@127.0.0.1:1/none").openapi()
    return [
        (method.upper(), path)
        for path, methods in document["paths"].items()
        if path.startswith("/v1/")
        for method in methods
    ]


async def test_no_route_answers_without_a_key(registry: httpx.AsyncClient, routes: list[tuple[str, str]]) -> None:
    for method, path in routes:
        answer = await registry.request(method, path, json={}, headers={"Authorization": ""})
        assert (answer.status_code == 401) == (path not in OPEN), (method, path)


async def test_readers_change_nothing(registry: httpx.AsyncClient, routes: list[tuple[str, str]]) -> None:
    reader = await issue(registry, ["reader"], ["411300000000"])
    for method, path in routes:
        if method != "GET":
            answer = await registry.request(method, path, json={}, headers={**reader, "If-Match": '"1"'})
            assert answer.status_code in (403, 415, 422), (method, path)
            assert answer.status_code != 422 or "required_roles" not in answer.text


NASTY: list[Any] = [None, [], "", 0, 1e300, "\U0001f600", {"members": None}, {"village": ["x"]}, {"reason": "\u202e"}]


@pytest.mark.parametrize("body", NASTY)
async def test_nothing_sent_makes_a_fault_of_ours(
    registry: httpx.AsyncClient, routes: list[tuple[str, str]], body: Any
) -> None:
    for method, path in routes:
        for filled in (path.replace("{code}", "411323000000"), path.replace("{code}", "%00"), path + "?limit=1_0"):
            url = filled.replace("{household}", "41132310221701").replace("{kind}", "zone")
            answer = await registry.request(method, url, json=body, headers={"If-Match": '"99999999999999999"'})
            assert answer.status_code < 500, (method, url, answer.text)

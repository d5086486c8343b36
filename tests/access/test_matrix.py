"""Roles x routes x own or foreign division, for every operation of every service (reliability.md 4, tests 1, 2, 8).

The operations come from the OpenAPI documents, what to expect of them from ``expectations.py``.
"""

import json
import logging
import re
import unicodedata
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cache
from typing import Any, get_args
from urllib.parse import quote

import httpx
import pytest

from shared.settings import ServiceName
from tests.access.expectations import EXPECTED, PARAMETERS, ROLES, Expectation
from tests.access.worlds import DATA_KEY, NOWHERE, Parameters, World, application, running

SERVICES: tuple[ServiceName, ...] = get_args(ServiceName)
XIXIA, CITY = "411323000000", "411300000000"
every_service = pytest.mark.parametrize("service", SERVICES)


@dataclass(frozen=True)
class Operation:
    """One operation of an OpenAPI document."""

    name: str
    method: str
    path: str
    content_type: str | None
    """Of what it takes; None when it takes nothing."""
    example: Any
    pages: bool
    """Whether it lists page by page, with a cursor."""

    @property
    def parameters(self) -> list[str]:
        return re.findall(r"{(\w+)}", self.path)

    def address(self, named: Parameters) -> str:
        """The path with its parameters given."""
        return self.path.format(**{name: named.get(name) or PARAMETERS.get(name, NOWHERE) for name in self.parameters})


def operations(document: dict[str, Any]) -> Iterator[Operation]:
    schemas = document["components"]["schemas"]
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            content = operation.get("requestBody", {}).get("content", {})
            content_type = next(iter(content), None)
            name = content.get("application/json", {}).get("schema", {}).get("$ref", "").rsplit("/", 1)[-1]
            examples = schemas.get(name, {}).get("examples") or [{}]
            pages = any(parameter["name"] == "cursor" for parameter in operation.get("parameters", []))
            yield Operation(operation["operationId"], method, path, content_type, examples[0], pages)


@cache
def operations_of(service: ServiceName) -> tuple[Operation, ...]:
    """Every operation of a service; read once, because making the document takes seconds."""
    return tuple(operations(application(service).openapi()))


@pytest.fixture(autouse=True)
def secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BANGFU_REGISTRY_DATA_KEY", DATA_KEY)


@pytest.fixture
async def world(service: ServiceName, database_url: Callable[[str | None], str]) -> AsyncIterator[World]:
    async with running(service, database_url(service)) as made:
        yield made


@every_service
def test_every_operation_has_an_expectation(service: ServiceName) -> None:
    found = {operation.name for operation in operations_of(service)}
    expected = set(EXPECTED[service])
    assert not found - expected, "say who may call them, in tests/access/expectations.py"
    assert not expected - found, "there are no such operations any more"


@every_service
def test_documents_send_nobody_to_pages_that_are_not_there(service: ServiceName) -> None:
    assert not re.findall(r".{40}\.md\b", json.dumps(application(service).openapi()))


@every_service
def test_operations_declare_what_is_refused_of_a_body(service: ServiceName) -> None:
    paths = application(service).openapi()["paths"].values()
    operations = [operation for path in paths for operation in path.values() if "requestBody" in operation]
    assert operations
    assert [each["operationId"] for each in operations if not {"408", "413", "415"} <= each["responses"].keys()] == []


@every_service
async def test_roles(service: ServiceName, world: World) -> None:
    """Whoever may not is told so before anything else is looked at; whoever may is not."""
    callers = [
        (role or "no role", {place: await world.key([role] if role else [], [place]) for place in (XIXIA, CITY)}, role)
        for role in (*ROLES, None)
    ]
    strangers = {
        "nobody": None,
        "nonsense": "bf_000000000000.nonsense",
        "expired": await world.key(list(ROLES), [XIXIA], expires_at=datetime(2020, 1, 1, tzinfo=UTC)),
        "revoked": await world.key(list(ROLES), [XIXIA], status="revoked"),
    }
    faults = []
    for operation in operations_of(service):
        expected = EXPECTED[service][operation.name]
        for who, key in strangers.items():
            status = (await send(world, operation, key)).status_code
            if (status == 401) == (expected.roles is None):
                faults.append(f"{operation.name} by {who}: {status}")
        for who, keys, role in callers:
            status = (await send(world, operation, keys[CITY if expected.citywide else XIXIA])).status_code
            denied, failed = status in (401, 403), status >= 500 and expected.roles is not None
            if denied is expected.admits(role) or (denied and status != expected.refusal) or failed:
                faults.append(f"{operation.name} by {who}: {status}")
    assert not faults


@every_service
async def test_divisions(service: ServiceName, world: World) -> None:
    """Objects elsewhere look like none to the strongest key of a county, and so do all to a key of no division."""
    county, nowhere = await world.key(list(ROLES), [XIXIA]), await world.key(list(ROLES), [])
    faults = []
    for operation in operations_of(service):
        expected = EXPECTED[service][operation.name]
        if expected.of is not None:
            own, nothing = world.own[expected.of], world.unknown[expected.of]
            pairs = [(county, foreign) for foreign in world.foreign[expected.of]] + [(nowhere, own)]
            for key, named in pairs:
                answers = [await ask(world, operation, expected, key, each) for each in (nothing, named)]
                if answers[0] != answers[1] or (key is county and answers[0][0] != 404):
                    faults.append(f"{operation.name} of nothing, of {named}: {answers}")
            status, _ = await ask(world, operation, expected, county, own)
            if status not in (200, 201, 204, 409, 412, 422):
                faults.append(f"{operation.name} of one's own: {status}")
        if expected.citywide:
            faults += [
                f"{operation.name} by less than the city: {status}"
                for key in (county, nowhere)
                if (status := (await send(world, operation, key)).status_code) != 403
            ]
        if expected.lists is not None:
            shown = (await send(world, operation, county)).text
            ours = set(world.own[expected.lists].values())
            theirs = {name for each in world.foreign[expected.lists] for name in each.values()} - ours
            faults += [f"{operation.name} leaves out {name}" for name in ours if name not in shown]
            faults += [f"{operation.name} shows {name}" for name in theirs if name in shown]
    assert not faults


SORT_KEYS: list[list[str | int]] = [[NOWHERE], [1], ["a", 1], [1, "a"], ["2018-10-08", NOWHERE]]
"""As lists have them: an id, a position, a code and a year, an order and a code, a day and an id."""


@every_service
async def test_cursors_are_of_one_list(service: ServiceName, world: World) -> None:
    """The cursor of any other list is as good as a forged one: 400, whatever its key is made of."""
    city = await world.key(list(ROLES), [CITY])
    cursors: dict[str, list[str]] = {}
    for operation in operations_of(service):
        if operation.pages:
            expected = EXPECTED[service][operation.name]
            kind = expected.of or expected.inside
            for named in [{}] if kind is None else [world.own[kind], world.foreign[kind][0]]:
                address = operation.address(named)
                signed = [world.app.state.cursors.sign(address, key) for key in SORT_KEYS]
                cursors[address] = signed + await real_cursors(world, address, city)
    assert cursors
    assert any(len(made) > len(SORT_KEYS) for made in cursors.values()), "no list has two pages"
    faults = []
    for address in cursors:
        for other, foreign in cursors.items():
            for cursor in foreign if other != address else ():
                answer = await page(world, address, city, cursor=cursor)
                if answer.status_code != 400 or answer.json()["errors"][0]["pointer"] != "query:cursor":
                    faults.append(f"{address} with a cursor of {other}: {answer.status_code}")
    assert not faults


async def real_cursors(world: World, address: str, key: str) -> list[str]:
    """The cursor behind the first row of a list, which leads to the next; none where there is no second row."""
    first = await page(world, address, key, limit=1)
    assert first.status_code == 200, first.text
    cursor = first.json()["next_cursor"]
    if cursor is None:
        return []
    second = await page(world, address, key, limit=1, cursor=cursor)
    assert second.status_code == 200, second.text
    return [cursor]


async def page(world: World, address: str, key: str, **query: str | int) -> httpx.Response:
    return await world.client.get(address, params=query, headers={"Authorization": f"Bearer {key}"})


@every_service
async def test_no_operation_reads_over_what_the_query_asks(service: ServiceName, world: World) -> None:
    """A mistyped filter would show everything; a ``dry_run`` that an operation does not have would be in earnest."""
    city, faults = await world.key(list(ROLES), [CITY]), []
    for operation in operations_of(service):
        if operation.path.startswith("/v1/"):
            answer = await send(world, replace(operation, path=f"{operation.path}?no_such=1"), city)
            if answer.status_code != 422 or "query:no_such" not in answer.text:
                faults.append(f"{operation.name}: {answer.status_code} {answer.text[:200]}")
    assert not faults


NUMBERS = ("411323199202023219", "４１１３２３１９９２０２０２３２１９", "138-7654-3200", "nobody:6217998877665541")
"""Of people, phones and bank cards; more ways of writing them are tried in tests/shared/test_app.py."""
NO_ROUTES = ("/{number}", "/v1/{number}/x", "/v1/households/x/{number}", "/problems/{number}", "/schemas/{number}.json")


@every_service
async def test_a_number_in_an_address_is_told_nowhere(
    service: ServiceName, world: World, caplog: pytest.LogCaptureFixture
) -> None:
    """In no problem, header, log or metric, whoever asks and whether there is such a route or not."""
    caplog.set_level(logging.DEBUG)
    logging.getLogger("httpx").setLevel(logging.WARNING)  # the test's own client
    city = await world.key(list(ROLES), [CITY])
    asked = [operation for operation in operations_of(service) if operation.parameters]
    asked += [replace(operation, method="options") for operation in asked]  # which none of them serves
    asked += [Operation("none", "get", path, None, None, pages=False) for path in NO_ROUTES]
    told, faults = [], []
    for operation in asked:
        for number in NUMBERS:
            for key in (None, city):
                answer = await send(world, operation, key, dict.fromkeys(operation.parameters, number))
                if answer.status_code >= 400:
                    told.append(f"{answer.text} {answer.headers}")
                    faults += [f"{operation.name} by {operation.method}: {each}" for each in shown([number], told[-1])]
    assert told
    assert not faults
    assert shown(NUMBERS, caplog.text) == []
    assert shown(NUMBERS, (await world.client.get("/metrics")).text) == []


def shown(numbers: Iterable[str], text: str) -> list[str]:
    """Those that a text holds: as they were sent, percent-encoded, or in narrow digits."""
    forms = {each: (each, quote(each), unicodedata.normalize("NFKC", each)) for each in numbers}
    return [number for number, written in forms.items() if any(form in text for form in written)]


async def ask(
    world: World, operation: Operation, expected: Expectation, key: str, named: Parameters
) -> tuple[int, dict[str, Any]]:
    """Status, and the problem without the address that was asked."""
    answer = await send(world, operation, key, named, operation.example if expected.body is None else expected.body)
    if answer.status_code < 400:
        return answer.status_code, {}
    return answer.status_code, {name: value for name, value in answer.json().items() if name != "instance"}


async def send(
    world: World, operation: Operation, key: str | None, named: Parameters | None = None, body: Any = None
) -> httpx.Response:
    headers = {"If-Match": '"1"'} if named else {}
    if key is not None:
        headers["Authorization"] = f"Bearer {key}"
    content = None
    if operation.content_type is not None:
        headers["Content-Type"], content = operation.content_type, json.dumps(body or {})
    return await world.client.request(
        operation.method, operation.address(named or {}), headers=headers, content=content
    )

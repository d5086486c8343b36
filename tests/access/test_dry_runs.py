"""``dry_run`` at every POST that records something: answered as in earnest, and nothing is written (interfaces.md).

The operations come from the OpenAPI documents. A new POST fails the tests until it has a request in
``registry_calls.py`` or ``assistance_calls.py``, or an exception here. What a request needs is made for it alone, in
the worlds of the role matrix. ``"operation: variant"`` names a second request of an operation.
"""

import re
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import UTC, datetime
from typing import Any, Literal

import httpx
import pytest

import shared.app as app_module
from shared.clock import FixedClock
from shared.contracts.key import Role
from tests.access import assistance_calls, registry_calls
from tests.access.desk import Call, Desk
from tests.access.expectations import ROLES
from tests.access.worlds import DATA_KEY, World, application, running
from tests.registry.conftest import CITY

Recording = Literal["registry", "assistance"]
every_service = pytest.mark.parametrize("service", ["registry", "assistance"])
CALLS = {"registry": registry_calls.CALLS, "assistance": assistance_calls.CALLS}
READS = "it records nothing but that somebody looked, and its answer is what it is for"
ITS_FORM = "the form that is sent with the file has the field dry_run"
SECRET = "its answer is the secret, and there is nothing else to check"
OTHERS_STANDARD = "the DCI standard says what it takes"
EXCEPTIONS = {
    "registry": {
        "reveal_member": READS,
        "reveal_person": READS,
        "look_up_persons": READS,
        "print_certificate_in_full": READS,
        "import_file": ITS_FORM,
        "issue_source_secret": SECRET,
        "renew_exchange_party_secret": SECRET,
        "dci_sync_search": OTHERS_STANDARD,
        "dci_search": OTHERS_STANDARD,
        "dci_subscribe": OTHERS_STANDARD,
        "dci_unsubscribe": OTHERS_STANDARD,
        "dci_sync_status": OTHERS_STANDARD,
        "dci_status": OTHERS_STANDARD,
        "dci_receive_on_search": OTHERS_STANDARD,
        "dci_receive_on_subscribe": OTHERS_STANDARD,
        "dci_receive_on_unsubscribe": OTHERS_STANDARD,
        "dci_receive_notify": OTHERS_STANDARD,
        "dci_receive_txn_on_status": OTHERS_STANDARD,
        "dci_token": OTHERS_STANDARD,
    },
    "assistance": {"issue_source_secret": SECRET},
}
TABLES = (
    "SELECT relname FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace "
    "WHERE nspname = 'public' AND relkind = 'r' ORDER BY relname"
)
HELD = "SELECT '{0}' AS name, count(*) AS rows, coalesce(sum(hashtextextended(t::text, 0)), 0) AS held FROM {0} AS t"


def posts(service: Recording) -> dict[str, tuple[str, dict[str, Any]]]:
    """Address and description of every POST, by the name of its operation."""
    paths = application(service).openapi()["paths"]
    return {each["post"]["operationId"]: (path, each["post"]) for path, each in paths.items() if "post" in each}


def takes_dry_run(operation: dict[str, Any]) -> bool:
    return any(parameter["name"] == "dry_run" for parameter in operation.get("parameters", []))


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing goes on in the background that could write what a dry run did not."""
    monkeypatch.setenv("BANGFU_REGISTRY_DATA_KEY", DATA_KEY)
    monkeypatch.setattr(app_module, "_work", lambda *_: [])


@pytest.fixture
async def world(service: Recording, database_url: Callable[[str | None], str]) -> AsyncIterator[World]:
    async with running(service, database_url(service)) as made:
        made.app.state.runtime.clock = FixedClock(datetime.now(UTC))  # what is of today when it is tried, still is then
        yield made


@every_service
def test_every_post_takes_it_or_says_why_not(service: Recording) -> None:
    found = {name: takes_dry_run(operation) for name, (_, operation) in posts(service).items()}
    taking, others = ({name for name, taken in found.items() if taken is wanted} for wanted in (True, False))
    assert others == EXCEPTIONS[service].keys(), "let it take dry_run, or say in EXCEPTIONS why not"
    assert taking == {name.partition(":")[0] for name in CALLS[service]}, "give it a request in tests/access"


@every_service
def test_the_documents_tell_of_the_answer(service: Recording) -> None:
    """It is always 200, in the shape of what comes in earnest."""
    for name, (_, operation) in posts(service).items():
        if takes_dry_run(operation):
            answers = {status: told["content"] for status, told in operation["responses"].items() if status[0] == "2"}
            assert answers["200"] in [answers.get(status) for status in ("201", "202", "200")], name


@every_service
async def test_a_dry_run_answers_as_in_earnest_and_writes_nothing(service: Recording, world: World) -> None:
    """And what it was tried with, key and all, is then carried out."""
    desk, paths = await desk_in(world), {name: path for name, (path, _) in posts(service).items()}
    faults = []
    for name, case in CALLS[service].items():
        call, address = await case(desk), paths[name.partition(":")[0]]
        before = await written(world)
        tried = await send(desk, address, call, name, dry_run="true")
        after = await written(world)
        faults += [f"{name} wrote to {table}" for table in before if before[table] != after[table]]
        faults += [f"{name}: {each}" for each in [*told_wrongly(tried), *await kept_wrongly(world)]]
        done = await send(desk, address, call, name)
        if done.status_code not in (200, 201, 202) or await written(world) == after:
            faults.append(f"{name} in earnest: {done.status_code} {done.text[:300]}")
        else:
            faults += [f"{name} answers otherwise in earnest: {at}" for at in differing(tried.json(), done.json())]
    assert not faults, "\n".join(faults)


@every_service
async def test_a_key_that_was_used_is_refused_in_a_dry_run_too(service: Recording, world: World) -> None:
    """It names another request: the one without ``dry_run``."""
    desk, paths = await desk_in(world), posts(service)
    faults = []
    for name, case in CALLS[service].items():
        path, operation = paths[name.partition(":")[0]]
        if any(parameter["name"] == "idempotency-key" for parameter in operation["parameters"]):
            call = await case(desk)
            await send(desk, path, call, name)
            again = await send(desk, path, call, name, dry_run="true")
            if again.status_code != 422 or again.json()["code"] != "idempotency_key_reused":
                faults.append(f"{name}: {again.status_code} {again.text[:300]}")
    assert not faults, "\n".join(faults)


async def desk_in(world: World) -> Desk:
    roles: list[Role] = [role for role in ROLES if role != "identity:reveal"]
    return Desk(world, await world.key(roles, [CITY]), await world.key(roles, [CITY]))


async def send(desk: Desk, path: str, call: Call, name: str, **query: str) -> httpx.Response:
    headers = {"Authorization": f"Bearer {call.by or desk.key}", "Idempotency-Key": name}
    if call.version is not None:
        headers["If-Match"] = f'"{call.version}"'
    sent: dict[str, Any] = {"json": call.body}
    if isinstance(call.body, str):
        sent, headers["Content-Type"] = {"content": call.body}, "application/jsonl"
    return await desk.world.client.post(path.format(**call.named), params=query, headers=headers, **sent)


async def written(world: World) -> dict[str, tuple[int, int]]:
    """Of every table how many rows it has, and what they hold."""
    async with world.app.state.runtime.database.driver() as pg:
        tables = [row["relname"] for row in await pg.fetch(TABLES)]
        each = (
            "SELECT '{0}' AS name, count(*) AS rows, coalesce(sum(hashtextextended(t::text, 0)), 0) AS held FROM {0} t"
        )
        found = await pg.fetch(" UNION ALL ".join(each.format(table) for table in tables))
    return {row["name"]: (row["rows"], row["held"]) for row in found}


def told_wrongly(tried: httpx.Response) -> list[str]:
    """What an answer says as if something had been made."""
    if tried.status_code != 200:
        return [f"{tried.status_code} {tried.text[:300]}"]
    headers = [f"tells {name}" for name in ("etag", "location", "retry-after") if name in tried.headers]
    return headers + [f"tells {name}" for name in ("key", "client_secret") if tried.json().get(name) is not None]


async def kept_wrongly(world: World) -> list[str]:
    """What is in memory though it was undone: nobody sees it but there."""
    state = world.app.state
    if hasattr(state, "assistance"):
        table, kept = "programme", state.assistance.catalogue._value.programmes.values()
    else:
        table, kept = "division", state.divisions._value
    async with state.runtime.database.driver() as pg:
        there = {row["code"]: row["version"] for row in await pg.fetch(f"SELECT code, version FROM {table}")}
    return [f"keeps {each.code} in memory" for each in kept if each.version > there.get(each.code, 0)]


_DRAWN = re.compile(
    r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|[0-9]{14}|\d{4}-\d\d-\d\dT[\d:.]+(Z|[+-]\d\d:\d\d)|bf_[0-9a-f]+"
)
"""Ids, numbers and instants."""
_OTHERWISE = {"id", "seq", "dry_run", "key", "client_secret", "client_id"}
"""What is drawn, too, and what an answer in earnest tells alone."""


def differing(tried: Any, done: Any, at: str = "") -> Iterator[str]:
    """Where two answers differ, but for what is drawn anew each time."""
    if isinstance(tried, dict) and isinstance(done, dict):
        for name in sorted((tried.keys() | done.keys()) - _OTHERWISE):
            yield from differing(tried.get(name), done.get(name), f"{at}/{name}")
    elif isinstance(tried, list) and isinstance(done, list) and len(tried) == len(done):
        for position, pair in enumerate(zip(tried, done, strict=True)):
            yield from differing(*pair, f"{at}/{position}")
    elif tried != done and not all(isinstance(each, str) and _DRAWN.fullmatch(each) for each in (tried, done)):
        yield f"{at} {tried!r} {done!r}"

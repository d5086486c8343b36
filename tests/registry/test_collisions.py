"""Whoever learns by a number that is taken of somebody registered elsewhere has looked them up: audited, and counted.

By every way in, also where nothing is written in the end.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from services.registry.imports import modes
from tests.registry.audit import entries
from tests.registry.conftest import (
    OTHER_VILLAGE,
    XIXIA,
    app_on,
    client_of,
    faults,
    household,
    id_number,
    issue,
    make,
    matching,
    member,
    within_an_hour,
)
from tests.registry.sheets import HEADER, counts, ended, found, head, send, workbook
from tests.registry.submissions import Importer, errors
from tests.registry.test_persons import person

GUANZHUANG = "411391000000"
"""官庄工区, which runs the other village."""
JSONL = {"Content-Type": "application/jsonl"}
TAKEN, FREE = id_number(sequence=101), id_number(sequence=103)
Json = dict[str, Any]
Way = Callable[[httpx.AsyncClient, dict[str, str], str], Awaitable[set[str]]]
"""Tries to register somebody with an ID number; the codes of what is said against it."""


@pytest.fixture
def app(url: str, secrets: None) -> FastAPI:
    return app_on(url, within_an_hour())


def identified(number: str = TAKEN) -> Json:
    return member(id_number=number)


async def abroad(client: httpx.AsyncClient, *numbers: str) -> list[str]:
    """The ids of people registered in the other county."""
    made = [await make(client, members=[identified(number)], village=OTHER_VILLAGE) for number in numbers or [TAKEN]]
    return [each["members"][0]["id"] for each in made]


def codes(answer: httpx.Response) -> set[str]:
    assert answer.status_code in (409, 422), answer.text
    return {each["code"] for each in answer.json()["errors"]}


def bulk(query: str, *more: Json) -> Way:
    async def send_lines(client: httpx.AsyncClient, headers: dict[str, str], number: str) -> set[str]:
        lines = [household(members=[identified(number)]), *more]
        content = "\n".join(map(json.dumps, lines))
        answer = await client.post(f"/v1/households/bulk?{query}", content=content, headers={**headers, **JSONL})
        assert answer.status_code == 200, answer.text
        return {each["code"] for each in answer.json()["errors"] if each["severity"] == "error"}

    return send_lines


def posted(path: str, body: Callable[[str], Json]) -> Way:
    async def post(client: httpx.AsyncClient, headers: dict[str, str], number: str) -> set[str]:
        return codes(await client.post(path, json=body(number), headers=headers))

    return post


async def joining(client: httpx.AsyncClient, headers: dict[str, str], number: str) -> set[str]:
    home = await make(client)
    body = member("other", id_number=number)
    url = f"/v1/households/{home['id']}/members"
    return codes(await client.post(url, json=body, headers={**headers, **matching(1)}))


async def corrected_member(client: httpx.AsyncClient, headers: dict[str, str], number: str) -> set[str]:
    home = await make(client)
    url = f"/v1/households/{home['id']}/members/{home['members'][0]['id']}"
    return codes(await client.patch(url, json={"id_number": number}, headers={**headers, **matching(1)}))


async def corrected_person(client: httpx.AsyncClient, headers: dict[str, str], number: str) -> set[str]:
    alone = (await client.post("/v1/persons", json=person(id_number=FREE))).json()
    url = f"/v1/persons/{alone['id']}"
    return codes(await client.patch(url, json={"id_number": number}, headers={**headers, **matching(1)}))


def imported(**fields: str) -> Way:
    async def send_file(client: httpx.AsyncClient, headers: dict[str, str], number: str) -> set[str]:
        return {code for _, _, code in found(await job(client, headers, [number], **fields))}

    return send_file


async def job(client: httpx.AsyncClient, headers: dict[str, str], numbers: list[str], **fields: str) -> Json:
    """An import by another key, once it has ended."""
    rows = [head(f"4113239900000{place}", id_number=number) for place, number in enumerate(numbers)]
    files = {"file": ("农户.xlsx", workbook(rows))}
    answer = await client.post("/v1/imports", files=files, data=fields, headers=headers)
    assert answer.status_code == 202, answer.text
    return await ended(client, answer.json()["id"])


async def updating(client: httpx.AsyncClient, headers: dict[str, str], number: str) -> set[str]:
    """A member who is there gets the number of somebody elsewhere."""
    first = await send(client, workbook([head("41132399000001")]))
    await ended(client, first.json()["id"])
    [known] = (await client.get("/v1/households/41132399000001")).json()["members"]
    row = [*head("41132399000001", id_number=number), known["number"]]
    files = {"file": ("农户.xlsx", workbook([row], (*HEADER, "人编号")))}
    answer = await client.post("/v1/imports", files=files, data={"overwrite": "always"}, headers=headers)
    return {code for _, _, code in found(await ended(client, answer.json()["id"]))}


WAYS: dict[str, Way] = {
    "household": posted("/v1/households", lambda number: household(members=[identified(number)])),
    "household, dry": posted("/v1/households?dry_run=true", lambda number: household(members=[identified(number)])),
    "person": posted("/v1/persons", lambda number: person(id_number=number)),
    "person, dry": posted("/v1/persons?dry_run=true", lambda number: person(id_number=number)),
    "bulk each": bulk("mode=each"),
    "bulk each, dry": bulk("mode=each&dry_run=true"),
    "bulk all, one bad": bulk("mode=all", {"standing": "unheard of"}),
    "member added": joining,
    "member corrected": corrected_member,
    "person corrected": corrected_person,
    "import each": imported(mode="each"),
    "import all": imported(mode="all"),
    "import dry": imported(mode="each", dry_run="true"),
    "import updating": updating,
}


@pytest.mark.parametrize("way", WAYS)
async def test_people_elsewhere_who_were_run_into_are_audited_and_counted(
    registry: httpx.AsyncClient, app: FastAPI, way: str
) -> None:
    [met] = await abroad(registry)
    key = await issue(registry, ["importer", "reader"], [XIXIA])
    assert "id_number_taken" in await WAYS[way](registry, key, TAKEN)
    [entry] = await entries(registry, app, operation="person.collided")
    issued = (await registry.get("/v1/keys")).json()["items"][-1]["id"]
    assert (entry["object_id"], entry["key_id"], entry["outcome"]) == (met, issued, None)
    admins = [await issue(registry, ["admin"], [code]) for code in (GUANZHUANG, XIXIA)]
    seen = [await registry.get("/v1/audit?operation=person.collided", headers=admin) for admin in admins]
    assert [len(answer.json()["items"]) for answer in seen] == [1, 0]
    asked = {"purpose": "verification", "id_numbers": [TAKEN]}
    looked_up = await registry.post("/v1/persons/lookup", json=asked, headers=key)
    assert looked_up.json()["items"][0]["found"] is False
    assert looked_up.headers["ratelimit"].startswith('"lookup";r=9998;')


@pytest.mark.parametrize("way", WAYS)
async def test_ones_own_people_and_repetitions_are_not(registry: httpx.AsyncClient, app: FastAPI, way: str) -> None:
    await make(registry, members=[identified()], cause="disability")
    key = await issue(registry, ["importer", "reader"], [XIXIA])
    assert "id_number_taken" in await WAYS[way](registry, key, TAKEN)
    twice = [household(members=[identified(id_number(sequence=105))], cause=cause) for cause in ("illness", "disaster")]
    assert await bulk("mode=each&dry_run=true", *twice)(registry, key, id_number(sequence=107)) == {"id_number_taken"}
    assert await entries(registry, app, operation="person.collided") == []
    async with app.state.runtime.database.driver() as pg:
        assert await pg.fetchval("SELECT count(*) FROM quota_use") == 0


@pytest.fixture
def small_quota(monkeypatch: pytest.MonkeyPatch, url: str, secrets: None) -> FastAPI:
    monkeypatch.setenv("BANGFU_REGISTRY_LOOKUP_QUOTA", "2")
    return app_on(url, within_an_hour())


async def test_guessing_ends_with_the_quota(small_quota: FastAPI) -> None:
    """What goes over it is not told; from then on not even a free number is told from a taken one."""
    numbers = [id_number(sequence=sequence) for sequence in (101, 103, 105)]
    async with client_of(small_quota) as client:
        met = await abroad(client, *numbers)
        key, other = [await issue(client, ["importer"], [XIXIA]) for _ in range(2)]
        path = "/v1/households/bulk?mode=each&dry_run=true"

        async def guess(*guessed: str, headers: dict[str, str] = key) -> httpx.Response:
            content = "\n".join(json.dumps(household(members=[identified(number)])) for number in guessed)
            return await client.post(path, content=content, headers={**headers, **JSONL})

        assert (await guess(numbers[0])).status_code == 200
        refused = await guess(*numbers[1:])
        assert refused.status_code == 429
        assert refused.json()["violated-policies"] == ["lookup"]
        assert refused.headers["ratelimit"].startswith('"lookup";r=0;t=')
        assert 0 < int(refused.headers["retry-after"]) <= 3600
        for number in (numbers[2], id_number(sequence=109)):
            assert (await guess(number)).status_code == 429
            single = household(members=[identified(number)])
            assert (await client.post("/v1/households", json=single, headers=key)).status_code == 429
            assert (await client.post("/v1/persons", json=person(id_number=number), headers=key)).status_code == 429
        assert (await client.post("/v1/households", json=household(), headers=key)).status_code == 201
        assert (await guess(numbers[2], headers=other)).status_code == 200
        collided = await entries(client, small_quota, operation="person.collided")
        first, *over, last = [(each["object_id"], each["outcome"]) for each in collided]
        assert (first, last) == ((met[0], None), (met[2], None))
        assert sorted(over) == sorted((each, "too_many_requests") for each in met[1:])


async def test_the_whole_quota_may_be_used(small_quota: FastAPI) -> None:
    """A key that looked up as much as it may goes on registering, until it runs into somebody."""
    async with client_of(small_quota) as client:
        await abroad(client)
        key = await issue(client, ["importer", "reader"], [XIXIA])
        asked = {"purpose": "verification", "id_numbers": [TAKEN, FREE]}
        assert (await client.post("/v1/persons/lookup", json=asked, headers=key)).status_code == 200
        made = await client.post("/v1/households", json=household(members=[identified(FREE)]), headers=key)
        assert made.status_code == 201, made.text
        clash = household(members=[identified()])
        assert (await client.post("/v1/households", json=clash, headers=key)).status_code == 429


@pytest.mark.parametrize("fields", [{"mode": "all"}, {"mode": "each", "dry_run": "true"}, {"mode": "each"}])
async def test_a_file_that_goes_over_the_quota_is_refused(
    small_quota: FastAPI, monkeypatch: pytest.MonkeyPatch, fields: dict[str, str]
) -> None:
    """Where nothing was written, nothing is told of its rows; else what was written and told by then stays."""
    monkeypatch.setattr(modes, "CHUNK", 1)
    numbers = [id_number(sequence=sequence) for sequence in (101, 103, 105, 107, 109)]
    async with client_of(small_quota) as client:
        met = await abroad(client, *numbers[1:4])
        key = await issue(client, ["importer"], [XIXIA])
        ended_job = await job(client, key, numbers, **fields)
        assert ended_job["status"] == "refused"
        assert [each["code"] for each in ended_job["refusals"]] == ["lookup_quota_exceeded"]
        in_pieces = fields == {"mode": "each"}
        assert counts(ended_job) == ({"received": 4, "created": 1, "rejected": 3} if in_pieces else {})
        assert len(found(ended_job)) == ended_job["rejected_rows"] == (3 if in_pieces else 0)
        collided = await entries(client, small_quota, operation="person.collided")
        assert [(each["object_id"], each["outcome"]) for each in collided] == [
            (met[0], None), (met[1], None), (met[2], "too_many_requests")
        ]  # fmt: skip


@pytest.mark.parametrize("mode", ["live", "test"])
async def test_what_a_source_submits_is_audited_and_ends_with_the_quota(small_quota: FastAPI, mode: str) -> None:
    """Receipts tell of what was submitted together; then all with ID numbers are refused, and the consumer goes on."""
    numbers = [id_number(sequence=sequence) for sequence in (101, 103, 105)]
    async with client_of(small_quota) as client:
        met = await abroad(client, *numbers)
        importer = Importer(small_quota, client)
        source = await importer.register(mode=mode)
        guesses = [importer.message(f"h-{place}", members=[identified(number)]) for place, number in enumerate(numbers)]
        assert await importer.submit(*guesses) == {}
        for place in range(3):
            assert errors(await importer.outcome(f"h-{place}")) == {("/members/0/id_number", "id_number_taken")}
        for name, number in (("taken", numbers[0]), ("free", FREE)):
            late = importer.message(name, members=[identified(number)])
            assert errors(await importer.decided(late, name)) == {("", "lookup_quota_exceeded")}
        assert (await importer.decided(importer.message("plain"), "plain"))["outcome"] == "accepted"
        collided = await entries(client, small_quota, operation="person.collided")
        assert {each["key_id"] for each in collided} == {source["id"]}
        assert sorted(each["object_id"] for each in collided) == sorted(met)


async def test_a_correction_that_runs_into_somebody_is_audited(registry: httpx.AsyncClient, app: FastAPI) -> None:
    [met] = await abroad(registry)
    importer = Importer(app, registry)
    await importer.register()
    made = await importer.decided(importer.message("h-1"), "h-1")
    assert made["outcome"] == "accepted"
    people = [member(), member("other", name="测试乙", id_number=TAKEN)]
    change = importer.message("h-1", ce_id="c-2", op="correct", members=people)
    assert errors(await importer.decided(change, "c-2")) == {("/members/1/id_number", "id_number_taken")}
    assert [each["object_id"] for each in await entries(registry, app, operation="person.collided")] == [met]


async def test_noting_waits_for_no_connection_while_it_holds_one(small_quota: FastAPI) -> None:
    """Of more clashes at once than there are connections all are noted, each after its command has ended."""
    async with client_of(small_quota) as client:
        await abroad(client)
        keys = [await issue(client, ["importer"], [XIXIA]) for _ in range(20)]
        clash = household(members=[identified()])
        answers = await asyncio.gather(*(client.post("/v1/households", json=clash, headers=key) for key in keys))
        assert {answer.status_code for answer in answers} == {409}
        assert faults(answers[0], 409) == {("/members/0/id_number", "id_number_taken")}
        assert len(await entries(client, small_quota, operation="person.collided")) == 20

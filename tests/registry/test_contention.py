"""What comes of commands that others are in the way of: tried again, and at last refused as a conflict, never a 500."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import asyncpg
import httpx
import pytest
from fastapi import FastAPI

from services.registry import commands
from shared.errors import Problem
from tests.registry.conftest import A_LITTLE, CITY, make, matching, member, until_waited_for
from tests.registry.dci import Partner, now
from tests.registry.test_exchange_callbacks import subscription
from tests.registry.test_moves import body as going
from tests.registry.test_stays import erase_one, moved

Request = Callable[[], Awaitable[httpx.Response]]


async def transfer(client: httpx.AsyncClient) -> tuple[str, str, Request]:
    """Two households, and a move from the first to the second."""
    left, joined = await make(client, members=[member(), member("other")]), await make(client)
    url = f"/v1/households/{left['id']}/members/{left['members'][1]['id']}/transfer"
    return left["id"], joined["id"], lambda: client.post(url, json=going(joined, "other"), headers=matching(1))


async def erasure(client: httpx.AsyncClient) -> tuple[str, str, Request]:
    """Two households, and the erasure of somebody who went from the first to the second."""
    _, left, joined = await moved(client)
    return left["id"], joined["id"], lambda: erase_one(client, left, joined)


@pytest.mark.parametrize(
    ("made", "attempts", "status"),
    [(transfer, commands.ATTEMPTS, 200), (erasure, commands.ATTEMPTS, 200), (transfer, 1, 409)],
)
async def test_a_command_that_a_deadlock_undid_is_carried_out_again(
    registry: httpx.AsyncClient, app: FastAPI, monkeypatch: pytest.MonkeyPatch, made: Any, attempts: int, status: int
) -> None:
    """It waits for the second household, and who holds that one waits for the first."""
    monkeypatch.setattr(commands, "ATTEMPTS", attempts)
    first, second, request = await made(registry)
    url, lock = f"/v1/households/{second}", "SELECT FROM household WHERE id = $1 FOR UPDATE"
    before = (await registry.get(url)).json()["version"]
    async with app.state.runtime.database.driver() as pg:
        async with pg.transaction():
            await pg.execute(lock, second)
            waiting = asyncio.create_task(request())
            await until_waited_for(pg, A_LITTLE)
            await pg.execute(lock, first)  # the command has waited longer, so it is the one that finds the deadlock
        answer = await waiting
    assert answer.status_code == status, answer.text
    assert (await registry.get(url)).json()["version"] == before + (status == 200)
    if status == 409:
        assert answer.json()["code"] == "conflict"


async def revocation(_: FastAPI, client: httpx.AsyncClient) -> tuple[str, Request]:
    """A key's row, and its revocation."""
    key = (await client.post("/v1/keys", json={"name": "测试", "roles": ["reader"], "divisions": [CITY]})).json()
    url = f"/v1/keys/{key['id']}/revocation"
    return f"api_key WHERE id = '{key['id']}'", lambda: client.post(url, headers=matching(1))


async def replacement(_: FastAPI, client: httpx.AsyncClient) -> tuple[str, Request]:
    """A party's row, and its change."""
    party = (await Partner.register(client)).registered
    body = {name: party[name] for name in ("sender_id", "name", "divisions", "callback_uri", "purposes")}
    url = f"/v1/exchange/parties/{party['id']}"
    return f"exchange_party WHERE id = '{party['id']}'", lambda: client.put(url, json=body, headers=matching(1))


async def unsubscription(app: FastAPI, client: httpx.AsyncClient) -> tuple[str, Request]:
    """A subscription's row, and the message that ends it."""
    partner = await Partner.register(client)
    began = await partner.post("/subscribe", partner.envelope("subscribe", subscription("REGISTER")))
    assert began.status_code == 202, began.text
    async with app.state.runtime.database.driver() as pg:
        code = str(await pg.fetchval("SELECT code FROM exchange_subscription"))
    ending = partner.envelope("unsubscribe", {"transaction_id": "t4", "timestamp": now(), "subscription_codes": [code]})
    return f"exchange_subscription WHERE code = '{code}'", lambda: partner.post("/unsubscribe", ending)


@pytest.mark.parametrize(
    ("made", "attempts", "status"),
    [
        (revocation, commands.ATTEMPTS, 200), (revocation, 1, 409), (replacement, commands.ATTEMPTS, 200),
        (replacement, 1, 409), (unsubscription, commands.ATTEMPTS, 202), (unsubscription, 1, 409),
    ],
)  # fmt: skip
async def test_so_are_commands_on_keys_and_in_the_exchange(
    registry: httpx.AsyncClient, app: FastAPI, monkeypatch: pytest.MonkeyPatch, made: Any, attempts: int, status: int
) -> None:
    """They wait for the audit log, and who holds that one waits for what they change."""
    row, request = await made(app, registry)
    monkeypatch.setattr(commands, "ATTEMPTS", attempts)
    async with app.state.runtime.database.driver() as pg:
        async with pg.transaction():
            await pg.execute("LOCK TABLE audit_entry IN SHARE MODE")
            waiting = asyncio.create_task(request())
            await until_waited_for(pg, A_LITTLE)
            await pg.execute(f"SELECT FROM {row} FOR UPDATE")
        answer = await waiting
    assert answer.status_code == status, answer.text


@pytest.mark.parametrize(
    "lost", [asyncpg.UniqueViolationError, asyncpg.DeadlockDetectedError, asyncpg.SerializationError]
)
async def test_who_loses_again_and_again_is_told_of_a_conflict(lost: type[Exception]) -> None:
    tried: list[Any] = []

    async def losing(times: int) -> str:
        tried.append(times)
        if len(tried) <= times:
            raise lost
        return "done"

    assert await commands.attempted(lambda: losing(commands.ATTEMPTS - 1)) == "done"
    tried.clear()
    with pytest.raises(Problem, match="conflict"):
        await commands.attempted(lambda: losing(commands.ATTEMPTS))
    assert len(tried) == commands.ATTEMPTS


async def test_waiting_too_long_is_not_tried_again() -> None:
    tried: list[Any] = []

    async def waiting() -> None:
        tried.append(None)
        raise asyncpg.LockNotAvailableError

    with pytest.raises(asyncpg.LockNotAvailableError):
        await commands.attempted(waiting)
    assert len(tried) == 1

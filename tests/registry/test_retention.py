"""Retention: what is kept beside the register goes when its days are over, and not before."""

from datetime import timedelta

import asyncpg
import httpx
import pytest
from fastapi import FastAPI

from services.registry.retention import service
from services.registry.retention.service import Kept
from shared import db
from shared.http import claiming
from tests.registry.dci import Partner, by_expression, now, searching
from tests.registry.sheets import head, imported, workbook

TABLES = ("exchange_message", "exchange_request", "exchange_subscription", "exchange_task", "import_rejected")


async def _counts(app: FastAPI) -> dict[str, int]:
    async with app.state.runtime.database.driver() as pg:
        return {table: await pg.fetchval(f"SELECT count(*) FROM {table}") for table in TABLES}


async def test_rows_go_when_their_days_are_over(registry: httpx.AsyncClient, app: FastAPI) -> None:
    await imported(registry, workbook([head("41132300000001", cause="没有原因")]), mode="each")
    partner = await Partner.register(registry)
    everybody = by_expression({"people": {"$gte": 1}})
    await partner.search(everybody)
    waiting = await partner.post("/search", partner.envelope("search", searching(everybody)))
    assert waiting.status_code == 202
    criteria = {"reg_event_type": "REGISTER", "filter": {}, "notify_record_type": "Group"}
    item = {"reference_id": "s", "timestamp": now(), "subscribe_criteria": criteria}
    message = {"transaction_id": "t", "subscribe_request": [item]}
    assert (await partner.post("/subscribe", partner.envelope("subscribe", message))).status_code == 202
    everything = {
        "exchange_message": 3, "exchange_request": 3, "exchange_subscription": 1, "exchange_task": 2,
        "import_rejected": 1,
    }  # fmt: skip
    assert await _counts(app) == everything
    runtime = app.state.runtime
    await service.purge(runtime, Kept())
    assert await _counts(app) == everything
    async with runtime.database.driver() as pg:
        ago = timedelta(days=31)
        await pg.execute("UPDATE import_job SET ended_at = ended_at - $1::interval", ago)
        await pg.execute("UPDATE exchange_message SET received_at = received_at - $1::interval", ago)
        await pg.execute("UPDATE exchange_request SET received_at = received_at - $1::interval", ago)
    await service.purge(runtime, Kept())
    assert await _counts(app) == {**everything, "import_rejected": 0}
    await service.purge(runtime, Kept(exchange=30))
    assert await _counts(app) == {  # requests whose callback is still to be made stay, and the open subscription
        **everything, "import_rejected": 0, "exchange_message": 0, "exchange_request": 2
    }  # fmt: skip
    async with runtime.database.driver() as pg:
        await pg.execute("UPDATE exchange_task SET failed_at = now() - $1::interval", ago)
        await pg.execute("UPDATE exchange_subscription SET ended_at = now() - $1::interval", ago)
    await service.purge(runtime, Kept(exchange=30))
    assert await _counts(app) == dict.fromkeys(TABLES, 0)


def test_settings() -> None:
    assert Kept.load({}) == Kept(30, 180)
    given = {"BANGFU_REGISTRY_REJECTED_ROWS_DAYS": "0", "BANGFU_REGISTRY_EXCHANGE_DAYS": "365"}
    assert Kept.load(given) == Kept(0, 365)
    for wrong in ({"BANGFU_REGISTRY_EXCHANGE_DAYS": "1"}, {"BANGFU_REGISTRY_REJECTED_ROWS_DAYS": "-1"}):
        with pytest.raises(ValueError, match="0 days at least"):
            Kept.load(wrong)


async def test_what_somebody_holds_keeps_nothing_else(
    registry: httpx.AsyncClient, app: FastAPI, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Some rows a transaction: what was deleted before one could not be stays deleted, and the next purge goes on."""
    monkeypatch.setattr(db, "DELETED_AT_ONCE", 2)
    partner = await Partner.register(registry)
    for _ in range(5):
        await partner.search(by_expression({"people": {"$gte": 1}}))
    jobs = [await imported(registry, workbook([head(cause=f"没有原因{n}")]), mode="each") for n in range(2)]
    runtime = app.state.runtime
    ago = timedelta(days=31)
    async with runtime.database.driver() as pg, pg.transaction():
        async with runtime.database.driver() as other:
            await other.execute("UPDATE exchange_message SET received_at = received_at - $1::interval", ago)
            await other.execute("UPDATE import_job SET ended_at = ended_at - $1::interval", ago)
        await pg.execute(
            "SELECT FROM exchange_message WHERE ctid = (SELECT max(ctid) FROM exchange_message) FOR UPDATE"
        )
        with pytest.raises(asyncpg.LockNotAvailableError):
            await service.purge(runtime, Kept(exchange=30))
        left = await _counts(app)
        assert (len(jobs), left["import_rejected"], left["exchange_message"]) == (2, 0, 1)
    await service.purge(runtime, Kept(exchange=30))
    assert (await _counts(app))["exchange_message"] == 0


async def test_old_keys_of_requests_go_and_stop_nothing(
    registry: httpx.AsyncClient, app: FastAPI, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not even a start: there may be a week's of a service that stood still."""
    monkeypatch.setattr(db, "DELETED_AT_ONCE", 2)
    runtime = app.state.runtime
    async with runtime.database.driver() as pg:
        await pg.execute(
            "INSERT INTO idempotency (scope, key, fingerprint, created_at) "
            "SELECT 'test', n::text, '', now() - make_interval(days => CASE WHEN n < 6 THEN 8 ELSE 6 END) "
            "FROM generate_series(1, 7) AS n"
        )

    async def kept() -> list[str]:
        async with runtime.database.driver() as pg:
            rows = await pg.fetch("SELECT key FROM idempotency WHERE scope = 'test' ORDER BY key")
        return [row["key"] for row in rows]

    async with runtime.database.driver() as pg, pg.transaction():
        await pg.execute("SELECT FROM idempotency WHERE scope = 'test' AND key = '5' FOR UPDATE")
        await runtime.relay.clean_up(runtime.clock.now().date())  # as at every start
        with pytest.raises(asyncpg.LockNotAvailableError):
            await claiming.purge(runtime.database)
        assert await kept() == ["5", "6", "7"]
    await claiming.purge(runtime.database)
    assert await kept() == ["6", "7"]

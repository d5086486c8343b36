"""Retention: what is kept beside the register goes when its days are over, and not before."""

from datetime import timedelta

import httpx
import pytest
from fastapi import FastAPI

from services.registry.retention import service
from services.registry.retention.service import Kept
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

"""Row-level security: what the database shows a caller when a query forgets to ask (reliability.md 4, tests 3 to 5)."""

import asyncio
import contextlib
from uuid import uuid4

import asyncpg
import httpx
import pytest
from fastapi import FastAPI

from deploy.local.postgres import ADMINISTRATOR, EmbeddedPostgres
from services.registry.households import listing, reading
from services.registry.rowsecurity import scoped, warn_unless_bound
from shared.app import Runtime
from shared.auth import Caller
from tests.registry.conftest import CITY, OTHER_VILLAGE, VILLAGE, XIXIA, issue, make, matching

ZONE = "411391000000"
PERSONAL = {"household", "household_version", "household_period", "person", "person_version"}
"""Tables with a row for each household or person."""
OPEN = {
    "division": "reference data", "division_version": "reference data", "locked_year": "reference data",
    "population_change": "sums", "api_key": "public halves of keys", "key_version": "public halves of keys",
    "data_key": "a name", "import_report": "rows and codes, no values", "idempotency": "fingerprints",
    "outbox": "events: coded attributes only", "outbox_sent": "events: coded attributes only",
    "dead_letter": "places and causes, no content", "parked_record": "submissions, identities encrypted",
    "log_state": "positions", "source": "systems, not people", "source_secret": "digests of drawn secrets",
    "inbox": "receipts: codes and numbers",
    "submitted_household": "which source's record a household is", "submission_key": "sealed",
    "published_position": "positions", "consumed_position": "positions", "table_revision": "numbers",
    "alembic_version": "a number", "standing_change": "sums", "profile_change": "sums", "rural_population": "sums",
    "standing_entry": "sums", "profile_entry": "sums",
    "rule_run": "what was asked for", "rule_finding": "household numbers and rules, no values; read by run",
    "standing_decision": "read through the scope of its division", "certificate": "numbers, days and villages",
    "certificate_counter": "numbers", "import_job": "numbers", "import_file": "sealed", "import_rejected": "sealed",
    "import_finding": "rows and codes, no values", "import_effect": "what an import changed, sealed or ids",
    "import_mapping": "names of columns", "audit_entry": "ids, reasons and hashes", "audit_anchor": "hashes",
    "quota_use": "numbers", "exchange_key": "sealed", "exchange_party": "systems, not people",
    "exchange_message": "message ids",
    "exchange_request": "who asked for what, and why", "exchange_task": "answers until they are delivered, masked",
    "exchange_subscription": "filters", "exchange_change": "which households changed",
}  # fmt: skip
"""Tables that need no policy, and why."""


def caller(*divisions: str) -> Caller:
    return Caller(uuid4(), "测试", frozenset(["reader"]), divisions)


async def seen(runtime: Runtime, who: Caller | None) -> dict[str, int]:
    """How many rows of each protected table a transaction sees that reads for a caller, or for nobody."""
    async with scoped(runtime, who) if who else runtime.database.driver() as pg:
        return {table: await pg.fetchval(f"SELECT count(*) FROM {table}") for table in sorted(PERSONAL)}


async def test_every_table_with_personal_data_has_a_forced_policy(url: str) -> None:
    """A new table must be put down as one or the other; policies are made with ``rowsecurity.by_household``."""
    pg = await asyncpg.connect(url)
    rows = await pg.fetch(
        "SELECT relname, relrowsecurity AND relforcerowsecurity AND EXISTS (SELECT FROM pg_policy WHERE polrelid = "
        "pg_class.oid) AS guarded FROM pg_class WHERE relkind IN ('r', 'p') AND relnamespace = 'public'::regnamespace"
    )
    bound = await pg.fetchval("SELECT NOT (rolsuper OR rolbypassrls) FROM pg_roles WHERE rolname = current_user")
    await pg.close()
    tables = {row["relname"] for row in rows if not row["relname"].startswith("outbox_sent_")}
    assert tables - set(OPEN) == PERSONAL
    assert {row["relname"] for row in rows if row["guarded"]} == PERSONAL
    assert bound


async def test_callers_see_rows_of_their_divisions_without_asking(registry: httpx.AsyncClient, app: FastAPI) -> None:
    runtime: Runtime = app.state.runtime
    ours = await make(registry)
    await make(registry, village=OTHER_VILLAGE)
    for version, cause in enumerate(("disability", "disaster"), start=1):
        changed = await registry.patch(
            f"/v1/households/{ours['id']}", json={"cause": cause, "reason": "更正"}, headers=matching(version)
        )
        assert changed.status_code == 200, changed.text
    everything = await seen(runtime, None)
    assert everything["household"] == everything["person"] == 2
    assert everything == await seen(runtime, caller(CITY)) == await seen(runtime, caller(XIXIA, ZONE))
    assert await seen(runtime, caller(XIXIA)) == await seen(runtime, caller(VILLAGE))
    assert (await seen(runtime, caller(XIXIA)))["household_version"] == 2
    nothing = dict.fromkeys(sorted(PERSONAL), 0)
    for stranger in (caller(), caller("411325000000"), caller("411302000000")):  # coded below 411302, run by a zone
        assert await seen(runtime, stranger) == nothing


async def test_a_forgotten_condition_shows_nothing_foreign(
    registry: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours, theirs = await make(registry), await make(registry, village=OTHER_VILLAGE)
    county = await issue(registry, ["reader"], [XIXIA])
    for module in (reading, listing):
        monkeypatch.setattr(module, "scope", lambda argument, table="household": f"(${argument}::text[] IS NOT NULL)")
    for path in ("", "/members", "/versions", "/incomes", f"/members/{theirs['members'][0]['id']}"):
        assert (await registry.get(f"/v1/households/{theirs['id']}{path}")).status_code == 200
        assert (await registry.get(f"/v1/households/{theirs['id']}{path}", headers=county)).status_code == 404
    for accept in ("application/json", "application/jsonl"):
        listed = await registry.get("/v1/households", params={"count": True}, headers={**county, "Accept": accept})
        assert ours["id"] in listed.text
        assert theirs["id"] not in listed.text
    assert (await registry.get("/v1/households", params={"count": True}, headers=county)).json()["count"] == 1


async def test_the_past_goes_with_a_household_that_moves(registry: httpx.AsyncClient) -> None:
    moved = await make(registry)
    here, there = await issue(registry, ["reader"], [XIXIA]), await issue(registry, ["reader"], [ZONE])
    path = f"/v1/households/{moved['id']}"
    change = {"village": OTHER_VILLAGE, "effective_on": "2018-10-01", "reason": "搬迁"}
    assert (await registry.patch(path, json=change, headers=matching(1))).status_code == 200
    assert (await registry.get(f"{path}/versions", headers=here)).status_code == 404
    assert len((await registry.get(f"{path}/versions", headers=there)).json()["items"]) == 2


class _BrokenOffError(Exception):
    pass


async def test_a_connection_forgets_for_whom_it_read(registry: httpx.AsyncClient, app: FastAPI) -> None:
    """Two counties and nobody, over and over on the connections of one pool, some breaking off in the middle."""
    runtime: Runtime = app.state.runtime
    ours, theirs = await make(registry), await make(registry, village=OTHER_VILLAGE)
    expected = {XIXIA: {ours["number"]}, ZONE: {theirs["number"]}, None: {ours["number"], theirs["number"]}}
    connections = set()

    async def read(turn: int) -> None:
        county = (XIXIA, ZONE, None)[turn % 3]
        async with scoped(runtime, caller(county)) if county else runtime.database.driver() as pg:
            connections.add(pg.get_server_pid())
            rows = await pg.fetch("SELECT number FROM household")
            assert {row["number"] for row in rows} == expected[county]
            if turn % 7 == 0:
                raise _BrokenOffError

    async def broken_off(turn: int) -> None:
        task = asyncio.create_task(read(turn))
        await asyncio.sleep(0.0005 * (turn % 5))
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task

    for first in range(0, 3000, 30):
        turns = [read(turn) for turn in range(first, first + 30)]
        ended = await asyncio.gather(*turns, broken_off(first + 1), return_exceptions=True)
        assert {type(each) for each in ended} <= {type(None), _BrokenOffError}
    assert 1 < len(connections) <= 8


async def test_a_role_that_is_not_bound_is_told_of(
    url: str, postgres: EmbeddedPostgres, caplog: pytest.LogCaptureFixture
) -> None:
    password = (postgres.directory / f"{ADMINISTRATOR}.password").read_text()
    ours, administrators = await asyncpg.connect(url), await asyncpg.connect(url, user=ADMINISTRATOR, password=password)
    await warn_unless_bound(ours)
    assert caplog.messages == []
    await warn_unless_bound(administrators)
    assert len(caplog.messages) == 1
    await ours.close()
    await administrators.close()

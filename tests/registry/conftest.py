"""Registry in this process on a real database, spoken to over HTTP; the relay does not run, so events stay put."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

import asyncpg
import httpx
import pytest
from fastapi import FastAPI
from pydantic import SecretStr

from services.registry import instants
from services.registry.app import build
from services.registry.divisions import service as divisions
from services.registry.divisions.loading import load_divisions
from services.registry.keys.command import issue_key
from shared.auth import new_secret, upsert_key
from shared.clock import Clock, FixedClock
from shared.contracts.division import DivisionTree
from shared.contracts.key import KeyEvent, Role
from shared.db import Pg
from shared.idnumbers import check_digit
from shared.ids import uuid7
from shared.settings import Settings
from tests.registry.recording import guarded, telling
from tests.stack import SIGNING_SECRET, Databases

KEY = "bf_test." + "bootstrap-secret-of-the-tests-" * 2
DATA_KEY = base64.b64encode(bytes(range(32))).decode()
CITY, XIXIA = "411300000000", "411323000000"
XIPING, VILLAGE = "411323102000", "411323102217"
"""西峡县西坪镇下营村, where the article begins."""
OTHER_VILLAGE = "411302102201"
"""A village of 官庄镇: coded below 宛城区, run by 官庄工区."""
FILLED = (
    "household, household_version, person, person_version, household_period, population_change, "
    "import_job, import_file, import_rejected, import_finding, import_effect, import_mapping, "
    "standing_change, standing_entry, profile_change, profile_entry, rural_population, import_report, "
    "api_key, key_version, data_key, idempotency, locked_year, rule_run, rule_finding, outbox, "
    "exchange_key, exchange_party, exchange_message, exchange_request, exchange_task, exchange_subscription, "
    "exchange_change, standing_decision, certificate, certificate_counter, quota_use, "
    "source, source_secret, inbox, submitted_household, submission_key, dead_letter, parked_record"
)


@pytest.fixture(scope="session")
def shared_url(_databases: Databases) -> str:
    """One database for all tests that leave divisions as they are; emptied of everything else before each."""
    return guarded(_databases.server.create_database("registry_shared", _databases._template("registry")))


@pytest.fixture(autouse=True)
def told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(instants, "begin", telling(instants.begin))


@pytest.fixture
def database_url(database_url: Callable[[str | None], str]) -> Callable[[str | None], str]:
    """As everywhere; registry's refuse what is recorded unannounced."""
    return lambda service: guarded(database_url(service)) if service == "registry" else database_url(service)


async def empty_audit_log(pg: Pg) -> None:
    """What only the owner of the tables can do: the log's triggers are set aside."""
    await pg.execute(
        "ALTER TABLE audit_entry DISABLE TRIGGER USER; ALTER TABLE audit_anchor DISABLE TRIGGER USER; "
        "DELETE FROM audit_entry; DELETE FROM audit_anchor; "
        "ALTER TABLE audit_entry ENABLE TRIGGER USER; ALTER TABLE audit_anchor ENABLE TRIGGER USER"
    )


async def empty(pg: Pg) -> None:
    """Delete what tests left: truncating so many tables takes 0.1 s, this 3 ms.

    In one statement, because foreign keys are looked at when it ends: the order of the tables does not matter.
    """
    deletions = ", ".join(f"{table}_gone AS (DELETE FROM {table})" for table in FILLED.split(", "))
    await pg.execute(f"WITH {deletions} SELECT")
    await empty_audit_log(pg)


@pytest.fixture
async def url(shared_url: str) -> str:
    pg = await asyncpg.connect(shared_url)
    try:
        await empty(pg)
    finally:
        await pg.close()
    return shared_url


@pytest.fixture
async def owner(url: str) -> AsyncIterator[Pg]:
    """Somebody who owns the tables and sets the triggers of the audit log aside."""
    pg = await asyncpg.connect(url)
    for table in ("audit_entry", "audit_anchor"):
        await pg.execute(f"ALTER TABLE {table} DISABLE TRIGGER USER")
    yield pg
    for table in ("audit_entry", "audit_anchor"):
        await pg.execute(f"ALTER TABLE {table} ENABLE TRIGGER USER")
    await pg.close()


@pytest.fixture
def secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BANGFU_REGISTRY_DATA_KEY", DATA_KEY)
    monkeypatch.setenv("BANGFU_BOOTSTRAP_KEY", KEY)


def app_on(url: str, clock: Clock | None = None, *, demonstration: bool = False) -> FastAPI:
    settings = Settings(
        service="registry",
        database_url=url,
        kafka_bootstrap_servers="127.0.0.1:1",
        database_pool=8,
        demonstration=demonstration,
        signing_secrets=(SecretStr(SIGNING_SECRET),),
    )
    app = build(settings, "api", clock)[0]
    app.state.registry.divisions._load = divisions.loader(_untouched())
    return app


@cache
def _untouched() -> DivisionTree:
    """The divisions as every database has them at first: read once a run, not once a test."""
    return divisions.with_changes(divisions.NOTHING, load_divisions())


@asynccontextmanager
async def client_of(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    """A client with the bootstrap key of an app that runs."""
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    headers = {"Authorization": f"Bearer {KEY}", "Accept-Language": "en"}
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://registry", headers=headers, timeout=60) as client,
    ):
        yield client


@pytest.fixture
def app(url: str, secrets: None) -> FastAPI:
    return app_on(url)


@pytest.fixture
async def registry(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    async with client_of(app) as client:
        yield client


@pytest.fixture
def own_app(database_url: Callable[[str | None], str], secrets: None) -> FastAPI:
    """On a database of its own, for tests that change divisions."""
    return app_on(database_url("registry"))


@pytest.fixture
async def own_registry(own_app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    async with client_of(own_app) as client:
        yield client


def within_an_hour() -> FixedClock:
    """A clock that stands still now: quotas are counted by the hour, and the next one may be about to begin."""
    return FixedClock(datetime.now(UTC))


def in_2019() -> FixedClock:
    """A clock by which the people of these tests are of the age they are made for, whenever they run."""
    return FixedClock(datetime(2019, 6, 1, 4, tzinfo=UTC))


def id_number(born: str = "19680312", sequence: int = 1, region: str = "411399") -> str:
    """A valid ID number of nobody: the region was never given out; an odd sequence is a man's."""
    body = f"{region}{born}{sequence:03d}"
    return body + check_digit(body)


def member(relation: str = "head", **more: Any) -> dict[str, Any]:
    return {"name": "测试甲", "relation": relation, "sex": "male", "birth_date": "1968-03-12", **more}


def household(**more: Any) -> dict[str, Any]:
    fields = {"village": VILLAGE, "standing": "poor", "registered_on": "2014-05-01", "cause": "illness"}
    return {**fields, "members": [member()], **more}


async def make(client: httpx.AsyncClient, **more: Any) -> dict[str, Any]:
    response = await client.post("/v1/households", json=household(**more))
    assert response.status_code == 201, response.text
    made: dict[str, Any] = response.json()
    return made


async def events(app: FastAPI, topic: str) -> list[dict[str, Any]]:
    """What was published so far on one of registry's topics, oldest first."""
    name = f"bangfu.registry.{topic}.v1"
    async with app.state.runtime.database.driver() as pg:
        rows = await pg.fetch("SELECT payload FROM outbox WHERE aggregatetype = $1 ORDER BY pos", name)
    return [json.loads(row["payload"]) for row in rows]


async def issue(client: httpx.AsyncClient, roles: list[str], divisions: list[str]) -> dict[str, str]:
    """Headers of a new key."""
    response = await client.post("/v1/keys", json={"name": "测试", "roles": roles, "divisions": divisions})
    assert response.status_code == 201, response.text
    return {"Authorization": f"Bearer {response.json()['key']}"}


async def put_key(app: FastAPI, roles: list[Role], divisions: list[str]) -> dict[str, str]:
    """Headers of a key as nobody can issue it over HTTP: without divisions, or to reveal."""
    prefix, plain, digest = new_secret()
    fields: dict[str, Any] = {"id": uuid7(), "version": 1, "status": "active", "name": "测试"}
    async with app.state.runtime.database.driver() as pg:
        await upsert_key(pg, KeyEvent(prefix=prefix, secret_sha256=digest, roles=roles, divisions=divisions, **fields))
    return {"Authorization": f"Bearer {plain}"}


def faults(response: httpx.Response, status: int = 422) -> set[tuple[str, str]]:
    assert response.status_code == status, response.text
    return {(fault["pointer"], fault["code"]) for fault in response.json()["errors"]}


A_LITTLE = timedelta(seconds=0.3)
"""So much longer than we has another to have waited that it, not we, finds the deadlock: that takes a second."""


async def until_waited_for(pg: Pg, time: timedelta = timedelta(0)) -> None:
    """Until another connection has waited some time for a lock that this one holds."""
    waits = (
        "SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted AND waitstart <= clock_timestamp() - $1::interval "
        "AND pg_backend_pid() = ANY (pg_blocking_pids(pid)))"
    )
    async with asyncio.timeout(60):
        while not await pg.fetchval(waits, time):
            await asyncio.sleep(0.01)


def matching(version: int) -> dict[str, str]:
    return {"If-Match": f'"{version}"'}


async def issue_revealing(app: FastAPI, capsys: pytest.CaptureFixture[str], *divisions: str) -> dict[str, str]:
    """Headers of a key that may reveal, which only the operator issues."""
    capsys.readouterr()
    where = [part for code in divisions for part in ("--division", code)]
    arguments = ["--name", "核查专员", "--role", "identity:reveal", *where]
    assert await issue_key(app.state.runtime.settings, arguments) == 0
    return {"Authorization": f"Bearer {capsys.readouterr().out.strip()}"}

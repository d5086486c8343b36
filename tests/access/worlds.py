"""Each service in this process with objects in Xixia county and elsewhere, and keys of every kind."""

import base64
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib import import_module
from typing import Any

import httpx
from fastapi import FastAPI
from pydantic import SecretStr

from services.assistance.intake.contracts import ActionOutcome
from services.registry.submissions.contracts import HouseholdOutcome
from shared.auth import new_secret, upsert_key
from shared.clock import FixedClock
from shared.contracts.key import KeyEvent, Role
from shared.ids import uuid7
from shared.intake.contracts import Receipt
from shared.settings import ServiceName, Settings
from tests.access.expectations import ROLES
from tests.assistance import world as assistance
from tests.ranking import world as ranking
from tests.registry.conftest import CITY, OTHER_VILLAGE, VILLAGE, XIXIA, household
from tests.stack import SIGNING_SECRET

Parameters = dict[str, str]
"""Path parameters that name an object."""
NOWHERE = "00000000-0000-4000-8000-000000000000"


@dataclass
class World:
    """A running service and what is in it."""

    app: FastAPI
    client: httpx.AsyncClient
    own: dict[str, Parameters] = field(default_factory=dict)
    foreign: dict[str, list[Parameters]] = field(default_factory=dict)
    unknown: dict[str, Parameters] = field(default_factory=dict)

    async def key(self, roles: list[Role], divisions: list[str], **changes: Any) -> str:
        """The plain text of a new key."""
        prefix, plain, digest = new_secret()
        fields = {"id": uuid7(), "version": 1, "status": "active", "name": "测试", **changes}
        event = KeyEvent(prefix=prefix, secret_sha256=digest, roles=roles, divisions=divisions, **fields)
        async with self.app.state.runtime.database.driver() as pg:
            await upsert_key(pg, event)
        return plain

    async def post(self, path: str, body: Any, key: str) -> dict[str, Any]:
        answer = await self.client.post(path, json=body, headers={"Authorization": f"Bearer {key}"})
        assert answer.status_code == 201, answer.text
        made: dict[str, Any] = answer.json()
        return made

    def add(self, kind: str, own: Parameters, *foreign: Parameters, unknown: Parameters | None = None) -> None:
        """An object of Xixia, some elsewhere, and one that is not there (by default an id that nobody has)."""
        self.own[kind], self.foreign[kind] = own, list(foreign)
        self.unknown[kind] = unknown or {**own, list(own)[-1]: NOWHERE}


def application(service: ServiceName, url: str = "postgresql://nobody@127.0.0.1:1/none") -> FastAPI:
    settings = Settings(
        service=service, database_url=url, kafka_bootstrap_servers="127.0.0.1:1", database_pool=4,
        signing_secrets=(SecretStr(SIGNING_SECRET),),
    )  # fmt: skip
    app: FastAPI = import_module(f"services.{service}.app").build(settings, "api")[0]
    return app


DATA_KEY = base64.b64encode(bytes(range(32))).decode()


@asynccontextmanager
async def running(service: ServiceName, url: str) -> AsyncIterator[World]:
    """The service with its world."""
    app = application(service, url)
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://test", headers={"Accept-Language": "en"}) as client,
    ):
        world = World(app, client)
        city = await world.key([role for role in ROLES if role != "identity:reveal"], [CITY])
        await {"registry": _registry, "assistance": _assistance, "ranking": _ranking}[service](world, city)
        yield world


_PARTY = {"name": "测试", "callback_uri": "http://127.0.0.1:9/dci"}
ALONE = {"name": "测试丙", "sex": "male", "birth_date": "1950-02-03"}


async def _registry(world: World, city: str) -> None:
    ours = await world.post("/v1/households", household(village=VILLAGE), city)
    theirs = await world.post("/v1/households", household(village=OTHER_VILLAGE), city)
    world.add("household", {"household": ours["id"]}, {"household": theirs["id"]}, {"household": theirs["number"]})
    home = await world.post("/v1/households", household(village=VILLAGE), city)
    [head], [other_head] = home["members"], theirs["members"]
    world.add(
        "member",
        {"household": home["id"], "member": head["id"]},
        {"household": theirs["id"], "member": other_head["id"]},
        {"household": home["id"], "member": other_head["id"]},
    )
    alone = [
        await world.post("/v1/persons", {**ALONE, "village": village}, city) for village in (VILLAGE, OTHER_VILLAGE)
    ]
    world.add("person", *({"person": made["id"]} for made in alone), {"person": other_head["id"]})
    body = {"name": "测试", "roles": ["reader"]}
    keys = [await world.post("/v1/keys", {**body, "divisions": [code]}, city) for code in (XIXIA, CITY, "411325000000")]
    world.add("key", *({"key_id": key["id"]} for key in keys))
    parties = [
        await world.post(
            "/v1/exchange/parties", {**_PARTY, "sender_id": f"{code}.example.org", "divisions": [code]}, city
        )
        for code in (XIXIA, CITY, "411325000000")
    ]
    world.add("party", *({"party_id": made["id"]} for made in parties))
    decisions = [await _proposed(world, village, city) for village in (VILLAGE, OTHER_VILLAGE)]
    world.add("decision", *({"decision_id": made} for made in decisions), unknown={"decision_id": NOWHERE})
    headers = {"Authorization": f"Bearer {city}"}
    runs = [
        (await world.client.post("/v1/rule-runs", json={"division": code}, headers=headers)).json()["id"]
        for code in (XIXIA, CITY)
    ]
    world.add("rule_run", *({"run": run} for run in runs))
    world.add("division", {"code": VILLAGE}, {"code": OTHER_VILLAGE}, {"code": CITY}, unknown={"code": "9" * 12})
    await _submissions(world, city, (XIXIA, OTHER_VILLAGE), HouseholdOutcome)


async def _proposed(world: World, village: str, key: str) -> str:
    """A decision on a household of a village."""
    home = await world.post("/v1/households", household(village=village, standing="ordinary"), key)
    document = {"title": "测试材料", "sha256": "ab" * 32}
    body = {"kind": "identification", "household": home["id"], "cause": "illness", "evidence": [document]}
    made = await world.post("/v1/standing/decisions", {**body, "on": "2018-10-08", "note": "测试"}, key)
    identifier: str = made["id"]
    return identifier


async def _assistance(world: World, city: str) -> None:
    place = assistance.World(world.app, world.app.state.runtime, world.client)
    await place.populate()
    counties = (XIXIA, assistance.NEIXIANG)
    visits = [(await place.record(village=v)).json() for v in (assistance.XIAYING, assistance.NEIXIANG_VILLAGE)]
    world.add("action", *({"action_id": visit["id"]} for visit in visits))
    actor = {"kind": "helper", "name": "李明"}
    actors = [await world.post("/v1/actors", {**actor, "division": code}, city) for code in counties]
    world.add("actor", *({"actor_id": made["id"]} for made in actors))
    target = {
        "programme": "visit", "cadence": "week", "period": "2018-W41", "metric": "actions", "due": 5,
        "deadline": "2018-10-14",
    }  # fmt: skip
    targets = [await world.post("/v1/targets", {**target, "unit": code}, city) for code in counties]
    world.add("target", *({"target_id": made["id"]} for made in targets))
    await _submissions(world, city, counties, ActionOutcome)


async def _submissions(world: World, city: str, counties: tuple[str, ...], receipt: type[Receipt]) -> None:
    names = [f"urn:{code}" for code in counties]
    registered = []
    for name, code in zip(names, counties, strict=True):
        made = await world.post("/v1/sources", {"name": name, "label": "测试", "divisions": [code]}, city)
        registered.append({"source_id": made["id"]})
        outcome = receipt(
            source=name, submission="1", op="record", source_system="x", external_id="1", outcome="rejected",
            mode="live", decided_at=datetime.now(UTC),
        )  # fmt: skip
        async with world.app.state.runtime.database.driver() as pg:
            await pg.execute(
                "INSERT INTO inbox (source, ce_id, digest, outcome, decided_at) VALUES ($1, '1', '', $2, $3)",
                name, outcome.model_dump_json(by_alias=True), outcome.decided_at,
            )  # fmt: skip
    world.add("source", *registered)
    world.add("submission", *({"source": name, "id": "1"} for name in names))


async def _ranking(world: World, city: str) -> None:
    """A weekly table with actions behind two of its rows."""
    place = ranking.World(world.app, world.app.state.runtime, world.client, FixedClock(ranking.NOW))
    await place.mirror([*ranking.divisions(), ranking.programme("visit")])
    behind = [ranking.action(path=ranking.path(county)) for county in (ranking.WAN, ranking.WO) for _ in range(2)]
    await place.take_in(*behind)
    week = {"cadence": "weekly", "period": "2018-W41"}
    world.add("table_row", *({**week, "code": county} for county in (ranking.WAN, ranking.WO)))

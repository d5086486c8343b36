"""What tests of decisions share: a household that may exit, keys that may decide, the way through a procedure."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

import httpx
from fastapi import FastAPI

from services.registry.standing.rules import PROCEDURES
from shared.clock import FixedClock
from tests.registry.conftest import CITY, app_on, issue, make, matching, member

URL = "/v1/standing/decisions"
DOCUMENT = [{"title": "测试材料", "sha256": "ab" * 32}]
START = date(2018, 10, 8)
INSURED = {"insurance": {"resident_medical": True}}
SAFE = {"housing": {"danger": "none"}, "water": {"safe": True}}


def clock() -> FixedClock:
    return FixedClock(datetime(2018, 12, 20, 4, tzinfo=UTC))


def app_in_2018(url: str, *, demonstration: bool = False) -> FastAPI:
    return app_on(url, clock(), demonstration=demonstration)


@dataclass(frozen=True)
class Office:
    """A recorder and a reviewer, speaking to one registry."""

    client: httpx.AsyncClient
    recorder: dict[str, str]
    reviewer: dict[str, str]

    @classmethod
    async def of(cls, client: httpx.AsyncClient) -> "Office":
        recorder = await issue(client, ["recorder", "reader"], [CITY])
        return cls(client, recorder, await issue(client, ["reviewer", "reader"], [CITY]))

    async def propose(self, **body: Any) -> httpx.Response:
        content = {"on": START.isoformat(), "evidence": DOCUMENT, **body}
        return await self.client.post(URL, json=content, headers=self.recorder)

    async def proposed(self, **body: Any) -> dict[str, Any]:
        response = await self.propose(**body)
        assert response.status_code == 201, response.text
        made: dict[str, Any] = response.json()
        return made

    async def step(self, decision: Mapping[str, Any], **changes: Any) -> httpx.Response:
        """Take the next step on the first day it may carry."""
        due = decision["next"]
        body = {"step": due["step"], "on": due["not_before"], "evidence": DOCUMENT, **changes}
        headers = getattr(self, due["role"]) | matching(decision["version"])
        return await self.client.post(f"{URL}/{decision['id']}/steps", json=body, headers=headers)

    async def stepped(self, decision: Mapping[str, Any], **changes: Any) -> dict[str, Any]:
        response = await self.step(decision, **changes)
        assert response.status_code == 200, response.text
        made: dict[str, Any] = response.json()
        return made

    async def upto(self, decision: Mapping[str, Any], step: str) -> Mapping[str, Any]:
        """Take steps until this one is next."""
        while decision["next"]["step"] != step:
            decision = await self.stepped(decision)
        return decision

    async def concluded(self, decision: Mapping[str, Any]) -> Mapping[str, Any]:
        decision = await self.upto(decision, PROCEDURES[decision["kind"]][-1].code)
        return await self.stepped(decision)

    async def act(self, decision: Mapping[str, Any], what: str, who: str = "recorder", **body: Any) -> httpx.Response:
        headers = getattr(self, who) | matching(decision["version"])
        return await self.client.post(f"{URL}/{decision['id']}/{what}", json=body, headers=headers)


async def able(client: httpx.AsyncClient, **more: Any) -> dict[str, Any]:
    """A poor household that passes its exit test of 2018: 3,000 yuan a head, line 2,995."""
    fields: dict[str, Any] = {
        "attributes": SAFE,
        "members": [member(attributes=INSURED)],
        "incomes": [{"year": 2018, "people": 1, "wages_fen": 300_000}],
    }
    return await make(client, **{**fields, **more})


def later(day: date, days: int) -> str:
    return (day + timedelta(days=days)).isoformat()

"""Aid actions of the demonstration: made up, recorded half over HTTP and half through Kafka."""

import asyncio
import json
import random
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4
from zoneinfo import ZoneInfo

import httpx
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from shared.events import CloudEvent, encode

SOURCE = "demonstration"
"""Our name as a submission source and as the system that knows the records."""

TOPIC = "bangfu.assistance.action-submissions.v1"
TYPE = "cn.bangfu.assistance.action-submissions.submitted.v1"
CITY_TIME = ZoneInfo("Asia/Shanghai")

RETRY_SECONDS = 1.0
SEND_LIMIT = 10.0
"""Seconds after which a producer is replaced: one that lost its broker may never find it again."""

CLOSE_LIMIT = 2.0


@dataclass(frozen=True, slots=True)
class Template:
    """One kind of action of the catalogue, with how often it is made up and what it is worth."""

    weight: int
    programme: str
    kind: str
    details: Mapping[str, Any]
    yuan: int = 0


TEMPLATES = (
    Template(60, "visit", "household_visit", {"purpose": "regular"}),
    Template(14, "pairing_support", "policy_explanation", {}),
    Template(10, "pairing_support", "measure_delivered", {"measure": "industry"}),
    Template(6, "pairing_support", "goods_given", {"goods": "米面油"}, yuan=200),
    Template(6, "pairing_support", "produce_bought", {"produce": "香菇"}, yuan=350),
    Template(4, "mugwort_industry", "joined", {}),
)


@dataclass(frozen=True, slots=True)
class Beneficiary:
    """A household of the register, as outsiders know it."""

    number: str
    unit: str
    """County-level unit it counts for."""


class ActionMaker:
    """Makes up actions: some units are more diligent than others, so that the tables have something to say."""

    def __init__(self, households: Sequence[Beneficiary], chance: random.Random) -> None:
        self._chance = chance
        self._households = households
        zeal = {unit: chance.uniform(0.3, 1.0) for unit in sorted({one.unit for one in households})}
        self._weights = [zeal[household.unit] for household in households]

    def make(self) -> dict[str, Any]:
        """The next action: today, at most three hours ago."""
        template = self._chance.choices(TEMPLATES, [template.weight for template in TEMPLATES])[0]
        now = datetime.now(CITY_TIME)
        midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
        occurred = max(midnight, now - timedelta(minutes=self._chance.randrange(180)))
        return {
            "source_system": SOURCE,
            "external_id": str(uuid4()),
            "programme": template.programme,
            "kind": template.kind,
            "household": {"number": self._chance.choices(self._households, self._weights)[0].number},
            "occurred_at": occurred.isoformat(timespec="seconds"),
            "quantity": 1,
            "amount_fen": template.yuan * 100,
            "details": dict(template.details),
        }


class HttpRecorder:
    """Records actions as another government system would: one request each, safe to repeat."""

    def __init__(self, assistance: httpx.AsyncClient) -> None:
        self._assistance = assistance

    async def record(self, action: Mapping[str, Any]) -> bool:
        """Record, waiting while the service is away; False when the content is refused.

        (Somebody may have taken the household off the register.) Raises httpx.HTTPStatusError when we are refused.
        """
        headers = {"Idempotency-Key": f'"{action["external_id"]}"'}
        while True:
            try:
                answer = await self._assistance.post("/v1/actions", json=action, headers=headers)
            except httpx.TransportError:
                await asyncio.sleep(RETRY_SECONDS)
                continue
            if answer.status_code in (429, 503):
                await asyncio.sleep(RETRY_SECONDS)
                continue
            if answer.status_code == httpx.codes.UNPROCESSABLE_ENTITY:
                return False
            answer.raise_for_status()
            return True


class KafkaRecorder:
    """Publishes actions as a batch importer would: one CloudEvent each; every one gets a receipt."""

    def __init__(self, bootstrap_servers: str, topic: str) -> None:
        self._bootstrap_servers = bootstrap_servers
        self._topic = topic
        self._producer: AIOKafkaProducer | None = None

    async def record(self, action: Mapping[str, Any]) -> bool:
        """Publish, waiting while the broker is away; a record sent twice counts once. True: the receipt decides."""
        event = CloudEvent(
            id=action["external_id"],
            source=SOURCE,
            type=TYPE,
            time=datetime.now(UTC).isoformat(),
            data=json.dumps({"op": "record", **action}, ensure_ascii=False).encode(),
        )
        value, headers = encode(event)
        while True:
            try:
                async with asyncio.timeout(SEND_LIMIT):
                    producer = await self._started()
                    await producer.send_and_wait(self._topic, value, key=event.id.encode(), headers=headers)
                return True
            except (KafkaError, TimeoutError):
                await self.close()
                await asyncio.sleep(RETRY_SECONDS)

    async def close(self) -> None:
        """Let the producer go; one that cannot reach the broker is not waited for."""
        producer, self._producer = self._producer, None
        if producer is None:
            return
        with suppress(KafkaError, TimeoutError):
            async with asyncio.timeout(CLOSE_LIMIT):
                await producer.stop()

    async def _started(self) -> AIOKafkaProducer:
        if self._producer is None:
            producer = AIOKafkaProducer(bootstrap_servers=self._bootstrap_servers, acks="all", enable_idempotence=False)
            self._producer = producer
            await producer.start()
        return self._producer


class Reviewer:
    """Verifies what came through Kafka: nobody may vouch for what they recorded themselves."""

    def __init__(self, assistance: httpx.AsyncClient) -> None:
        self._assistance = assistance

    async def review(self, action: Mapping[str, Any]) -> None:
        """Look for the action's receipt and verify it; one that is not decided yet is left alone."""
        try:
            receipt = await self._assistance.get(f"/v1/submissions/{SOURCE}/{action['external_id']}")
            if receipt.status_code == httpx.codes.OK and receipt.json()["action_id"]:
                await self._assistance.post(
                    f"/v1/actions/{receipt.json()['action_id']}/verification",
                    json={},
                    headers={"If-Match": f'"{receipt.json()["version"]}"'},
                )
        except httpx.TransportError:
            return  # the next one will do

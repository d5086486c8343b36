"""The service as a process, between a real database and a real broker, met by another Kafka client than ours."""

import json
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from confluent_kafka import OFFSET_BEGINNING, Consumer, Producer, TopicPartition
from jsonschema import Draft7Validator

from deploy.local.broker import EmbeddedBroker
from deploy.local.ports import free_port
from deploy.local.service import ROOT, Service
from services.assistance.intake.contracts import ACTION_OUTCOMES, ACTION_SUBMISSIONS
from shared.auth import new_secret
from shared.contracts.base import Contract, Topic
from shared.contracts.division import DIVISION
from shared.contracts.household import HOUSEHOLD
from shared.contracts.key import KEY, KeyEvent
from shared.ids import uuid7
from tests.assistance.world import ALL_ROLES, CITY, XIAYING, divisions, household, record_of
from tests.stack import Broker

SOURCE = "urn:importer"
HOME = household(1, XIAYING)


@dataclass
class Running:
    """The service and two clients of it."""

    client: httpx.Client
    producer: Producer
    bootstrap_servers: str
    prefix: str

    def publish(self, topic: Topic, body: Contract, key: str) -> None:
        record = record_of(topic, body, key)
        self.producer.produce(
            self.prefix + topic.name, record.value, record.key, headers=dict(record.headers), on_delivery=_delivered
        )

    def submit(self, ce_id: str, **more: Any) -> None:
        said = {
            "op": "record", "source_system": "importer", "external_id": ce_id, "programme": "visit",
            "kind": "household_visit", "household": {"number": HOME.number},
            "occurred_at": "2018-10-08T09:30:00+08:00", **more,
        }  # fmt: skip
        headers: dict[str, str | bytes | None] = {
            "ce_specversion": "1.0",
            "ce_id": ce_id,
            "ce_source": SOURCE,
            "ce_type": ACTION_SUBMISSIONS.types[0],
            "content-type": "application/json",
        }
        self.producer.produce(
            self.prefix + ACTION_SUBMISSIONS.name, json.dumps(said).encode(), headers=headers, on_delivery=_delivered
        )

    def open_dead_letters(self, group: str) -> int:
        consumers = self.client.get("/readyz").json()["consumers"]
        return next(int(each["open_dead_letters"]) for each in consumers if each["group"] == group)

    def receipts(self, count: int) -> list[dict[str, Any]]:
        reader = Consumer(
            {"bootstrap.servers": self.bootstrap_servers, "group.id": "reader", "auto.offset.reset": "earliest"}
        )
        topic = self.prefix + ACTION_OUTCOMES.name
        reader.assign([TopicPartition(topic, number, OFFSET_BEGINNING) for number in range(ACTION_OUTCOMES.partitions)])
        found: list[dict[str, Any]] = []
        deadline = time.monotonic() + 60
        while len(found) < count and time.monotonic() < deadline:
            message = reader.poll(0.2)
            if message is not None and message.error() is None:
                found.append(json.loads(message.value() or b""))
        reader.close()
        return found


def _delivered(error: object, _: object) -> None:
    assert error is None


def _until(condition: Callable[[], bool], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.fixture
def running(
    run_directory: Path, database_url: Callable[[str | None], str], kafka: Broker, kafka_prefix: str
) -> Iterator[Running]:
    settings = {
        "BANGFU_ASSISTANCE_DATABASE_URL": database_url("assistance"),
        "BANGFU_KAFKA_BOOTSTRAP_SERVERS": kafka.bootstrap_servers,
        "BANGFU_KAFKA_IDEMPOTENCE": str(not isinstance(kafka, EmbeddedBroker)).lower(),
        "BANGFU_KAFKA_PREFIX": kafka_prefix,
    }
    service = Service(
        "assistance", run_directory / "services", free_port(), settings, label=f"{kafka_prefix}assistance"
    )
    service.start()
    service.wait_ready()
    prefix, plain, digest = new_secret()
    key = KeyEvent(
        id=uuid7(), version=1, status="active", prefix=prefix, secret_sha256=digest, name="test", roles=ALL_ROLES,
        divisions=[CITY],
    )  # fmt: skip
    producer = Producer({"bootstrap.servers": kafka.bootstrap_servers, "compression.type": "zstd"})
    headers = {"Authorization": f"Bearer {plain}"}
    with httpx.Client(base_url=service.url, headers=headers, trust_env=False, timeout=60) as client:
        made = Running(client, producer, kafka.bootstrap_servers, kafka_prefix)
        made.publish(KEY, key, str(key.id))
        for division in divisions():
            made.publish(DIVISION, division, division.code)
        producer.flush(60)
        _until(lambda: client.get("/v1/sectors").status_code == 200)
        yield made
    service.kill()


def test_from_registrys_events_to_a_receipt(running: Running) -> None:
    running.publish(HOUSEHOLD, HOME, str(HOME.id))
    running.producer.flush(60)
    visit = {
        "programme": "visit", "kind": "household_visit", "household": {"id": str(HOME.id)},
        "occurred_at": "2018-10-08T09:30:00+08:00",
    }  # fmt: skip
    _until(lambda: running.client.post("/v1/actions", json=visit).status_code == 201)
    source = {"name": SOURCE, "label": "导入", "divisions": [CITY]}
    _until(lambda: running.client.post("/v1/sources", json=source).status_code in (201, 409))
    for number in range(500):
        running.producer.produce(running.prefix + ACTION_SUBMISSIONS.name, os.urandom(number % 64))
    running.submit("1")
    running.submit("2", kind="nothing")
    running.producer.flush(60)
    receipts = {each["submission"]: each for each in running.receipts(2)}
    assert receipts["1"]["outcome"] == "accepted"
    assert receipts["2"]["errors"][0]["code"] == "unknown_kind"
    assert running.client.get(f"/v1/submissions/{SOURCE}/1").json() == receipts["1"]
    assert len(running.client.get("/v1/actions").json()["items"]) == 2
    _until(lambda: running.client.get("/readyz").status_code == 200)
    _until(lambda: running.open_dead_letters("assistance-intake") == 500)


def test_documents(running: Running) -> None:
    assert running.client.get("/openapi.json").status_code == 200
    document = running.client.get("/asyncapi.json").json()
    Draft7Validator(json.loads((ROOT / "tests/schemas/asyncapi-3.0.0.json").read_text())).validate(document)
    assert len(document["channels"]) >= 9
    for topic in (ACTION_SUBMISSIONS, ACTION_OUTCOMES):
        schema = running.client.get(f"/schemas/{topic.name}.json").json()
        assert schema["$schema"].endswith("2020-12/schema")

"""An importer: another Kafka client than ours (librdkafka), publishing submissions and reading receipts."""

import json
import uuid
from typing import Any

from confluent_kafka import Consumer, Producer, TopicPartition

from tests.e2e.city import City
from tests.faults.waiting import eventually

SUBMISSIONS = "bangfu.assistance.action-submissions.v1"
OUTCOMES = "bangfu.assistance.action-outcomes.v1"
SUBMITTED = "cn.bangfu.assistance.action-submissions.submitted.v1"
PARTITIONS = 12
Headers = list[tuple[str, str | bytes | None]]


class Importer:
    """A registered source with a producer."""

    def __init__(
        self,
        city: City,
        *,
        mode: str = "live",
        divisions: tuple[str, ...] = ("411300000000",),
        signature: str = "optional",
    ) -> None:
        self.city = city
        self.source = f"https://importer.example/{uuid.uuid4().hex[:8]}"
        body = {
            "name": self.source, "label": "测试来源", "divisions": divisions, "mode": mode, "signature": signature
        }  # fmt: skip
        answer = city.post("assistance", "/v1/sources", body)
        assert answer.status_code == 201, answer.text
        self.id: str = answer.json()["id"]
        settings = {
            "bootstrap.servers": city.stack.broker.bootstrap_servers,
            "compression.type": "zstd",
            "linger.ms": 5,
        }
        self._producer = Producer(settings)

    def submit(self, data: object, *, ce_id: str | None = None, **changes: str | bytes | None) -> str:
        """Publish one submission; its ce_id. ``changes`` replace headers (a hyphen as underscore); None drops one."""
        ce_id = ce_id or uuid.uuid4().hex
        value = data if isinstance(data, bytes) else json.dumps(data).encode()
        headers: dict[str, str | bytes | None] = {
            "ce_specversion": "1.0",
            "ce_id": ce_id,
            "ce_source": self.source,
            "ce_type": SUBMITTED,
            "content-type": "application/json",
        }
        headers |= {name.replace("content_type", "content-type"): text for name, text in changes.items()}
        self.send(value, [(name, text) for name, text in headers.items() if text is not None])
        return ce_id

    def send(
        self, value: bytes | None, headers: Headers | None = None, *, key: bytes | None = None, partition: int = -1
    ) -> None:
        """Publish any record at all."""
        topic = self.city.stack.prefix + SUBMISSIONS
        while True:
            try:
                self._producer.produce(topic, value, key, headers=headers or [], partition=partition)
                return
            except BufferError:
                self._producer.poll(0.1)

    def flush(self) -> None:
        assert self._producer.flush(60) == 0, "everything was acknowledged"

    def outcome(self, ce_id: str) -> dict[str, Any]:
        """The receipt by HTTP, once there is one."""
        self.flush()
        client = self.city.client("assistance")

        def found() -> dict[str, Any]:
            answer = client.get(f"/v1/submissions/{self.source}/{ce_id}")
            assert answer.status_code in (200, 404), answer.text
            return answer.json() if answer.status_code == 200 else {}

        return eventually(found, what=f"the receipt of {ce_id}")


class Receipts:
    """Reads the outcomes topic from its start, as any client may."""

    def __init__(self, city: City) -> None:
        settings = {
            "bootstrap.servers": city.stack.broker.bootstrap_servers,
            "group.id": uuid.uuid4().hex,
            "log_level": 0,
        }
        self._consumer = Consumer({**settings, "auto.offset.reset": "earliest", "enable.auto.commit": False})
        topic = city.stack.prefix + OUTCOMES
        self._consumer.assign([TopicPartition(topic, partition, 0) for partition in range(PARTITIONS)])
        self._found: dict[str, list[dict[str, Any]]] = {}

    def of(self, ce_id: str) -> list[dict[str, Any]]:
        """The receipts of one submission read so far."""
        for message in self._consumer.consume(500, 0.05):
            assert message.error() is None, message.error()
            body = json.loads(message.value() or b"")
            self._found.setdefault(body["submission"], []).append(body)
        return self._found.get(ce_id, [])

    def close(self) -> None:
        self._consumer.close()

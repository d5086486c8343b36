"""Registry as a process between a real database and a real broker; households come from another Kafka client."""

import base64
import json
import re
import secrets
import time
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import pytest
from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, Producer, TopicPartition
from jsonschema import Draft7Validator

from deploy.local.broker import EmbeddedBroker
from deploy.local.ports import free_port
from deploy.local.service import ROOT, Service
from services.registry.submissions.contracts import HOUSEHOLD_OUTCOMES, HOUSEHOLD_SUBMISSIONS
from tests.faults.waiting import eventually, until_equal
from tests.registry.conftest import VILLAGE, XIXIA, id_number
from tests.registry.submissions import Json, sealed
from tests.stack import Broker, Databases

SOURCE = "urn:xixia:households"
KILLED_WITH = 60
"""Submissions that a killed registry has before it."""


@dataclass
class Running:
    """The service, a client of it, and a producer that knows nothing of it."""

    service: Service
    client: httpx.Client
    producer: Producer
    bootstrap_servers: str
    prefix: str
    database: str
    key: Json = field(default_factory=dict)

    def submit(self, name: str, who: Json, *, ce_id: str | None = None, sealed_as: str | None = None) -> None:
        record = {"source_system": "xixia", "external_id": name}
        block = {"source": SOURCE, **record, "members": [who]}
        said = {
            "op": "record", **record, "village": VILLAGE, "standing": "poor", "registered_on": "2014-05-01",
            "cause": "illness", "members": [{"relation": "head", "sex": "male"}],
            "identity": sealed_as or sealed(block, self.key),
        }  # fmt: skip
        self.send(json.dumps(said).encode(), ce_id or name)

    def send(self, value: bytes, ce_id: str, key: bytes | None = None) -> None:
        headers: dict[str, str | bytes | None] = {
            "ce_specversion": "1.0", "ce_id": ce_id, "ce_source": SOURCE,
            "ce_type": HOUSEHOLD_SUBMISSIONS.types[0], "content-type": "application/json",
        }  # fmt: skip
        self.producer.produce(self.prefix + HOUSEHOLD_SUBMISSIONS.name, value, key, headers=headers)

    def outcome(self, ce_id: str) -> Json:
        self.producer.flush(60)

        def found() -> Json:
            answer = self.client.get(f"/v1/submissions/{SOURCE}/{ce_id}")
            return answer.json() if answer.status_code == 200 else {}

        return eventually(found, what=f"the receipt of {ce_id}")

    def everything(self) -> dict[str, list[Any]]:
        """Every record of every topic that is ours: keys, values and headers."""
        ours = {"group.id": uuid.uuid4().hex, "log_level": 0, "enable.partition.eof": True}
        reader = Consumer({"bootstrap.servers": self.bootstrap_servers, **ours})
        topics = [name for name in reader.list_topics(timeout=60).topics if name.startswith(self.prefix)]
        partitions = {name: reader.list_topics(name, timeout=60).topics[name].partitions for name in topics}
        unread = {(name, number) for name, each in partitions.items() for number in each}
        reader.assign([TopicPartition(name, number, OFFSET_BEGINNING) for name, number in unread])
        found: dict[str, list[Any]] = {name.removeprefix(self.prefix): [] for name in topics}
        deadline = time.monotonic() + 60
        while unread:
            assert time.monotonic() < deadline, unread
            message = reader.poll(0.2)
            if message is None:
                continue
            error = message.error()
            if error is None:
                found[(message.topic() or "").removeprefix(self.prefix)].append(message)
            elif error.code() == KafkaError._PARTITION_EOF:
                unread.discard((message.topic() or "", message.partition() or 0))
        reader.close()
        return found

    async def rows(self, query: str) -> list[Any]:
        pg = await asyncpg.connect(self.database)
        try:
            return list(await pg.fetch(query))
        finally:
            await pg.close()

    async def value(self, query: str) -> Any:
        [[found]] = await self.rows(query)
        return found


@pytest.fixture(scope="module")
def running(run_directory: Path, _databases: Databases, kafka: Broker) -> Iterator[Running]:
    """One for all of these tests; each has records of its own."""
    url, plain, kafka_prefix = _databases.create("registry"), f"test.{secrets.token_urlsafe(32)}", "submissions."
    settings = {
        "BANGFU_REGISTRY_DATABASE_URL": url,
        "BANGFU_REGISTRY_DATA_KEY": base64.b64encode(bytes(range(32))).decode(),
        "BANGFU_BOOTSTRAP_KEY": plain,
        "BANGFU_KAFKA_BOOTSTRAP_SERVERS": kafka.bootstrap_servers,
        "BANGFU_KAFKA_IDEMPOTENCE": str(not isinstance(kafka, EmbeddedBroker)).lower(),
        "BANGFU_KAFKA_FETCH_WAIT_MS": "20" if isinstance(kafka, EmbeddedBroker) else "500",
        "BANGFU_KAFKA_PREFIX": kafka_prefix,
        "BANGFU_LOG_LEVEL": "DEBUG",
    }
    service = Service("registry", run_directory / "services", free_port(), settings, label=f"{kafka_prefix}registry")
    service.start()
    service.wait_ready()
    producer = Producer({"bootstrap.servers": kafka.bootstrap_servers, "compression.type": "zstd"})
    headers = {"Authorization": f"Bearer {plain}"}
    with httpx.Client(base_url=service.url, headers=headers, trust_env=False, timeout=60) as client:
        made = Running(service, client, producer, kafka.bootstrap_servers, kafka_prefix, url)
        body = {"name": SOURCE, "label": "导入", "divisions": [XIXIA]}
        assert client.post("/v1/sources", json=body).status_code == 201
        [made.key] = client.get("/.well-known/submission-keys.json").json()["keys"]
        yield made
    service.kill()


def who(number: int) -> Json:
    return {
        "name": f"金丝雀{number}号", "id_number": id_number(sequence=2 * number + 1), "phone": f"1387654{number:04}",
        "bank_card": f"6217998877{number:06}", "disability_number": id_number(sequence=2 * number + 1) + "44",
    }  # fmt: skip


def _forms(canary: str) -> set[bytes]:
    """How it would show: as it is, escaped in JSON, in hex, in base64 at any place of three."""
    raw = canary.encode()
    encoded = {base64.b64encode(b"\0" * shift + raw)[4 if shift else 0 : -4] for shift in range(3)}
    return {raw, json.dumps(canary).strip('"').encode(), raw.hex().encode(), *encoded}


def _shown(canaries: list[str], text: bytes) -> list[str]:
    return [canary for canary in canaries if any(form in text for form in _forms(canary))]


async def test_no_identity_is_in_the_clear_anywhere(running: Running) -> None:
    """Submitted well, refused, sealed to a stranger, sent as junk: on no topic beyond what the junk said itself."""
    people = [who(number) for number in range(4)]
    canaries = sorted({str(value) for each in people for value in each.values()})
    running.submit("h-0", people[0])
    running.submit("h-1", {**people[1], "phone": people[1]["bank_card"]})
    running.submit("h-2", people[2], sealed_as=sealed(people[2], {**running.key, "kid": "stranger"}))
    junk = json.dumps(people[3]).encode()
    running.send(junk, "junk", key=people[3]["id_number"].encode())
    running.send(junk[:-1], "junk")
    outcomes = [running.outcome(name) for name in ("h-0", "h-1", "h-2")]
    assert [each["outcome"] for each in outcomes] == ["accepted", "rejected", "rejected"]
    home = running.client.get(f"/v1/households/{outcomes[0]['household_id']}").json()
    assert home["members"][0]["phone"] == "138****0000"
    await until_equal(lambda: running.value("SELECT count(*) FROM dead_letter"), 2, what="the junk is written off")
    eventually(lambda: running.client.get("/readyz").json()["outbox_rows"] == 0, what="all is sent")
    topics = running.everything()
    sent = topics.pop(HOUSEHOLD_SUBMISSIONS.name)
    assert sum(bool(_shown(canaries, each.value())) for each in sent) == 2, "the junk, and the search finds it"
    told = [json.loads(each.value()) for each in topics[HOUSEHOLD_OUTCOMES.name]]
    assert [each for each in outcomes if each not in told] == []
    assert len(topics[HOUSEHOLD_SUBMISSIONS.dead_letters]) == 2
    for name, messages in topics.items():
        for each in messages:
            text = b"|".join([each.key() or b"", each.value() or b"", str(each.headers()).encode()])
            assert not _shown(canaries, text), name
    assert not _shown(canaries, running.service.daemon.log.read_bytes())
    for (table,) in await running.rows("SELECT tablename FROM pg_tables WHERE schemaname = 'public'"):
        rows = await running.rows(f"SELECT t::text AS text FROM {table} AS t")
        assert not _shown(canaries, "\n".join(row["text"] for row in rows).encode()), table


async def test_killed_in_the_middle_every_household_is_there_once(running: Running) -> None:
    read = "SELECT coalesce(sum(next_offset), 0) FROM consumed_position WHERE group_name = 'registry-submissions'"
    before = await running.value(read)
    names = [f"k-{number}" for number in range(KILLED_WITH)]
    for number, name in enumerate(names):
        running.submit(name, who(100 + number))
        if number == KILLED_WITH // 2:
            running.producer.flush(60)
            running.outcome("k-0")
            running.service.kill()
    running.producer.flush(60)
    running.service.start()
    running.service.wait_ready()
    for number, name in enumerate(names):  # its importer does not know either, and sends everything again
        running.submit(name, who(100 + number))
    outcomes = [running.outcome(name) for name in names]
    assert {each["outcome"] for each in outcomes} == {"accepted"}
    assert len({each["household_id"] for each in outcomes}) == KILLED_WITH

    await until_equal(lambda: running.value(read), before + 2 * KILLED_WITH, what="all that was sent is read")
    theirs = "FROM household WHERE external_id LIKE 'k-%'"
    assert await running.value(f"SELECT count(*) {theirs}") == KILLED_WITH
    assert await running.value(f"SELECT max(version) {theirs}") == 1
    eventually(lambda: running.client.get("/readyz").json()["outbox_rows"] == 0, what="all is sent")
    receipts: dict[str, set[bytes]] = {}
    for message in running.everything()[HOUSEHOLD_OUTCOMES.name]:
        headers: Mapping[str, bytes] = dict(message.headers())
        if json.loads(message.value())["submission"] in names:
            receipts.setdefault(headers["ce_id"].decode(), set()).add(message.value())
    assert len(receipts) == KILLED_WITH, "one receipt each, sent again with the same id"
    assert {len(said) for said in receipts.values()} == {1}


def test_the_example_of_the_readme_runs(running: Running) -> None:
    [example] = [
        code
        for code in re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
        if HOUSEHOLD_SUBMISSIONS.name in code
    ]
    assert example in (ROOT / "README.zh-CN.md").read_text()
    for written, here in {
        "http://127.0.0.1:8101": running.service.url,
        "127.0.0.1:8104": running.bootstrap_servers,
        HOUSEHOLD_SUBMISSIONS.name: running.prefix + HOUSEHOLD_SUBMISSIONS.name,
    }.items():
        assert written in example
        example = example.replace(written, here)
    exec(compile(example, "README.md", "exec"), {})
    assert running.outcome("h-000017-1")["outcome"] == "accepted"


def test_documents(running: Running) -> None:
    document = running.client.get("/asyncapi.json").json()
    Draft7Validator(json.loads((ROOT / "tests/schemas/asyncapi-3.0.0.json").read_text())).validate(document)
    for topic in (HOUSEHOLD_SUBMISSIONS, HOUSEHOLD_OUTCOMES):
        assert topic.name in document["channels"]
        schema = running.client.get(f"/schemas/{topic.name}.json").json()
        assert schema["$schema"].endswith("2020-12/schema")

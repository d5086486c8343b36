"""The running services as their users see them: HTTP with a key; and as the tests may look at them: raw SQL."""

import asyncio
import itertools
import json
import uuid
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import asyncpg
import httpx
from aiokafka.errors import KafkaError

from shared.broker import ensure_topics
from shared.contracts.action import ACTION
from shared.contracts.division import DIVISION
from shared.contracts.household import HOUSEHOLD, PERSON
from shared.contracts.key import KEY
from shared.contracts.programme import PROGRAMME, TARGET
from shared.log import log_incarnation
from shared.settings import Settings
from tests.faults.waiting import WITHIN_SECONDS, eventually
from tests.stack import Databases, Stack

SHANGHAI = ZoneInfo("Asia/Shanghai")
PUBLISHED = {"registry": (DIVISION, HOUSEHOLD, PERSON, KEY), "assistance": (PROGRAMME, TARGET, ACTION)}
READERS = {"assistance-mirror": "assistance", "ranking-facts": "ranking", "ranking-mirror": "ranking"}
Json = dict[str, Any]
JSONL = "application/jsonl"
_numbers = itertools.count(1)


def now() -> datetime:
    return datetime.now(UTC)


_OCCURRED = now() - timedelta(minutes=1)
"""When the actions of these tests happened: all on one day, also where they run past midnight in Shanghai."""


def today() -> date:
    """The day of the actions of these tests."""
    return _OCCURRED.astimezone(SHANGHAI).date()


def periods(day: date) -> dict[str, str]:
    """The periods of a day, as the addresses of their tables."""
    year, week, _ = day.isocalendar()
    return {
        "weekly": f"{year}-W{week:02}",
        "monthly": f"{day:%Y-%m}",
        "quarterly": f"{day.year}-Q{(day.month + 2) // 3}",
    }


class City:
    """A running stack, its bootstrap key, and what tests do with it."""

    def __init__(self, stack: Stack, databases: Databases) -> None:
        self.stack = stack
        self.databases = databases
        self._clients: dict[tuple[str, str], httpx.Client] = {}

    # HTTP

    def client(self, service: str, key: str | None = None) -> httpx.Client:
        """A client of a service with a key; kept, because making one is dear."""
        key = key or self.stack.api_key
        if (service, key) not in self._clients:
            headers = {"Authorization": f"Bearer {key}", "Accept-Language": "en"}
            made = httpx.Client(base_url=self.url(service), headers=headers, timeout=30.0, trust_env=False)
            self._clients[service, key] = made
        return self._clients[service, key]

    def close(self) -> None:
        for client in self._clients.values():
            client.close()

    def url(self, service: str) -> str:
        return self.stack.service(service).url

    def get(self, service: str, path: str, **query: str) -> Json:
        answer = self.client(service).get(path, params=query)
        assert answer.status_code == 200, answer.text
        body: Json = answer.json()
        return body

    def post(
        self, service: str, path: str, body: object, *, key: str | None = None, headers: Mapping[str, str] | None = None
    ) -> httpx.Response:
        return self.client(service, key).post(path, json=body, headers=headers)

    def issue_key(self, *roles: str, divisions: tuple[str, ...] = ("411300000000",)) -> str:
        body = {"name": "of a test", "roles": roles, "divisions": divisions}
        answer = self.post("registry", "/v1/keys", body)
        assert answer.status_code == 201, answer.text
        plain: str = answer.json()["key"]
        return plain

    # The register

    def villages(self, county: str, count: int = 1) -> list[str]:
        """Codes of villages by their county's prefix."""
        page = self.get("registry", "/v1/divisions", level="village", division=county[:6], limit=str(count))
        return [item["code"] for item in page["items"]]

    def household(self, village: str, standing: str = "poor") -> Json:
        """Register one, and wait until the ledger knows it: over HTTP it awaits the register for two seconds only."""
        answer = self.post("registry", "/v1/households", household(village, standing))
        assert answer.status_code == 201, answer.text
        body: Json = answer.json()
        known, made = "SELECT 1 FROM mirror_household WHERE id = $1", uuid.UUID(body["id"])
        eventually(lambda: self.sql("assistance", known, made), what="the ledger knows the household")
        return body

    def households(self, villages: list[str], each: int, standing: str = "poor") -> list[Json]:
        """Register many at once; as registry then lists them."""
        mark = uuid.uuid4().hex
        lines = [
            json.dumps({**household(village, standing), "source_system": mark, "external_id": f"{village}-{i}"})
            for village in villages
            for i in range(each)
        ]
        client = self.client("registry")
        answer = client.post("/v1/households/bulk", content="\n".join(lines), headers={"Content-Type": JSONL})
        assert answer.status_code == 200, answer.text
        assert answer.json()["counts"]["created"] == len(lines), answer.text
        listed = client.get("/v1/households", params={"source_system": mark}, headers={"Accept": JSONL})
        return [json.loads(line) for line in listed.text.splitlines()]

    # The ledger

    def record(self, action: Json, *, idempotency_key: str | None = None) -> httpx.Response:
        headers = {"Idempotency-Key": idempotency_key} if idempotency_key else {}
        return self.post("assistance", "/v1/actions", action, headers=headers)

    def recorded(self, household: Json, **changes: object) -> Json:
        answer = self.record(visit(household, **changes))
        assert answer.status_code == 201, answer.text
        body: Json = answer.json()
        return body

    # The tables

    def figures(self, cadence: str, period: str, county: str) -> Json:
        """A county's figures in a live table; zeros while it has none."""
        table = self.get("ranking", f"/v1/league-tables/{cadence}/{period}")
        lines = [*table["rows"], *table["not_ranked"]]
        found: Json = next((line["figures"] for line in lines if line["unit"]["code"] == county), {})
        return found

    def faces(self, day: date, county: str) -> dict[str, tuple[int, int]]:
        """(actions, households) of a county on every face that shows the day."""
        found = {
            cadence: self.figures(cadence, period, county)
            for cadence, period in {"daily": day.isoformat(), **periods(day)}.items()
        }
        notice = self.get("ranking", f"/v1/notices/daily/{day}")
        found["notice"] = next((c["new"] for c in notice["counties"] if c["unit"]["code"] == county), {})
        return {face: (each.get("actions", 0), each.get("households", 0)) for face, each in found.items()}

    def settled_faces(self, day: date, county: str) -> dict[str, tuple[int, int]]:
        """The faces once nothing that was recorded before is on its way any more."""
        self.wait_until_quiet()
        return self.faces(day, county)

    # Behind the interfaces

    def sql(self, service: str, query: str, *arguments: object) -> list[asyncpg.Record]:
        return self.sql_at(self.stack.databases[service], query, *arguments)

    def sql_at(self, url: str, query: str, *arguments: object) -> list[asyncpg.Record]:
        async def fetch() -> list[asyncpg.Record]:
            pg = await asyncpg.connect(url)
            try:
                return list(await pg.fetch(query, *arguments))
            finally:
                await pg.close()

        return asyncio.run(fetch())

    def wait_until_quiet(self, within: float = WITHIN_SECONDS) -> None:
        """Until nothing is on its way: outboxes empty, everything published consumed, nothing parked."""
        try:
            eventually(lambda: not self.unrest(), within=within, step=0.2)
        except AssertionError as error:
            raise AssertionError(f"not quiet within {within:.0f} s: {self.unrest()}") from error

    def unrest(self) -> list[str]:
        """What is still on its way."""
        try:
            log = asyncio.run(self._log())
        except (KafkaError, OSError, TimeoutError) as error:
            return [f"the broker does not tell its log: {type(error).__name__}"]
        found = [
            f"{row['reader']} of {service} does not know the broker's log"
            for service in self.stack.databases
            for row in self.sql(service, "SELECT reader, incarnation FROM log_state")
            if row["incarnation"] != log
        ]
        for service in self.stack.databases:
            found += [f"{service} {name}: {n}" for name, n in self._waiting(service).items() if n]
        consumed = {
            (row["group_name"], row["topic"], row["partition"]): row["next_offset"]
            for service in ("assistance", "ranking")
            for row in self.sql(service, "SELECT * FROM consumed_position")
        }
        for service, topics in PUBLISHED.items():
            readers = {self.stack.prefix + topic.name: topic.readers for topic in topics}
            for row in self.sql(service, "SELECT * FROM published_position"):
                for group in readers.get(row["topic"], ()):
                    if consumed.get((group, row["topic"], row["partition"]), 0) < row["next_offset"]:
                        found.append(f"{group} behind on {row['topic']}/{row['partition']}")
        if not found:  # what was taken in while we looked may have left something behind that was not there before
            left = [(service, *each) for service in set(READERS.values()) for each in self._waiting(service).items()]
            found = [f"{service} {name}: {n}" for service, name, n in left if n]
        return found

    def _waiting(self, service: str) -> dict[str, int]:
        """How much a service has still to send, and to decide."""
        [row] = self.sql(
            service, "SELECT (SELECT count(*) FROM outbox) AS outbox, (SELECT count(*) FROM parked_record) AS parked"
        )
        return dict(row)

    async def _log(self) -> str:
        """The identity of the log that the broker holds now."""
        settings = Settings(
            service="ranking",
            database_url="",
            kafka_bootstrap_servers=self.stack.broker.bootstrap_servers,
            kafka_prefix=self.stack.prefix,
            kafka_idempotence=False,
        )
        await ensure_topics(settings, ())
        return await log_incarnation(settings)


def household(village: str, standing: str = "poor") -> Json:
    """A household to register."""
    head = {"name": "测试甲", "relation": "head", "sex": "male", "birth_date": "1968-03-12", "employable": "partial"}
    return {"village": village, "standing": standing, "registered_on": "2014-05-01", "members": [head]}


def visit(household: Json, **changes: object) -> Json:
    """An action of class help to record: a visit to a household today."""
    return {
        "source_system": "test-office",
        "external_id": f"{uuid.uuid4().hex[:12]}-{next(_numbers)}",
        "programme": "visit",
        "kind": "household_visit",
        "household": {"number": household["number"]},
        "occurred_at": _OCCURRED.isoformat(),
        "details": {"purpose": "regular"},
        **changes,
    }

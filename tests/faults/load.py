"""A client that records actions and keeps a ledger of its own: synced to disk before it sends, and when it hears back.

    python -m tests.faults.load PLAN.json LEDGER.jsonl

It retries what it does not know with the same Idempotency-Key, as clients should; every seventh request it gives up.
"""

import asyncio
import hashlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import httpx

from tests.faults.waiting import eventually

ROOT = Path(__file__).resolve().parents[2]
WORKERS = 8
PATIENCE_SECONDS = 60.0
UNKNOWN = 0
"""The status of a request that was never answered."""


@dataclass(frozen=True)
class Plan:
    """What to send, where to, and how fast (requests a second)."""

    url: str
    key: str
    bodies: list[dict[str, Any]]
    rate: float


class Ledger:
    """Append-only, synced line by line."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("ab", buffering=0)

    def write(self, **line: object) -> None:
        self._file.write(json.dumps(line).encode() + b"\n")
        os.fsync(self._file.fileno())


async def run(plan: Plan, ledger: Ledger) -> None:
    """Send every body, paced, from a few workers."""
    waiting = iter(enumerate(plan.bodies))
    start = time.monotonic()
    headers = {"Authorization": f"Bearer {plan.key}"}
    async with httpx.AsyncClient(base_url=plan.url, headers=headers, timeout=20, trust_env=False) as client:

        async def work() -> None:
            for number, body in waiting:
                await asyncio.sleep(max(0.0, start + number / plan.rate - time.monotonic()))
                await _send(client, ledger, number, body)

        await asyncio.gather(*(work() for _ in range(WORKERS)))


async def _send(client: httpx.AsyncClient, ledger: Ledger, number: int, body: Mapping[str, Any]) -> None:
    content = json.dumps(body).encode()
    key = f"load-{body['external_id']}"
    ledger.write(id=number, key=key, external_id=body["external_id"], sha256=hashlib.sha256(content).hexdigest())
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            headers = {"Idempotency-Key": key, "Content-Type": "application/json"}
            answer = await client.post("/v1/actions", content=content, headers=headers)
            status, said, retry_after = answer.status_code, answer.json(), answer.headers.get("retry-after")
        except httpx.TransportError:
            status, said, retry_after = UNKNOWN, {}, None
        names = {"action_id": said.get("id"), "problem": said.get("code"), "retry_after": retry_after}
        ledger.write(id=number, status=status, **names)
        if status not in (UNKNOWN, 503) or number % 7 == 0 or time.monotonic() > deadline:
            return
        await asyncio.sleep(0.1)


class Load:
    """The client as a process, and what its ledger says."""

    def __init__(self, plan: Plan, directory: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self._ledger, self._plan = directory / "ledger.jsonl", directory / "plan.json"
        self._ledger.unlink(missing_ok=True)
        self._plan.write_text(json.dumps(asdict(plan)))
        command = [sys.executable, "-m", "tests.faults.load", str(self._plan), str(self._ledger)]
        self._process = subprocess.Popen(command, cwd=ROOT)

    def wait(self, timeout: float = 120.0) -> None:
        assert self._process.wait(timeout) == 0

    def __enter__(self) -> "Load":
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()

    def lines(self) -> list[dict[str, Any]]:
        """What it has written so far."""
        text = self._ledger.read_text() if self._ledger.exists() else ""
        return [json.loads(line) for line in text.splitlines() if line.endswith("}")]

    def acknowledged(self) -> int:
        """How many 2xx there were so far."""
        return self._ledger.read_bytes().count(b'"status": 20') if self._ledger.exists() else 0

    def wait_for(self, count: int) -> None:
        """Until so many were recorded."""
        eventually(lambda: self.acknowledged() >= count, what=f"{count} recorded")

    def outcome(self) -> "Outcome":
        """What each external name may amount to in the end."""
        names: dict[int, str] = {}
        statuses: dict[int, list[int]] = {}
        for line in self.lines():
            if "external_id" in line:
                names[line["id"]] = line["external_id"]
            else:
                statuses.setdefault(line["id"], []).append(line["status"])
        heard = [line for line in self.lines() if "status" in line]
        return Outcome(
            must={names[i] for i, s in statuses.items() if {200, 201} & set(s)},
            may={names[i] for i in names if {200, 201}.isdisjoint(statuses.get(i, [UNKNOWN]))},
            statuses={status for each in statuses.values() for status in each},
            named={line["action_id"] for line in heard if line["status"] in (200, 201)},
            unexpected=[line for line in heard if line["status"] not in (UNKNOWN, 200, 201, 503)],
            unhelpful=[line for line in heard if line["status"] == 503 and not line["retry_after"]],
        )


@dataclass
class Outcome:
    """The external names that must be in the ledger once, those that may be, and every status that was seen."""

    must: set[str]
    may: set[str]
    statuses: set[int]
    named: set[str]
    unexpected: list[dict[str, Any]]
    """Answers with another status than 2xx and 503."""
    unhelpful: list[dict[str, Any]]
    """503 without Retry-After."""


if __name__ == "__main__":
    given = Plan(**json.loads(Path(sys.argv[1]).read_text()))
    asyncio.run(run(given, Ledger(Path(sys.argv[2]))))

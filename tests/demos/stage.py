"""What every demonstration stands on: clients of the three services, and findings printed beside expectations."""

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import httpx

ROOT = Path(__file__).resolve().parents[2]
PATIENCE = 60.0
"""Seconds that what one service was told may take to show in another."""
Json = dict[str, Any]


class NotAsExpectedError(Exception):
    """The system showed something else than the demonstration expects."""


@dataclass(frozen=True)
class Stage:
    """A running stack, spoken to as any other system would."""

    registry: httpx.Client
    assistance: httpx.Client
    ranking: httpx.Client
    say: Callable[[str], None] = print

    def shows(self, what: str, found: object, expected: object) -> None:
        """Print what was found. Raises ``NotAsExpectedError`` when it is not what is expected."""
        self.say(f"{'✓' if found == expected else '✗'} {what}: {found}")
        if found != expected:
            raise NotAsExpectedError(f"{what}: expected {expected}, found {found}")

    def eventually_shows(self, what: str, find: Callable[[], object], expected: object) -> None:
        """As ``shows``, for what another service learns by event."""
        deadline = time.monotonic() + PATIENCE
        while (found := find()) != expected and time.monotonic() < deadline:
            time.sleep(0.05)
        self.shows(what, found, expected)

    def record(self, action: Json) -> Json:
        """The action once it is recorded: the ledger learns of a household that was registered just now by event.

        Raises ``NotAsExpectedError`` for one that it refuses for another reason, or for so long.
        """
        deadline = time.monotonic() + PATIENCE
        while True:
            answer = self.assistance.post("/v1/actions", json=action)
            told = {fault["code"] for fault in answer.json().get("errors", ())}
            if told != {"unknown_reference"} or time.monotonic() > deadline:
                return answered(answer, 201)

    @staticmethod
    def today() -> str:
        return datetime.now(ZoneInfo("Asia/Shanghai")).date().isoformat()


def answered(response: httpx.Response, status: int = 200) -> Json:
    """The JSON of an answer. Raises ``NotAsExpectedError`` for another status."""
    if response.status_code != status:
        raise NotAsExpectedError(f"{response.request.method} {response.request.url.path}: {response.text}")
    body: Json = response.json()
    return body


def count(client: httpx.Client, path: str, **filters: str) -> int:
    """How many a list has."""
    found: int = answered(client.get(path, params={**filters, "count": "true", "limit": "1"}))["count"]
    return found


def listed(client: httpx.Client, path: str, **filters: str) -> Iterator[Json]:
    """Everything a list has, page by page."""
    cursor: str | None = None
    while True:
        query = {"limit": "500", **filters, **({"cursor": cursor} if cursor else {})}
        page = answered(client.get(path, params=query))
        yield from page["items"]
        cursor = page["next_cursor"]
        if cursor is None:
            return


def stage(urls: Mapping[str, str], key: str) -> Stage:
    """The stack at these addresses."""
    headers = {"Authorization": f"Bearer {key}", "Accept-Language": "zh-CN"}

    def client(name: str) -> httpx.Client:
        return httpx.Client(base_url=urls[name], headers=headers, timeout=60.0, trust_env=False)

    return Stage(client("registry"), client("assistance"), client("ranking"))


NEEDS = "a demonstration needs the three services running: ./bangfu up --no-demo --detach, or their addresses"


def run(demonstration: Callable[..., None], **options: int) -> None:
    """The command line of a demonstration: the stack that ``./bangfu status`` knows, or one named by its addresses.

    ``options`` are numbers that the demonstration takes too, with their defaults.
    """
    parser = argparse.ArgumentParser(description=demonstration.__doc__)
    for name in ("registry", "assistance", "ranking", "key"):
        parser.add_argument(f"--{name}", help="as ./bangfu status prints it")
    for name, default in options.items():
        parser.add_argument(f"--{name}", type=_from_one_on, default=default, help=f"default {default}")
    given = vars(parser.parse_args())
    chosen = {name: given.pop(name) for name in options}
    if not all(given.values()):
        asked = subprocess.run([ROOT / "bangfu", "status", "--json"], stdout=subprocess.PIPE)  # it says what is wrong
        if asked.returncode:
            sys.exit(NEEDS)
        status = json.loads(asked.stdout)
        given = {**{name: service["url"] for name, service in status["services"].items()}, "key": status["api_key"]}
    key = given.pop("key")
    try:
        demonstration(stage(given, key), **chosen)
    except NotAsExpectedError as error:
        sys.exit(f"not as expected: {error}")
    except httpx.ConnectError:
        sys.exit(NEEDS)


def _from_one_on(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("a number from 1 on")
    return number

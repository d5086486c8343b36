"""Brings the demonstration's villages, population, targets and source in, once, over the public interfaces."""

import json
import random
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from datetime import date, datetime, timedelta
from itertools import islice
from math import ceil
from typing import Any

import httpx

from deploy.local.demo.actions import CITY_TIME, SOURCE, Beneficiary
from deploy.local.demo.population import AS_OF, HOUSEHOLDS, Household, Person, population

CITY = "411300000000"
POOR_VILLAGES, DEEPLY_POOR_VILLAGES = 552, 199
"""The article's; which villages they were is not in it, so the demonstration draws them."""

CHUNK = 2_000
"""Households a request. Each is written whole or not at all, so that an interrupted load can be taken up again."""

DUE_TODAY, DUE_THIS_WEEK = 0.1, 0.6
"""Actions, and households reached, as a share of a unit's households."""

Say = Callable[[str], None]


class DemonstrationError(Exception):
    """The demonstration could not be loaded; the message says why."""


class RealDataError(DemonstrationError):
    """The register holds real households, with which a demonstration is never mixed; nothing was loaded."""


class Loader:
    """Loads what is missing; everything it does can be done again without harm."""

    def __init__(self, registry: httpx.AsyncClient, assistance: httpx.AsyncClient, say: Say) -> None:
        self._registry = registry
        self._assistance = assistance
        self._say = say

    async def load(self, scale: int) -> list[Beneficiary]:
        """Bring everything in and return the households. Raises RealDataError, DemonstrationError, httpx.HTTPError."""
        loaded = await self._count(source_system=SOURCE)
        if not loaded and await self._count():
            raise RealDataError("the register holds real households; start with --no-demo")
        wanted = HOUSEHOLDS // scale
        if loaded < wanted:
            self._say(f"registering {wanted - loaded} synthetic households")
            villages = [village async for village in _items(self._registry, "/v1/divisions", level="village")]
            poor = await self._poor_villages(villages)
            await self._register(islice(population(_weights(villages, poor), scale), loaded, None), loaded)
        await self._register_source()
        households = [
            Beneficiary(household["number"], household["path"]["managing_unit"])
            async for household in _items(self._registry, "/v1/households", source_system=SOURCE)
        ]
        await self._set_targets(Counter(household.unit for household in households))
        return households

    async def _count(self, **filters: str) -> int:
        answer = await self._registry.get("/v1/households", params={"limit": 1, "count": "true", **filters})
        answer.raise_for_status()
        count: int = answer.json()["count"]
        return count

    async def _poor_villages(self, villages: Sequence[dict[str, Any]]) -> set[str]:
        """Codes of the poor villages, after designating as many as the article names if there are none."""
        poor = {village["code"] for village in villages if _designated(village, "poor_village")}
        if poor:
            return poor
        rural = [village["code"] for village in villages if _is_rural(village)]
        drawn = random.Random(SOURCE).sample(rural, POOR_VILLAGES)  # noqa: S311 - the same every time
        lines = [_designation(code, "poor_village") for code in drawn]
        lines += [_designation(code, "deep_poverty_village") for code in drawn[:DEEPLY_POOR_VILLAGES]]
        await _post_lines(self._registry, "/v1/divisions/designations/bulk", lines)
        return set(drawn)

    async def _register(self, households: Iterable[Household], number: int) -> None:
        remaining = iter(households)
        while chunk := list(islice(remaining, CHUNK)):
            lines = [_household(household, number + i) for i, household in enumerate(chunk, start=1)]
            report = await _post_lines(self._registry, "/v1/households/bulk", lines, mode="all")
            if report["counts"]["created"] != len(chunk):
                raise DemonstrationError(f"registry refused demonstration households: {report['errors'][:3]}")
            number += len(chunk)
            self._say(f"{number} households registered")

    async def _set_targets(self, households: Mapping[str, int]) -> None:
        """What is due from each unit today and this week, by its households; set before is left as it is."""
        today = datetime.now(CITY_TIME).date()
        sunday = today + timedelta(days=7 - today.isoweekday())
        due = [
            ("day", today.isoformat(), "actions", DUE_TODAY, today),
            ("week", f"{today:%G-W%V}", "households", DUE_THIS_WEEK, sunday),
        ]
        lines = [
            {"unit": unit, "cadence": cadence, "period": period, "metric": metric, "deadline": f"{deadline}",
             "due": ceil(count * share)}
            for cadence, period, metric, share, deadline in due
            for unit, count in sorted(households.items())
        ]  # fmt: skip
        await _post_lines(self._assistance, "/v1/targets/bulk", lines, mode="each")

    async def _register_source(self) -> None:
        """Tell assistance that we submit through Kafka; it may know already."""
        content = {"name": SOURCE, "label": "演示数据", "divisions": [CITY]}
        headers = {"Idempotency-Key": '"demonstration-source"'}
        answer = await self._assistance.post("/v1/sources", json=content, headers=headers)
        if answer.status_code != httpx.codes.CONFLICT:
            answer.raise_for_status()


async def _items(client: httpx.AsyncClient, path: str, **filters: str) -> AsyncIterator[dict[str, Any]]:
    """Every item of a list, page by page."""
    cursor: str | None = None
    while True:
        parameters = {"limit": "500", **filters, **({"cursor": cursor} if cursor else {})}
        answer = await client.get(path, params=parameters)
        answer.raise_for_status()
        page = answer.json()
        for item in page["items"]:
            yield item
        cursor = page["next_cursor"]
        if cursor is None:
            return


async def _post_lines(
    client: httpx.AsyncClient, path: str, lines: Iterable[dict[str, Any]], **parameters: str
) -> dict[str, Any]:
    body = "\n".join(json.dumps(line, ensure_ascii=False) for line in lines)
    headers = {"Content-Type": "application/jsonl"}
    answer = await client.post(path, content=body.encode(), params=parameters, headers=headers)
    answer.raise_for_status()
    report: dict[str, Any] = answer.json()
    return report


def _designated(village: dict[str, Any], kind: str) -> bool:
    return any(entry["kind"] == kind and entry["valid_to"] is None for entry in village["designations"])


def _designation(code: str, kind: str) -> dict[str, Any]:
    return {"code": code, "kind": kind, "valid_from": "2014-01-01"}


def _is_rural(village: dict[str, Any]) -> bool:
    """Village committees 村委会, not the residents' committees 居委会 of towns (digits 10 to 12 from 200)."""
    return int(village["code"][9:12]) >= 200


def _weights(villages: Sequence[dict[str, Any]], poor: set[str]) -> dict[str, float]:
    """Where the households live: in villages of all sizes, three times as many in poor ones."""
    chance = random.Random(CITY)  # noqa: S311 - the same every time
    size = {village["code"]: chance.gammavariate(2.0, 1.0) for village in villages if _is_rural(village)}
    return {code: weight * (3 if code in poor else 1) for code, weight in size.items()}


def _household(household: Household, number: int) -> dict[str, Any]:
    return {
        "source_system": SOURCE,
        "external_id": f"household-{number:06d}",
        "village": household.village,
        "standing": "poor",
        "registered_on": AS_OF.isoformat(),
        "cause": "illness" if number % 5 < 3 else "lack_of_labour",
        "members": [_member(person) for person in household.members],
    }


def _member(person: Person) -> dict[str, Any]:
    age = _age(person.born)
    return {
        "name": person.name,
        "relation": person.relation,
        "id_number": person.id_number,
        "employable": "full" if 16 <= age < 60 else "none",
        "in_school": 7 <= age < 16,
    }


def _age(born: date) -> int:
    return AS_OF.year - born.year

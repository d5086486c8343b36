"""S21: Tanghe County 唐河县 in 2018: 2,164 households with 5,866 people exit, 31 villages too (product.md).

Runs against a stack that has no households in 31 of Tanghe's villages; people are invented.

    python -m tests.demos.s21_exit [--scale 1]
"""

import asyncio
import itertools
import json
import secrets
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import httpx

from tests.demos.stage import Json, NotAsExpectedError, Stage, run

TANGHE = "411328000000"
HOUSEHOLDS, PEOPLE, VILLAGES = 2164, 5866, 31
PROPOSED, YEAR = "2018-10-08", 2018
SOURCE = "demonstration-s21"
DOCUMENT = [{"title": "演示材料", "sha256": "0" * 64}]
FACILITIES = ("access_road", "bus", "safe_water", "power", "broadcast", "culture_centre", "clinic", "broadband")
AT_ONCE = 8


@dataclass(frozen=True)
class Office:
    """A county's office: one key proposes, another reviews."""

    client: httpx.AsyncClient
    roles: Mapping[str, dict[str, str]]

    async def get(self, path: str, **query: Any) -> Json:
        return _told(await self.client.get(path, params=query), 200)

    async def propose(self, **body: Any) -> Json:
        content = {"on": PROPOSED, "evidence": DOCUMENT, **body}
        path = "/v1/standing/decisions"
        return _told(await self.client.post(path, json=content, headers=self.roles["recorder"]), 201)

    async def act(self, decision: Json, what: str, role: str, body: Json, status: int = 200) -> Json:
        headers = {**self.roles[role], "If-Match": f'"{decision["version"]}"'}
        path = f"/v1/standing/decisions/{decision['id']}/{what}"
        return _told(await self.client.post(path, json=body, headers=headers), status)

    async def step(self, decision: Json, status: int = 200) -> Json:
        due = decision["next"]
        body = {"step": due["step"], "on": due["not_before"], "evidence": DOCUMENT}
        return await self.act(decision, "steps", due["role"], body, status)

    async def conclude(self, decision: Json) -> Json:
        while decision["next"]:
            decision = await self.step(decision)
        return decision

    async def stock(self, day: str) -> int:
        """Poor households of the county on a day."""
        figures = await self.get("/v1/statistics/poverty", division=TANGHE, as_of=day)
        stock: int = figures["division"]["stock_households"]
        return stock


def _told(response: httpx.Response, status: int) -> Json:
    if response.status_code != status:
        raise NotAsExpectedError(f"{response.request.method} {response.request.url}: {response.text}")
    told: Json = response.json()
    return told


def hold(holds: bool, what: str) -> None:
    """Say what holds. Raises ``NotAsExpectedError``."""
    if not holds:
        raise NotAsExpectedError(f"not so: {what}")
    print(f"  {what}")


async def empty_villages(office: Office) -> list[str]:
    """Villages of the county without households, hence without stock, that were never designated poor."""
    found = []
    for township in (await office.get("/v1/statistics/poverty", division=TANGHE))["below"]:
        below = (await office.get("/v1/statistics/poverty", division=township["code"]))["below"]
        for code in (each["code"] for each in below if not each["registered_households"]):
            if not (await office.get(f"/v1/divisions/{code}"))["designations"]:
                found.append(code)
            if len(found) == VILLAGES:
                return found
    raise NotAsExpectedError(f"only {len(found)} villages of Tanghe are empty; {VILLAGES} are needed")


def households(villages: Iterable[str], run: str, scale: int) -> Iterator[Json]:
    """Households of two or three, the article's 5,866 people at full scale."""
    count, of_three = round(HOUSEHOLDS / scale), round((PEOPLE - 2 * HOUSEHOLDS) / scale)
    for place, village in zip(range(count), itertools.cycle(villages), strict=False):
        relations = ["head", "spouse", "son"] if place < of_three else ["head", "spouse"]
        yield {
            "village": village, "standing": "poor", "registered_on": "2014-05-01", "cause": "illness",
            "source_system": SOURCE, "external_id": f"{run}-{place}",
            "attributes": {"housing": {"danger": "none"}, "water": {"safe": True}},
            "incomes": [{"year": YEAR, "people": len(relations), "wages_fen": 400_000 * len(relations)}],
            "members": [
                {
                    "name": "演示甲", "relation": relation, "sex": "female" if relation == "spouse" else "male",
                    "birth_date": "1995-03-12" if relation == "son" else "1968-03-12",
                    "attributes": {"insurance": {"resident_medical": True}},
                }
                for relation in relations
            ],
        }  # fmt: skip


async def register(office: Office, villages: list[str], run: str, scale: int) -> list[Json]:
    """The households, registered in one go."""
    lines = "".join(json.dumps(each) + "\n" for each in households(villages, run, scale))
    sent = await office.client.post(
        "/v1/households/bulk", content=lines.encode(), headers={"Content-Type": "application/jsonl"}
    )
    created = _told(sent, 200)["counts"]["created"]
    made: list[Json] = []
    query: Json = {"source_system": SOURCE, "division": TANGHE, "limit": 500}
    while True:
        page = await office.get("/v1/households", **query)
        made += (each for each in page["items"] if each["external_id"].startswith(f"{run}-"))
        if page["next_cursor"] is None:
            break
        query["cursor"] = page["next_cursor"]
    hold(len(made) == created, f"{created} poor households with {sum(h['people'] for h in made)} people registered")
    return made


async def exits(office: Office, homes: list[Json]) -> list[Json]:
    """Every household exits; the first one in spite of an objection."""
    first = await office.propose(kind="exit", household=homes[0]["number"], year=YEAR)
    objection = {"on": PROPOSED, "note": "演示异议"}
    first = await office.act(first, "objections", "recorder", objection)
    await office.step(first, status=409)
    hold(True, "an objection blocks an exit")
    dismissal = {"outcome": "dismissed", "on": PROPOSED, "note": "演示核查不属实"}
    first = await office.act(first, "objections/1/resolution", "reviewer", dismissal)
    slots = asyncio.Semaphore(AT_ONCE)

    async def exit_of(home: Json) -> Json:
        async with slots:
            return await office.conclude(await office.propose(kind="exit", household=home["number"], year=YEAR))

    return [await office.conclude(first), *await asyncio.gather(*map(exit_of, homes[1:]))]


async def village_exit(office: Office, code: str) -> None:
    """A village becomes a poor one in 2014 and exits in 2018."""
    division = await office.get(f"/v1/divisions/{code}")
    given = {"kind": "poor_village", "valid_from": "2014-01-01"}
    headers = {"If-Match": f'"{division["version"]}"'}
    _told(await office.client.post(f"/v1/divisions/{code}/designations", json=given, headers=headers), 200)
    evidence = {"rural_population": 1000, **dict.fromkeys(FACILITIES, True)}
    proposal = {"kind": "village_exit", "division": code, "village": evidence, "on": "2018-11-01"}
    await office.conclude(await office.propose(**proposal))


async def poor_villages(office: Office, day: str) -> int:
    page = await office.get("/v1/divisions", division=TANGHE[:6], designation="poor_village", as_of=day, count=True)
    count: int = page["count"]
    return count


def demonstrate(stage: Stage, scale: int = 100) -> None:
    """Exits of households and villages of 唐河县 by the whole procedure, certificates, and a relapse."""
    asyncio.run(exits_and_a_relapse(str(stage.registry.base_url), stage.registry.headers["Authorization"], scale))


async def exits_and_a_relapse(url: str, authorization: str, scale: int) -> None:
    """The demonstration. Raises ``NotAsExpectedError`` at the first thing that is not so."""
    headers = {"Authorization": authorization}
    async with httpx.AsyncClient(base_url=url, headers=headers, timeout=60, trust_env=False) as client:
        roles = {}
        for role in ("recorder", "reviewer"):
            body = {"name": f"演示 S21 {role}", "roles": [role, "reader"], "divisions": [TANGHE]}
            roles[role] = {"Authorization": f"Bearer {_told(await client.post('/v1/keys', json=body), 201)['key']}"}
        office = Office(client, roles)
        villages = await empty_villages(office)
        before = await office.stock(PROPOSED)
        homes = await register(office, villages, secrets.token_hex(4), scale)
        decisions = await exits(office, homes)
        numbers = sorted({int(each["certificate"]) for each in decisions})
        gapless = numbers == list(range(numbers[0], numbers[0] + len(homes)))
        hold(gapless, f"{len(numbers)} exits with as many certificates, numbered without a gap")
        shown = await office.get(f"/v1/certificates/{numbers[0]}")
        hold(shown["status"] == "valid" and "head" not in shown, "a certificate is verified, and names nobody")
        exited_on = max(each["steps"][-1]["on"] for each in decisions)
        hold(await office.stock(PROPOSED) == before + len(homes), "until then they are stock")
        hold(await office.stock(exited_on) == before, f"from {exited_on} on they are not")
        poor_before = await poor_villages(office, "2018-11-01")
        still_poor = await poor_villages(office, "2018-12-31")
        for code in villages:
            await village_exit(office, code)
        poor = await poor_villages(office, "2018-11-01") - poor_before
        hold(
            (poor, await poor_villages(office, "2018-12-31")) == (VILLAGES, still_poor),
            f"{VILLAGES} poor villages exited",
        )
        relapse = await office.propose(kind="relapse", household=homes[-1]["number"], cause="disaster", on=exited_on)
        relapsed_on = (await office.conclude(relapse))["steps"][-1]["on"]
        hold(await office.stock(relapsed_on) == before + 1, "a relapse makes stock again")
        shown = await office.get(f"/v1/certificates/{decisions[-1]['certificate']}")
        told = (shown["status"], shown["withdrawn_on"])
        hold(told == ("withdrawn", relapsed_on), "its certificate is withdrawn from that day on")


if __name__ == "__main__":
    run(demonstrate, scale=100)

"""Where standing comes of decisions alone, no other way in gives one: HTTP, bulk, files, split, correction."""

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from services.registry.checks.catalogue import CATALOGUE
from services.registry.households.rules import needs_decision
from shared.contracts.household import STOCK, Standing
from tests.registry.conftest import client_of, faults, household, make, matching, member
from tests.registry.sheets import counts, found, head, imported, workbook
from tests.registry.standing import INSURED, Office, able, app_in_2018

BY_DECISION = {("/standing", "by_decision")}
GIVEN: tuple[Standing, ...] = ("poor", "pre_exit", "exited_supported", "exited", "relapsed")
"""Standings that only a decision gives to a household that is new."""
NAMED = {"source_system": "town", "external_id": "7"}
OLD = ["41132310200001", "41132310200002"]


@dataclass(frozen=True)
class Strict:
    """A register that was loaded, and then set to change standings by decision alone."""

    client: httpx.AsyncClient
    poor: dict[str, Any]
    exited: dict[str, Any]
    """Has a wife and a son beside its head."""


FAMILY = [
    member(),
    member("spouse", sex="female", birth_date="1970-06-01"),
    member("son", birth_date="1992-02-03"),
]


@pytest.fixture
async def strict(url: str, secrets: None, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Strict]:
    async with client_of(app_in_2018(url)) as client:
        poor = await make(client, number=OLD[0], members=FAMILY)
        exited = await make(client, number=OLD[1], standing="exited_supported", members=FAMILY, **NAMED)
    monkeypatch.setenv("BANGFU_REGISTRY_STANDING_BY_DECISION", "true")
    async with client_of(app_in_2018(url)) as client:
        yield Strict(client, poor, exited)


async def _patched(client: httpx.AsyncClient, made: dict[str, Any], version: int, **patch: Any) -> httpx.Response:
    url = f"/v1/households/{made['id']}"
    return await client.patch(url, json={"reason": "更正", **patch}, headers=matching(version))


async def test_a_household_is_not_registered_with_a_standing_that_decisions_give(strict: Strict) -> None:
    for standing in GIVEN:
        answer = await strict.client.post("/v1/households", json=household(standing=standing))
        assert faults(answer) == BY_DECISION, standing
    for standing in ("ordinary", "welfare_only"):
        await make(strict.client, standing=standing, cause=None)
    again = household(number=OLD[1], standing="exited_supported", members=FAMILY, **NAMED)
    answer = await strict.client.post("/v1/households", json=again)
    assert (answer.status_code, answer.json()["id"]) == (200, strict.exited["id"]), "it is there already"


@pytest.mark.parametrize("mode", ["all", "each"])
async def test_bulk_refuses_it_too(strict: Strict, mode: str) -> None:
    bodies = [household(standing="exited_supported"), household(standing="ordinary", cause=None)]
    lines = "\n".join(map(json.dumps, bodies))
    headers = {"Content-Type": "application/jsonl"}
    report = (await strict.client.post(f"/v1/households/bulk?mode={mode}", content=lines, headers=headers)).json()
    [error] = report["errors"]
    assert (error["row"], error["column"], error["code"]) == (1, "/standing", "by_decision")
    assert (report["counts"]["created"], report["counts"]["rejected"]) == (int(mode == "each"), 1)


async def test_a_file_refuses_it_and_brings_up_to_date_what_is_there(strict: Strict) -> None:
    def row(number: str, sequence: int, standing: str) -> list[Any]:
        cells = head(number, sequence)
        cells[4] = standing
        return cells

    rows = [row("41132310200009", 3, "已脱贫"), row(OLD[0], 4, "已脱贫"), row(OLD[1], 5, "已脱贫")]
    job = await imported(strict.client, workbook(rows), mode="each", overwrite="always")
    assert {(line, code) for line, _, code in found(job)} == {(2, "by_decision"), (3, "by_decision")}
    assert counts(job) == {"received": 3, "updated": 1, "rejected": 2}
    kept = await imported(strict.client, workbook(rows[1:]), mode="each", overwrite="never")
    assert counts(kept) == {"received": 2, "unchanged": 2}
    assert (await strict.client.get(f"/v1/households/{OLD[0]}")).json()["standing"] == "poor"


async def test_a_split_keeps_the_standing_but_gives_none(strict: Strict) -> None:
    def body(home: dict[str, Any], **more: Any) -> dict[str, Any]:
        return {"members": [{"member": home["members"][2]["id"], "relation": "head"}], "reason": "分户", **more}

    for home, standing in ((strict.poor, "exited_supported"), (strict.exited, "poor"), (strict.exited, "relapsed")):
        url = f"/v1/households/{home['id']}/split"
        answer = await strict.client.post(url, json=body(home, standing=standing), headers=matching(1))
        assert faults(answer) == BY_DECISION, standing
    for home in (strict.poor, strict.exited):
        url = f"/v1/households/{home['id']}/split"
        answer = await strict.client.post(url, json=body(home), headers=matching(1))
        assert (answer.status_code, answer.json()["joined"]["standing"]) == (201, home["standing"]), answer.text


async def test_a_split_before_an_exit_was_poor_until_then(url: str, secrets: None) -> None:
    async with client_of(app_in_2018(url)) as client:
        home = await make(client, members=FAMILY)
        exit_ = {"standing": "exited_supported", "effective_on": "2018-10-15"}
        assert (await _patched(client, home, 1, **exit_)).status_code == 200
        son = {"member": home["members"][2]["id"], "relation": "head"}
        body = {"members": [son], "reason": "分户", "effective_on": "2018-10-01"}
        answer = await client.post(f"/v1/households/{home['id']}/split", json=body, headers=matching(2))
        timeline = answer.json()["joined"]["timeline"]
        assert [(state["valid_from"], state["standing"]) for state in timeline] == [
            ("2018-10-01", "poor"), ("2018-10-15", "exited_supported")
        ]  # fmt: skip


async def test_a_correction_gives_no_standing_on_whatever_day(strict: Strict) -> None:
    client = strict.client
    for day in (None, "2016-01-01"):
        answer = await _patched(client, strict.poor, 1, standing="exited", effective_on=day)
        assert faults(answer) == BY_DECISION
    for standing in ("relapsed", "poor"):
        assert faults(await _patched(client, strict.exited, 1, standing=standing)) == BY_DECISION
    assert (await _patched(client, strict.poor, 1, attributes={"water": {"scarce": True}})).status_code == 200
    assert (await _patched(client, strict.poor, 2, standing="pre_exit")).status_code == 200
    assert (await _patched(client, strict.exited, 1, standing="exited")).status_code == 200
    assert (await _patched(client, strict.exited, 2, standing="ordinary")).status_code == 200
    assert faults(await _patched(client, strict.exited, 3, standing="poor")) == BY_DECISION


async def test_decisions_still_give_it(strict: Strict) -> None:
    office = await Office.of(strict.client)
    home = await able(strict.client, standing="ordinary", cause=None, members=[member(attributes=INSURED)])
    found = await office.concluded(await office.proposed(kind="identification", household=home["id"], cause="illness"))
    on = found["steps"][-1]["on"]
    exit_ = await office.concluded(await office.proposed(kind="exit", household=home["id"], year=2018, on=on))
    assert exit_["state"] == "concluded"
    on = exit_["steps"][-1]["on"]
    relapse = await office.proposed(kind="relapse", household=home["id"], cause="disaster", on=on)
    assert (await office.concluded(relapse))["state"] == "concluded"


def test_the_rule_is_in_the_catalogue() -> None:
    assert [rule.severity for rule in CATALOGUE if rule.code == "by_decision"] == ["error"]


def test_what_is_an_identification_an_exit_or_a_relapse() -> None:
    exits = {(before, "exited_supported") for before in (None, *STOCK, "ordinary", "welfare_only")}
    relapses = {(before, "relapsed") for before in (None, "poor", "pre_exit", "exited", "exited_supported", "ordinary")}
    identifications = {(before, "poor") for before in (None, "ordinary", "welfare_only", "exited")}
    assert all(needs_decision(before, after) for before, after in exits | relapses | identifications)  # type: ignore[arg-type]
    free: set[tuple[Standing | None, Standing]] = {
        ("exited_supported", "exited"), ("poor", "pre_exit"), ("relapsed", "pre_exit"), ("relapsed", "relapsed"),
        ("poor", "ordinary"), ("exited", "ordinary"), (None, "ordinary"), (None, "welfare_only"),
    }  # fmt: skip
    assert not any(needs_decision(before, after) for before, after in free)
